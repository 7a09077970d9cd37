package pool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// worker is one worker process. Three goroutines of its own read it (read), write it (write) and read its stderr
// (listen); the slot's goroutine watches it (live). The reader never writes to the process and runs no user's code.
type worker struct {
	slot    *slot
	pool    *Pool
	process *proc.Process
	begun   time.Time

	next     chan *call     // 1-buffered: what the writer is to write; there is never more than one
	greet    chan ipc.Hello // 1-buffered: the answer to the greeting
	replayed chan struct{}  // 1-buffered: what is kept has been repeated
	broken   chan error     // 3-buffered: why the reader or the writer has ended, or a replay has failed
	poked    chan struct{}  // 1-buffered: the call in flight has met its fate, or the drain has come to an idle worker
	leave    chan struct{}  // closed: it is let go, once it has finished what it runs
	gone     chan struct{}  // closed: the process has ended, or is being ended
	empty    chan struct{}  // the reader has read all there is, and waits for onward
	onward   chan bool      // go on reading?

	sent   counter // writes to stdin
	mark   int64   // of sent, where the tuple of the call in flight begins; the writer's
	stderr stderrLog
	text   limiter

	// Guarded by pool.mu.
	call     *call   // in flight; nil: none
	orders   []*call // calls for this worker alone, before all others
	greeted  bool    // it has answered the greeting
	ready    bool    // and repeated what is kept
	open     bool    // it takes tasks
	endingAt time.Time
	since    time.Time
	served   int
	limit    int // of served, after which it is recycled; 0: none
	claims   ipc.Hello
}

func newWorker(s *slot, process *proc.Process) *worker {
	now := time.Now()
	w := &worker{
		slot: s, pool: s.pool, process: process, begun: now, since: now,
		next:     make(chan *call, 1),
		greet:    make(chan ipc.Hello, 1),
		replayed: make(chan struct{}, 1),
		broken:   make(chan error, 3),
		poked:    make(chan struct{}, 1),
		leave:    make(chan struct{}),
		gone:     make(chan struct{}),
		empty:    make(chan struct{}),
		onward:   make(chan bool),
	}
	if process != nil { // nil: there will be one per task
		w.sent.w = process.Stdin
	}
	return w
}

// live is the whole life of the process: greeting, tasks, end.
func (w *worker) live() life {
	var reading, writing, listening sync.WaitGroup
	readDone := make(chan struct{})
	reading.Go(func() {
		defer close(readDone)
		w.read()
	})
	writing.Go(w.write)
	listening.Go(w.listen)
	w.hail()
	why := w.watch(readDone)
	l := life{worker: w, err: why}

	// The end. What is left of its group is killed before its output is read to the end, so that the end comes.
	w.shut()
	if why != nil {
		w.process.Kill()
	}
	<-w.process.Exited()
	w.process.Kill()
	close(w.gone)
	past := time.Now()
	_ = w.process.Stdin.SetWriteDeadline(past)
	writing.Wait()
	if w.pause(readDone, time.Second) {
		w.onward <- false
	} else { // a stranger outside its group keeps on writing
		_ = w.process.Stdout.Close()
	}
	reading.Wait()
	_ = w.process.Stderr.SetReadDeadline(past)
	listening.Wait()
	started := w.hasRead()

	l.exit = exitOf(w.process.Reap(), &w.stderr)
	w.pool.mu.Lock()
	l.exit.Served, l.ready = w.served, w.ready
	l.healthy = w.served > 0 || w.ready && time.Since(w.begun) > healthy
	w.pool.mu.Unlock()
	l.key = w.judge(&l.exit, why, started)
	l.retired = why == nil && l.key == "" && l.ready && (isClosed(w.leave) || l.exit.Code == 0)
	if why == nil && (!l.ready || l.exit.Code == exitConfig) {
		l.err = endedBeforeReady(l.exit)
	}
	return l
}

// exitOf puts together what is known of an exit.
func exitOf(exit proc.Exit, stderr *stderrLog) ipc.Exit {
	return ipc.Exit{
		Code: exit.Code, Signal: exit.Signal, Name: exit.Name, Core: exit.Core,
		MaxRSS: exit.MaxRSS, CPU: exit.CPU, Uptime: exit.Uptime, Stderr: stderr.last(),
	}
}

func endedBeforeReady(exit ipc.Exit) error {
	why := "before it answered its first request"
	if exit.Code == exitConfig {
		why = "which says that its configuration is wrong and that it shall not be started again"
	}
	e := ipc.Errorf(ipc.KindCrash, "it ended with %s %s", &exit, why)
	e.Exit = &exit
	return e
}

// dismiss lets the worker go once it has finished what it runs. The slot's goroutine calls it.
func (w *worker) dismiss() {
	if !isClosed(w.leave) {
		close(w.leave)
	}
}

// hail gives the writer the greeting, as if it were a task.
func (w *worker) hail() {
	args, err := ipc.Encode(ipc.Greeting{
		Protocol: ipc.Protocol, Wire: w.pool.cfg.Wire, Group: w.pool.cfg.Name, Worker: w.slot.number, Of: w.pool.size(),
	})
	if err != nil {
		panic(err) // five plain fields always encode
	}
	c := &call{pool: w.pool, task: ipc.Task{Key: ipc.KeyHello, Target: helloTarget, Args: args}}
	c.task.Timeout = -1 // the start has a timeout of its own
	c.done = func(o ipc.Outcome) {
		var claims ipc.Hello
		if o.Err != nil || o.Value.Decode(&claims) != nil {
			claims = ipc.Hello{} // a worker that treats every request alike is a valid worker
		}
		w.greet <- claims
	}
	w.pool.mu.Lock()
	w.assign(c)
	w.pool.mu.Unlock()
	w.next <- c
}

var helloTarget = func() ipc.Raw {
	raw, err := ipc.Encode(ipc.KeyHello)
	if err != nil {
		panic(err)
	}
	return raw
}()

// assign needs pool.mu; the caller then sends c on w.next, without the lock.
func (w *worker) assign(c *call) {
	w.call = c
	w.since = time.Now()
	c.state, c.on, c.begun = callRunning, w, time.Time{}
}

// poke needs no lock.
func (w *worker) poke() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// slowStart is when a worker that has not answered its greeting is worth a word.
const slowStart = 5 * time.Second

// watch looks after the process until it has ended (nil) or has to be ended (why).
func (w *worker) watch(readDone <-chan struct{}) (why error) {
	p := w.pool
	slow, start := time.NewTimer(slowStart), time.NewTimer(p.cfg.StartTimeout)
	defer slow.Stop()
	defer start.Stop()
	draining, graceOver, aborted, leave := p.draining, p.graceOver, p.aborted, w.leave
	var recycle recycling
	defer recycle.stop()
	for {
		select {
		case <-w.process.Exited():
			return nil
		case claims := <-w.greet:
			slow.Stop()
			if err := w.welcome(claims); err != nil {
				return err
			}
		case <-w.replayed:
			slow.Stop()
			start.Stop()
			w.enter()
			recycle = w.recycling()
		case <-slow.C:
			p.cfg.Log.Warn("worker has not answered its first request", "worker", w.slot.name, "after", slowStart)
			p.cfg.Event(SlowStart{Worker: w.slot.name, After: slowStart})
		case <-start.C:
			return ipc.Errorf(ipc.KindTimeout, "it did not answer its first request in %v", p.cfg.StartTimeout)
		case err := <-w.broken:
			return w.explain(err)
		case <-w.poked:
			if w.mayGo() {
				return w.retire()
			}
			view := w.view()
			if !w.settle(readDone) {
				w.diagnose(view)
				return errOverdue
			}
		case <-recycle.age:
			w.slot.ask("age")
		case <-recycle.look:
			w.look(&recycle)
		case <-draining:
			draining = nil
			w.poke()
		case <-leave:
			leave = nil
			w.shut()
			w.poke()
		case <-graceOver:
			graceOver = nil
			w.condemn(ipc.Errorf(ipc.KindClosed, "%s ended while it ran, and it did not finish in the grace", p.cfg.Name))
		case <-aborted:
			w.condemn(ipc.Errorf(ipc.KindClosed, "%s was stopped while it ran", p.cfg.Name))
			return w.terminate(abortGrace)
		}
	}
}

// errOverdue is why a worker is killed whose call has met its fate; the call itself knows which.
var errOverdue = ipc.Errorf(ipc.KindTimeout, "its task was to be ended")

// welcome is for a worker that has answered the greeting: it repeats what is kept, and then may enter.
func (w *worker) welcome(claims ipc.Hello) error {
	if claims.Protocol != 0 && claims.Protocol != ipc.Protocol {
		return ipc.Errorf(ipc.KindProtocol, "it speaks protocol %d, and this master speaks %d: "+
			"bring both to the same version", claims.Protocol, ipc.Protocol)
	}
	w.pool.mu.Lock()
	w.claims = claims
	c := w.replay()
	w.pool.mu.Unlock()
	if c != nil {
		w.next <- c
	} else {
		w.replayed <- struct{}{}
	}
	return nil
}

// enter lets a worker in: from now on it takes tasks.
func (w *worker) enter() {
	p := w.pool
	after := time.Since(w.begun)
	p.mu.Lock()
	w.ready, w.open = true, p.phase == running && !isClosed(w.leave)
	p.ready, w.slot.err = true, nil
	claims := w.claims
	var c *call
	if w.call == nil { // else a broadcast has come meanwhile
		c = w.take()
		w.hold(c)
	}
	p.mu.Unlock()
	p.cfg.Log.Info("worker ready", "worker", w.slot.name, "pid", w.process.PID(), "after", after)
	p.cfg.Event(Ready{Worker: w.slot.name, PID: w.process.PID(), Hello: claims, After: after})
	if c != nil {
		w.next <- c
	} else {
		w.poke() // it may have to go at once
	}
	w.slot.readies <- w
}

// hold needs pool.mu. It gives an open worker its next call, or, with nil, makes it wait for one.
func (w *worker) hold(c *call) {
	w.since = time.Now()
	switch {
	case c != nil:
		w.assign(c)
	case w.open && !w.slot.canary:
		w.pool.idle = append(w.pool.idle, w)
	}
}

// read takes answers from the worker until its stdout ends or breaks the protocol.
func (w *worker) read() {
	d := ipc.NewDecoder(source{w.process.Stdout}, ipc.DecoderConfig{
		Wire:   w.pool.cfg.Wire,
		Limits: w.pool.cfg.Limits,
		Oldest: w.oldest,
		Text:   w.wrote,
	})
	for {
		a, err := d.Answer()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			select {
			case w.empty <- struct{}{}:
			case <-w.gone:
				return
			}
			if !<-w.onward {
				return
			}
			continue
		}
		if err == nil {
			err = w.answer(a)
		}
		if err != nil {
			w.broken <- err
			return
		}
	}
}

// oldest is the key of the oldest task in flight.
func (w *worker) oldest() (string, bool) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.call == nil {
		return "", false
	}
	return w.call.task.Key, true
}

// wrote is told what the worker wrote to stdout that is no answer.
func (w *worker) wrote(text []byte) {
	allowed, lost := w.text.allow(len(text))
	if !allowed {
		return
	}
	w.pool.cfg.Log.Warn("worker wrote text to stdout", "worker", w.slot.name, "text", quote(text), "lost", lost)
	w.pool.cfg.Event(Text{Worker: w.slot.name, Text: bytes.Clone(text), Lost: lost})
}

// answer matches one answer to the call in flight, tells its outcome and gives the worker its next call.
func (w *worker) answer(a ipc.Answer) error {
	p := w.pool
	p.mu.Lock()
	c := w.call
	if c == nil || c.begun.IsZero() || a.Key != c.task.Key {
		p.mu.Unlock()
		return ipc.Errorf(ipc.KindProtocol, "it answered key %s, which is not in flight on it", quote([]byte(a.Key)))
	}
	c.state = callFinished
	p.cleared(c.task.Key)
	o := ipc.Outcome{
		Worker: w.slot.name, Attempts: c.attempts, Queued: c.begun.Sub(c.queued), Ran: time.Since(c.begun),
	}
	next := w.release()
	sick := p.sickSince != nil && w.ready
	p.mu.Unlock()

	if a.Err != nil {
		o.Err = a.Err
	} else {
		o.Value = bytes.Clone(a.Value) // the decoder's buffer is used again
	}
	if next != nil {
		w.next <- next
	}
	c.finish(o)
	if sick {
		p.recovered()
	}
	return nil
}

// release needs pool.mu. The call in flight is over: it returns the next one, for the caller to send on w.next.
func (w *worker) release() (next *call) {
	w.call = nil
	if w.ready {
		w.served++
	}
	next = w.take()
	w.hold(next)
	if w.limit > 0 && w.served == w.limit {
		w.slot.ask("tasks")
	}
	if !w.open || w.pool.phase >= drains {
		w.poke()
	}
	return next
}

// write writes the tuples, one at a time.
func (w *worker) write() {
	e := ipc.NewEncoder(&w.sent, w.pool.cfg.Wire, w.pool.cfg.Limits)
	for {
		select {
		case <-w.gone:
			return
		case c := <-w.next:
			if !c.begin(w) {
				continue
			}
			if w.slot.canary {
				if err := w.pool.asideNow(c.task.Key); err != nil {
					w.refuse(c, err)
					continue
				}
			}
			if err := e.Request(c.task.Key, c.task.Target, c.task.Args); err != nil {
				w.refuse(c, err)
				continue
			}
			w.mark = w.sent.n
			if err := e.Flush(); err != nil {
				w.broken <- &writeError{err}
				return
			}
		}
	}
}

// writeError tells the writer's errors from the reader's.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// refuse finishes a call that does not fit the wire; the worker never saw it.
func (w *worker) refuse(c *call, err error) {
	p := w.pool
	p.mu.Lock()
	c.state = callFinished
	c.attempts-- // it never ran,
	next := w.release()
	w.served-- // and nothing was served
	p.mu.Unlock()
	if next != nil {
		w.next <- next
	}
	c.finish(ipc.Outcome{Err: err, Attempts: c.attempts, Queued: time.Since(c.queued)})
}

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
	wait := time.NewTimer(stdoutEnd)
	defer wait.Stop()
	select {
	case <-w.process.Exited():
		return nil
	case <-wait.C:
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
	_ = w.process.Stdout.SetReadDeadline(time.Now())
	wait := time.NewTimer(most)
	defer wait.Stop()
	select {
	case <-w.empty:
		return true
	case <-readDone:
	case <-wait.C:
	}
	return false
}

// settle ends the call in flight whose time is over. The group is stopped first, and what it has already written is
// read: an answer that is found there counts, and the worker lives on (true).
func (w *worker) settle(readDone <-chan struct{}) bool {
	if !w.overdue() {
		return true
	}
	_ = w.process.Signal(proc.Stop)
	paused := w.pause(readDone, time.Second)
	if paused {
		w.resume()
	}
	if !paused || w.overdue() {
		return false
	}
	_ = w.process.Signal(proc.Continue)
	return true
}

func (w *worker) resume() {
	_ = w.process.Stdout.SetReadDeadline(time.Time{})
	w.onward <- true
}

// overdue says that the call in flight has met its fate.
func (w *worker) overdue() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.call != nil && w.call.fate != nil
}

// dumpTime is how long a worker may take to print its stacks before it is killed.
const dumpTime = 500 * time.Millisecond

// view is what the system says about a worker whose task has timed out, before it is stopped.
func (w *worker) view() string {
	w.pool.mu.Lock()
	timedOut := w.call != nil && w.call.fate != nil && w.call.fate.Kind == ipc.KindTimeout
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
	c, signal := w.call, w.claims.Diagnose
	timedOut := c != nil && c.fate != nil && c.fate.Kind == ipc.KindTimeout
	if timedOut {
		c.fate.Trace = view
	}
	w.pool.mu.Unlock()
	if !timedOut || !w.process.Dump(signal) {
		return
	}
	wait := time.NewTimer(dumpTime)
	defer wait.Stop()
	select {
	case <-w.process.Exited():
	case <-wait.C:
	}
}

// condemn gives the call in flight its fate, if it has none.
func (w *worker) condemn(fate *ipc.Error) {
	w.pool.mu.Lock()
	if w.call != nil && w.call.fate == nil {
		w.call.fate = fate
	}
	w.pool.mu.Unlock()
	w.poke()
}

// mayGo says that the worker is to go and has nothing to finish.
func (w *worker) mayGo() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return (w.pool.phase >= drains || isClosed(w.leave)) && (w.call == nil || !w.ready)
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
	wait := time.NewTimer(stdinGrace)
	defer wait.Stop()
	select {
	case <-w.process.Exited():
		return nil
	case <-w.pool.aborted:
		return w.terminate(abortGrace)
	case <-wait.C:
		return w.terminate(termGrace)
	}
}

func (w *worker) terminate(grace time.Duration) error {
	w.shut()
	_ = w.process.Signal(proc.Terminate)
	wait := time.NewTimer(grace)
	defer wait.Stop()
	select {
	case <-w.process.Exited():
		return nil
	case <-wait.C:
		return errAsked
	}
}

// shut closes the worker to new tasks.
func (w *worker) shut() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.open = false
	w.pool.dropIdle(w)
	if w.endingAt.IsZero() {
		w.endingAt = time.Now()
		w.since = w.endingAt
	}
}

// hasRead says whether the process has read a byte of the tuple in flight. The writer has ended.
func (w *worker) hasRead() bool {
	consumed := w.sent.n
	if unread, ok := w.process.Unread(); ok {
		consumed -= int64(unread)
	}
	return consumed > w.mark
}

// judge decides what becomes of the call that was in flight when the process ended, after all that it wrote was read.
// It returns the key of a task that was running.
func (w *worker) judge(exit *ipc.Exit, why error, started bool) (key string) {
	p := w.pool
	p.mu.Lock()
	c := w.call
	w.call = nil
	orders := w.takeOrders()
	p.mu.Unlock()
	for _, o := range orders {
		o.finish(ipc.Outcome{Worker: w.slot.name, Err: verdict(nil, why, exit), Queued: time.Since(o.queued)})
	}
	if c == nil || c.task.Key == ipc.KeyHello {
		return ""
	}
	p.mu.Lock()
	started = started && !c.begun.IsZero()
	fate := c.fate
	if !started && fate == nil && !c.own {
		if !c.begun.IsZero() {
			c.attempts-- // it never began
		}
		p.mu.Unlock()
		if err := p.requeue(c, true); err != nil {
			c.finish(ipc.Outcome{Err: err, Queued: time.Since(c.queued)})
		}
		return ""
	}
	o := ipc.Outcome{Worker: w.slot.name, Attempts: c.attempts, Queued: c.begun.Sub(c.queued), Ran: time.Since(c.begun)}
	if c.begun.IsZero() {
		o = ipc.Outcome{Attempts: c.attempts, Queued: time.Since(c.queued)}
	}
	if fate == nil && why == nil && !c.own {
		p.mu.Unlock()
		p.crashed(w, c.task.Key, verdict(nil, nil, exit))
		p.mu.Lock()
	}
	again := c.attempts <= c.task.Retries && (fate == nil || fate.Kind == ipc.KindTimeout)
	c.endRun()
	p.mu.Unlock()

	if again && p.requeue(c, false) == nil {
		return c.task.Key
	}
	p.mu.Lock()
	c.state = callFinished // as requeue has left it, or because nobody asked it
	p.mu.Unlock()
	o.Err = verdict(fate, why, exit)
	c.finish(o)
	return c.task.Key
}

// verdict is the error of a call that was running when its worker ended.
func verdict(fate *ipc.Error, why error, exit *ipc.Exit) *ipc.Error {
	e := &ipc.Error{}
	switch broken := (*ipc.Error)(nil); {
	case fate != nil:
		*e = *fate
	case errors.As(why, &broken):
		e = ipc.Errorf(broken.Kind, "its worker was ended: %w", why)
	default:
		e = ipc.Errorf(ipc.KindCrash, "its worker died (%s)", exit)
	}
	e.Exit = exit
	return e
}

// state needs pool.mu.
func (w *worker) state() State {
	switch {
	case !w.endingAt.IsZero():
		return StateEnding
	case !w.ready:
		return StateStarting
	case w.call != nil:
		return StateBusy
	}
	return StateReady
}

// source reads a pipe. Once its deadline has passed it gives what is in the pipe, and os.ErrDeadlineExceeded when that
// is nothing: so a deadline in the past means "read what is there, and stop".
type source struct{ f *os.File }

func (s source) Read(b []byte) (int, error) {
	n, err := s.f.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return proc.ReadNow(s.f, b)
	}
	if errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EIO) {
		return n, io.EOF
	}
	return n, err
}

// counter counts the bytes that it writes. One goroutine writes; others read n when that has ended.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
