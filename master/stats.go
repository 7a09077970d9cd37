package master

import (
	"cmp"
	"slices"
	"time"

	"fandango/ipc"
)

// Stats counts sends. At every instant Accepted = Pending + Done + Failed + Lost + Cancelled + Expired.
type Stats struct {
	Accepted uint64
	Refused  uint64 // by an error of Send or Broadcast, but for one that is not a task

	Pending   int    // accepted and without outcome
	Done      uint64 // with a value
	Failed    uint64 // errors of kind task and input
	Lost      uint64 // crash, timeout, protocol, no-worker, queue-full, closed
	Cancelled uint64
	Expired   uint64

	Held        int    // places of the queue that are taken: pending, or its callback has not returned; broadcasts too
	Undelivered int    // callbacks that are to be called or have not returned, also those of entries and broadcasts
	Slow        uint64 // callbacks that took longer than Config.Slow
	Panicked    uint64 // callbacks that panicked or called Goexit
	Missed      uint64 // due times of entries that had no run of their own
}

func (s *Stats) count(err error) {
	if err == nil {
		s.Done++
		return
	}
	switch ipc.KindOf(err) {
	case ipc.KindTask, ipc.KindInput:
		s.Failed++
	case ipc.KindCancelled:
		s.Cancelled++
	case ipc.KindExpired:
		s.Expired++
	default:
		s.Lost++
	}
}

// Stats returns the counts.
func (m *Master) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.stats
}

// Callback is a row of the callback table: who is called for a key.
type Callback struct {
	Key         string
	Entry       bool          // the callback of an entry, on each value
	Waiting     int           // sends whose task is pending
	Undelivered int           // outcomes whose callback has not returned
	Running     time.Duration // how long the callback that runs now has been running; 0: none does
}

// Callbacks returns the callback table, sorted by key. It is looked at as [Master.All] looks at the data table: each
// Callback is of a moment of its own.
func (m *Master) Callbacks() []Callback {
	var table []Callback
	for part := range gather(m, appendCallback) {
		table = append(table, part...)
	}
	slices.SortFunc(table, func(a, b Callback) int { return cmp.Compare(a.Key, b.Key) })
	return table
}

func appendCallback(_ *core, table []Callback, row *row, now time.Time) []Callback {
	b := Callback{Key: row.key, Undelivered: int(row.undelivered)}
	b.Entry = row.entry != nil && row.entry.then != nil
	if row.hand != nil {
		b.Running = max(now.Sub(row.hand.since), 1)
	}
	for r := range row.runs {
		for w := range r.waiters.all {
			if w.entry == nil {
				b.Waiting++
			}
		}
	}
	if b.Entry || b.Waiting+b.Undelivered > 0 {
		table = append(table, b)
	}
	return table
}

// callbacks counts who is called when the pending tasks of a row end.
func (row *row) callbacks() (n int) {
	if row.entry != nil && row.entry.then != nil {
		n++
	}
	for r := range row.runs {
		for w := range r.waiters.all {
			if w.entry == nil && (w.then != nil || w.done != nil) {
				n++
			}
		}
	}
	return n
}
