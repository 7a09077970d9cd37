package schedule

import (
	"time"

	"golang.org/x/sys/unix"
)

// slept is for how long this machine has slept since it was started.
func slept() (d time.Duration, known bool) {
	var awake, all unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0, false
	}
	// Between the two calls some time passes. What is less than a second was no sleep.
	d = time.Duration(all.Nano() - awake.Nano())
	return d.Truncate(time.Second), true
}
