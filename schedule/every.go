package schedule

import (
	"fmt"
	"time"
)

// The shortest and the longest period that Every takes. What is shorter would keep a CPU busy with the schedule alone;
// what is longer comes from a mistake in units.
const (
	MinPeriod = time.Millisecond
	MaxPeriod = 100 * 365 * 24 * time.Hour
)

// Every is an anchored period. The zero Every has no period and is never due; NewEvery makes one that is.
type Every struct{ period time.Duration }

// NewEvery checks a period. What is not between MinPeriod and MaxPeriod is refused.
func NewEvery(period time.Duration) (Every, error) {
	switch {
	case period <= 0:
		return Every{}, fmt.Errorf("a period must be above zero, not %v", period)
	case period < MinPeriod:
		return Every{}, fmt.Errorf("a period of %v is too short; the shortest is %v", period, MinPeriod)
	case period > MaxPeriod:
		return Every{}, fmt.Errorf("a period of %.0f days is too long; the longest is 100 years", period.Hours()/24)
	}
	return Every{period}, nil
}

// Period returns the period; 0 for the zero Every.
func (e Every) Period() time.Duration { return e.period }

// Next says how a schedule goes on when a run that was due at due starts at now: when the next run is due, the first
// time after now that is a whole number of periods after due; and how many due times between the two were missed. One
// run stands for all that were missed. When now is before due, the next run is the one at due.
func (e Every) Next(due, now time.Time) (next time.Time, missed int) {
	late := now.Sub(due)
	if e.period <= 0 || late < 0 {
		return due, 0
	}
	return due.Add(late - late%e.period).Add(e.period), int(late / e.period)
}
