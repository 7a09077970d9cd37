package schedule

import (
	"context"
	"time"
)

// early is how long before its time an Alarm is woken: no less than the runtime's timers are late. They are, because the
// runtime waits in whole milliseconds.
const early = 1200 * time.Microsecond

// Alarm waits for one time after another. Where it can it sleeps the last millisecond in the system, which wakes it some
// tens of microseconds after its time and not up to a millisecond. It is one goroutine's.
type Alarm struct {
	timer *time.Timer
	sleep bool
}

// NewAlarm makes an Alarm. Stop it when it is no longer needed.
func NewAlarm() *Alarm {
	a := &Alarm{timer: time.NewTimer(time.Hour), sleep: canSleep()}
	a.timer.Stop()
	return a
}

// Stop gives the timer back.
func (a *Alarm) Stop() { a.timer.Stop() }

// Wait waits for d, and less when something comes over wake or ctx ends: then it returns within 1.2 ms. It never returns
// early for another reason.
func (a *Alarm) Wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	// Who waits for less has so much to do that the precision would cost a good part of a processor.
	if !a.sleep || d <= early {
		a.wait(ctx, wake, d)
		return
	}
	until := time.Now().Add(d)
	if a.wait(ctx, wake, d-early) {
		sleepUntil(until)
	}
}

// wait reports whether d has passed.
func (a *Alarm) wait(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	a.timer.Reset(d)
	select {
	case <-ctx.Done():
	case <-wake:
	case <-a.timer.C:
		return true
	}
	return false
}
