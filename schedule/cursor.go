package schedule

import "time"

const (
	// relook is how long nobody waits longer than for a time of the clock on the wall, which may be put forward meanwhile.
	relook = 30 * time.Second
	// correction is a change of the clock that is none of a summer or a winter: from then on the clock is right.
	correction = 3 * time.Hour
	// slight is a change that repeats nothing and leaves nothing out.
	slight = time.Minute
)

// Cursor goes along the times of a Cron and tells which of them are due. It asks no clock: it is told what the clocks say,
// each time it looks. When the clock on the wall was changed between two looks, it does as cron does:
//
//   - Put forward by up to 3 hours: the fixed times in between are due, as missed runs. Lines with *, a range or a step in
//     the hour go on by the new time.
//   - Put back by up to 3 hours: fixed times that are met again are not due again. The other lines go on by the new time.
//   - Changed by more: it was wrong before, and all lines go on by the new time.
//   - Changed by less than a minute: no time comes twice, and none is left out.
//
// When the machine has slept, the times that went by were missed. Where the system does not tell of its sleep, a clock that
// was put forward counts as one.
//
// A Cursor is one goroutine's at a time. The zero Cursor is never due.
type Cursor struct {
	cron   *Cron
	missed Missed
	last   Reading       // of the last look
	latest time.Time     // that the clock on the wall has shown, but for corrections
	next   time.Time     // what is due next; zero: nothing
	period Every         // of @every
	tick   time.Duration // of @every, by Reading.Passed: what is due next
}

// From makes a Cursor for the times after now. @reboot is due once, at once; @every first a period from now.
func (c *Cron) From(now Reading, missed Missed) Cursor {
	u := Cursor{cron: c, missed: missed, last: now, latest: now.Wall}
	switch {
	case c.once:
		u.next = now.Wall
	case c.every > 0:
		u.period, u.tick = Every{c.every}, now.Passed+c.every
		u.next = now.Wall.Add(c.every)
	default:
		u.next = c.Next(now.Wall)
	}
	return u
}

// Next returns what is due next, by the clock on the wall. The zero time: nothing will be.
func (u *Cursor) Next() time.Time { return u.next }

// Wait says how long to wait, from the last look on, until the next one: at most 30 seconds; negative: for ever.
func (u *Cursor) Wait() time.Duration {
	switch {
	case u.next.IsZero():
		return -1
	case u.period.period > 0:
		return max(0, min(u.tick-u.last.Passed, relook))
	}
	return max(0, min(u.next.Sub(u.last.Wall), relook))
}

// Look returns the times for which there is to be a run now, the last one newest, mostly one or none; and how many times
// went by without one of their own, of which it counts the first 10,000.
func (u *Cursor) Look(now Reading) (due []time.Time, missed int) {
	passed := now.Passed - u.last.Passed
	step := now.Wall.Sub(u.last.Wall) - passed
	u.last = now
	switch {
	case u.next.IsZero():
		return nil, 0
	case u.cron.once:
		due, u.next = []time.Time{u.next}, time.Time{}
		return due, 0
	case u.period.period > 0:
		return u.lookEvery(now)
	}
	if step > 0 && now.Sleepless {
		passed, step = passed+step, 0
	}
	fixed := !u.cron.clock && step.Abs() <= correction && u.latest.Sub(now.Wall) <= correction
	if step.Abs() > slight && !fixed {
		u.next = u.cron.Next(now.Wall.Add(-passed))
		u.latest = now.Wall
	}
	if now.Wall.After(u.latest) {
		u.latest = now.Wall
	}
	var gone []time.Time
	for at := u.next; ; at = u.cron.Next(at) {
		if at.IsZero() || at.After(now.Wall) {
			u.next = at
			break
		}
		if missed++; missed > manyMissed { // no more are counted
			u.next = u.cron.Next(now.Wall)
			gone = u.cron.until(now.Wall, u.missed.most())
			break
		}
		gone = append(gone, at)
	}
	due = u.missed.choose(gone, now.Wall)
	return due, missed - len(due)
}

// until returns at most n times of a Cron that are not after now, the last ones of many.
func (c *Cron) until(now time.Time, n int) (times []time.Time) {
	for span := time.Hour; ; span *= 2 {
		begin := now.Add(-span)
		times = times[:0]
		for at := c.Next(begin); !at.IsZero() && !at.After(now); at = c.Next(at) {
			times = append(times, at)
		}
		if len(times) >= n || begin.Year() < 1 {
			return times[max(0, len(times)-n):]
		}
	}
}

// lookEvery goes by the time that has passed, whatever the clock on the wall says.
func (u *Cursor) lookEvery(now Reading) (due []time.Time, missed int) {
	at := now.Wall.Add(u.tick - now.Passed)
	if !at.After(now.Wall) {
		next, without := u.period.Next(at, now.Wall)
		gone := make([]time.Time, min(without+1, u.missed.most()))
		for i, one := len(gone)-1, next; i >= 0; i-- {
			one = one.Add(-u.period.period)
			gone[i] = one
		}
		due = u.missed.choose(gone, now.Wall)
		missed = without + 1 - len(due)
		u.tick += next.Sub(at)
		at = next
	}
	u.next = at.In(u.cron.zone)
	return due, missed
}
