package pool

import (
	"context"
	"errors"
	"os"
	"time"

	"fandango/ipc"
)

// A caller that waits for its task reads the worker's answer by itself: it is woken by the answer, and not by the reader
// that the answer has woken. So while calls of Do come one after the other, the worker's reader rests. Who reads is
// settled under pool.mu: the reader; the caller of the call that was assigned to a resting worker; or, between two calls,
// nobody, which is what resting says. Whatever else a worker is given recalls its reader.

// Do gives t to a worker and waits for its outcome; see [ipc.Do].
func (p *Pool) Do(ctx context.Context, t ipc.Task) (ipc.Raw, error) {
	if err := p.check(&t); err != nil {
		return nil, err
	}
	outcome := make(chan ipc.Outcome, 1)
	c := p.newCall(t, func(o ipc.Outcome) { outcome <- o })
	c.here, c.rare.outcome = c.size() <= smallTask, outcome
	if err := p.submit(ctx, c, t.Deadline); err != nil {
		return nil, err
	}
	// No select on ctx: a task that was taken is ended when ctx ends, and its outcome says how.
	o := <-outcome
	return o.Value, o.Err
}

// attend writes c, which is all that the worker has, and reads until it has its outcome, or there is nothing to read any
// more. The caller of Do alone comes here, when the reader rests.
func (w *worker) attend(c *call) {
	// What the worker has written while nobody read answers nothing: c has not been given to it yet. That is what its pipe
	// holds, at most: one that goes on writing must not keep c from being written.
	w.source.now, w.source.left = true, int(w.mostAhead.Load())
	err := w.hear()
	w.source.now = false
	on := err == nil || errors.Is(err, os.ErrDeadlineExceeded)
	if !on {
		w.fail(err)
	}
	if on && w.send() {
		for on && len(c.outcome()) == 0 {
			on = w.listenOnce()
		}
	}
	w.leaveOff(!on)
}

// leaveOff is the end of a caller's reading. When there is nothing to read any more, the reader is told so.
func (w *worker) leaveOff(over bool) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.over, w.attended = over, true
	if over || w.flight.n > 0 || !w.mayRest() {
		w.recall()
	} else {
		w.resting = true
	}
}

// mayRest needs pool.mu. A worker that takes no tasks any more, or that is watched in a pause, is read all the time.
func (w *worker) mayRest() bool { return w.open && !w.pausing }

// restTime is how long a reader rests while no caller reads.
const restTime = 2 * time.Millisecond

// rest lets callers read until the reader is needed. It says false when there is nothing more to read.
func (w *worker) rest() bool {
	p := w.pool
	p.mu.Lock()
	if w.flight.n > 0 || !w.mayRest() {
		p.mu.Unlock()
		return true
	}
	w.resting = true
	p.mu.Unlock()
	look := time.NewTimer(restTime)
	defer look.Stop()
	for {
		select {
		case <-w.recalls:
			p.mu.Lock()
			defer p.mu.Unlock()
			return !w.over
		case <-look.C:
			if w.takeOver() {
				return true
			}
			look.Reset(restTime)
		}
	}
}

// takeOver lets the reader read again when no caller has done so for a while.
func (w *worker) takeOver() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	mine := w.resting && !w.attended
	w.attended = false
	if mine {
		w.resting = false
	}
	return mine
}

// awaken sees to it that somebody reads.
func (w *worker) awaken() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.pausing = true
	w.rouse()
}

// rouse needs pool.mu. It ends the reader's rest.
func (w *worker) rouse() {
	if w.resting {
		w.resting = false
		w.recall()
	}
}

// recall makes the reader read: whoever calls it has settled under pool.mu that nobody else does.
func (w *worker) recall() { w.recalls <- struct{}{} }
