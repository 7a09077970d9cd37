package master

import (
	"fmt"
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
	// Expire is how old the value may become before it is no value any more. 0: it never expires.
	Expire time.Duration
	// Once says that the value can be read once: Get and Pop use it up, looking at the table does not.
	Once bool
	// Then is called with each outcome of the key's runs. nil: nobody is called.
	Then func(Value)
}

// entry is an Entry at work.
type entry struct {
	row     *row
	target  ipc.Raw
	args    ipc.Raw
	options *ipc.Options
	then    func(Value)
	every   schedule.Every
	expire  time.Duration

	due     time.Time   // the next run; zero: none
	timer   schedule.ID // rings then, or when a pause ends
	pending *waiter     // its run that has no outcome
	queued  *waiter     // its outcome that waits for the callback
	missed  int
	own     *ownPause // nil: it never had one
	once    bool
	paused  bool // it was due while paused
}

// ownPause is the pause of one entry.
type ownPause struct {
	pause
	resumed time.Time // when it last went on
}

// latest are the options of most entries, which share them.
var latest = ipc.Options{Policy: ipc.PolicyLatest}

func newEntry(t ipc.Task) *entry {
	e := &entry{target: t.Target, args: t.Args, options: &latest}
	if t.Options != latest {
		options := t.Options
		e.options = &options
	}
	return e
}

func (e *entry) task() ipc.Task {
	return ipc.Task{Key: e.row.key, Target: e.target, Args: e.args, Options: *e.options}
}

// pause holds entries back.
type pause struct {
	on    bool
	until time.Time // zero: until resumed
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
	added := newEntry(task)
	added.then, added.expire, added.once = m.elsewhere(e.Then), e.Expire, e.Once
	switch {
	case e.Task.Policy == ipc.PolicyReject:
		return ipc.Errorf(ipc.KindInput, "key %s: an entry cannot have the policy reject", quote(task.Key))
	case e.Expire < 0:
		return ipc.Errorf(ipc.KindInput, "key %s: expire must not be negative, as %v is; 0 means never", quote(task.Key), e.Expire)
	case e.Every != 0:
		if added.every, err = schedule.NewEvery(e.Every); err != nil {
			return ipc.Errorf(ipc.KindInput, "key %s: %w", quote(task.Key), err)
		}
	}
	var fx effects
	now := m.lock()
	defer m.unlock(&fx)
	if m.core.closed {
		return closed("key " + quote(task.Key))
	}
	m.core.add(task.Key, added, now, &fx)
	return nil
}

func (c *core) add(key string, e *entry, now time.Time, fx *effects) {
	row := c.row(key)
	c.clear(row, "added anew", now, fx)
	row = c.row(key) // clear may have left nothing
	e.row, row.entry = row, e
	e.due = now
	e.timer = c.alarm.Add(e, now)
	c.changed(row, now)
}

// clear begins a new time for a row: nothing of the old one is stored any more.
func (c *core) clear(row *row, why string, now time.Time, fx *effects) {
	c.gens++
	row.gen = c.gens
	e := row.entry
	row.entry, row.data = nil, nil
	c.changed(row, now)
	if e != nil {
		c.alarm.Remove(e.timer)
		if e.pending != nil {
			err := &ipc.Error{Kind: ipc.KindCancelled, Message: "key " + quote(row.key) + " was " + why + " while its run was pending"}
			c.leave(e.pending, err, false, now, fx)
		}
	}
	c.tidy(row)
}

// ring runs an entry, when it is due and nothing holds it back; else it sees to it that it rings again.
func (e *entry) ring(c *core, now time.Time, fx *effects) {
	if e.row.entry != e || c.closed || e.pending != nil || e.due.IsZero() || now.Before(e.due) {
		return
	}
	if until, paused := c.paused(e, now); paused {
		e.paused = true
		c.alarm.Set(e.timer, until) // or, when until is zero, never
		return
	}
	missed := 0
	if e.every.Period() == 0 {
		e.due = time.Time{}
	} else {
		e.due, missed = e.every.Next(e.due, now)
	}
	if missed > 0 && !e.paused { // what was due while paused is not missed
		e.missed += missed
		c.stats.Missed += uint64(missed)
		fx.events = append(fx.events, Missed{Key: e.row.key, Runs: missed})
	}
	e.paused = false
	r, w, begin := c.enqueue(e.row, &ask{task: e.task(), then: e.then, ctx: background}, e, now)
	e.pending = w
	if begin {
		c.start.push(&r.place)
	}
}

// skip lets the callback of an entry go on to the newest outcome, when an older one still waits for it.
func (c *core) skip(w *waiter) {
	e := w.entry
	e.pending = nil
	if old := e.queued; old != nil {
		old.place.leave()
		w.skipped = old.skipped + 1
		e.row.undelivered--
		c.stats.Undelivered--
	}
	if w.then != nil {
		e.queued = w
	}
}

// again sets the next run of an entry, when one has ended.
func (c *core) again(e *entry, now time.Time, fx *effects) {
	if e.row.entry != e || e.due.IsZero() || c.closed {
		return
	}
	if now.Before(e.due) {
		c.alarm.Set(e.timer, e.due)
		return
	}
	e.ring(c, now, fx)
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
	if e.own != nil {
		good = later(good, e.own.resumed)
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
	return m.choose(keys, func(c *core, chosen []*entry, now time.Time, fx *effects) { c.hold(d, chosen, now, fx) })
}

// Resume ends the pause of some keys; when none is named, every pause. A key that was due meanwhile runs once. A pause of
// all is not ended for single keys. Its error is of kind input: a key that was not added; nothing is resumed then.
func (m *Master) Resume(keys ...string) error {
	return m.choose(keys, (*core).resume)
}

// choose finds the entries of some keys and does something with them; with none, when no key is named.
func (m *Master) choose(keys []string, do func(c *core, chosen []*entry, now time.Time, fx *effects)) error {
	var fx effects
	now := m.lock()
	defer m.unlock(&fx)
	var chosen []*entry
	var unknown []string
	for _, key := range keys {
		if row := m.core.rows[key]; row == nil || row.entry == nil {
			unknown = append(unknown, quote(key))
		} else {
			chosen = append(chosen, row.entry)
		}
	}
	if unknown != nil {
		return &ipc.Error{Kind: ipc.KindInput, Message: "not added: " + strings.Join(unknown, ", "), Cause: ErrNoKey}
	}
	do(&m.core, chosen, now, &fx)
	return nil
}

// hold pauses some entries, or all when none is chosen.
func (c *core) hold(d time.Duration, chosen []*entry, now time.Time, fx *effects) {
	p := pause{on: true}
	if d > 0 {
		p.until = now.Add(d)
	}
	for _, e := range chosen {
		if e.own == nil {
			e.own = &ownPause{}
		}
		e.own.pause = p
	}
	if len(chosen) == 0 {
		c.pause = p
	}
	c.rearrange(chosen, now, fx)
}

// resume ends the pause of some entries, or every pause when none is chosen.
func (c *core) resume(chosen []*entry, now time.Time, fx *effects) {
	for _, e := range chosen {
		e.resume(now)
	}
	if len(chosen) == 0 {
		if c.pause.on {
			c.pause, c.resumed = pause{}, c.pause.end(now)
		}
		for _, row := range c.rows {
			if row.entry != nil {
				row.entry.resume(now)
			}
		}
	}
	c.rearrange(chosen, now, fx)
}

func (e *entry) resume(now time.Time) {
	if e.own != nil && e.own.on {
		e.own.pause, e.own.resumed = pause{}, e.own.end(now)
	}
}

// pausing is the pause of one entry alone.
func (e *entry) pausing() (p pause) {
	if e.own != nil {
		p = e.own.pause
	}
	return p
}

// rearrange sets the timers of some entries, or of all when none is chosen, after a change of their pauses.
func (c *core) rearrange(chosen []*entry, now time.Time, fx *effects) {
	for _, e := range chosen {
		e.ring(c, now, fx)
		c.notice(e.row, now)
	}
	if len(chosen) > 0 {
		return
	}
	for _, row := range c.rows {
		if row.entry != nil {
			row.entry.ring(c, now, fx)
			c.notice(row, now)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func quote(key string) string { return fmt.Sprintf("%q", key) }
