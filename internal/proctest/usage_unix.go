//go:build unix

package proctest

import (
	"syscall"
	"time"
)

// CPU is how much time on a processor this process has used so far; 0 where that is not known.
func CPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
