package proc

import (
	"time"

	"golang.org/x/sys/unix"
)

// Nap sleeps for d, or a few dozen microseconds longer, in the system: the runtime's timers are a millisecond late. The
// goroutine keeps its thread, and its processor until the runtime takes that away. Outside Linux it returns at once.
func Nap(d time.Duration) {
	span := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&span, nil) // after a signal it is over, too
}
