package schedule

import (
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"time"
)

// Describe puts the schedule into words, all that the line says: "Every 20 minutes from 09:00 to 17:40, Monday to Friday
// (Europe/Madrid)". They are for people, and may change.
func (c *Cron) Describe() string {
	switch {
	case c.once:
		return "Once, at the start"
	case c.every > 0:
		return "Every " + period(c.every)
	}
	times, daily := c.times()
	days := c.days.words()
	if daily && days == "" {
		times = "Every day at " + times
	} else if daily {
		times = "At " + times
	}
	return times + days + " (" + zoneName(c.zone) + ")"
}

// period writes a duration in its largest whole unit.
func period(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d%u.size == 0 {
			return several(int(d/u.size), u.name)
		}
	}
	return d.String()
}

// several leaves a single one uncounted.
func several(n int, word string) string {
	if n == 1 {
		return word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// most is how many times of a day are told one by one.
const most = 12

// times puts the time of day into words. With daily, they are times that something happens "at".
func (c *Cron) times() (words string, daily bool) {
	if c.second != 1 {
		return c.fineTimes()
	}
	const all = 1<<60 - 1
	hours, minutes := c.hour, c.minute
	everyHour := hours == 1<<24-1
	step, even := evenly(minutes, 60)
	firstHour, lastHour, inARow := row(hours)
	span := fmt.Sprintf(" from %s to %s", clock(firstHour, lowest(minutes), 0), clock(lastHour, highest(minutes), 0))
	hourStep, evenHours := evenly(hours, 24)
	switch {
	case everyHour && minutes == all:
		return "Every minute", false
	case everyHour && even:
		return "Every " + several(step, "minute"), false
	case everyHour && minutes == 1:
		return "Every hour", false
	case everyHour:
		return "Every hour at " + numbers("minute", minutes, 60), false
	case bits.OnesCount64(hours) > 1 && inARow && even:
		return "Every " + several(step, "minute") + span, false
	case bits.OnesCount64(hours) > 2 && inARow && bits.OnesCount64(minutes) == 1:
		return "Every hour" + span, false
	case evenHours && hourStep < 12 && bits.OnesCount64(minutes) == 1:
		return "Every " + several(hourStep, "hour") + span, false
	case bits.OnesCount64(hours) == 1 && even:
		return "Every " + several(step, "minute") + span, false
	case bits.OnesCount64(hours)*bits.OnesCount64(minutes) <= most:
		var times []string
		for h := range members(hours) {
			for m := range members(minutes) {
				times = append(times, clock(h, m, 0))
			}
		}
		return list(times), true
	}
	words = "At " + numbers("minute", minutes, 60)
	if even {
		words = "Every " + several(step, "minute")
	}
	return words + " of " + numbers("hour", hours, 24), false
}

// fineTimes is times for a line with a field for the second.
func (c *Cron) fineTimes() (words string, daily bool) {
	seconds := "At " + numbers("second", c.second, 60)
	step, even := evenly(c.second, 60)
	if even {
		seconds = "Every " + several(step, "second")
	}
	if c.minute == 1<<60-1 && c.hour == 1<<24-1 {
		if !even {
			seconds = "Every minute at " + numbers("second", c.second, 60)
		}
		return seconds, false
	}
	if bits.OnesCount64(c.second)*bits.OnesCount64(c.minute)*bits.OnesCount64(c.hour) <= most {
		var times []string
		for h := range members(c.hour) {
			for m := range members(c.minute) {
				for s := range members(c.second) {
					times = append(times, clock(h, m, s))
				}
			}
		}
		return list(times), true
	}
	whole := *c
	whole.second = 1
	words, daily = whole.times()
	if daily {
		return seconds + " of the " + plural(strings.Count(words, ":"), "minute") + " " + words, false
	}
	return seconds + " of a minute: " + strings.ToLower(words[:1]) + words[1:], false
}

func clock(h, m, s int) string {
	if s != 0 {
		return fmt.Sprintf("%02d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%02d:%02d", h, m)
}

// words of the days and months, with what joins them to the time; "": every day.
func (d *days) words() string {
	var dates, weekdays []string
	const allDates, allDays = 1<<32 - 2, 1<<7 - 1
	everyDate, everyDay := d.dates == allDates, d.weekdays == allDays
	both := !d.anyDate && !d.anyDay // either of them will do
	if everyDate && (both || everyDay) || everyDay && both {
		return d.monthWords()
	}
	if d.dates != 0 && !everyDate {
		dates = append(dates, numbers("day", d.dates, 32)+" of the month")
	}
	for n := range members(d.fromLast) {
		words := "the last day of the month"
		if n > 0 {
			words = "the day " + several(n, "day") + " before the last of the month"
			if n == 1 {
				words = "the last day but one of the month"
			}
		}
		dates = append(dates, words)
	}
	for n := range members(d.nearest) {
		dates = append(dates, fmt.Sprintf("the weekday nearest to day %d of the month", n))
	}
	if d.lastWeek {
		dates = append(dates, "the last weekday of the month")
	}
	if d.weekdays != 0 && !everyDay {
		weekdays = append(weekdays, weekdayNames(d.weekdays))
	}
	for n, word := range []string{"first", "second", "third", "fourth", "fifth"} {
		for day := range members(d.nth >> (8 * (n + 1)) & 0x7f) {
			weekdays = append(weekdays, "the "+word+" "+time.Weekday(day).String()+" of the month")
		}
	}
	for day := range members(d.lastOfDay) {
		weekdays = append(weekdays, "the last "+time.Weekday(day).String()+" of the month")
	}
	words := ""
	switch {
	case len(dates) > 0 && len(weekdays) > 0 && both:
		words = ", on " + list(dates) + " and also on " + list(weekdays)
	case len(dates) > 0 && len(weekdays) > 0:
		words = ", on " + list(dates) + ", if it is " + join(weekdays, " or ")
	case len(dates) > 0:
		words = ", on " + list(dates)
	case d.nth|d.lastOfDay != 0:
		words = ", on " + list(weekdays)
	case len(weekdays) > 0:
		words = ", " + weekdays[0]
	}
	return words + d.monthWords()
}

func (d *days) monthWords() string {
	if d.months == 1<<13-2 {
		return ""
	}
	return ", in " + list(runs(d.months, 12, func(m int) string { return time.Month(m).String() }))
}

// weekdayNames begins with Monday.
func weekdayNames(set uint64) string {
	fromMonday := set>>1&0x3f | set&1<<6
	return list(runs(fromMonday, 6, func(n int) string { return time.Weekday((n + 1) % 7).String() }))
}

// numbers writes "minute 5" or "minutes 0, 10 and 20 to 25"; a step that reaches to the end is told as one.
func numbers(word string, set uint64, end int) string {
	if n := bits.OnesCount64(set); n > 6 {
		first, second := lowest(set), lowest(set&(set-1))
		if step := second - first; step > 1 && set == steps(first, step, end) {
			return fmt.Sprintf("every %s %s from %s %d on", ordinal(step), word, word, first)
		}
	}
	return plural(bits.OnesCount64(set), word) + " " + list(runs(set, end, strconv.Itoa))
}

func ordinal(n int) string {
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			return strconv.Itoa(n) + "st"
		case 2:
			return strconv.Itoa(n) + "nd"
		case 3:
			return strconv.Itoa(n) + "rd"
		}
	}
	return strconv.Itoa(n) + "th"
}

// runs writes the members of a set up to last; three or more in a row as "3 to 5".
func runs(set uint64, last int, name func(int) string) []string {
	var words []string
	for n := 0; n <= last; n++ {
		if set>>n&1 == 0 {
			continue
		}
		end := n
		for end < last && set>>(end+1)&1 == 1 {
			end++
		}
		if end-n >= 2 {
			words = append(words, name(n)+" to "+name(end))
			n = end
			continue
		}
		words = append(words, name(n))
	}
	return words
}

func list(words []string) string { return join(words, " and ") }

func join(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + last + words[len(words)-1]
}

// evenly reports whether a set is 0 and each step after it, so that the time from one to the next is always the same.
func evenly(set uint64, end int) (step int, ok bool) {
	if set&1 == 0 || set == 1 {
		return 0, false
	}
	step = lowest(set &^ 1)
	return step, end%step == 0 && set == steps(0, step, end)
}

func steps(first, step, end int) (set uint64) {
	for n := first; n < end; n += step {
		set |= 1 << n
	}
	return set
}

// row reports whether the members of a set follow each other, from first to last. Across midnight they do not.
func row(set uint64) (first, last int, ok bool) {
	first, last = lowest(set), highest(set)
	return first, last, bits.OnesCount64(set) == last-first+1
}

func lowest(set uint64) int { return bits.TrailingZeros64(set) }

func highest(set uint64) int { return bits.Len64(set) - 1 }

func members(set uint64) func(func(int) bool) {
	return func(yield func(int) bool) {
		for ; set != 0; set &= set - 1 {
			if !yield(lowest(set)) {
				return
			}
		}
	}
}

// zoneName is what people call a zone. That of time.Local does not know its name.
func zoneName(zone *time.Location) string {
	if zone != time.Local {
		return zone.String()
	}
	if time.Local.String() == "UTC" { // which it also is when TZ is a zone that the runtime does not know, such as JST-9
		return "UTC"
	}
	if name := strings.TrimPrefix(os.Getenv("TZ"), ":"); name != "" && name != "/etc/localtime" {
		if _, after, ok := strings.Cut(name, "zoneinfo/"); ok {
			return after
		}
		return name
	}
	if target, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(target, "zoneinfo/"); ok {
			return name
		}
	}
	return "local time"
}
