package pool

import (
	"errors"
	"io"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// stdoutEnd is how long a worker may live on after it has closed its stdout.
const stdoutEnd = 500 * time.Millisecond

// explain turns what ended the reader or the writer into why the worker is to be ended; nil when it has ended.
func (w *worker) explain(err error) error {
	var unwritten *writeError
	var broken *ipc.Error
	switch {
	case errors.As(err, &unwritten):
		// Its stdin is closed: it has ended or is about to.
	case errors.As(err, &broken) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	}
	if within(stdoutEnd, w.process.Exited(), nil) {
		return nil
	}
	switch {
	case unwritten != nil:
		return ipc.Errorf(ipc.KindProtocol, "it closed its stdin and lives on: %w", err)
	case errors.Is(err, io.EOF):
		return ipc.Errorf(ipc.KindProtocol, "it closed its stdout and lives on: answers go there")
	case broken != nil: // its stdout ended inside a message, and it lives on
		return err
	}
	return ipc.Errorf(ipc.KindProtocol, "reading its stdout: %w", err)
}

// pause makes the reader read all that is in the pipe and then wait; false when it has ended or needs too long.
func (w *worker) pause(readDone <-chan struct{}, most time.Duration) bool {
	w.awaken()
	w.process.Stdout.Hurry(true)
	now := time.Now()
	left := newClock(now, most)
	look := time.NewTimer(left.wait(now))
	defer look.Stop()
	for {
		select {
		case <-w.empty:
			return true
		case <-readDone:
			return false
		case <-look.C:
			rest := left.wait(time.Now())
			if rest <= 0 {
				return false
			}
			look.Reset(rest)
		}
	}
}

// settle ends the call in flight whose time is over. The group is stopped first, and what it has already written is
// read: an answer that is found there counts, and the worker lives on (true), or has ended meanwhile by itself.
func (w *worker) settle(readDone <-chan struct{}) bool {
	if !w.overdue() {
		return true
	}
	_ = w.process.Signal(proc.Stop)
	w.process.AwaitStop(stopTime) // or its last answer may come after the look, and the task behind it have begun
	paused := w.pause(readDone, time.Second)
	if paused {
		w.resume()
	}
	if w.overdue() || !paused && !isClosed(readDone) {
		return false
	}
	_ = w.process.Signal(proc.Continue)
	return true
}

// stopTime is how long a group may take to stop. Each of its threads needs a turn on a processor for that, and on a busy
// machine 100 ms were too few. What does not stop, as it waits in the system, is killed as it is: then a task behind the
// one to be ended may have begun, and fails with its worker.
const stopTime = time.Second

func (w *worker) resume() {
	w.pool.mu.Lock()
	w.pausing = false
	w.pool.mu.Unlock()
	w.process.Stdout.Hurry(false)
	w.onward <- true
}

// overdue says that the call in flight has met its fate.
func (w *worker) overdue() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	c := w.head()
	return c != nil && c.fate() != nil
}

// A worker that prints its stacks before it is killed has so long for them, and is done when it pauses so long.
const (
	dumpTime  = 500 * time.Millisecond
	dumpPause = 20 * time.Millisecond
)

// view is what the system says about a worker whose task has timed out, before it is stopped.
func (w *worker) view() string {
	w.pool.mu.Lock()
	c := w.head()
	timedOut := c != nil && c.fate() != nil && c.fate().Kind == ipc.KindTimeout
	w.pool.mu.Unlock()
	if !timedOut {
		return ""
	}
	return w.process.View()
}

// diagnose puts the view into the error of the task that has timed out, and lets the worker print its stacks, which then
// are among its last lines, by the signal that it named in its hello.
func (w *worker) diagnose(view string) {
	w.pool.mu.Lock()
	c, signal := w.head(), w.claims.Diagnose
	timedOut := c != nil && c.fate() != nil && c.fate().Kind == ipc.KindTimeout
	if timedOut {
		c.fate().Trace = view
	}
	w.pool.mu.Unlock()
	printed := w.stderr.count()
	if !timedOut || !w.process.Dump(signal) {
		return
	}
	// Our own executors print their stacks and go on: what they print is over when it pauses.
	most := time.NewTimer(dumpTime)
	defer most.Stop()
	pause := time.NewTicker(dumpPause)
	defer pause.Stop()
	for before := printed; ; {
		select {
		case <-w.process.Exited():
			return
		case <-most.C:
			return
		case <-pause.C:
		}
		now := w.stderr.count()
		if now > printed && now == before {
			return
		}
		before = now
	}
}

// condemn gives the call in flight its fate, if it has none.
func (w *worker) condemn(fate *ipc.Error) {
	w.pool.mu.Lock()
	if c := w.head(); c != nil && c.fate() == nil {
		c.more().fate = fate
	}
	w.pool.mu.Unlock()
	w.poke()
}

// dismiss lets the worker go once it has finished what it runs. The slot's goroutine calls it.
func (w *worker) dismiss() {
	if !isClosed(w.leave) {
		close(w.leave)
	}
}

// mayGo says that the worker is to go and has nothing to finish. Then it is given nothing more.
func (w *worker) mayGo() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.pool.phase < drains && !isClosed(w.leave) || w.flight.n > 0 && w.ready {
		return false
	}
	w.open = false
	w.pool.dropIdle(w)
	return true
}

// How long a worker has for each way to be asked to end.
const (
	stdinGrace = 2 * time.Second        // the end of its stdin
	termGrace  = time.Second            // SIGTERM
	abortGrace = 500 * time.Millisecond // SIGTERM, when its master is in a hurry
)

// errAsked is why a worker is killed that did not end when it was asked to.
var errAsked = ipc.Errorf(ipc.KindClosed, "it was asked to end, and did not")

// retire asks an idle worker to end: by the end of its stdin, then by SIGTERM. It returns nil when it has ended.
func (w *worker) retire() error {
	w.shut()
	_ = w.process.Stdin.Close()
	switch {
	case within(stdinGrace, w.process.Exited(), w.pool.aborted):
		return nil
	case isClosed(w.pool.aborted):
		return w.terminate(abortGrace)
	}
	return w.terminate(termGrace)
}

func (w *worker) terminate(grace time.Duration) error {
	w.shut()
	_ = w.process.Signal(proc.Terminate)
	if within(grace, w.process.Exited(), nil) {
		return nil
	}
	return errAsked
}

// shut closes the worker to new tasks.
func (w *worker) shut() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.open = false
	w.pool.dropIdle(w)
	w.rouse()
	if w.endingAt.IsZero() {
		w.endingAt = time.Now()
		w.since = w.endingAt
	}
}

// errOverdue is why a worker is killed whose call has met its fate; the call itself knows which.
var errOverdue = ipc.Errorf(ipc.KindTimeout, "its task was to be ended")
