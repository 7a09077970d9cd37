package schedule_test

import (
	"sync"
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
			a.Wait(d)
			if waited := time.Since(start); waited < d {
				t.Errorf("it waited %v of %v", waited, d)
			}
		}
	}
}

func TestAWakeEndsAWaitOrElseTheNextOne(t *testing.T) {
	t.Parallel()
	a := schedule.NewAlarm()
	defer a.Stop()
	const soon, never = 2 * time.Millisecond, 100 * 365 * 24 * time.Hour // or this test does not end
	for range 100 {
		a.Wake()
		a.Wake() // is one with the other
		a.Wait(never)
		start := time.Now()
		a.Wait(soon)
		if waited := time.Since(start); waited < soon {
			t.Errorf("it waited %v of %v, though nobody woke it any more", waited, soon)
		}
		var wg sync.WaitGroup
		wg.Go(a.Wake)
		a.Wait(never)
		wg.Wait()
	}
}

func TestAWakeAfterTheEndDoesNothing(t *testing.T) {
	t.Parallel()
	a := schedule.NewAlarm()
	a.Stop()
	other := schedule.NewAlarm() // may have got what the first one gave back
	defer other.Stop()
	a.Wake()
	start := time.Now()
	other.Wait(2 * time.Millisecond)
	if waited := time.Since(start); waited < 2*time.Millisecond {
		t.Errorf("it ended the wait of another one, after %v", waited)
	}
}

// TestAnAlarmInABubble: time there is not the system's, so it must not wait for the system's.
func TestAnAlarmInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := schedule.NewAlarm()
		defer a.Stop()
		start := time.Now()
		for range 1000 {
			a.Wait(time.Hour)
		}
		if waited := time.Since(start); waited != 1000*time.Hour {
			t.Errorf("it waited %v, want exactly 1000 h", waited)
		}
		a.Wake()
		a.Wait(time.Hour)
		if waited := time.Since(start); waited != 1000*time.Hour {
			t.Errorf("it waited %v, though it was woken", waited-1000*time.Hour)
		}
	})
}
