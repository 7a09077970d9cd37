// Package latency counts durations in bounded memory, whatever their number, and tells their percentiles.
package latency

import (
	"iter"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets of 3 %, in 16 KiB. Its zero value is empty. One goroutine at a time may use it.
type Histogram struct {
	n       int64
	longest time.Duration
	buckets [64 * steps]int64
}

const steps = 32 // buckets to an octave

// Add counts d; below zero it counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.n++
	h.longest = max(h.longest, d)
	h.buckets[bucket(uint64(d))]++
}

// N returns how many durations were counted.
func (h *Histogram) N() int64 { return h.n }

// Max returns the longest of them, exactly; 0 of none.
func (h *Histogram) Max() time.Duration { return h.longest }

// At returns the duration that the given part of all, 0 to 1, stays below, to 3 %; 0 of none.
func (h *Histogram) At(part float64) time.Duration {
	left := int64(part * float64(h.n))
	for b, n := range h.buckets {
		if left -= n; left < 0 {
			return min(middle(b), h.longest)
		}
	}
	return h.longest
}

// Octaves yields, from the shortest that was counted to the longest, each power of two of nanoseconds and how many
// durations were below it and not below half of it.
func (h *Histogram) Octaves() iter.Seq2[time.Duration, int64] {
	return func(yield func(time.Duration, int64) bool) {
		first, last := len(h.buckets), 0
		for b, n := range h.buckets {
			if n > 0 {
				first, last = min(first, b), b
			}
		}
		for b := first; b <= last; {
			end := b&^(steps-1) + steps
			shift := max(0, b/steps-1)
			var n int64
			for ; b < end; b++ {
				n += h.buckets[b]
			}
			below := time.Duration(1) << (shift + bits.Len(steps)) // of a number this large there is none above
			if end == steps {
				below = steps
			}
			if !yield(below, n) {
				return
			}
		}
	}
}

// bucket numbers the bucket of n nanoseconds: the position of its first bit, and the five bits after it.
func bucket(n uint64) int {
	octave := bits.Len64(n | 1)
	if octave <= 6 {
		return int(n) //nolint:gosec // below 64
	}
	return (octave-5)*steps + int(n>>(octave-6))&(steps-1) //nolint:gosec // below 64 octaves of 32
}

// middle is the duration in the middle of a bucket.
func middle(b int) time.Duration {
	if b < 2*steps {
		return time.Duration(b)
	}
	shift := b/steps - 1
	return time.Duration((steps+b%steps)<<shift + 1<<shift/2)
}
