package schedule

import "time"

// Reading is what the clocks say at one moment.
type Reading struct {
	// Wall is the clock on the wall, which may be put forward and back.
	Wall time.Time
	// Passed is how much time has really passed since some moment that is the same for all readings of a process.
	Passed time.Duration
	// Sleepless means that Passed stands still while the machine sleeps: this system does not tell for how long it did.
	Sleepless bool
}

// began is any moment.
var began = time.Now()

// Read reads the clocks.
func Read() Reading { return ReadAt(time.Now()) }

// ReadAt is what the clocks said when time.Now returned now, a moment ago.
func ReadAt(now time.Time) Reading {
	slept, known := slept()
	return Reading{Wall: now.Round(0), Passed: now.Sub(began) + slept, Sleepless: !known}
}
