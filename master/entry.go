package master

import (
	"fmt"
	"math"
	"strings"
	"time"

	"fandango/ipc"
	"fandango/schedule"
)

// Entry is a key that keeps its value in the data table and, with a period, renews it.
type Entry struct {
	// Task is what to run. Without a Target, the key is the target. Its policy is ipc.PolicyLatest by default; reject is
	// not for entries.
	Task ipc.Task
	// Every is the period: the task runs at once, and is due again at each whole period after that, whatever a run
	// takes. Its runs never overlap; what was due meanwhile becomes one run and a count. 0: it runs once.
	Every time.Duration
	// Stagger says when within its periods it runs. The zero value: at once, and each time when it is due.
	Stagger schedule.Stagger
	// Cron is a cron line, in place of a period: the task runs at its times, the first one after it was added. Its runs
	// never overlap; one that is due meanwhile follows. nil: there is none.
	Cron *schedule.Cron
	// Missed says what becomes of runs of a Cron that were missed, because the machine slept, the clock was put forward or
	// Run had not begun. The zero value makes one run of them; those of schedule.MissedAll come one after another. What was due
	// in a pause is one run in any case.
	Missed schedule.Missed
	// Expire is how old the value may become before it is no value any more. 0: it never expires.
	Expire time.Duration
	// Once says that the value can be read once: Get and Pop use it up, looking at the table does not.
	Once bool
	// Then is called with each outcome of the key's runs. nil: nobody is called.
	Then func(Value)
}

// entry is an Entry at work, in 160 bytes.
type entry struct {
	call   ipc.Raw // its target, and then its args
	split  uint32  // where the args begin
	missed uint32
	kind   *kind
	then   func(Value)
	every  schedule.Every
	due    instant     // the next run; 0: none
	timer  schedule.ID // rings then, or when a pause ends
	rare   *rare       // nil: it never had any of it

	datum datum // row.data, when there is any
}

// resident is an entry with a row for its key, which is used when there is none: what is touched together stands
// together.
type resident struct {
	row
	entry entry
}

// kind is what an entry has in common with many others.
type kind struct {
	ipc.Options
	expire time.Duration
	once   bool
}

// rare is what few entries have.
type rare struct {
	pause             // of this entry alone
	resumed time.Time // when it last went on
	plan    *plan     // nil: it has a period, or runs once
}

// plan is when it runs, if not just every period; nil: it is.
func (e *entry) plan() *plan {
	if e.rare == nil {
		return nil
	}
	return e.rare.plan
}

func newResident(t ipc.Task) *resident {
	call := t.Target // which is not copied when it is all
	if t.Args != nil {
		call = append(append(make(ipc.Raw, 0, len(t.Target)+len(t.Args)), t.Target...), t.Args...)
	}
	return &resident{
		row:   row{key: t.Key, traffic: idle},
		entry: entry{call: call, split: uint32(len(t.Target))}, //nolint:gosec // a wire has no targets of 4 GiB
	}
}

// task is what an entry asks for, but for its key.
func (e *entry) task() ipc.Task {
	t := ipc.Task{Target: e.call[:e.split:e.split]}
	if int(e.split) < len(e.call) {
		t.Args = e.call[e.split:]
	}
	t.Policy, t.Keep = e.kind.Policy, e.kind.Keep
	return t
}

// pause holds entries back.
type pause struct {
	on    bool
	until time.Time // zero: until resumed
}

// pauseFor is a pause that begins now; until it is resumed when d is 0.
func pauseFor(d time.Duration, now time.Time) pause {
	p := pause{on: true}
	if d > 0 {
		p.until = now.Add(d)
	}
	return p
}

func (p pause) holds(now time.Time) bool { return p.on && (p.until.IsZero() || now.Before(p.until)) }

// end is when a pause that is resumed now has ended: it may have done so by itself before.
func (p pause) end(now time.Time) time.Time {
	if p.holds(now) {
		return now
	}
	return p.until
}

// Add puts an entry in the data table, in place of one with the same key: from then on nothing of the old one is stored,
// and when a run of it is pending, its callback is called once more, with an error of kind cancelled. The first run is
// due at once, or when Run begins. Its error is of kind input: a key, a period or an expiry that is not allowed.
func (m *Master) Add(e Entry) error {
	if e.Task.Policy == ipc.PolicyDefault {
		e.Task.Policy = ipc.PolicyLatest
	}
	task, err := prepare(e.Task)
	if err != nil {
		return err
	}
	added := newResident(task)
	added.entry.then = m.elsewhere(e.Then)
	switch {
	case e.Task.Policy == ipc.PolicyReject:
		return ipc.Errorf(ipc.KindInput, "key %s: an entry cannot have the policy reject", quote(task.Key))
	case e.Expire < 0:
		return ipc.Errorf(ipc.KindInput, "key %s: expire must not be negative, as %v is; 0 means never", quote(task.Key), e.Expire)
	case e.Every != 0:
		if added.entry.every, err = schedule.NewEvery(e.Every); err != nil {
			return ipc.Errorf(ipc.KindInput, "key %s: %w", quote(task.Key), err)
		}
	}
	if e.Cron != nil || e.Stagger != (schedule.Stagger{}) {
		if err := e.checkPlan(added.entry.every); err != nil {
			return ipc.Errorf(ipc.KindInput, "key %s: %w", quote(task.Key), err)
		}
		added.entry.rare = &rare{plan: &plan{cron: e.Cron, missed: e.Missed, stagger: e.Stagger}}
	}
	var fx effects
	now := m.lock()
	defer m.unlock(&fx)
	if m.core.closed {
		return closed("key " + quote(task.Key))
	}
	m.core.add(added, kind{task.Options, e.Expire, e.Once}, now, &fx)
	return nil
}

func (c *core) add(r *resident, k kind, now time.Time, fx *effects) {
	if row := c.rows.get(r.key); row != nil {
		c.clear(row, "added anew", now, fx)
	}
	row := c.rows.get(r.key)
	if row == nil { // clear may have left nothing
		row = &r.row
		c.rows.add(row)
	}
	if *c.kind != k {
		c.kind = &k
	}
	e := &r.entry
	e.kind, row.entry = c.kind, e
	due := now
	if p := e.plan(); p != nil {
		due = p.begin(row.key, now)
	}
	e.due = c.instant(due)
	e.timer = c.alarm.Add(row, due)
	c.changed(row, now)
}

// clear begins a new time for a row: nothing of the old one is stored any more.
func (c *core) clear(row *row, why string, now time.Time, fx *effects) {
	row.gen++
	e := row.entry
	row.entry, row.data, row.late = nil, nil, false
	c.changed(row, now)
	if e != nil {
		c.alarm.Remove(e.timer)
		if row.pending != nil {
			err := &ipc.Error{Kind: ipc.KindCancelled, Message: "key " + quote(row.key) + " was " + why + " while its run was pending"}
			c.leave(row.pending, err, false, now, fx)
		}
		if row.queued != nil {
			row.queued = nil // what comes now is not in place of it
		}
	}
	c.tidy(row)
}

// ring runs an entry, when it is due and nothing holds it back; else it sees to it that it rings again.
func (row *row) ring(c *core, now time.Time, fx *effects) {
	e := row.entry
	if e == nil || c.closed || row.pending != nil || e.due == 0 || c.instant(now) < e.due {
		return
	}
	if until, paused := c.paused(e, now); paused {
		row.late = true
		c.alarm.Set(e.timer, until) // or, when until is zero, never
		return
	}
	due, missed, next := true, 0, time.Time{}
	if p := e.plan(); p != nil {
		due, missed, next = p.look(row.key, e.every, row.late, now)
	} else if e.every.Period() > 0 {
		next, missed = e.every.Next(c.time(e.due), now)
	}
	e.due = c.instant(next)
	if missed > 0 && !row.late { // what was due while paused is not missed
		e.missed = uint32(min(uint64(e.missed)+uint64(missed), math.MaxUint32))
		c.stats.Missed += uint64(missed)
		fx.events = append(fx.events, Missed{Key: row.key, Runs: missed})
	}
	row.late = false
	if !due {
		c.alarm.Set(e.timer, next)
		return
	}
	r, w, begin := c.enqueue(row, &ask{task: e.task(), options: &e.kind.Options, then: e.then, ctx: background}, e, func() time.Time { return now })
	row.pending = w
	if begin {
		c.start.push(&r.place)
	}
}

// skip lets the callback of an entry go on to the newest outcome, when an older one still waits for it.
func (c *core) skip(w *waiter) {
	row := w.run.row
	c.busy(row)
	row.pending = nil
	if old := row.queued; old != nil {
		row.out.drop(&old.place)
		w.skipped = old.skipped + 1
		row.undelivered--
		c.stats.Undelivered--
	}
	if w.then != nil {
		row.queued = w
	}
}

// again sets the next run of an entry, when one has ended.
func (c *core) again(row *row, now time.Time, fx *effects) {
	e := row.entry
	if e.due == 0 || c.closed {
		return
	}
	if c.instant(now) < e.due {
		c.alarm.Set(e.timer, c.time(e.due))
		return
	}
	row.ring(c, now, fx)
}

// paused reports whether an entry is held back, and until when; the zero time: until it is resumed.
func (c *core) paused(e *entry, now time.Time) (until time.Time, paused bool) {
	for _, p := range [...]pause{c.pause, e.pausing()} {
		switch {
		case !p.holds(now):
		case p.until.IsZero():
			return time.Time{}, true
		default:
			until, paused = later(until, p.until), true
		}
	}
	return until, paused
}

// lively is since when an entry was neither paused nor without a good value.
func (c *core) lively(e *entry, good time.Time) time.Time {
	good = later(good, c.resumed)
	if e.rare != nil {
		good = later(good, e.rare.resumed)
	}
	for _, p := range [...]pause{c.pause, e.pausing()} {
		if p.on {
			good = later(good, p.until)
		}
	}
	return good
}

// Pop takes a key out of the data table, and returns its last value; when that has expired, or the last run failed, its
// Err says so. A result that comes later is not stored. When a run of its entry is pending, the entry's callback is
// called once more, with an error of kind cancelled; callbacks of Sends are not touched. The error of Pop is ErrNoKey.
func (m *Master) Pop(key string) (Value, error) {
	var fx effects
	now := m.lock()
	defer m.unlock(&fx)
	row := m.core.kept(key)
	if row == nil {
		return Value{}, noKey(key)
	}
	v := m.core.look(row, now)
	m.core.clear(row, "popped", now, &fx)
	return v, nil
}

// Pause holds back the entries of some keys, or of all when none is named, also of those added later: for d, or until
// Resume when d is 0. What runs goes on, and so do Send and Command. What was due meanwhile becomes one run afterwards.
// Its error is of kind input: a negative d, or a key that was not added; nothing is paused then.
func (m *Master) Pause(d time.Duration, keys ...string) error {
	if d < 0 {
		return ipc.Errorf(ipc.KindInput, "a pause must not be negative, as %v is; 0 means until resumed", d)
	}
	if len(keys) == 0 {
		m.do(func(c *core, now time.Time, _ *effects) { c.hold(d, now) }) // from now on nothing begins
		m.each((*core).rearrange)
		return nil
	}
	return m.choose(keys, func(c *core, row *row, now time.Time, fx *effects) { c.holdOne(row, d, now, fx) })
}

// Resume ends the pause of some keys; when none is named, every pause. A key that was due meanwhile runs once. A pause of
// all is not ended for single keys. Its error is of kind input: a key that was not added; nothing is resumed then.
func (m *Master) Resume(keys ...string) error {
	if len(keys) == 0 {
		m.do(func(c *core, now time.Time, _ *effects) { c.resume(now) })
		m.each((*core).resumeOne)
		return nil
	}
	return m.choose(keys, (*core).resumeOne)
}

// choose does something with the entries of some keys, if they all have one.
func (m *Master) choose(keys []string, do func(c *core, row *row, now time.Time, fx *effects)) error {
	var unknown []string
	m.eachOf(nil, keys, func(c *core, key string, _ time.Time, _ *effects) {
		if c.added(key) == nil {
			unknown = append(unknown, quote(key))
		}
	})
	if unknown != nil {
		return &ipc.Error{Kind: ipc.KindInput, Message: "not added: " + strings.Join(unknown, ", "), Cause: ErrNoKey}
	}
	m.eachOf(nil, keys, func(c *core, key string, now time.Time, fx *effects) {
		if row := c.added(key); row != nil { // it may have been popped since then
			do(c, row, now, fx)
		}
	})
	return nil
}

// added returns the row of a key that has an entry; nil when there is none.
func (c *core) added(key string) *row {
	if row := c.rows.get(key); row != nil && row.entry != nil {
		return row
	}
	return nil
}

// hold pauses all entries. The caller has each rearranged.
func (c *core) hold(d time.Duration, now time.Time) { c.pause = pauseFor(d, now) }

// holdOne pauses one entry.
func (c *core) holdOne(row *row, d time.Duration, now time.Time, fx *effects) {
	if row.entry.rare == nil {
		row.entry.rare = &rare{}
	}
	row.entry.rare.pause = pauseFor(d, now)
	c.rearrange(row, now, fx)
}

// resume ends the pause of all entries. The caller has each resumed.
func (c *core) resume(now time.Time) {
	if c.pause.on {
		c.pause, c.resumed = pause{}, c.pause.end(now)
	}
}

// resumeOne ends the pause that an entry has of its own.
func (c *core) resumeOne(row *row, now time.Time, fx *effects) {
	if row.entry != nil {
		row.entry.resume(now)
		c.rearrange(row, now, fx)
	}
}

func (e *entry) resume(now time.Time) {
	if e.rare != nil && e.rare.on {
		e.rare.pause, e.rare.resumed = pause{}, e.rare.end(now)
	}
}

// pausing is the pause of one entry alone.
func (e *entry) pausing() (p pause) {
	if e.rare != nil {
		p = e.rare.pause
	}
	return p
}

// rearrange sets the timer of an entry after a change of its pauses, and tells who watches it.
func (c *core) rearrange(row *row, now time.Time, fx *effects) {
	if row.entry != nil {
		row.ring(c, now, fx)
		c.notice(row, now)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func quote(key string) string { return fmt.Sprintf("%q", key) }
