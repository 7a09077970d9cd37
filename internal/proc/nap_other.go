//go:build !linux

package proc

import "time"

// Nap returns at once: there is no sleep here that is short enough.
func Nap(time.Duration) {}
