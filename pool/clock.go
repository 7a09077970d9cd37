package pool

import "time"

// clock gives something a time, and rings when that is over. One that is looked at much too late has stood still, with
// this process or the whole machine, and perhaps with what it was given for: that has its whole time again. So a master
// that was stopped for a while ends nothing only because time went by meanwhile.
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
