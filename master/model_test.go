package master

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fandango/ipc"
	"fandango/schedule"
)

// The model is what the tables are meant to do, in the plainest words: a list of pending tasks per key, and a list of
// what its callbacks have to be told. The core goes through the same steps, and must agree after each.
type model struct {
	limit, lane int
	keys        map[string]*modelKey
	held        int
	commands    []*modelCommand
	sends       []*modelWait // pending, in order
	closed      bool
	modelPause
}

// modelPause is a pause of one key, or of all.
type modelPause struct {
	on    bool
	until time.Time
	last  time.Time // an earlier one ended then
}

func (p *modelPause) holds(now time.Time) bool {
	return p.on && (p.until.IsZero() || p.until.After(now))
}

// end is when it was last in force, up to now.
func (p *modelPause) end(now time.Time) time.Time {
	if p.on && !p.until.IsZero() && !p.until.After(now) && p.until.After(p.last) {
		return p.until
	}
	return p.last
}

func (p *modelPause) hold(d time.Duration, now time.Time) {
	p.change(now)
	if p.on = true; d > 0 {
		p.until = now.Add(d)
	}
}

func (p *modelPause) change(now time.Time) {
	if p.last = p.end(now); p.holds(now) {
		p.last = now
	}
	p.on, p.until = false, time.Time{}
}

type modelKey struct {
	gen       int
	added     bool
	runs      []*modelRun // pending, the oldest first
	told      []string    // for its callbacks, in order; "" when it is not known which of two comes first
	calling   int         // callbacks that have not returned
	good, err string      // in the table

	at            time.Time // when good came
	read, once    bool
	every, expire time.Duration
	modelPause
}

// state is what a key's value is worth.
func (m *model) state(k *modelKey, now time.Time) State {
	paused := k.added && (m.holds(now) || k.holds(now))
	switch limit := k.every + k.every/2; {
	case k.at.IsZero() && k.err == "":
		return Never
	case k.read, k.expire > 0 && !k.at.IsZero() && now.Sub(k.at) >= k.expire:
		return Expired
	case k.err != "":
		return Failed
	case limit > 0 && !paused && now.Sub(k.at) > limit && now.Sub(m.end(now)) > limit && now.Sub(k.end(now)) > limit:
		return Stale
	}
	return Fresh
}

type modelRun struct {
	target   string
	policy   ipc.Policy
	gen      int
	begun    bool
	forsaken bool // begun, and all have left
	keep     bool
	deadline time.Time // zero: none
	waits    []*modelWait
}

type modelWait struct {
	name   string
	entry  bool
	ctx    int // 0: none
	shared ipc.Shared
}

type modelCommand struct {
	name   string
	behind []*modelWait
	done   bool
}

func (m *model) key(key string) *modelKey {
	if m.keys[key] == nil {
		m.keys[key] = &modelKey{}
	}
	return m.keys[key]
}

// enqueue returns the word of send: "refused", "begins" or "waits".
func (m *model) enqueue(key, target string, policy ipc.Policy, keep bool, deadline time.Time, w *modelWait) string {
	k := m.key(key)
	joinable := func(r *modelRun) bool { return !r.forsaken && r.gen == k.gen }
	join := func(r *modelRun) string {
		w.shared = ipc.SharedJoined
		r.waits = append(r.waits, w)
		r.keep = r.keep || keep
		return "waits"
	}
	if n := len(k.runs); n > 0 && policy != ipc.PolicyEach {
		last := k.runs[n-1]
		switch {
		case joinable(last) && last.target == target:
			return join(last)
		case policy == ipc.PolicyReject:
			return "refused"
		case policy == ipc.PolicyFirst && k.runs[0].begun && joinable(k.runs[0]):
			return join(k.runs[0])
		case policy == ipc.PolicyFirst && joinable(last):
			return join(last)
		}
	}
	r := &modelRun{target: target, policy: policy, gen: k.gen, keep: keep, deadline: deadline, waits: []*modelWait{w}}
	begins := len(k.runs) == 0 && !m.full(k)
	if policy == ipc.PolicyLatest && !begins {
		k.runs = slices.DeleteFunc(k.runs, func(old *modelRun) bool {
			if old.begun || old.policy != ipc.PolicyLatest || old.gen != k.gen {
				return false
			}
			for _, w := range old.waits {
				w.shared = ipc.SharedOvertaken
			}
			r.waits = append(r.waits, old.waits...)
			r.keep = r.keep || old.keep
			return true
		})
	}
	k.runs = append(k.runs, r)
	if begins {
		r.begun = true
		return "begins"
	}
	return "waits"
}

func (m *model) full(k *modelKey) bool {
	return len(k.told)+k.calling >= m.lane && !slices.ContainsFunc(m.commands, m.waits)
}

// waits reports whether a Command has to wait for a send.
func (m *model) waits(c *modelCommand) bool {
	return slices.ContainsFunc(c.behind, func(w *modelWait) bool { return slices.Contains(m.sends, w) })
}

// advance begins what may begin, after something has changed.
func (x *twin) advance() {
	m := x.m
	for _, c := range m.commands {
		c.done = c.done || m.closed || !m.waits(c)
	}
	for _, key := range modelKeys {
		k := m.key(key)
		for len(k.runs) > 0 && !k.runs[0].begun && !m.full(k) && !m.closed {
			if r := k.runs[0]; !r.deadline.IsZero() && !r.deadline.After(x.now) {
				x.late(key, 0)
				x.advance() // a Command may have waited for it
				continue
			}
			k.runs[0].begun = true
		}
	}
}

// late ends a run that has waited too long.
func (x *twin) late(key string, n int) {
	x.end(key, n, ipc.Outcome{Err: ipc.ErrExpired})
	x.learn()
}

// end gives a run of the model its outcome.
func (x *twin) end(key string, n int, o ipc.Outcome) {
	k := x.m.key(key)
	r := k.runs[n]
	k.runs = slices.Delete(k.runs, n, n+1)
	if r.gen == k.gen && (k.added || r.keep) && ipc.KindOf(o.Err) != ipc.KindClosed {
		k.stored(o.Value.String(), o.Err, x.now)
	}
	for _, w := range r.waits {
		x.m.tell(k, w, outcome(o, w.shared))
		if w.entry {
			x.entries[key] = ""
		}
	}
}

func (m *model) tell(k *modelKey, w *modelWait, outcome string) {
	m.sends = slices.DeleteFunc(m.sends, func(x *modelWait) bool { return x == w })
	if w.entry { // the newest only
		k.told = slices.DeleteFunc(k.told, func(s string) bool { return s[0] == 'e' && s[:5] == w.name[:5] })
	}
	k.told = append(k.told, w.name+" "+outcome)
}

// leave ends one who waits, with an outcome of its own.
func (m *model) leave(key string, w *modelWait) {
	k := m.keys[key]
	for i, r := range k.runs {
		if n := slices.Index(r.waits, w); n >= 0 {
			r.waits = slices.Delete(r.waits, n, n+1)
			if len(r.waits) == 0 {
				if r.begun {
					r.forsaken = true
				} else {
					k.runs = slices.Delete(k.runs, i, i+1)
				}
			}
			break
		}
	}
	m.tell(k, w, "cancelled")
}

// twin drives the core and the model side by side.
type twin struct {
	t        *rapid.T
	c        core
	m        *model
	now      time.Time
	bells    map[schedule.ID]*bell
	running  map[string]ticket
	busy     []*hand
	watches  map[int]*watch
	released map[*order]string
	orders   map[string]*order
	entries  map[string]string // which entry the model knows to be pending, by key
	asked    int
	view     *view
	order    []string // keys that are still to be enrolled; nil: it has not begun
	enrolled bool
	seen     map[string]string // what the view was told last, by key
}

type bell struct {
	item   alarm
	at     time.Time
	number int
}

func (x *twin) Add(item alarm, at time.Time) schedule.ID {
	x.asked++
	id := bellIDs[x.asked]
	x.bells[id] = &bell{item, at, x.asked}
	return id
}

func (x *twin) Set(id schedule.ID, at time.Time) bool {
	if x.bells[id] == nil {
		return false
	}
	x.bells[id].at = at
	return true
}

func (x *twin) Remove(id schedule.ID) bool {
	_, ok := x.bells[id]
	delete(x.bells, id)
	return ok
}

var modelKeys = []string{"a", "b"}

// after does what a Master does when the mutex is free, and compares.
func (x *twin) after(fx *effects) {
	for r := range x.c.start.all {
		x.c.start.drop(&r.place)
		x.begin(r)
	}
	for _, o := range fx.released {
		x.released[o] = fmt.Sprint(o.verdict)
	}
	x.advance()
	x.compare()
}

func (x *twin) begin(r *run) {
	if old := x.running[r.row.key]; old.run != nil {
		x.t.Fatalf("%s begins while another one runs", r.row.key)
	}
	x.running[r.row.key] = r.ticket()
}

// learn tells the model of the entry runs that the core has asked for.
func (x *twin) learn() {
	for _, key := range modelKeys {
		row := x.c.rows.get(key)
		if row == nil || row.entry == nil || row.pending == nil {
			continue
		}
		e := row.entry
		name := fmt.Sprintf("%p", row.pending)
		if x.entries[key] != name {
			x.entries[key] = name
			target, _ := e.task().Target.Text()
			x.m.enqueue(key, target, ipc.PolicyLatest, false, time.Time{}, &modelWait{name: x.entryName(key), entry: true})
		}
	}
}

func (x *twin) entryName(key string) string { return fmt.Sprintf("e%04d", x.m.key(key).gen) }

func (x *twin) compare() {
	t := x.t
	for _, key := range modelKeys {
		k, row := x.m.key(key), x.c.rows.get(key)
		if row == nil {
			if len(k.runs)+len(k.told)+k.calling > 0 || k.added || k.good+k.err != "" {
				t.Fatalf("%s is forgotten; the model has %+v", key, k)
			}
			continue
		}
		var got, want []string
		for r := range row.runs {
			target, _ := r.target.Text()
			got = append(got, fmt.Sprint(target, " ", row.run == r, " ", count(r.waiters.all)))
		}
		for _, r := range k.runs {
			want = append(want, fmt.Sprint(r.target, " ", r.begun, " ", len(r.waits)))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pending of %s: %q, the model has %q", key, got, want)
		}
		if n := count(row.out.all); n != len(k.told) || int(row.undelivered) != n+k.calling {
			t.Fatalf("%s has %d to tell, %d undelivered; the model has %q and %d", key, n, row.undelivered, k.told, k.calling)
		}
		var good, failure string
		if d := row.data; d != nil {
			if d.value != nil {
				good = d.value.String()
			}
			if d.err != nil {
				failure = word(d.err)
			}
		}
		if row.kept() {
			paused := k.added && (x.m.holds(x.now) || k.holds(x.now))
			if v, want := x.c.look(row, x.now), x.m.state(k, x.now); v.State != want || v.Paused != paused {
				t.Fatalf("%s is %s, paused: %v; the model says %s, %v", key, v.State, v.Paused, want, paused)
			}
		}
		if good != k.good || failure != k.err {
			t.Fatalf("%s has %s, %s; the model has %s, %s", key, good, failure, k.good, k.err)
		}
		if (x.running[key].run != nil) != (row.run != nil) {
			t.Fatalf("%s: a run is lost", key)
		}
	}
	if !reflect.ValueOf(*idle).IsZero() {
		t.Fatal("something is under way for all keys that are idle")
	}
	s := x.c.stats
	if s.Pending != len(x.m.sends) || s.Held != x.m.held || s.Accepted != uint64(s.Pending)+s.Done+s.Failed+s.Lost+s.Cancelled+s.Expired {
		t.Fatalf("stats %+v; the model has %d pending, %d held", s, len(x.m.sends), x.m.held)
	}
	for _, c := range x.m.commands {
		if _, began := x.released[x.orders[c.name]]; began != c.done {
			t.Fatalf("%s began: %v; the model says %v, behind %d", c.name, began, c.done, len(c.behind))
		}
	}
}

// watched compares what the reader of the view was told with what there is. It needs a loop that is not late.
func (x *twin) watched() {
	if !x.enrolled {
		return
	}
	for _, key := range modelKeys {
		if k := x.view.marks[key]; k != nil && k.place.stands() {
			continue // the reader will see
		}
		want := ""
		if row := x.c.kept(key); row != nil {
			want = glance(x.c.look(row, x.now))
		}
		if x.seen[key] != want {
			x.t.Fatalf("who watches %s was told %q, and it is %q", key, x.seen[key], want)
		}
	}
}

// enrol is a part of the enrolment of the view, of one key: what there is, in order, and then what has changed meanwhile.
func (x *twin) enrol(t *rapid.T) {
	switch {
	case x.enrolled:
		t.Skip()
	case x.order == nil:
		x.order = []string{}
		for row := range x.c.rows.all {
			if row.kept() {
				x.order = append(x.order, row.key)
			}
		}
		slices.Sort(x.order)
		return
	case len(x.order) == 0 && x.view.unsure != nil:
		x.order, x.view.unsure = slices.Sorted(maps.Keys(x.view.unsure)), nil
	}
	if x.enrolled = len(x.order) == 0; !x.enrolled {
		x.c.show(x.view, x.order[0], x.now)
		x.order = x.order[1:]
	}
}

// look is the reader of the view, who sees one value.
func (x *twin) look(t *rapid.T) {
	if !x.enrolled {
		t.Skip()
	}
	v, ok := x.c.see(x.view, x.now)
	if !ok {
		t.Skip()
	}
	if delete(x.seen, v.Key); v.State != Gone {
		x.seen[v.Key] = glance(v)
	}
}

// glance is what changes about a value.
func glance(v Value) string { return fmt.Sprint(v.State, v.Paused, v.At.UnixNano(), v.Value) }

// word is an error, without what only people need.
func word(err error) string {
	if kind := ipc.KindOf(err); kind == ipc.KindExpired {
		return string(kind)
	}
	return err.Error()
}

func count[T any](seq func(func(T) bool)) (n int) {
	for range seq {
		n++
	}
	return n
}

func TestTheCoreAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := &twin{
			t: t, now: time.Now(), bells: map[schedule.ID]*bell{}, running: map[string]ticket{}, watches: map[int]*watch{},
			released: map[*order]string{}, orders: map[string]*order{}, entries: map[string]string{},
			view: &view{marks: map[string]*mark{}, wake: make(chan struct{}, 1)}, seen: map[string]string{},
		}
		x.m = &model{limit: 6, lane: 2, keys: map[string]*modelKey{}}
		x.c = newCore(Config{Queue: x.m.limit, Slow: time.Hour}, x, x.now)
		x.c.spares = make([]*traffic, 0, rapid.IntRange(0, 2).Draw(t, "spares"))
		x.c.lane = x.m.lane
		x.c.viewAll, x.view.unsure = []*view{x.view}, map[string]struct{}{}
		t.Repeat(map[string]func(*rapid.T){
			"send": x.send, "done": x.done, "take": x.take, "return": x.back, "cancel": x.cancel, "command": x.command,
			"add": x.add, "pop": x.pop, "get": x.get, "tick": x.tick, "slip": x.slip, "pause": x.pause, "resume": x.resume,
			"enrol": x.enrol, "look": x.look, "close": x.close,
		})
		// Whatever came before: when all is answered and called, nothing is left.
		for range 10_000 {
			key := slices.Sorted(maps.Keys(x.running))
			switch {
			case len(x.busy) > 0:
				x.back(t)
			case len(key) > 0:
				x.finish(key[0], ipc.Outcome{Err: errors.New("end")})
			case !x.c.speak.empty():
				x.take(t)
			default:
				x.c.viewAll = nil
				for _, key := range modelKeys {
					x.c.overlook(x.view, key)
				}
				want := 1 // that of slow callbacks
				for row := range x.c.rows.all {
					if row.entry != nil {
						want++
					}
				}
				if len(x.bells) != want {
					t.Fatalf("%d bells are left, want %d", len(x.bells), want)
				}
				if x.c.waiting != 0 || x.c.stats.Held != 0 || x.c.orders != 0 || len(x.c.watches) != 0 || len(x.c.gated) != 0 {
					t.Fatalf("left: %d waiting, %+v, %d commands, %d contexts, %d gated", x.c.waiting, x.c.stats, x.c.orders, len(x.c.watches), len(x.c.gated))
				}
				return
			}
		}
		t.Fatal("it does not end")
	})
}

func (x *twin) send(t *rapid.T) {
	key := rapid.SampledFrom(modelKeys).Draw(t, "key")
	target := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "target")
	policy := rapid.SampledFrom([]ipc.Policy{ipc.PolicyAll, ipc.PolicyLatest, ipc.PolicyFirst, ipc.PolicyReject, ipc.PolicyEach}).Draw(t, "policy")
	w := &modelWait{name: fmt.Sprintf("s%d", x.c.stats.Accepted+x.c.stats.Refused), ctx: rapid.IntRange(0, 2).Draw(t, "context")}
	task, err := ipc.NewTask(key, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	task.Policy, task.Keep = policy, rapid.Bool().Draw(t, "keep")
	var deadline time.Time
	if s := rapid.IntRange(-2, 3).Draw(t, "deadline"); s > 0 {
		task.Deadline = time.Duration(s) * time.Second
		deadline = x.now.Add(task.Deadline)
	}
	a := &ask{task: task, ctx: background, then: func(v Value) { x.said(w.name, v) }}
	if w.ctx > 0 {
		done := x.context(w.ctx)
		a.done, a.cancel = done, func() {}
	}
	begun, fresh, err := x.c.send(a, func() time.Time { return x.now })
	if fresh != nil {
		x.watches[w.ctx] = fresh
		fresh.stop = func() bool { return true }
	}
	want := "refused"
	if x.m.held < x.m.limit && !x.m.closed {
		want = x.m.enqueue(key, target, policy, task.Keep, deadline, w)
	}
	got := "waits"
	switch {
	case err != nil:
		got = "refused"
	case begun.run != nil:
		got = "begins"
	}
	if got != want {
		t.Fatalf("send %s %s %s: %s, the model says %s", key, target, policy, got, want)
	}
	var fx effects
	if got != "refused" {
		x.m.held++
		x.m.sends = append(x.m.sends, w)
	}
	if begun.run != nil && rapid.IntRange(0, 5).Draw(t, "runner refuses") == 0 {
		if !x.c.retract(begun, errors.New("no room"), x.now, &fx) {
			t.Fatal("Send does not tell that the runner refused")
		}
		k := x.m.key(key)
		k.runs = nil
		x.m.held--
		x.m.sends = x.m.sends[:len(x.m.sends)-1]
		if k.added || task.Keep { // the table knows that it failed
			k.stored("", errors.New("no room"), x.now)
		}
	} else if begun.run != nil {
		x.begin(begun.run)
	}
	x.after(&fx)
}

// contexts are told apart by their channels.
var contexts = [...]chan struct{}{nil, make(chan struct{}), make(chan struct{})}

func (x *twin) context(n int) <-chan struct{} { return contexts[n] }

func (x *twin) done(t *rapid.T) {
	keys := slices.Sorted(maps.Keys(x.running))
	if len(keys) == 0 {
		t.Skip()
	}
	o := ipc.Outcome{Value: ipc.Raw{byte(rapid.IntRange(1, 100).Draw(t, "value"))}}
	if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
		o = ipc.Outcome{Err: ipc.Errorf(ipc.KindTask, "oh")}
	}
	x.finish(rapid.SampledFrom(keys).Draw(t, "key"), o)
}

func (x *twin) finish(key string, o ipc.Outcome) {
	r := x.running[key]
	delete(x.running, key)
	var fx effects
	x.end(key, 0, o)
	x.c.done(r, o, x.now, &fx)
	x.learn() // before the next run begins
	x.after(&fx)
	x.c.done(r, ipc.Outcome{}, x.now, &fx) // a second one is ignored
	x.compare()
}

func (k *modelKey) stored(value string, err error, now time.Time) {
	if k.err = ""; err != nil {
		k.err = word(err)
	} else {
		k.good, k.at, k.read = value, now, false
	}
}

func outcome(o ipc.Outcome, shared ipc.Shared) string {
	if o.Err != nil {
		return "error " + string(shared)
	}
	return o.Value.String() + " " + string(shared)
}

// said compares what a callback is told with what the model says.
func (x *twin) said(name string, v Value) {
	k := x.m.key(v.Key)
	got := name + " " + outcome(v.Outcome, v.Shared)
	if ipc.KindOf(v.Err) == ipc.KindCancelled {
		got = name + " cancelled"
	}
	if len(k.told) == 0 || k.told[0] != got {
		x.t.Fatalf("%s tells %q, the model says %q", v.Key, got, k.told)
	}
	k.told = k.told[1:]
	k.calling++
}

func (x *twin) take(t *rapid.T) {
	h := x.c.need()
	if h == nil {
		t.Skip()
	}
	w := x.c.take(h, x.now)
	if w == nil {
		t.Fatal("a hand was called and has nothing to do")
	}
	w.then(w.value())
	x.busy = append(x.busy, h)
	x.compare()
}

func (x *twin) back(t *rapid.T) {
	if len(x.busy) == 0 {
		t.Skip()
	}
	n := 0
	if len(x.busy) > 1 {
		n = rapid.IntRange(0, len(x.busy)-1).Draw(t, "hand")
	}
	h := x.busy[n]
	x.busy = slices.Delete(x.busy, n, n+1)
	key, send := h.row.key, h.at.entry == nil
	var fx effects
	x.c.returned(h, x.now, &fx)
	x.c.rest(h)
	x.m.key(key).calling--
	if send {
		x.m.held--
	}
	x.after(&fx)
}

func (x *twin) cancel(t *rapid.T) {
	n := rapid.IntRange(1, 2).Draw(t, "context")
	g := x.watches[n]
	if g == nil {
		t.Skip()
	}
	var fx effects
	for _, w := range slices.Clone(x.m.sends) {
		for _, key := range modelKeys {
			if w.ctx == n && slices.ContainsFunc(x.m.key(key).runs, func(r *modelRun) bool { return slices.Contains(r.waits, w) }) {
				x.m.leave(key, w)
			}
		}
	}
	x.c.withdraw(g, context.Canceled, x.now, &fx)
	if len(x.c.watches) > 0 && x.c.watches[contexts[n]] != nil {
		t.Fatal("someone still waits with a context that has ended")
	}
	delete(x.watches, n)
	x.after(&fx)
}

func (x *twin) command(t *rapid.T) {
	if len(x.m.commands) > 10 {
		t.Skip()
	}
	o := &order{}
	c := &modelCommand{name: fmt.Sprint("c", len(x.m.commands)), behind: slices.Clone(x.m.sends)}
	x.m.commands = append(x.m.commands, c)
	x.orders[c.name] = o
	var fx effects
	x.c.command(o, x.now, &fx)
	x.after(&fx)
}

func (x *twin) add(t *rapid.T) {
	if x.m.closed {
		t.Skip()
	}
	key := rapid.SampledFrom(modelKeys).Draw(t, "key")
	every, err := schedule.NewEvery(time.Duration(rapid.IntRange(1, 5).Draw(t, "period")) * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	task, err := ipc.NewTask(key, rapid.SampledFrom([]string{"x", "z"}).Draw(t, "target"), nil)
	if err != nil {
		t.Fatal(err)
	}
	task.Policy = ipc.PolicyLatest
	x.clear(key)
	e := newResident(task)
	e.entry.every = every
	kind := kind{Options: task.Options, once: rapid.Bool().Draw(t, "once")}
	kind.expire = time.Duration(rapid.IntRange(0, 4).Draw(t, "expire")) * time.Second
	k := x.m.key(key)
	k.added, k.once, k.every, k.expire = true, kind.once, every.Period(), kind.expire
	name := x.entryName(key)
	e.entry.then = func(v Value) { x.said(name, v) }
	var fx effects
	x.c.add(e, kind, x.now, &fx)
	x.after(&fx)
}

func (x *twin) pop(t *rapid.T) {
	key := rapid.SampledFrom(modelKeys).Draw(t, "key")
	row := x.c.kept(key)
	if row == nil {
		t.Skip()
	}
	x.clear(key)
	var fx effects
	x.c.clear(row, "popped", x.now, &fx)
	x.after(&fx)
}

// clear is what pop and add do to the model.
func (x *twin) clear(key string) {
	k := x.m.key(key)
	k.good, k.err = "", ""
	k.at, k.read, k.once, k.every, k.expire, k.added, k.modelPause = time.Time{}, false, false, 0, 0, false, modelPause{}
	for _, r := range slices.Clone(k.runs) {
		for _, w := range slices.Clone(r.waits) {
			if w.entry {
				x.m.leave(key, w)
			}
		}
	}
	k.gen++
	x.entries[key] = ""
}

// get reads a value, which uses it up when it is to be read once.
func (x *twin) get(t *rapid.T) {
	key := rapid.SampledFrom(modelKeys).Draw(t, "key")
	row := x.c.kept(key)
	if row == nil {
		t.Skip()
	}
	k := x.m.key(key)
	want := k.good
	if x.m.state(k, x.now) == Expired {
		want = ""
	}
	v := x.c.read(row, x.now)
	got := ""
	if v.Value != nil {
		got = v.Value.String()
	}
	if got != want {
		t.Fatalf("%s reads %s, the model says %s", key, got, want)
	}
	if k.once && want != "" {
		k.good, k.read = "", true
	}
	x.compare()
}

// slip lets time go by, and the loop is late.
func (x *twin) slip(t *rapid.T) {
	x.now = x.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
}

func (x *twin) tick(t *rapid.T) {
	x.slip(t)
	var fx effects
	for id, b := x.due(); b != nil; id, b = x.due() {
		at := b.at
		b.at = time.Time{}
		late, n := "", 0
		if l, ok := b.item.(*leash); ok {
			late, n = l.run.row.key, slices.Index(slices.Collect(l.run.row.runs), l.run)
		}
		ringing, ok := b.item.(*row)
		idle := ok && ringing.pending == nil
		b.item.ring(&x.c, x.now, &fx)
		if late != "" {
			x.late(late, n)
		}
		if idle && ringing.pending != nil && (x.m.holds(x.now) || x.m.key(ringing.key).holds(x.now)) {
			t.Fatalf("%s begins while paused", ringing.key)
		}
		x.learn()
		if x.bells[id] == b && b.at.Equal(at) {
			t.Fatal("it rings for ever")
		}
	}
	x.after(&fx)
	for row := range x.c.rows.all {
		key := row.key
		paused := x.m.holds(x.now) || x.m.key(key).holds(x.now)
		if e := row.entry; e != nil && row.pending == nil && !paused && !x.c.time(e.due).After(x.now) && !x.m.closed {
			t.Fatalf("%s is due and does not run", key)
		}
	}
	x.watched()
}

// due is the bell that rings next, by now.
func (x *twin) due() (id schedule.ID, first *bell) {
	for one, b := range x.bells {
		if b.at.IsZero() || b.at.After(x.now) {
			continue
		}
		if first == nil || b.at.Before(first.at) || b.at.Equal(first.at) && b.number < first.number {
			id, first = one, b
		}
	}
	return id, first
}

// chosen draws the entry of a key, or none for all.
func (x *twin) chosen(t *rapid.T) (pause *modelPause, chosen *row) {
	key := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "key")
	if key == "" {
		return &x.m.modelPause, nil
	}
	one := x.c.rows.get(key)
	if one == nil || one.entry == nil {
		t.Skip()
	}
	return &x.m.key(key).modelPause, one
}

func (x *twin) pause(t *rapid.T) {
	pause, chosen := x.chosen(t)
	d := time.Duration(rapid.IntRange(0, 5).Draw(t, "s")) * time.Second
	var fx effects
	pause.hold(d, x.now)
	x.c.pauseSome(d, chosen, x.now, &fx)
	x.learn()
	x.after(&fx)
}

func (x *twin) resume(t *rapid.T) {
	pause, chosen := x.chosen(t)
	pause.change(x.now)
	if chosen == nil {
		for _, key := range modelKeys {
			x.m.key(key).change(x.now)
		}
	}
	var fx effects
	x.c.resumeSome(chosen, x.now, &fx)
	x.learn()
	x.after(&fx)
}

func (x *twin) close(t *rapid.T) {
	if x.m.closed || rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		t.Skip()
	}
	x.m.closed = true
	for _, key := range modelKeys {
		for n := 0; n < len(x.m.key(key).runs); {
			if x.m.key(key).runs[n].begun {
				n++
			} else {
				x.end(key, n, ipc.Outcome{Err: ipc.ErrClosed})
			}
		}
	}
	var fx effects
	x.c.close(x.now, &fx)
	x.after(&fx)
}

// pauseSome is a Pause of a row, or of all.
func (c *core) pauseSome(d time.Duration, one *row, now time.Time, fx *effects) {
	if one != nil {
		c.holdOne(one, d, now, fx)
		return
	}
	c.hold(d, now)
	for row := range c.rows.all {
		c.rearrange(row, now, fx)
	}
}

// resumeSome is a Resume of a row, or of all.
func (c *core) resumeSome(one *row, now time.Time, fx *effects) {
	if one != nil {
		c.resumeOne(one, now, fx)
		return
	}
	c.resume(now)
	for row := range c.rows.all {
		c.resumeOne(row, now, fx)
	}
}
