package pool

import (
	"errors"
	"slices"

	"fandango/ipc"
)

// consumed is how much of what was written the process has read. Its writers have ended.
func (w *worker) consumed(sent int64) int64 {
	if unread, ok := w.process.Unread(); ok {
		return sent - int64(unread)
	}
	return sent
}

// judge decides what becomes of the calls that the process had when it ended, after all that it wrote was read. Only
// the first one can have begun, and only if a byte of its tuple was read. It returns the key of a task that was running,
// and what carries out the verdicts: the exit is told first, so that nobody reads of a failure before its cause.
func (w *worker) judge(exit *ipc.Exit, why error, read int64) (key string, carryOut func()) {
	p := w.pool
	p.mu.Lock()
	w.greeted = false // or a broadcast would come that nobody judges
	var behind []*call
	first := w.flight.popFront()
	for c := w.flight.popFront(); c != nil; c = w.flight.popFront() {
		if c.batch && c.written {
			c.shares = false
		}
		behind = append(behind, c)
	}
	orders := w.takeOrders()
	var fate *ipc.Error
	ran := false
	if first != nil && first.key != ipc.KeyHello {
		fate = first.fate()
		ran = first.begun != 0
		if ran && fate == nil && first.batch { // its answer may have been on hold, and another one have killed the worker
			first.shares = false
			first.attempts--
			ran = false
		}
		if ran && fate == nil && read <= first.mark {
			first.attempts--
			ran = false
		}
		if ran || fate != nil {
			key = first.key
		}
	}
	p.mu.Unlock()
	return key, func() {
		for _, c := range slices.Backward(behind) { // so the first of them is in front again
			w.giveBack(c, why, exit)
		}
		for _, c := range orders {
			c.finish(ipc.Outcome{Worker: w.slot.name, Err: verdict(nil, why, exit), Queued: c.waited()})
		}
		switch {
		case first == nil || first.key == ipc.KeyHello:
		case !ran && fate == nil:
			w.giveBack(first, why, exit)
		default:
			w.condemned(first, fate, why, exit)
		}
	}
}

// giveBack lets a call that never began on this worker wait for another one.
func (w *worker) giveBack(c *call, why error, exit *ipc.Exit) {
	p := w.pool
	p.mu.Lock()
	if c.state == callFinished { // withdrawn meanwhile
		p.mu.Unlock()
		return
	}
	c.endRun()
	if c.own {
		c.state = callFinished
	}
	p.mu.Unlock()
	err := error(verdict(nil, why, exit))
	if !c.own {
		if err = p.requeue(c, true); err == nil {
			return
		}
	}
	c.finish(ipc.Outcome{Err: err, Attempts: int(c.attempts), Queued: c.waited()})
}

// condemned is a call that ran when its worker ended, or was to be ended with it: it is tried again, or finished.
func (w *worker) condemned(c *call, fate *ipc.Error, why error, exit *ipc.Exit) {
	p := w.pool
	if fate == nil && why == nil && !c.own {
		p.crashed(w, c.key, verdict(nil, nil, exit))
	}
	p.mu.Lock()
	if c.state == callFinished { // withdrawn before it began
		p.mu.Unlock()
		return
	}
	o := ipc.Outcome{Worker: w.slot.name, Attempts: int(c.attempts), Queued: c.waited()}
	if c.begun != 0 {
		o.Queued, o.Ran = c.begun.since(c.queued), p.now().since(c.begun)
	}
	again := !c.own && int(c.attempts) <= c.limits().retries && (fate == nil || fate.Kind == ipc.KindTimeout)
	c.endRun()
	if !again {
		c.state = callFinished
	}
	p.mu.Unlock()
	if again && p.requeue(c, false) == nil {
		return
	}
	o.Err = verdict(fate, why, exit)
	c.finish(o)
}

// verdict is the error of a call that was running when its worker ended.
func verdict(fate *ipc.Error, why error, exit *ipc.Exit) *ipc.Error {
	e := &ipc.Error{}
	switch broken := (*ipc.Error)(nil); {
	case fate != nil:
		*e = *fate
	case errors.Is(why, errOverdue): // another one's answer came at the last moment, and this one had begun
		e = ipc.Errorf(ipc.KindCrash, "its worker was killed, because the task before it was to be ended")
	case errors.As(why, &broken):
		e = ipc.Errorf(broken.Kind, "its worker was ended: %w", why)
	default:
		e = ipc.Errorf(ipc.KindCrash, "its worker died (%s)", exit)
	}
	own := *exit // exit is part of a life, which an error that is kept must not keep
	e.Exit = &own
	return e
}
