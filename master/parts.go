package master

import (
	"iter"
	"runtime"
	"slices"
	"time"
)

// A table of a million keys is gone through in parts. Between two of them others have their turn, so that nobody waits for
// long, whoever looks at all keys or does something with them.

// partLength is how many keys, or chains of the index, which have a row or so each, are seen to while nobody else is.
const partLength = 128

// part does something with the rows of one part, from at on: the first begins at 0. It returns where the next one begins;
// 0: there is none. A row that is there from the first part to the last one comes once, any other one once or not at all.
func (m *Master) part(at uint64, do func(c *core, row *row, now time.Time, fx *effects)) (next uint64) {
	var fx effects
	now := m.lock()
	for range partLength {
		if at = m.core.rows.scan(at, func(row *row) { do(&m.core, row, now, &fx) }); at == 0 {
			break
		}
	}
	m.unlock(&fx)
	giveWay()
	return at
}

// each does something with each row, part by part.
func (m *Master) each(do func(c *core, row *row, now time.Time, fx *effects)) {
	for at := m.part(0, do); at != 0; {
		at = m.part(at, do)
	}
}

// gather ranges over what take appends to a part for each row, part by part. A part is the caller's until he wants the next.
func gather[T any](m *Master, take func(c *core, part []T, row *row, now time.Time) []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		var part []T
		do := func(c *core, row *row, now time.Time, _ *effects) { part = take(c, part, row, now) }
		for at, more := uint64(0), true; more; more = at != 0 {
			at = m.part(at, do)
			if !yield(part) {
				return
			}
			clear(part) // what is gone from the table need not stay here
			part = part[:0]
		}
	}
}

// eachOf does something with each of some keys, part by part, until stop is closed, which may be nil.
func (m *Master) eachOf(stop <-chan struct{}, keys []string, do func(c *core, key string, now time.Time, fx *effects)) {
	for part := range slices.Chunk(keys, partLength) {
		select {
		case <-stop:
			return
		default:
		}
		var fx effects
		now := m.lock()
		for _, key := range part {
			do(&m.core, key, now, &fx)
		}
		m.unlock(&fx)
		giveWay()
	}
}

// giveWay lets those be first who wait for the mutex. It is called without it, and often, by whoever takes it again and
// again: so he is not interrupted, and does not wait for the garbage collector, while he has it.
func giveWay() { runtime.Gosched() }
