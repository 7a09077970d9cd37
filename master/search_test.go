package master

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/schedule"
)

// The exhaustive search: everything that may happen to the core in a small world, in every order. A world has two keys,
// three sends and a runner with two slots and room for one more; a scene says what else may happen in it, and how often.
// Breadth first, each state is reached once, told apart by all that decides about what comes next; from each, the
// invariants must hold, and when all is answered and called, nothing may be left.

const searchStart = 1_000_000 // seconds; any time will do

// scene is one small world.
type scene struct {
	name  string
	sends [3]sceneSend
	adds  []sceneAdd
	lane  int // 0: 2

	ticks, pops, pauses, cancels, commands, refusals, broadcasts, closes int
}

type sceneSend struct {
	key, target string
	policy      ipc.Policy
	ctx, mute   bool // it can be cancelled; it has no callback
	submit      bool // it is a Submit
	keep        bool
	deadline    time.Duration
}

type sceneAdd struct {
	key    string
	target string
	every  time.Duration
	then   bool
}

var scenes = []scene{
	{name: "all", sends: [3]sceneSend{{key: "a", target: "x", ctx: true}, {key: "a", target: "y"}, {key: "a", target: "y", ctx: true, submit: true}}, cancels: 1, commands: 1, closes: 1},
	{name: "each", sends: [3]sceneSend{
		{key: "a", target: "x", policy: ipc.PolicyEach, ctx: true, submit: true}, {key: "a", target: "x", policy: ipc.PolicyEach}, {key: "b", target: "x", policy: ipc.PolicyEach, mute: true},
	}, lane: 1, cancels: 1, commands: 1, refusals: 1, closes: 1},
	{name: "latest", sends: [3]sceneSend{
		{key: "a", target: "x", policy: ipc.PolicyLatest}, {key: "a", target: "y", policy: ipc.PolicyLatest, ctx: true, keep: true}, {key: "a", target: "z", policy: ipc.PolicyLatest, submit: true},
	}, cancels: 1, pops: 1, commands: 1, closes: 1},
	{name: "first", sends: [3]sceneSend{
		{key: "a", target: "x", policy: ipc.PolicyFirst, ctx: true, submit: true}, {key: "a", target: "y", policy: ipc.PolicyFirst, ctx: true, submit: true}, {key: "a", target: "x", policy: ipc.PolicyReject},
	}, lane: 1, cancels: 1, refusals: 1, commands: 1, closes: 1},
	{name: "deadline", sends: [3]sceneSend{
		{key: "a", target: "x"}, {key: "a", target: "y", deadline: time.Second, submit: true}, {key: "a", target: "z", deadline: time.Second, ctx: true, submit: true},
	}, lane: 1, ticks: 2, cancels: 1, commands: 1, closes: 1},
	{name: "entry", adds: []sceneAdd{{"a", "x", 2 * time.Second, true}, {"a", "y", 2 * time.Second, true}}, sends: [3]sceneSend{
		{key: "a", target: "x", submit: true}, {key: "a", target: "z", policy: ipc.PolicyLatest, ctx: true}, {key: "b", target: "x"},
	}, ticks: 2, pops: 1, cancels: 1},
	{name: "two entries", adds: []sceneAdd{{"a", "x", 2 * time.Second, true}, {"b", "x", 3 * time.Second, false}}, sends: [3]sceneSend{
		{key: "a", target: "y", mute: true}, {key: "b", target: "x", ctx: true}, {key: "b", target: "y", mute: true},
	}, ticks: 2, pops: 1},
	{name: "pause", adds: []sceneAdd{{"a", "x", 2 * time.Second, true}}, sends: [3]sceneSend{
		{key: "a", target: "x"}, {key: "a", target: "y", mute: true}, {key: "b", target: "x", mute: true},
	}, ticks: 2, pauses: 2},
	{name: "broadcast", sends: [3]sceneSend{{key: "a", target: "x", submit: true}, {key: "a", target: "y", ctx: true}, {key: "b", target: "y"}}, lane: 1, broadcasts: 2, cancels: 1, closes: 1},
}

// act is a thing that may happen.
type act byte

const (
	actSend act = iota
	actSubmit
	actRefuse
	actBeginA
	actBeginB
	actOK0
	actOK1
	actCrash0
	actCrash1
	actEnd0 // as cancelled
	actEnd1
	actEndQueued
	actTick
	actTakeA
	actTakeB
	actReturnA
	actReturnB
	actAdd
	actPopA
	actPopB
	actPauseAll
	actPauseKey
	actPauseFor
	actResume
	actResumeKey
	actCancel
	actCommand
	actBroadcast
	actAnswered
	actClose
	actAbandon
)

var actNames = [...]string{
	"send", "submit", "refuse", "begin a", "begin b", "slot 0 answers", "slot 1 answers", "slot 0 crashes", "slot 1 crashes", "slot 0 ends as cancelled",
	"slot 1 ends as cancelled", "runner ends what waits", "tick", "take a", "take b", "return a", "return b", "add", "pop a", "pop b", "pause all",
	"pause a", "pause for 3 s", "resume all", "resume a", "cancel", "command", "broadcast", "broadcast answered", "close", "abandon",
}

func (a act) String() string { return actNames[a] }

// world is a scene at work.
type world struct {
	scene *scene
	c     core
	now   time.Time
	bells []bell
	late  []alarm // removed; they may ring all the same, when they were due in that moment

	sent, added                                                          int
	ticks, pops, pauses, cancels, commands, refusals, broadcasts, closes int
	abandoned                                                            bool

	sending []*job // accepted, and their Sends have not called Submit yet
	slots   [2]*job
	queued  *job
	hands   [2]*hand // in a callback of a, of b
	ctx     *watch
	over    bool // the context of the sends has ended

	sends  []*worldSend
	orders []*worldOrder
	cries  []*broadcast
	era    [2]byte // changes with each add and pop
	born   []birth
	values byte
	failed string
	trust  bool // that all is well: it was looked at before
}

// birth says in which era a run was made.
type birth struct {
	run *run
	era byte
}

type job struct {
	run       *run
	cancelled bool
}

// worldSend is what the search knows by itself of a send.
type worldSend struct {
	spec     sceneSend
	accepted bool
	w        *waiter
	told     int
	back     bool // its callback has returned
}

type worldOrder struct {
	o        *order
	behind   []*worldSend
	released bool
}

// bellIDs can only be had from a loop.
var bellIDs, bellIndex = func() (ids []schedule.ID, index map[schedule.ID]int) {
	l := schedule.NewLoop(func(int, time.Time) {})
	index = map[schedule.ID]int{}
	for i := range 4096 {
		id := l.Add(i, time.Time{})
		ids = append(ids, id)
		index[id] = i
	}
	return ids, index
}()

func (x *world) Add(item alarm, at time.Time) schedule.ID {
	x.bells = append(x.bells, bell{item: item, at: at})
	return bellIDs[len(x.bells)-1]
}

func (x *world) Set(id schedule.ID, at time.Time) bool {
	b := x.bell(id)
	if b == nil {
		return false
	}
	b.at = at
	return true
}

func (x *world) Remove(id schedule.ID) bool {
	b := x.bell(id)
	if b == nil {
		return false
	}
	x.late = append(x.late, b.item)
	b.item, b.at = nil, time.Time{}
	return true
}

// bell is one that was not removed.
func (x *world) bell(id schedule.ID) *bell {
	if i, ok := bellIndex[id]; ok && x.bells[i].item != nil {
		return &x.bells[i]
	}
	return nil
}

func newWorld(s *scene) *world {
	x := &world{scene: s, now: time.Unix(searchStart, 0), bells: make([]bell, 0, 16), born: make([]birth, 0, 16)}
	x.c = newCore(Config{Queue: 3, Slow: time.Hour}, x, x.now)
	if x.c.lane = 2; s.lane > 0 {
		x.c.lane = s.lane
	}
	return x
}

// fail notes the first thing that is wrong.
func (x *world) fail(format string, args ...any) {
	if x.failed == "" {
		x.failed = fmt.Sprintf(format, args...)
	}
}

func side(key string) int { return int(key[0] - 'a') }

var sides = [2]string{"a", "b"}

// can reports whether a thing may happen now.
func (x *world) can(a act) bool {
	s := x.scene
	switch a {
	case actSend:
		return x.sent < len(s.sends)
	case actSubmit:
		return len(x.sending) > 0
	case actRefuse:
		return len(x.sending) > 0 && x.refusals < s.refusals
	case actBeginA, actBeginB:
		return x.toBegin(sides[a-actBeginA]) != nil
	case actOK0, actOK1:
		return x.slots[a-actOK0] != nil
	case actCrash0, actCrash1:
		return x.slots[a-actCrash0] != nil
	case actEnd0, actEnd1:
		return x.slots[a-actEnd0] != nil && x.slots[a-actEnd0].cancelled
	case actEndQueued:
		return x.queued != nil && x.queued.cancelled
	case actTick:
		return x.ticks < s.ticks && !x.nextBell().IsZero()
	case actTakeA, actTakeB:
		return x.hasOut(sides[a-actTakeA])
	case actReturnA, actReturnB:
		return x.hands[a-actReturnA] != nil
	case actAdd:
		return x.added < len(s.adds) && !x.c.closed
	case actPopA, actPopB:
		return x.pops < s.pops && x.c.kept(sides[a-actPopA]) != nil
	case actPauseAll, actPauseFor:
		return x.pauses < s.pauses
	case actPauseKey:
		return x.pauses < s.pauses && x.entry() != nil
	case actResume:
		return x.pauses < s.pauses && (x.c.pause.on || x.entry() != nil && x.entry().entry.pausing().on)
	case actResumeKey:
		return x.pauses < s.pauses && x.entry() != nil && x.entry().entry.pausing().on
	case actCancel:
		return x.cancels < s.cancels && x.ctx != nil && x.c.watches[x.ctx.done] == x.ctx
	case actCommand:
		return x.commands < s.commands
	case actBroadcast:
		return x.broadcasts < s.broadcasts
	case actAnswered:
		return len(x.cries) > 0
	case actClose:
		return x.closes < s.closes && !x.c.closed
	case actAbandon:
		return x.c.closed && !x.abandoned
	}
	return false
}

// entry is the row of a, if it was added.
func (x *world) entry() *row {
	if row := x.c.rows.get("a"); row != nil && row.entry != nil {
		return row
	}
	return nil
}

func (x *world) toBegin(key string) *run {
	for r := range x.c.start.all {
		if r.row.key == key {
			return r
		}
	}
	return nil
}

func (x *world) hasOut(key string) bool {
	for row := range x.c.speak.all {
		if row.key == key {
			return true
		}
	}
	return false
}

func (x *world) nextBell() (at time.Time) {
	for i, b := range x.bells {
		if i > 0 && !b.at.IsZero() && (at.IsZero() || b.at.Before(at)) { // the first is that of slow callbacks
			at = b.at
		}
	}
	return at
}

// do lets a thing happen.
func (x *world) do(a act) {
	var fx effects
	switch a {
	case actSend:
		x.send()
	case actSubmit:
		j := x.sending[0]
		x.sending = x.sending[1:]
		x.submit(j, func(err error) { x.retract(j, err, &fx) })
	case actRefuse:
		j := x.sending[0]
		x.sending = x.sending[1:]
		x.refusals++
		x.retract(j, ipc.Errorf(ipc.KindQueueFull, "no room"), &fx)
	case actBeginA, actBeginB:
		r := x.toBegin(sides[a-actBeginA])
		x.c.start.drop(&r.place)
		j := &job{run: r}
		x.submit(j, func(err error) { x.c.done(r.ticket(), ipc.Outcome{Err: err}, x.now, &fx) })
	case actOK0, actOK1:
		r := x.slots[a-actOK0].run
		x.values++
		x.finish(int(a-actOK0), ipc.Outcome{Value: ipc.Raw{x.bornIn(r), x.values}}, &fx)
	case actCrash0, actCrash1:
		x.finish(int(a-actCrash0), ipc.Outcome{Err: errCrashed}, &fx)
	case actEnd0, actEnd1:
		x.finish(int(a-actEnd0), ipc.Outcome{Err: errWithdrawn}, &fx)
	case actEndQueued:
		j := x.queued
		x.queued = nil
		x.conclude(j, ipc.Outcome{Err: errWithdrawn}, &fx)
	case actTick:
		x.ticks++
		x.now = x.nextBell()
		for i := 1; i < len(x.bells); i++ {
			if b := x.bells[i]; b.item != nil && !b.at.IsZero() && !b.at.After(x.now) {
				x.bells[i].at = time.Time{}
				b.item.ring(&x.c, x.now, &fx)
			}
		}
	case actTakeA, actTakeB:
		x.take(sides[a-actTakeA])
	case actReturnA, actReturnB:
		x.giveBack(int(a-actReturnA), &fx)
	case actAdd:
		x.add(x.scene.adds[x.added], &fx)
	case actPopA, actPopB:
		x.pops++
		x.era[a-actPopA]++
		x.c.clear(x.c.rows.get(sides[a-actPopA]), "popped", x.now, &fx)
	case actPauseAll:
		x.pauses++
		x.c.pauseSome(0, nil, x.now, &fx)
	case actPauseFor:
		x.pauses++
		x.c.pauseSome(3*time.Second, nil, x.now, &fx)
	case actPauseKey:
		x.pauses++
		x.c.pauseSome(0, x.entry(), x.now, &fx)
	case actResume:
		x.c.resumeSome(nil, x.now, &fx)
	case actResumeKey:
		x.c.resumeSome(x.entry(), x.now, &fx)
	case actCancel:
		x.cancels++
		x.over = true
		x.c.withdraw(x.ctx, context.Canceled, x.now, &fx)
	case actCommand:
		x.commands++
		x.command(&fx)
	case actBroadcast:
		x.broadcasts++
		b := &broadcast{key: "a", then: func([]ipc.Outcome) {}}
		b.place.it = b
		if x.c.announce(b) == nil {
			x.cries = append(x.cries, b)
		}
	case actAnswered:
		b := x.cries[0]
		x.cries = x.cries[1:]
		x.c.answered(b, nil, x.now)
		x.c.answered(b, nil, x.now) // a second one is ignored
	case actClose:
		x.closes++
		x.c.close(x.now, &fx)
	case actAbandon:
		x.abandoned = true
		x.c.abandon(x.now, &fx)
	}
	x.after(&fx)
}

var (
	errCrashed   = ipc.Errorf(ipc.KindCrash, "crashed")
	errWithdrawn = ipc.Errorf(ipc.KindCancelled, "withdrawn")
	searchDone   = make(chan struct{}) // the done channel of the sends that can be cancelled
)

// raws are encoded once: the search makes millions of tasks.
var raws = map[string]ipc.Raw{"x": {0xa1, 'x'}, "y": {0xa1, 'y'}, "z": {0xa1, 'z'}}

func (x *world) send() {
	spec := x.scene.sends[x.sent]
	x.sent++
	s := &worldSend{spec: spec}
	x.sends = append(x.sends, s)
	j := &job{}
	a := &ask{task: ipc.Task{Key: spec.key, Target: raws[spec.target]}, ctx: background}
	a.task.Policy, a.task.Keep, a.task.Deadline = spec.policy, spec.keep, spec.deadline
	switch {
	case spec.submit:
		a.told = func(ipc.Outcome) { s.told++ }
	case !spec.mute:
		a.then = func(Value) { s.told++ }
	}
	if spec.ctx {
		if x.over {
			return // Send says so before it asks
		}
		a.done, a.cancel = searchDone, func() { j.cancelled = true }
	}
	known := x.waiters()
	begun, fresh, err := x.c.send(a, func() time.Time { return x.now })
	if fresh != nil {
		x.ctx, fresh.stop = fresh, func() bool { return true }
	}
	if begun.run != nil {
		j.run = begun.run
		x.sending = append(x.sending, j)
	}
	if err != nil {
		return
	}
	s.accepted = true
	for _, w := range x.waiters() {
		if !slices.Contains(known, w) {
			s.w = w
		}
	}
	if x.bornIn(s.w.run) != x.era[side(spec.key)] {
		x.fail("a send joins a run of an older time")
	}
}

// bornIn says in which era of its key a run was made; one that is new is made now.
func (x *world) bornIn(r *run) byte {
	for _, b := range x.born {
		if b.run == r {
			return b.era
		}
	}
	era := x.era[side(r.row.key)]
	x.born = append(x.born, birth{r, era})
	return era
}

// waiters are those in runs that have no outcome.
func (x *world) waiters() (all []*waiter) {
	for _, key := range sides {
		if row := x.c.rows.get(key); row != nil {
			for r := range row.runs {
				all = slices.AppendSeq(all, r.waiters.all)
			}
		}
	}
	return all
}

// submit gives a job to the runner.
func (x *world) submit(j *job, refused func(error)) {
	for _, other := range [...]*job{x.slots[0], x.slots[1], x.queued} {
		if other != nil && other.run.row.key == j.run.row.key && !other.run.over {
			x.fail("two runs of %s are in flight", j.run.row.key)
		}
	}
	if j.run.leash.cancel != nil { // from now on, its end is the runner's business
		j.run.leash.cancel = func() { j.cancelled = true }
	}
	switch {
	case j.cancelled:
		refused(errWithdrawn)
	case x.slots[0] == nil:
		x.slots[0] = j
	case x.slots[1] == nil:
		x.slots[1] = j
	case x.queued == nil:
		x.queued = j
	default:
		refused(ipc.Errorf(ipc.KindQueueFull, "no room"))
	}
}

func (x *world) retract(j *job, err error, fx *effects) {
	var s *worldSend // whose Send it is that was refused
	for _, one := range x.sends {
		if one.w == &j.run.first {
			s = one
		}
	}
	if x.c.retract(j.run.ticket(), err, x.now, fx) {
		if s.told > 0 {
			x.fail("a Send says that it was refused, and its callback was called")
		}
		s.accepted = false
	}
}

// finish lets a slot tell an outcome, twice.
func (x *world) finish(slot int, o ipc.Outcome, fx *effects) {
	j := x.slots[slot]
	x.slots[slot], x.queued = x.queued, nil
	x.conclude(j, o, fx)
}

func (x *world) conclude(j *job, o ipc.Outcome, fx *effects) {
	x.c.done(j.run.ticket(), o, x.now, fx)
	before := x.c.stats
	x.c.done(j.run.ticket(), ipc.Outcome{Value: ipc.Raw{0xff}}, x.now, fx)
	if x.c.stats != before {
		x.fail("a second outcome counts")
	}
}

// take lets a hand call the callback of a key. Which of the rows is first in line is a matter of luck.
func (x *world) take(key string) {
	for range 2 {
		if row := x.c.speak.first(); row.key != key {
			x.c.speak.drop(&row.turn)
			x.c.speak.push(&row.turn)
		}
	}
	h := x.c.need()
	if h == nil {
		x.fail("nobody comes to call the callback of %s", key)
		return
	}
	w := x.c.take(h, x.now)
	if w.run.row.key != key {
		x.fail("a callback of %s is called in place of one of %s", w.run.row.key, key)
	}
	if w.done != nil {
		w.done(w.share(&w.run.result.Outcome))
	} else {
		w.then(w.value())
	}
	x.call(h)
}

// call lets a hand be in the callback of its row.
func (x *world) call(h *hand) {
	at := &x.hands[side(h.row.key)]
	if *at != nil {
		x.fail("two callbacks of %s at a time", h.row.key)
	}
	*at = h
}

func (x *world) giveBack(n int, fx *effects) {
	h := x.hands[n]
	x.hands[n] = nil
	for _, s := range x.sends {
		s.back = s.back || s.w != nil && s.w == h.at
	}
	if h.place.it == nil { // it is none, but the runner's goroutine
		x.c.told(h.at, h.row, func() time.Time { return x.now }, fx)
		return
	}
	x.c.returned(h, x.now, fx)
	x.c.rest(h)
}

func (x *world) add(s sceneAdd, fx *effects) {
	x.added++
	x.era[side(s.key)]++
	every, err := schedule.NewEvery(s.every)
	if err != nil {
		x.fail("%v", err)
	}
	e := newResident(ipc.Task{Key: s.key, Target: raws[s.target]})
	e.entry.every = every
	if s.then {
		e.entry.then = func(Value) {}
	}
	x.c.add(e, kind{Options: ipc.Options{Policy: ipc.PolicyLatest}}, x.now, fx)
}

func (x *world) command(fx *effects) {
	o := &worldOrder{o: &order{}}
	for _, s := range x.sends {
		if s.accepted && x.pending(s) {
			o.behind = append(o.behind, s)
		}
	}
	x.orders = append(x.orders, o)
	x.c.command(o.o, x.now, fx)
}

// pending reports whether a send has no outcome.
func (x *world) pending(s *worldSend) bool { return slices.Contains(x.waiters(), s.w) }

// after does what a Master does when the mutex is free, and looks whether all is well.
func (x *world) after(fx *effects) {
	for _, cancel := range fx.cancel {
		cancel()
	}
	fx.cancel = nil
	for _, item := range x.late {
		item.ring(&x.c, x.now, fx)
	}
	x.late = x.late[:0]
	if w := fx.told; w != nil {
		w.done(fx.outcome)
		x.call(&hand{row: w.run.row, at: w})
	}
	for _, o := range x.orders {
		if slices.Contains(fx.released, o.o) {
			if o.released {
				x.fail("a command is released twice")
			}
			o.released = true
			if o.o.verdict == nil && slices.ContainsFunc(o.behind, x.pending) {
				x.fail("a command begins before what was sent before it has its outcome")
			}
		}
	}
	for _, key := range sides {
		if row := x.c.rows.get(key); row != nil {
			for r := range row.runs {
				x.bornIn(r)
			}
		}
	}
	if !x.trust {
		x.check()
	}
}

// check looks at the invariants.
func (x *world) check() {
	c := &x.c
	s := c.stats
	waiters := x.waiters()
	pending, held, undelivered := 0, len(x.cries), 0
	for i, one := range x.sends {
		if !one.accepted {
			continue
		}
		places := one.told
		if slices.Contains(waiters, one.w) {
			places++
			pending++
		}
		for _, key := range sides {
			if row := c.rows.get(key); row != nil {
				for w := range row.out.all {
					if w == one.w {
						places++
					}
				}
			}
		}
		if !one.spec.mute && places != 1 || places > 1 {
			x.fail("send %d is in %d places", i, places)
		}
		if one.spec.mute && places == 1 || !one.spec.mute && !one.back {
			held++
		}
	}
	bells := 0 // that are missing
	for _, b := range x.bells[1:] {
		if b.item != nil {
			bells--
		}
	}
	for _, o := range x.orders {
		if !o.released && !slices.ContainsFunc(o.behind, x.pending) {
			x.fail("a command waits for nothing")
		}
	}
	for _, key := range sides {
		if row := c.rows.get(key); row != nil {
			undelivered += int(row.undelivered)
			held += x.checkRow(row)
			if row.entry != nil {
				bells++
			}
			for r := range row.wait.all {
				if r.options.Deadline > 0 {
					bells++
				}
			}
		}
	}
	if bells != 0 {
		x.fail("%d bells are missing", bells)
	}
	for r := range c.start.all {
		if r.waiters.empty() {
			x.fail("a run of %s is to begin, and nobody waits for it", r.row.key)
		}
	}
	if accepted := uint64(s.Pending) + s.Done + s.Failed + s.Lost + s.Cancelled + s.Expired; s.Accepted != accepted || s.Pending != pending {
		x.fail("%d accepted, %d pending: %+v", accepted, pending, s)
	}
	if x.abandoned {
		held -= len(x.cries) // they have their outcome
	}
	if s.Held != held || s.Undelivered != undelivered || s.Held > c.limit {
		x.fail("%d held, %d undelivered: %+v", held, undelivered, s)
	}
	if c.waiting != len(waiters) {
		x.fail("%d wait: %d are counted", len(waiters), c.waiting)
	}
}

// checkRow looks at one row, and counts the broadcasts that wait for their callbacks or are in them.
func (x *world) checkRow(row *row) (cries int) {
	c := &x.c
	i := side(row.key)
	if !row.kept() && row.run == nil && row.wait.empty() && row.undelivered == 0 {
		x.fail("%s is kept for nothing", row.key)
	}
	out := 0
	for w := range row.out.all {
		out++
		cries += x.isCry(w)
	}
	if h := x.hands[i]; h != nil {
		out++
		cries += x.isCry(h.at)
	}
	if out != int(row.undelivered) || row.held != (out > 0) || x.hasOut(row.key) != (out > 0 && x.hands[i] == nil) {
		x.fail("%s: %d undelivered of %d, held: %v", row.key, out, row.undelivered, row.held)
	}
	if row.run != nil && x.whereabouts(row.run) != 1 {
		x.fail("the run of %s is in %d places", row.key, x.whereabouts(row.run))
	}
	if row.run == nil && !row.wait.empty() && (!c.full(row) || c.closed) {
		x.fail("%s waits for nothing", row.key)
	}
	for r := range row.wait.all {
		if r.waiters.empty() {
			x.fail("a run of %s waits, and nobody waits for it", row.key)
		}
	}
	if d := row.data; d != nil && d.value != nil && d.value[0] != x.era[i] {
		x.fail("%s has the value of an older time", row.key)
	}
	if row.entry != nil {
		x.checkEntry(row)
	}
	return cries
}

func (x *world) checkEntry(row *row) {
	e := row.entry
	n := 0
	for r := range row.runs {
		for w := range r.waiters.all {
			if w.entry == e {
				n++
			}
		}
	}
	if n > 1 || (n == 1) != (row.pending != nil) {
		x.fail("%s has %d pending runs", row.key, n)
	}
	if e.due == 0 && e.every.Period() > 0 {
		x.fail("%s is not due any more", row.key)
	}
	if n > 0 || e.due == 0 || x.c.closed {
		return
	}
	at := x.c.time(e.due)
	until, paused := x.c.paused(e, x.now)
	if paused && until.IsZero() {
		return
	}
	if b := x.bell(e.timer); b == nil || b.at.IsZero() || b.at.After(later(at, until)) {
		x.fail("%s is due and nobody looks", row.key)
	}
}

func (x *world) isCry(w *waiter) int {
	if w.entry == nil && !slices.ContainsFunc(x.sends, func(s *worldSend) bool { return s.w == w }) {
		return 1
	}
	return 0
}

// whereabouts counts the places where a run is that is neither waiting nor over.
func (x *world) whereabouts(r *run) (n int) {
	for _, j := range x.sending {
		if j.run == r {
			n++
		}
	}
	for _, j := range [...]*job{x.slots[0], x.slots[1], x.queued} {
		if j != nil && j.run == r {
			n++
		}
	}
	for one := range x.c.start.all {
		if one == r {
			n++
		}
	}
	return n
}

// print is all of a state that decides about what comes next.
func (x *world) print(b []byte) []byte {
	b = append(b, byte(x.sent), byte(x.added), byte(x.ticks), byte(x.pops), byte(x.pauses), byte(x.cancels), byte(x.commands),
		byte(x.refusals), byte(x.broadcasts), flag(x.c.closed), flag(x.abandoned), flag(x.over), byte(len(x.cries)))
	runs := make([]*run, 0, 8)
	number := func(r *run) byte { // by the order in which they are met
		i := slices.Index(runs, r)
		if i < 0 {
			i = len(runs)
			runs = append(runs, r)
		}
		return byte(i)
	}
	for _, s := range x.sends {
		b = append(b, flag(s.accepted), byte(s.told), flag(s.back))
	}
	for i, key := range sides {
		row := x.c.rows.get(key)
		if row == nil {
			b = append(b, '-')
			continue
		}
		b = x.printRow(append(b, '+'), row, number)
		if h := x.hands[i]; h != nil {
			b = x.printWaiter(b, h.at)
		}
	}
	for _, j := range append([]*job{x.slots[0], x.slots[1], x.queued}, x.sending...) {
		if j == nil {
			b = append(b, '-')
			continue
		}
		b = append(b, number(j.run), flag(j.cancelled), flag(j.run.over), x.bornIn(j.run)-x.era[side(j.run.row.key)], byte(side(j.run.row.key)))
	}
	for e := x.c.oldest; e != nil; e = e.younger {
		b = append(b, byte(e.pending), byte(len(e.orders)))
	}
	for _, o := range x.orders {
		b = append(b, flag(o.released), flag(o.o.verdict == nil))
	}
	return x.printPause(b, x.c.pause)
}

func (x *world) printRow(b []byte, row *row, number func(*run) byte) []byte {
	b = append(b, byte(row.undelivered), flag(row.held))
	if row.run != nil {
		b = x.printRun(append(b, 'r', flag(row.run.place.stands())), row.run, number)
	}
	for r := range row.wait.all {
		b = x.printRun(append(b, 'w'), r, number)
	}
	for w := range row.out.all {
		b = x.printWaiter(append(b, 'o'), w)
	}
	if d := row.data; d != nil {
		b = append(b, 'd', flag(d.value == nil), flag(d.err == nil))
	}
	if e := row.entry; e != nil {
		b = append(b, 'e', e.call[1], flag(row.pending != nil), flag(row.queued != nil), flag(row.late))
		b = x.printTime(x.printTime(b, x.c.time(e.due)), x.bell(e.timer).at)
		b = x.printPause(b, e.pausing())
	}
	return b
}

func (x *world) printRun(b []byte, r *run, number func(*run) byte) []byte {
	b = append(b, number(r), flag(r.cancelled), flag(r.keep), byte(len(r.options.Policy)), r.target[1], x.bornIn(r)-x.era[side(r.row.key)], flag(r.gen == r.row.gen), flag(r.leash.cancel != nil))
	if bell := x.bell(r.leash.deadline); bell != nil {
		b = x.printTime(b, bell.at)
	}
	for w := range r.waiters.all {
		b = x.printWaiter(b, w)
	}
	return b
}

func (x *world) printWaiter(b []byte, w *waiter) []byte {
	name := byte('c')
	if w.entry != nil {
		name = 'e'
		if w.run.row.entry != w.entry {
			name = 'f' // of an entry that is gone
		}
	}
	for i, s := range x.sends {
		if s.w == w {
			name = byte('0' + i)
		}
	}
	return append(b, name, flag(w.watching != nil), byte(w.shared), flag(w.skipped > 0))
}

func (x *world) printPause(b []byte, p pause) []byte {
	return x.printTime(append(b, flag(p.on)), p.until)
}

// printTime is a time from now; what is over is over.
func (x *world) printTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0xff)
	}
	return append(b, byte(max(t.Sub(x.now), -time.Second)/(time.Second/2)))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// drain answers and calls all that there is. Then nobody may be left.
func (x *world) drain() {
	order := [...]act{actReturnA, actReturnB, actAnswered, actOK0, actOK1, actSubmit, actBeginA, actBeginB, actTakeA, actTakeB, actClose}
	x.closes = x.scene.closes - 1 // it may be closed once more
	for range 200 {
		i := slices.IndexFunc(order[:], x.can)
		if i < 0 {
			break
		}
		x.do(order[i])
	}
	for i, s := range x.sends {
		if s.accepted && !s.spec.mute && s.told != 1 {
			x.fail("in the end, send %d was told %d times", i, s.told)
		}
	}
	for _, o := range x.orders {
		if !o.released {
			x.fail("in the end, a command still waits")
		}
		if o.o.verdict == nil {
			x.c.commanded(x.now, nil)
		}
	}
	if c := &x.c; !c.quiet() || c.orders != 0 || len(c.watches) != 0 || len(c.gated) != 0 || c.stats.Held != 0 || c.seeking != 0 {
		x.fail("in the end, something is left: %d commands, %d contexts, %d gated, %+v", c.orders, len(c.watches), len(c.gated), c.stats)
	}
}

// path is how a state was reached, and what may come next.
type path struct {
	steps [searchDepth]act
	next  uint64 // by act
}

func (p *path) walk(s *scene, n int) *world {
	x := newWorld(s)
	for i, a := range p.steps[:n] {
		x.trust = i < n-1
		x.do(a)
	}
	return x
}

func (x *world) mask() (next uint64) {
	for a := range act(len(actNames)) {
		if x.can(a) {
			next |= 1 << a
		}
	}
	return next
}

// search visits all states of a scene that can be reached in some steps.
func (s *scene) search(depth int) (states, edges int, err error) {
	seen := map[uint64]struct{}{}
	level := []path{{next: newWorld(s).mask()}}
	var buf []byte
	for n := 0; n < depth && len(level) > 0; n++ {
		var next []path
		for i := range level {
			p := &level[i]
			for a := range act(len(actNames)) {
				if p.next&(1<<a) == 0 {
					continue
				}
				edges++
				q := *p
				q.steps[n] = a
				x := q.walk(s, n+1)
				buf = x.print(buf[:0])
				sum := fnv.New64a()
				sum.Write(buf)
				if _, old := seen[sum.Sum64()]; old && x.failed == "" {
					continue
				}
				seen[sum.Sum64()] = struct{}{}
				q.next = x.mask()
				x.drain()
				if x.failed != "" {
					return len(seen), edges, fmt.Errorf("after %q: %w", q.steps[:n+1], errors.New(x.failed))
				}
				next = append(next, q)
			}
		}
		level = next
	}
	return len(seen), edges, nil
}

func TestEverythingThatMayHappenInASmallWorld(t *testing.T) {
	t.Parallel()
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			states, edges, err := s.search(searchDepth)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d states, %d steps", states, edges)
		})
	}
}
