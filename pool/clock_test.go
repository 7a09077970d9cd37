package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
)

func TestM10AClockThatStoodStill(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		limit time.Duration
		late  []time.Duration // by how much each look is late; all later ones are in time
		want  time.Duration   // when it rings, from its start
	}{
		"in time":                   {10 * time.Second, nil, 10 * time.Second},
		"short":                     {50 * ms, nil, 50 * ms},
		"a busy machine":            {6 * time.Second, []time.Duration{900 * ms, 400 * ms, 900 * ms}, 6 * time.Second},
		"stopped over its end":      {3 * time.Second, []time.Duration{0, time.Hour}, 2*time.Second + time.Hour + 3*time.Second},
		"stopped before its end":    {time.Hour, []time.Duration{time.Minute}, time.Second + time.Minute + time.Hour},
		"a short one stopped":       {50 * ms, []time.Duration{time.Minute}, 50*ms + time.Minute + 50*ms},
		"stopped twice":             {2 * time.Second, []time.Duration{time.Minute, time.Minute}, 2*(time.Minute+time.Second) + 2*time.Second},
		"a little late, at its end": {50 * ms, []time.Duration{900 * ms}, 950 * ms},
	} {
		start := time.Now()
		now, left := start, newClock(start, c.limit)
		for wait := left.wait(now); wait > 0; wait = left.wait(now) {
			now = now.Add(wait)
			if len(c.late) > 0 {
				now, c.late = now.Add(c.late[0]), c.late[1:]
			}
		}
		if got := now.Sub(start); got != c.want {
			t.Errorf("%s: it rang after %v, want %v", name, got, c.want)
		}
	}
}

// A look that has begun when the run ends finds it without a clock, before the call goes back to the queue: it must not
// touch the next run.
func TestALookAtARunThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pool{made: time.Now()}
		w := &worker{pool: p, poked: make(chan struct{}, 1)}
		for _, timeout := range []time.Duration{time.Second / 2, time.Minute} {
			c := p.newCall(ipc.Task{Key: "k", Options: ipc.Options{Timeout: timeout}}, nil)
			c.state, c.on = callRunning, w
			p.mu.Lock()
			c.begin(w)
			time.Sleep(min(timeout, lookTime)) // in a bubble: the look has begun, and waits for the lock
			c.endRun()
			p.mu.Unlock()
			synctest.Wait()
			p.mu.Lock()
			if c.fate() != nil || c.rare.clock != nil {
				t.Errorf("timeout %v: the call has fate %v, clock %v", timeout, c.fate(), c.rare.clock)
			}
			p.mu.Unlock()
		}
	})
}
