package master

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"fandango/ipc"
	"fandango/schedule"
)

// What errors.Is finds in the errors of Get and Pop.
var (
	ErrNoKey   = errors.New("no such key")
	ErrNoValue = errors.New("no value yet")
)

// State says what a key's value is worth: the first of these that holds.
type State string

// The states.
const (
	Never   State = "never"   // no run has ended yet
	Expired State = "expired" // the value is older than its Expire, or was to be read once and was
	Failed  State = "failed"  // the last run failed; the last good value is kept beside the error
	Stale   State = "stale"   // no good value for 1.5 periods; of a cron line: since halfway from a missed run to the next
	Fresh   State = "fresh"
	Gone    State = "gone" // it has left the table; only Watch says so
)

// Value is an outcome, as a callback gets it, or a row of the data table.
type Value struct {
	Key string
	// Outcome is that of the last run. In the data table its Value is the last good one, also when Err is set; when the
	// value has expired it is nil, and Err says so. Its bytes are shared: they must not be changed.
	ipc.Outcome
	At    time.Time     // when Outcome.Value arrived, or in a callback when the outcome did; zero without one
	Age   time.Duration // how old that was when this Value was made, by the monotonic clock
	State State

	Every     time.Duration  // its period; 0: it has none
	Cron      *schedule.Cron // when it runs, in place of a period; nil: it has no cron line
	Expire    time.Duration  // when its value expires; 0: never
	Paused    bool
	Missed    int // how many due times had no run of their own, since it was added
	Callbacks int // who is called when its pending tasks end, and for an entry with a callback, on each value

	// Skipped is, in the callback of an entry, how many values it did not see since its last call, because it was busy.
	Skipped int
}

// store puts an outcome in the data table, when its run was accepted for what the key is now.
func (c *core) store(r *run, o *ipc.Outcome, now time.Time) {
	row := r.row
	switch {
	case r.gen != row.gen, row.entry == nil && !r.keep:
		return // popped or added anew meanwhile; or nobody wants it kept
	case o.Err != nil:
		if kind := ipc.KindOf(o.Err); kind == ipc.KindCancelled || kind == ipc.KindClosed {
			return // says nothing about the key
		}
	}
	switch {
	case row.data != nil:
	case row.entry != nil:
		row.data = &row.entry.datum
	default:
		row.data = &datum{}
	}
	c.keep(row.data, o, now)
	c.changed(row, now)
}

// state says what a row of the data table is worth, and whether its entry is paused.
func (c *core) state(row *row, now time.Time) (s State, paused bool) {
	e, d := row.entry, row.data
	if e != nil {
		_, paused = c.paused(e, now)
	}
	switch {
	case d == nil:
		s = Never
	case d.read, e != nil && e.kind.expire > 0 && d.at != 0 && now.Sub(c.time(d.at)) >= e.kind.expire:
		s = Expired
	case d.err != nil:
		s = Failed
	case e != nil && !paused && c.isStale(e, d, now):
		s = Stale
	default:
		s = Fresh
	}
	return s, paused
}

// next is when the state of a row, or the pause of its entry, changes if nothing happens; the zero time: never.
func (c *core) next(row *row, now time.Time) (at time.Time) {
	e, d := row.entry, row.data
	if e == nil {
		return at
	}
	sooner := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	until, paused := c.paused(e, now)
	sooner(until)
	if d != nil && !d.read && d.at != 0 {
		if e.kind.expire > 0 {
			sooner(c.time(d.at).Add(e.kind.expire))
		}
		if at := c.staleAt(e, d); !at.IsZero() && (!paused || !until.IsZero()) && d.err == nil {
			sooner(now.Add(at.Sub(now) + 1)) // a time of the clock on the wall is waited for by the other clock, too
		}
	}
	return at
}

// isStale reports whether a value is no longer fresh enough.
func (c *core) isStale(e *entry, d *datum, now time.Time) bool {
	at := c.staleAt(e, d)
	return !at.IsZero() && now.After(at)
}

// staleAt is until when a value is fresh enough; the zero time: always.
func (c *core) staleAt(e *entry, d *datum) time.Time {
	every := e.every.Period()
	switch p := e.plan(); {
	case every > 0:
		return c.lively(e, c.time(d.at)).Add(every + every/2)
	case p != nil:
		return p.staleAt(c.lively(e, time.Unix(0, d.wall)))
	}
	return time.Time{}
}

// look makes a Value of a row of the data table.
func (c *core) look(row *row, now time.Time) Value {
	v := Value{Key: row.key, Callbacks: row.callbacks()}
	v.State, v.Paused = c.state(row, now)
	if e := row.entry; e != nil {
		v.Every, v.Cron, v.Expire, v.Missed = e.every.Period(), e.cron(), e.kind.expire, int(e.missed)
	}
	d := row.data
	if d == nil {
		return v
	}
	v.Outcome = d.outcome()
	if d.at != 0 {
		v.At, v.Age = time.Unix(0, d.wall), now.Sub(c.time(d.at))
	}
	switch {
	case v.State != Expired:
	case d.read:
		v.Value = nil
		v.Err = &ipc.Error{Kind: ipc.KindExpired, Message: "key " + quote(row.key) + ": its value was to be read once, and was read"}
	default:
		v.Value, v.Err = nil, expired(row.key, v.Age, v.Expire, v.Err)
	}
	return v
}

func expired(key string, age, expire time.Duration, failure error) error {
	if failure == nil {
		return ipc.Errorf(ipc.KindExpired, "key %s expired: its value is %v old and expires after %v", quote(key), age.Round(time.Millisecond), expire)
	}
	return ipc.Errorf(ipc.KindExpired, "key %s expired: its value is %v old and expires after %v; its last run failed: %w",
		quote(key), age.Round(time.Millisecond), expire, failure)
}

// read is look for a reader who gets the value: one that is to be read once is gone then.
func (c *core) read(row *row, now time.Time) Value {
	v := c.look(row, now)
	if e := row.entry; e != nil && e.kind.once && v.Value != nil {
		row.data.read = true
		row.data.value = nil
		c.changed(row, now)
	}
	return v
}

// gone is the outcome of a key that has left the table.
func gone(key string) ipc.Outcome { return ipc.Outcome{Err: noKey(key)} }

func noKey(key string) error {
	return &ipc.Error{Kind: ipc.KindInput, Message: "no key " + quote(key), Cause: ErrNoKey}
}

// Get returns the last value of a key. The error is that of its last run, beside which the last good value is returned;
// or of kind expired, with no value, when the value is older than allowed; or one that is ErrNoKey or ErrNoValue. The
// bytes are shared: they must not be changed.
func (m *Master) Get(key string) (ipc.Raw, error) {
	now := m.lock()
	defer m.mu.Unlock()
	row := m.core.kept(key)
	if row == nil {
		return nil, noKey(key)
	}
	v := m.core.read(row, now)
	if v.State == Never {
		return nil, &ipc.Error{Kind: ipc.KindInput, Message: "key " + quote(key) + " has no value yet", Cause: ErrNoValue}
	}
	return v.Value, v.Err
}

// Get returns the last value of a key as a T. Its errors are those of [Master.Get]; beside one of a failed run it
// returns the last good value. A value that is no T is an error of kind input.
func Get[T any](m *Master, key string) (T, error) {
	var value T
	raw, err := m.Get(key)
	if raw == nil {
		return value, err
	}
	if same, ok := any(&value).(*ipc.Raw); ok {
		*same = raw
		return value, err
	}
	if bad := raw.Decode(&value); bad != nil {
		return value, ipc.Errorf(ipc.KindInput, "key %s: its value is no %T: %w", quote(key), value, bad)
	}
	return value, err
}

// Value looks at a row of the data table; looking does not use up a value that is to be read once. It returns false for
// a key that was neither added nor sent with Keep.
func (m *Master) Value(key string) (Value, bool) {
	now := m.lock()
	defer m.mu.Unlock()
	row := m.core.kept(key)
	if row == nil {
		return Value{}, false
	}
	return m.core.look(row, now), true
}

// All ranges over the data table, in no order, and without a copy of it: it looks at a hundred keys or so at a time, while
// which nothing else can happen in the tables, and a million keys hold up nobody for long. So each Value is of the moment
// when its part of the table was looked at, not of one moment for all: a key that is there from the beginning to the end
// comes once; one that comes or goes meanwhile, or both, comes once or not at all. Looking does not use up a value that
// is to be read once.
//
// The loop may call any method of the master, and take its time. It can be ranged over more than once, also at the same
// time. See [Master.Values] for an order, and [Master.Watch] for the changes.
func (m *Master) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for part := range gather(m, appendValue) {
			for _, v := range part {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Values is a copy of the data table, sorted by key. It is taken as [Master.All] goes through the table: each Value is of a
// moment of its own, between the call and its return.
func (m *Master) Values() []Value {
	m.mu.Lock()
	rows := m.core.rows.rows
	m.mu.Unlock()
	values := make([]Value, 0, rows) // to grow takes long, and stops all who wait for the collector
	for part := range gather(m, appendValue) {
		values = append(values, part...)
	}
	slices.SortFunc(values, func(a, b Value) int { return cmp.Compare(a.Key, b.Key) })
	return values
}

func appendValue(c *core, values []Value, row *row, now time.Time) []Value {
	if row.kept() {
		values = append(values, c.look(row, now))
	}
	return values
}

// Keys returns the keys of the data table, sorted: what was added, and what was sent with Keep. A key that comes or goes
// meanwhile may be among them or not.
func (m *Master) Keys() []string { return m.keys(background) }
