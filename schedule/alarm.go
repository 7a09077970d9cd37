package schedule

import "time"

// Alarm ends the waits of one goroutine: at a time, or when others want it.
//
// On Linux it is a timer of the system's, which the runtime waits for as it does for input. That is some tens of
// microseconds late, where a timer of the runtime's may be a millisecond: the runtime waits in whole ones. And while the
// garbage collector has all processors that are free, it looks for input every tenth of a millisecond, but for timers only
// when it is interrupted, each ten. There are a hundred alarms of this kind at a time; more are of the other kind.
type Alarm struct{ sleeper }

// sleeper is what an Alarm waits with.
type sleeper interface {
	wait(d time.Duration)
	wake()
	stop()
}

// NewAlarm makes an Alarm. Stop it when nobody waits any more and nobody will.
func NewAlarm() *Alarm {
	if c := systemSleeper(); c != nil {
		return &Alarm{c}
	}
	return &Alarm{newRuntimeSleeper()}
}

// Wait waits for d, and no longer when somebody has called Wake since the last Wait. It returns early for no other reason.
func (a *Alarm) Wait(d time.Duration) { a.wait(d) }

// Wake ends a Wait: the one that is on, or else the next one. It never blocks, and may be called from many goroutines.
func (a *Alarm) Wake() { a.wake() }

// Stop gives back what the system has lent.
func (a *Alarm) Stop() { a.stop() }

// runtimeSleeper waits with a timer of the runtime's.
type runtimeSleeper struct {
	timer *time.Timer
	woken chan struct{} // 1-buffered
}

func newRuntimeSleeper() *runtimeSleeper {
	c := &runtimeSleeper{time.NewTimer(time.Hour), make(chan struct{}, 1)}
	c.timer.Stop()
	return c
}

func (c *runtimeSleeper) wait(d time.Duration) {
	c.timer.Reset(d)
	select {
	case <-c.woken:
	case <-c.timer.C:
	}
}

func (c *runtimeSleeper) wake() {
	select {
	case c.woken <- struct{}{}:
	default: // the next wait ends in any case
	}
}

func (c *runtimeSleeper) stop() { c.timer.Stop() }
