package schedule

import (
	"math/bits"
	"time"
)

// days are those that a line names.
type days struct {
	months uint64 // bit 1: January

	anyDate   bool   // the day of the month begins with *
	dates     uint64 // bit n: day n of the month
	fromLast  uint64 // bit n: n days before the last of the month
	nearest   uint64 // bit n: the weekday nearest to day n
	lastWeek  bool   // LW: the last weekday
	anyDay    bool   // the day of the week begins with *
	weekdays  uint64 // bit 0: Sunday
	nth       uint64 // bit 8n+d: the n-th day d of the month
	lastOfDay uint64 // bit d: the last day d of the month
}

// month is one of the calendar's.
type month struct {
	month time.Month
	days  int
	first int64 // its first day, in days since 1970
}

// monthOf returns the month of a day, which is counted from 1970 on.
func monthOf(day int64) month {
	y, m, d := time.Unix(day*secondsOfDay, 0).UTC().Date()
	first := day - int64(d) + 1
	return month{m, time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day(), first}
}

// weekday is that of a day of the month.
func (m month) weekday(date int) int {
	return int(((m.first+int64(date)-1+4)%7 + 7) % 7) // 1970 began on a Thursday
}

func (d *days) month(m time.Month) bool { return d.months>>m&1 == 1 }

// on reports whether the line names a day of a month that it names. The rule is crontab's: either field will do when both
// are restricted.
func (d *days) on(m month, date int) bool {
	if d.anyDate || d.anyDay {
		return d.onDate(m, date) && d.onWeekday(m, date)
	}
	return d.onDate(m, date) || d.onWeekday(m, date)
}

func (d *days) onDate(m month, date int) bool {
	if d.dates>>date&1 == 1 || d.fromLast>>(m.days-date)&1 == 1 {
		return true
	}
	if d.lastWeek && date == m.nearest(m.days) {
		return true
	}
	for set := d.nearest; set != 0; set &= set - 1 {
		if n := bits.TrailingZeros64(set); n <= m.days && date == m.nearest(n) {
			return true
		}
	}
	return false
}

// nearest returns the weekday nearest to a day, within the month.
func (m month) nearest(date int) int {
	switch wd := time.Weekday(m.weekday(date)); {
	case wd == time.Saturday && date == 1:
		return 3
	case wd == time.Saturday:
		return date - 1
	case wd == time.Sunday && date == m.days:
		return date - 2
	case wd == time.Sunday:
		return date + 1
	}
	return date
}

func (d *days) onWeekday(m month, date int) bool {
	day := m.weekday(date)
	n := (date + 6) / 7
	return d.weekdays>>day&1 == 1 || d.nth>>(8*n+day)&1 == 1 || d.lastOfDay>>day&1 == 1 && date+7 > m.days
}
