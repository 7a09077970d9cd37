package pool

import (
	"testing"
	"time"
)

// A reader naps only where nobody waits for the next answer: never while callers come one after the other, and never when
// the worker may run out of work, or its tasks take longer than it seems.
func TestReaderNapsOnlyOverADeepWindow(t *testing.T) {
	for _, c := range []struct {
		name   string
		heard  int
		bytes  int
		pipe   int
		flight int
		pace   time.Duration
		want   bool
	}{
		{"many quick tasks, one answer", 1, 64, feedBytes, 700, time.Microsecond, true},
		{"many quick tasks, many answers", napHear, 64 * napHear, feedBytes, 700, time.Microsecond, false},
		{"many quick tasks, an answer that the pipe holds few of", 1, 4 << 10, feedBytes, 700, time.Microsecond, false},
		{"many quick tasks, an answer that a wide pipe holds many of", 1, 4 << 10, 1 << 20, 200, 5 * time.Microsecond, true},
		{"many quick tasks, a read that has brought much", 10, 40 << 10, 1 << 20, 200, 5 * time.Microsecond, false},
		{"one after the other", 1, 64, feedBytes, 0, 10 * time.Microsecond, false},
		{"a few slow ones", 1, 64, feedBytes, 10, 100 * time.Microsecond, false},
		{"many that are over before the nap", 1, 64, feedBytes, 100, time.Microsecond, false},
		{"no pace yet", 1, 64, feedBytes, 700, 0, false},
	} {
		w := &worker{pace: c.pace}
		w.mostAhead.Store(int64(c.pipe))
		for range c.flight {
			w.flight.pushBack(&call{})
		}
		if got := w.deep(c.heard, c.bytes); got != c.want {
			t.Errorf("%s: naps %v, want %v", c.name, got, c.want)
		}
	}
}
