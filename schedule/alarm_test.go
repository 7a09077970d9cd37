package schedule_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"fandango/schedule"
)

func TestAnAlarmIsNeverEarly(t *testing.T) {
	t.Parallel()
	a := schedule.NewAlarm()
	defer a.Stop()
	for _, d := range []time.Duration{-time.Hour, 0, 100 * time.Microsecond, time.Millisecond, 1300 * time.Microsecond, 7 * time.Millisecond} {
		for range 20 {
			start := time.Now()
			a.Wait(t.Context(), nil, d)
			if waited := time.Since(start); waited < d {
				t.Errorf("it waited %v of %v", waited, d)
			}
		}
	}
}

func TestAnAlarmCanBeEndedAndUsedAgain(t *testing.T) {
	t.Parallel()
	a := schedule.NewAlarm()
	defer a.Stop()
	wake := make(chan struct{}, 1)
	for range 3 {
		wake <- struct{}{}
		a.Wait(t.Context(), wake, time.Hour) // or this test does not end
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a.Wait(ctx, wake, time.Hour)
		a.Wait(t.Context(), wake, 2*time.Millisecond)
	}
}

// TestAnAlarmInABubble: time there is not the system's, so it must not sleep in the system.
func TestAnAlarmInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := schedule.NewAlarm()
		defer a.Stop()
		start := time.Now()
		for range 1000 {
			a.Wait(t.Context(), nil, time.Hour)
		}
		if waited := time.Since(start); waited != 1000*time.Hour {
			t.Errorf("it waited %v, want exactly 1000 h", waited)
		}
	})
}
