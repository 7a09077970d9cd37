package schedule

import (
	"math/bits"
	"time"
)

// Cron is a schedule as crontab writes it: five fields (minute, hour, day of the month, month, day of the week), or six
// with the second in front.
//
//   - A field is *, a number, a range 9-17, a step */20, 9-17/2 or 5/20 (from 5 on), or a list of these. Months and days of
//     the week may be names, JAN or mon; Sunday is 0 or 7. A range may go round: 22-2, FRI-MON.
//   - The day of the month may be L, the last day; L-2, two days before it; 15W, the weekday nearest to the 15th, within its
//     month; LW, the last weekday. The day of the week may be MON#2, the second Monday, or 5L, the last Friday.
//   - When both day fields are restricted, a day that either of them names will do; a field that begins with * is not
//     restricted.
//   - @yearly (@annually), @monthly, @weekly, @daily (@midnight) and @hourly are such lines. @every 90m is a period, and
//     @reboot is once, when whoever follows the schedule begins.
//   - CRON_TZ=Europe/Madrid or TZ=… in front names the zone of the line.
//
// # When the clocks change
//
// A line whose hour is given as plain numbers is one for fixed times: each of them comes once on every local day. In the
// gap of a spring night it comes at the end of the gap, and times that meet there are one; in the repeated hour of an autumn
// night it comes the first time. A line with *, a range or a step in the hour comes whenever a clock on the wall shows what
// it says: not in the gap, and in a repeated hour both times.
//
// A Cron does not change, and many goroutines may use it.
type Cron struct {
	text                 string // as it was written, without the zone
	zone                 *time.Location
	second, minute, hour uint64 // sets: bit n for n
	days                 days
	clock                bool          // it goes by the clock on the wall: there is a *, range or step in the hour
	every                time.Duration // of @every; 0: none
	once                 bool          // @reboot
}

// horizon is how far ahead Next looks. The rarest line that names a day at all, a fifth weekday of February, comes at least
// once in 40 years.
const horizon = 50 * 366

// noYear is where the calendar ends.
const noYear = 9000

// never is a second that does not come.
const never = 1<<63 - 1

// Zone is where the line's times are those of the clock on the wall.
func (c *Cron) Zone() *time.Location { return c.zone }

// String returns the line as it was written, without its zone.
func (c *Cron) String() string { return c.text }

// Next returns the first of its times after after, in its zone; of @every, the one a period later. The zero time: it
// does not come again, as @reboot never does, nor anything after the year 9000.
func (c *Cron) Next(after time.Time) time.Time {
	after = after.In(c.zone)
	switch {
	case c.once, after.Year() >= noYear:
		return time.Time{}
	case after.Year() < 1:
		after = time.Date(1, 1, 1, 0, 0, 0, 0, c.zone)
	}
	if c.every > 0 {
		return after.Add(c.every)
	}
	// From here on, times are seconds since 1970: now those of the world, and those that a clock on the wall would show.
	at, _ := stretchOf(after)
	from := after.Unix() + 1 + at.offset // of the wall: where to begin to look
	if !c.clock {
		from = max(from, c.shown(at))
	}
	wall := c.match(from)
	for wall != never && wall >= at.end+at.offset { // a later stretch
		before := at
		var ok bool
		if at, ok = stretchOf(time.Unix(at.end, 0).In(c.zone)); !ok {
			return time.Time{}
		}
		if c.clock && (at.offset < before.offset || wall < at.start+at.offset) { // it shows some seconds again, or never
			wall = c.match(at.start + at.offset)
		}
	}
	if wall == never {
		return time.Time{}
	}
	return time.Unix(max(wall-at.offset, at.start), 0).In(c.zone) // in a gap: its end
}

// Match reports whether the line names the minute that at lies in; or the second, when it has a field for the second. A time
// in a gap of the clocks is named by the minute at its end, as Next has it. Nothing names @every and @reboot.
func (c *Cron) Match(at time.Time) bool {
	if c.every > 0 || c.once {
		return false
	}
	unit := int64(60)
	if c.second != 1 {
		unit = 1
	}
	begin := at.Unix() - ((at.Unix()%unit + unit) % unit)
	next := c.Next(time.Unix(begin-1, 0))
	return !next.IsZero() && next.Unix() < begin+unit
}

// Upcoming returns the next n of its times after after; fewer, when it does not come as often.
func (c *Cron) Upcoming(after time.Time, n int) []time.Time {
	var times []time.Time
	for len(times) < n {
		after = c.Next(after)
		if after.IsZero() {
			break
		}
		times = append(times, after)
	}
	return times
}

// stretch is a time in which the clocks of a zone are not changed: from start until before end they are offset ahead.
type stretch struct{ start, end, offset int64 }

// The clocks were not changed before, and will not be after.
const (
	firstSecond = -1 << 60
	lastSecond  = 1 << 60
)

// stretchOf returns the stretch that a time lies in; false when the calendar has ended.
func stretchOf(t time.Time) (s stretch, ok bool) {
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	s = stretch{firstSecond, lastSecond, int64(offset)}
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	return s, t.Year() < noYear
}

// shown returns the first second that no clock on the wall has shown when the stretch at begins. Two days before, the clocks
// showed less, however they were changed.
func (c *Cron) shown(at stretch) int64 {
	least := int64(-never)
	for since := at.start - 2*secondsOfDay; at.start > since && at.start > firstSecond; {
		before, _ := stretchOf(time.Unix(at.start-1, 0).In(c.zone))
		least = max(least, before.end+before.offset)
		at = before
	}
	return least
}

const (
	secondsOfDay  = 24 * secondsOfHour
	secondsOfHour = 3600
)

// match returns the first second of the wall at or after from that the line names; never, when there is none.
func (c *Cron) match(from int64) int64 {
	day, second := from/secondsOfDay, from%secondsOfDay
	if second < 0 {
		day, second = day-1, second+secondsOfDay
	}
	for last := day + horizon; day <= last; {
		m := monthOf(day)
		if !c.days.month(m.month) {
			day, second = m.first+int64(m.days), 0
			continue
		}
		for ; day < m.first+int64(m.days); day, second = day+1, 0 {
			if !c.days.on(m, int(day-m.first)+1) {
				continue
			}
			if s, ok := c.inDay(int(second)); ok {
				return day*secondsOfDay + s
			}
		}
	}
	return never
}

// inDay returns the first second of a day at or after from.
func (c *Cron) inDay(from int) (int64, bool) {
	h, m, s := from/secondsOfHour, from/60%60, from%60
	if s = next(c.second, s); s < 0 {
		m, s = m+1, next(c.second, 0)
	}
	if hour := next(c.hour, h); hour != h {
		h, m = hour, 0
		s = next(c.second, 0)
	}
	if minute := next(c.minute, m); minute != m {
		m, s = minute, next(c.second, 0)
	}
	if m < 0 {
		h, m, s = next(c.hour, h+1), next(c.minute, 0), next(c.second, 0)
	}
	if h < 0 {
		return 0, false
	}
	return int64(h*secondsOfHour + m*60 + s), true
}

// next returns the first member of a set at or after n; -1, when there is none.
func next(set uint64, n int) int {
	if set = set >> n << n; set == 0 {
		return -1
	}
	return bits.TrailingZeros64(set)
}
