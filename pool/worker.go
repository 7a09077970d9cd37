package pool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
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

	feed     chan struct{}  // 1-buffered: there is something for the writer
	greet    chan ipc.Hello // 1-buffered: the answer to the greeting
	replayed chan struct{}  // 1-buffered: what is kept has been repeated
	broken   chan error     // 3-buffered: why the reader or the writer has ended, or a replay has failed
	poked    chan struct{}  // 1-buffered: the call in flight has met its fate, or the drain has come to an idle worker
	leave    chan struct{}  // closed: it is let go, once it has finished what it runs
	gone     chan struct{}  // closed: the process has ended, or is being ended
	empty    chan struct{}  // the reader has read all there is, and waits for onward
	onward   chan bool      // go on reading?

	sent   counter // writes to stdin
	stderr stderrLog
	text   limiter

	writing sync.Mutex // held by who writes to stdin: the writer, or the submitter of a small task
	out     *ipc.Encoder

	// Guarded by pool.mu.
	flight   deque         // the calls that it has, in order; it runs the first
	batch    []*call       // for nextCalls, again and again
	handed   int           // of flight, how many the writer has or has written
	ahead    int           // bytes of flight
	pace     time.Duration // what a task took lately
	orders   []*call       // calls for this worker alone, before all others
	greeted  bool          // it has answered the greeting
	ready    bool          // and repeated what is kept
	open     bool          // it takes tasks
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
		feed:     make(chan struct{}, 1),
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
		w.sent.file = process.Stdin
		w.out = ipc.NewEncoder(&w.sent, s.pool.cfg.Wire, s.pool.cfg.Limits)
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
	w.writing.Lock() // a submitter may be about to write; it will find the pipe closed
	sent := w.sent.n
	w.writing.Unlock()
	if w.pause(readDone, time.Second) {
		w.onward <- false
	} else { // a stranger outside its group keeps on writing
		_ = w.process.Stdout.Close()
	}
	reading.Wait()
	_ = w.process.Stderr.SetReadDeadline(past)
	listening.Wait()
	read := w.consumed(sent)

	l.exit = exitOf(w.process.Reap(), &w.stderr)
	w.pool.mu.Lock()
	l.exit.Served, l.ready = w.served, w.ready
	l.healthy = w.served > 0 || w.ready && time.Since(w.begun) > healthy
	w.pool.mu.Unlock()
	l.key, l.judge = w.judge(&l.exit, why, read)
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
	args := mustEncode(ipc.Greeting{
		Protocol: ipc.Protocol, Wire: w.pool.cfg.Wire, Group: w.pool.cfg.Name, Worker: w.slot.number, Of: w.pool.size(),
	})
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
	w.wake()
}

var helloTarget = mustEncode(ipc.KeyHello)

// mustEncode is for what always encodes.
func mustEncode(v any) ipc.Raw {
	raw, err := ipc.Encode(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// head needs pool.mu. It is the call that the worker runs, or will run first; nil: it has none.
func (w *worker) head() *call {
	if w.flight.n == 0 {
		return nil
	}
	return w.flight.at(0)
}

// assign needs pool.mu; the caller then wakes the worker.
func (w *worker) assign(c *call) {
	if w.flight.n == 0 {
		w.since = time.Now()
	}
	w.flight.pushBack(c)
	w.ahead += c.size()
	c.state, c.on, c.written, c.begun = callRunning, w, false, time.Time{}
}

// beginHead needs pool.mu. The clock of a call starts when it has been given to the writer and all before it have been
// answered.
func (w *worker) beginHead() {
	c := w.head()
	if c == nil || !c.written || !c.begun.IsZero() {
		return
	}
	if c.state != callFinished {
		c.begin(w)
		return
	}
	// It was withdrawn while it waited behind another one: it must not run, if that can be helped.
	c.begun = time.Now()
	c.fate = ipc.Errorf(ipc.KindCancelled, "cancelled")
	w.poke()
}

// A worker that claims `ordered` is fed ahead, so that it need not wait for its master between two tasks.
const (
	feedTime  = time.Millisecond // about so much work, by its pace, may be with a worker
	feedAfter = 16               // answers, one at a time, until a pace is known
	feedMost  = 256              // tasks
	feedBytes = 64 << 10         // a pipe's worth
)

// window needs pool.mu. It is how many calls the worker may have.
func (w *worker) window() int {
	most := w.pool.cfg.Window
	if !w.claims.Ordered || most == 1 || w.served < feedAfter {
		return 1
	}
	if most == 0 {
		most = feedMost
	}
	return max(1, min(most, int(feedTime/max(w.pace, 1))))
}

// fill needs pool.mu. It gives the worker as many of the calls that wait as it may have: its share, and nothing more
// once the call that it runs has taken longer than feedTime.
func (w *worker) fill() {
	room := w.window() - w.flight.n
	if c := w.head(); c != nil && room > 0 && !c.begun.IsZero() && time.Since(c.begun) > feedTime {
		return
	}
	share := 1 + w.pool.waiting/max(1, len(w.pool.slots))
	for range min(room, share) {
		if w.flight.n > 0 && w.ahead > feedBytes {
			return
		}
		c := w.take()
		if c == nil {
			return
		}
		w.assign(c)
	}
}

// wake tells the writer that there is something for it. It needs no lock and does not block.
func (w *worker) wake() {
	select {
	case w.feed <- struct{}{}:
	default:
	}
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
	replays := w.replay()
	w.pool.mu.Unlock()
	if replays {
		w.wake()
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
	if w.flight.n == 0 { // else a broadcast has come meanwhile
		w.fill()
		w.hold()
	}
	p.mu.Unlock()
	p.cfg.Log.Info("worker ready", "worker", w.slot.name, "pid", w.process.PID(), "after", after)
	p.cfg.Event(Ready{Worker: w.slot.name, PID: w.process.PID(), Hello: claims, After: after})
	w.wake()
	w.poke() // it may have to go at once
	w.slot.readies <- w
}

// hold needs pool.mu. It makes an open worker that has nothing to do wait for a call.
func (w *worker) hold() {
	if w.flight.n > 0 {
		return
	}
	w.since = time.Now()
	if w.open && !w.slot.canary {
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
	c := w.head()
	if c == nil {
		return "", false
	}
	return c.task.Key, true
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

// answer matches one answer to the call that the worker runs, and tells its outcome.
func (w *worker) answer(a ipc.Answer) error {
	p := w.pool
	p.mu.Lock()
	c := w.head()
	if c == nil || c.begun.IsZero() || a.Key != c.task.Key {
		p.mu.Unlock()
		return ipc.Errorf(ipc.KindProtocol, "it answered key %s, which is not in flight on it", quote([]byte(a.Key)))
	}
	withdrawn := c.state == callFinished
	c.state = callFinished
	p.cleared(c.task.Key)
	o := ipc.Outcome{
		Worker: w.slot.name, Attempts: c.attempts, Queued: c.begun.Sub(c.queued), Ran: time.Since(c.begun),
	}
	w.pace += (o.Ran - w.pace) / 8
	w.release()
	sick := p.sickSince != nil && w.ready
	p.mu.Unlock()

	if a.Err != nil {
		o.Err = a.Err
	} else {
		o.Value = bytes.Clone(a.Value) // the decoder's buffer is used again
	}
	if !withdrawn {
		c.finish(o)
	}
	if sick {
		p.recovered()
	}
	return nil
}

// release needs pool.mu. The call that the worker ran is over: the next one begins, and when few are left, more follow.
func (w *worker) release() {
	c := w.flight.popFront()
	w.ahead -= c.size()
	w.handed = max(0, w.handed-1)
	w.beginHead()
	if w.ready {
		w.served++
	}
	if w.flight.n == 0 {
		w.fill()
		w.hold()
	}
	if w.flight.n <= w.window()/2 || w.handed < w.flight.n {
		w.wake()
	}
	if w.limit > 0 && w.served == w.limit {
		w.slot.ask("tasks")
	}
	if !w.open || w.pool.phase >= drains {
		w.poke()
	}
}

// write writes the tuples, as many as there are at a time.
func (w *worker) write() {
	for {
		select {
		case <-w.gone:
			return
		case <-w.feed:
		}
		for more := true; more; {
			w.writing.Lock()
			more = w.writeSome(false)
			w.writing.Unlock()
		}
	}
}

// smallTask is the size up to which a task for an idle worker is written by its submitter.
const smallTask = 4 << 10

// send writes a small call by itself, if that needs no waiting; else it leaves it to the writer.
func (w *worker) send(c *call) {
	if c.size() > smallTask || w.out == nil || !w.writing.TryLock() {
		w.wake()
		return
	}
	defer w.writing.Unlock()
	w.writeSome(true)
}

// writeSome hands what waits for the writer to the process, in one write; at once, or not at all: then what is left is
// the writer's. It says whether there may be more. It needs w.writing.
func (w *worker) writeSome(atOnce bool) (more bool) {
	for _, c := range w.nextCalls(!atOnce) {
		mark := w.sent.n + int64(w.out.Buffered())
		var options ipc.Raw
		if c.own && w.claims.Options {
			options = givenToAll
		}
		err := w.out.RequestWith(c.task.Key, c.task.Target, c.task.Args, options)
		if err == nil && w.slot.canary {
			err = w.pool.asideNow(c.task.Key)
		}
		if err != nil {
			w.refuse(c, err)
			continue
		}
		c.mark = mark
		more = true
	}
	w.sent.atOnce = atOnce
	err := w.out.Flush()
	switch {
	case err == nil:
		return more
	case atOnce && errors.Is(err, os.ErrDeadlineExceeded):
		w.wake()
	case !isClosed(w.gone):
		select {
		case w.broken <- &writeError{err}:
		default: // it is known already
		}
	}
	return false
}

// givenToAll is the options of a request that every worker is given: it may change what the worker holds.
var givenToAll = mustEncode(ipc.RequestOptions{All: true})

// nextCalls takes the calls that wait for the writer, and with fill as many more as the worker may have.
func (w *worker) nextCalls(fill bool) []*call {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if fill && w.open {
		w.fill()
	}
	calls := w.batch[:0]
	for ; w.handed < w.flight.n; w.handed++ {
		c := w.flight.at(w.handed)
		c.written = true
		calls = append(calls, c)
	}
	w.batch = calls
	w.beginHead()
	return calls
}

// writeError tells the writer's errors from the reader's.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// refuse finishes a call that does not fit the wire, or may not run; the worker never saw it.
func (w *worker) refuse(c *call, err error) {
	p := w.pool
	p.mu.Lock()
	withdrawn := c.state == callFinished
	c.state = callFinished
	if !c.begun.IsZero() {
		c.attempts-- // it never ran
	}
	w.flight.remove(c)
	w.ahead -= c.size()
	w.handed--
	w.beginHead()
	if w.flight.n == 0 {
		w.fill()
		w.hold()
	}
	w.wake()
	p.mu.Unlock()
	if !withdrawn {
		c.finish(ipc.Outcome{Err: err, Attempts: c.attempts, Queued: time.Since(c.queued)})
	}
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
	c := w.head()
	return c != nil && c.fate != nil
}

// dumpTime is how long a worker may take to print its stacks before it is killed.
const dumpTime = 500 * time.Millisecond

// view is what the system says about a worker whose task has timed out, before it is stopped.
func (w *worker) view() string {
	w.pool.mu.Lock()
	c := w.head()
	timedOut := c != nil && c.fate != nil && c.fate.Kind == ipc.KindTimeout
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
	if c := w.head(); c != nil && c.fate == nil {
		c.fate = fate
	}
	w.pool.mu.Unlock()
	w.poke()
}

// mayGo says that the worker is to go and has nothing to finish.
func (w *worker) mayGo() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return (w.pool.phase >= drains || isClosed(w.leave)) && (w.flight.n == 0 || !w.ready)
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
	var behind []*call
	first := w.flight.popFront()
	for c := w.flight.popFront(); c != nil; c = w.flight.popFront() {
		behind = append(behind, c)
	}
	orders := w.takeOrders()
	var fate *ipc.Error
	ran := false
	if first != nil && first.task.Key != ipc.KeyHello {
		fate = first.fate
		ran = !first.begun.IsZero()
		if ran && fate == nil && read <= first.mark {
			first.attempts--
			ran = false
		}
		if ran || fate != nil {
			key = first.task.Key
		}
	}
	p.mu.Unlock()
	return key, func() {
		for _, c := range slices.Backward(behind) { // so the first of them is in front again
			w.giveBack(c, why, exit)
		}
		for _, c := range orders {
			c.finish(ipc.Outcome{Worker: w.slot.name, Err: verdict(nil, why, exit), Queued: time.Since(c.queued)})
		}
		switch {
		case first == nil || first.task.Key == ipc.KeyHello:
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
	c.finish(ipc.Outcome{Err: err, Attempts: c.attempts, Queued: time.Since(c.queued)})
}

// condemned is a call that ran when its worker ended, or was to be ended with it: it is tried again, or finished.
func (w *worker) condemned(c *call, fate *ipc.Error, why error, exit *ipc.Exit) {
	p := w.pool
	if fate == nil && why == nil && !c.own {
		p.crashed(w, c.task.Key, verdict(nil, nil, exit))
	}
	p.mu.Lock()
	if c.state == callFinished { // withdrawn before it began
		p.mu.Unlock()
		return
	}
	o := ipc.Outcome{Worker: w.slot.name, Attempts: c.attempts, Queued: time.Since(c.queued)}
	if !c.begun.IsZero() {
		o.Queued, o.Ran = c.begun.Sub(c.queued), time.Since(c.begun)
	}
	again := !c.own && c.attempts <= c.task.Retries && (fate == nil || fate.Kind == ipc.KindTimeout)
	c.endRun()
	p.mu.Unlock()
	if again && p.requeue(c, false) == nil {
		return
	}
	p.mu.Lock()
	c.state = callFinished // as requeue has left it, or because nobody asked it
	p.mu.Unlock()
	o.Err = verdict(fate, why, exit)
	c.finish(o)
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
	case w.flight.n > 0:
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

// counter counts the bytes that it writes to a pipe. Who writes holds worker.writing.
type counter struct {
	file   *os.File
	n      int64
	atOnce bool // write what the pipe takes now; the rest is os.ErrDeadlineExceeded
}

func (c *counter) Write(b []byte) (n int, err error) {
	if c.atOnce {
		n, err = proc.WriteNow(c.file, b)
	} else {
		n, err = c.file.Write(b)
	}
	c.n += int64(n)
	return n, err
}
