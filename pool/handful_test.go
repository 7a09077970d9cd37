package pool

import (
	"strconv"
	"testing"
	"time"

	"fandango/ipc"
)

// A worker's share of what waits is encoded a handful at a time, and all of it goes into one write, in order, though it does
// not begin with a whole handful.
func TestAShareIsTakenWholeByTheHandful(t *testing.T) {
	const waiting, workers, share = 1000, 2, 1 + 1000/2
	p := &Pool{made: time.Now(), slots: make([]*slot, workers)}
	w := &worker{pool: p, slot: &slot{}, open: true, served: feedAfter, pace: time.Nanosecond, claims: ipc.Hello{Ordered: true}}
	w.mostAhead.Store(1 << 20)
	place := func(n int) {
		for range n {
			p.place(p.newCall(ipc.Task{Key: strconv.Itoa(p.waiting)}, nil), false)
		}
	}
	w.assign(p.newCall(ipc.Task{Key: "first"}, nil))
	place(waiting)
	w.fill()
	keys := []string{"first"}
	for i := range share {
		keys = append(keys, strconv.Itoa(i))
	}
	for taken := 0; ; {
		calls, _ := w.nextCalls(true)
		if len(calls) > handful {
			t.Fatalf("%d calls were taken at a time", len(calls))
		}
		for _, c := range calls {
			if taken == len(keys) || c.key != keys[taken] {
				t.Fatalf("call %d has key %q", taken, c.key)
			}
			taken++
		}
		if len(calls) < handful {
			if taken != len(keys) {
				t.Errorf("%d calls were taken, want %d", taken, len(keys))
			}
			break
		}
	}
	if p.waiting != waiting-share {
		t.Errorf("%d wait, want %d", p.waiting, waiting-share)
	}
}
