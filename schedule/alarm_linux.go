package schedule

import (
	"time"

	"golang.org/x/sys/unix"
)

// canSleep reports whether time is the system's. In a bubble of testing/synctest it is not.
func canSleep() bool {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_REALTIME, &now)
	return err == nil && time.Since(time.Unix(now.Unix())).Abs() < time.Second
}

// sleepUntil sleeps in the system.
func sleepUntil(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		span := unix.NsecToTimespec(int64(left))
		if err := unix.Nanosleep(&span, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}
