package schedule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fandango/schedule"
)

// TestManyAlarmsLeaveFilesForOthers: a timer is a file, and a process that has too many files can open no pipe any more.
func TestManyAlarmsLeaveFilesForOthers(t *testing.T) {
	t.Parallel()
	for range 1000 {
		a := schedule.NewAlarm()
		defer a.Stop()
		start := time.Now()
		a.Wait(10 * time.Microsecond)
		if waited := time.Since(start); waited < 10*time.Microsecond {
			t.Fatalf("it waited %v of 10µs", waited)
		}
		a.Wake()
		a.Wait(time.Hour) // or this test does not end
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	timers := 0
	for _, fd := range fds {
		if file, err := os.Readlink(fd); err == nil && strings.Contains(file, "timerfd") {
			timers++
		}
	}
	if timers == 0 || timers > 100 {
		t.Errorf("%d timers are open, want 1 to 100", timers)
	}
}
