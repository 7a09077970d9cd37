package pool

import "time"

// instant is a time by the pool's own clock, which nobody sets, in nanoseconds; 0: none. It takes a third of a [time.Time].
type instant int64

func (p *Pool) now() instant { return 1 + instant(time.Since(p.made)) }

func (i instant) since(j instant) time.Duration { return time.Duration(i - j) }

// clock gives something a time, and rings when that is over. One that is looked at much too late has stood still, with
// this process or the whole machine, and perhaps with what it was given for: that has its whole time again. So a master
// that was stopped for a while ends nothing only because time went by meanwhile. Timeouts and graces go by it. What is time
// for whoever waits does not: the deadline of a task, and the pauses between two starts.
type clock struct {
	limit time.Duration
	end   time.Time
	look  time.Time // when it is to be looked at
}

const (
	lookTime  = time.Second // a clock is looked at so often,
	standTime = time.Second // and has stood still when that comes so late
)

func newClock(now time.Time, limit time.Duration) clock {
	return clock{limit: limit, end: now.Add(limit), look: now}
}

// wait is how long until the next look; 0 or less: the time is over.
func (c *clock) wait(now time.Time) time.Duration {
	if now.Sub(c.look) > standTime {
		c.end = now.Add(c.limit)
	}
	wait := min(c.end.Sub(now), lookTime)
	c.look = now.Add(wait)
	return wait
}

// within waits for the end of done, and says whether it came in time. When hurry ends, there is no time any more; nil: it
// never does.
func within(limit time.Duration, done, hurry <-chan struct{}) bool {
	now := time.Now()
	left := newClock(now, limit)
	look := time.NewTimer(left.wait(now))
	defer look.Stop()
	for {
		select {
		case <-done:
			return true
		case <-hurry:
			return isClosed(done)
		case <-look.C:
			rest := left.wait(time.Now())
			if rest <= 0 {
				return isClosed(done)
			}
			look.Reset(rest)
		}
	}
}
