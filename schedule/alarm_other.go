//go:build !linux

package schedule

import "time"

func canSleep() bool { return false }

func sleepUntil(time.Time) {}
