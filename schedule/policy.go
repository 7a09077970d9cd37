package schedule

import (
	"fmt"
	"time"
)

// Overlap says what becomes of a run that is due while the one before has not ended.
type Overlap int

// The ways to deal with it.
const (
	OverlapSkip  Overlap = iota // it does not take place
	OverlapQueue                // it begins when the other has ended; one waits, whatever else becomes due
	OverlapAllow                // both run at once
)

// MissedRuns says which of the runs take place that were not begun when they were due.
type MissedRuns int

// The choices.
const (
	MissedOne  MissedRuns = iota // one for all of them
	MissedSkip                   // none
	MissedAll                    // each, the last Missed.Most of them
)

// Missed says what becomes of runs whose time went by while nobody looked: the machine slept, the clock was put forward,
// the program was stopped or had no time. A run that begins within a minute is not missed, unless the next one is due by
// then, too. The zero value makes one run of them.
type Missed struct {
	Runs   MissedRuns
	Most   int           // of MissedAll: how many at most, the last ones. 0: 10
	Window time.Duration // what was due longer ago does not take place. 0: however long ago
}

// Check finds what makes no sense.
func (m Missed) Check() error {
	switch {
	case m.Runs < MissedOne || m.Runs > MissedAll:
		return fmt.Errorf("%d is no way to deal with missed runs", m.Runs)
	case m.Most < 0 || m.Most > manyMissed:
		return fmt.Errorf("of the missed runs %d are to take place; it can be 1 to %d, or 0 for 10", m.Most, manyMissed)
	case m.Window < 0:
		return fmt.Errorf("the window for missed runs must not be negative, as %v is", m.Window)
	}
	return nil
}

const (
	// onTime is how late a run may begin that was not missed.
	onTime = time.Minute
	// manyMissed bounds how many times that have gone by are counted one by one.
	manyMissed = 10_000
)

// choose says which of the times that have gone by become runs.
func (m Missed) choose(gone []time.Time, now time.Time) (due []time.Time) {
	gone = gone[max(0, len(gone)-m.most()):]
	for i, at := range gone {
		late := now.Sub(at)
		if late <= onTime || m.Runs != MissedSkip && (m.Window == 0 || late <= m.Window) {
			return gone[i:]
		}
	}
	return nil
}

// most is how many runs there may be at once.
func (m Missed) most() int {
	switch {
	case m.Runs != MissedAll:
		return 1
	case m.Most == 0:
		return 10
	}
	return m.Most
}
