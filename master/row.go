package master

import (
	"time"
	"unique"

	"fandango/ipc"
)

// A table may hold a million keys, most of which do nothing at most times. So what is kept of a key is small: what is
// under way for it stands apart and is there only while there is any, times take 8 bytes, and what many keys have in
// common they share.

// row is all that is known of a key.
type row struct {
	key string

	*traffic        // what is under way; idle: nothing
	entry    *entry // nil: not added
	data     *datum // nil: nothing kept
	eye      *eye   // nil: nobody watches
	gen      uint32 // changes when the key is added or popped: older runs do not write to it
	late     bool   // its entry was due while paused
}

// traffic is what is under way for a key: its runs, and those who are to be told of their outcomes.
type traffic struct {
	run  *run       // with the runner, or in core.start; nil: none
	wait list[*run] // behind it, in order

	out         list[*waiter] // those with an outcome, in order
	undelivered int32         // in out, or being called
	held        bool          // it is in core.speak, or a hand is at it
	lent        bool          // room has a run
	hand        *hand         // that is in a callback of it; nil: none is
	turn        node[*row]    // in core.speak

	pending *waiter // the entry's run that has no outcome
	queued  *waiter // the entry's outcome that waits for the callback

	room run // for the first run, which saves an allocation
}

// idle is the traffic of all rows that have none. Nobody writes to it: see busy.
var idle = &traffic{}

// row returns the row of a key; a new one when there is none.
func (c *core) row(key string) *row {
	r := c.rows.get(key)
	if r == nil {
		r = &row{key: key, traffic: idle}
		c.rows.add(r)
	}
	return r
}

// kept returns the row of a key in the data table; nil when there is none.
func (c *core) kept(key string) *row {
	if row := c.rows.get(key); row != nil && row.kept() {
		return row
	}
	return nil
}

// busy makes room for traffic.
func (c *core) busy(row *row) {
	if row.traffic != idle {
		return
	}
	if n := len(c.spares); n > 0 {
		row.traffic, c.spares = c.spares[n-1], c.spares[:n-1]
	} else {
		row.traffic = &traffic{}
	}
}

// ease takes from a row what is under way, when nothing is, and keeps the memory: that of its runs is not for the garbage
// collector then.
func (c *core) ease(row *row) {
	t := row.traffic
	row.traffic = idle
	if t != idle && len(c.spares) < cap(c.spares) {
		*t = traffic{room: run{issue: t.room.issue + 1}}
		c.spares = append(c.spares, t)
	}
}

// calm reports whether nothing is under way.
func (row *row) calm() bool { return row.run == nil && row.wait.empty() && row.undelivered == 0 }

// tidy forgets the traffic of a row that has none any more, and a row of which nothing is left.
func (c *core) tidy(row *row) {
	if !row.calm() {
		return
	}
	c.ease(row)
	if !row.kept() {
		c.rows.remove(row)
		if len(c.gated) > 0 {
			delete(c.gated, row)
		}
	}
}

func (row *row) kept() bool { return row.entry != nil || row.data != nil }

// newest is the run that came last.
func (row *row) newest() *run {
	if !row.wait.empty() {
		return row.wait.last()
	}
	return row.run
}

// runs ranges over what is pending, the oldest first.
func (row *row) runs(yield func(*run) bool) {
	if row.run == nil || yield(row.run) {
		row.wait.all(yield)
	}
}

// instant is a time in 8 bytes: the nanoseconds since the core was made, by the monotonic clock. 0: none.
type instant int64

func (c *core) instant(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.Sub(c.base))
}

func (c *core) time(i instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return c.base.Add(time.Duration(i))
}

// datum is the data table's memory of a key: an outcome in 80 bytes.
type datum struct {
	value    ipc.Raw    // of the last good run; nil: there was none, or it was to be read once, and was
	err      *ipc.Error // of the last run that ended
	at       instant    // when value arrived; 0: there was none
	wall     int64      // the same by the clock on the wall, which may have been set since then
	worker   unique.Handle[string]
	queued   time.Duration
	ran      time.Duration
	attempts int32
	shared   share
	read     bool // value was to be read once, and was
}

// keep takes in the outcome of a run.
func (c *core) keep(d *datum, o *ipc.Outcome, now time.Time) {
	d.queued, d.ran, d.attempts, d.shared = o.Queued, o.Ran, int32(o.Attempts), shareOf(o.Shared) //nolint:gosec // few
	if c.worker.Value() != o.Worker {                                                             // mostly it is one of few
		c.worker = unique.Make(o.Worker)
	}
	d.worker = c.worker
	if d.err = wrapped(o.Err); d.err == nil {
		d.value, d.at, d.wall, d.read = o.Value, c.instant(now), now.UnixNano(), false
	}
}

// outcome gives it back, with the last good value.
func (d *datum) outcome() ipc.Outcome {
	o := ipc.Outcome{
		Value: d.value, Worker: d.worker.Value(), Attempts: int(d.attempts), Queued: d.queued, Ran: d.ran, Shared: d.shared.word(),
	}
	if d.err != nil {
		o.Err = d.err
	}
	return o
}

// wrapped is an error as an outcome's should be.
func wrapped(err error) *ipc.Error {
	switch e := err.(type) { //nolint:errorlint // one that is wrapped is wrapped once more
	case nil:
		return nil
	case *ipc.Error:
		return e
	}
	return &ipc.Error{Kind: ipc.KindOf(err), Message: err.Error(), Cause: err}
}

// share is an ipc.Shared in one byte.
type share uint8

const (
	alone share = iota
	joined
	overtaken
)

func (s share) word() ipc.Shared {
	switch s {
	case joined:
		return ipc.SharedJoined
	case overtaken:
		return ipc.SharedOvertaken
	default:
		return ipc.SharedNone
	}
}

func shareOf(word ipc.Shared) share {
	switch word {
	case ipc.SharedJoined:
		return joined
	case ipc.SharedOvertaken:
		return overtaken
	default:
		return alone
	}
}
