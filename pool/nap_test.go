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
		flight int
		pace   time.Duration
		want   bool
	}{
		{"many quick tasks, one answer", 1, 700, time.Microsecond, true},
		{"many quick tasks, many answers", napHear, 700, time.Microsecond, false},
		{"one after the other", 1, 0, 10 * time.Microsecond, false},
		{"a few slow ones", 1, 10, 100 * time.Microsecond, false},
		{"many that are over before the nap", 1, 100, time.Microsecond, false},
		{"no pace yet", 1, 700, 0, false},
	} {
		w := &worker{pace: c.pace}
		for range c.flight {
			w.flight.pushBack(&call{})
		}
		if got := w.deep(c.heard); got != c.want {
			t.Errorf("%s: naps %v, want %v", c.name, got, c.want)
		}
	}
}
