package pool

import (
	"bufio"
	"sync"
	"sync/atomic"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// worker is one worker process. Four goroutines of its own watch it (live), read it (read), write to it (write) and read
// its stderr (listen). The reader never writes to the process and runs no user's code.
type worker struct {
	slot    *slot
	pool    *Pool
	process *proc.Process
	command []string // that it was started with
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
	lines  *bufio.Reader // of listen; a slot that starts a process per task has one for all of them
	copies []byte        // likewise, of what such a process writes to stdout; nil: another slot
	text   limiter

	patience *time.Timer // the watch's: how long it may take to end what it was asked to; nil: it was never asked

	writing  sync.Mutex // held by who writes to stdin: the writer, a submitter or the reader; see send
	encoding sync.Mutex // and by him while he takes calls and encodes them; waits for nobody
	out      *ipc.Encoder
	few      []*call // for nextCalls, again and again
	lent     []*call // those among them that the writer reads from where they are
	lender   bool    // it may do so, as it can be called away
	widened  bool    // its pipes have been widened, or cannot be

	bulky     atomic.Bool  // its traffic is large
	mostAhead atomic.Int64 // bytes that it may be fed ahead

	// Of who reads its answers: the reader, or the caller of a task while it rests. See do.go.
	in      *ipc.Decoder
	source  source
	answers []heard       // again and again
	sleepy  bool          // it may nap before the next read
	calm    bool          // the last answer was to a task whose caller waits for it, and left nothing in flight
	recalls chan struct{} // 1-buffered: the reader is to read again

	// Guarded by pool.mu.
	flight   deque         // the calls that it has, in order; it runs the first
	handed   int           // of flight, how many the writer has or has written
	stale    bool          // among the others there may be some that were withdrawn
	due      int           // how many more it is to be given at once
	ahead    int           // bytes of flight
	pace     time.Duration // what a task took lately
	orders   []*call       // calls for this worker alone, before all others
	resting  bool          // nobody reads its answers
	attended bool          // a caller has read them lately
	pausing  bool          // all that it has written is being read
	over     bool          // nothing more is to be read
	greeted  bool          // it has answered the greeting
	ready    bool          // and repeated what is kept
	open     bool          // it takes tasks
	endingAt time.Time
	since    time.Time
	served   int
	asked    *call   // that it was told to end, because that was cancelled; nil: none
	heed     clock   // for how long yet
	cancel   *string // the key of asked, until the writer has taken it
	limit    int     // of served, after which it is recycled; 0: none
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
		recalls:  make(chan struct{}, 1),
	}
	w.mostAhead.Store(feedBytes)
	if process != nil { // nil: there will be one per task
		w.sent.file = process.Stdin
		w.lender = process.Stdin.SetWriteDeadline(time.Time{}) == nil
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
	stopAll(w.patience, nil)
	l := life{worker: w, err: why}

	// The end. What is left of its group is killed before its output is read to the end, so that the end comes.
	w.shut()
	if why != nil {
		w.process.Kill()
	}
	undead := !w.pool.died(w.process)
	w.process.Kill()
	close(w.gone)
	past := time.Now()
	_ = w.process.Stdin.SetWriteDeadline(past)
	writing.Wait()
	w.writing.Lock() // a submitter may be about to write; it will find the pipe closed
	sent := w.sent.n
	w.handBack() // of a write that was left to the writer
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

	if undead {
		l.exit = w.abandon()
	} else {
		l.exit = exitOf(w.process.Reap(), &w.stderr)
	}
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
		Code: exit.Code, Signal: exit.Signal, Name: exit.Name, Core: exit.Core, OOM: exit.OOM,
		MaxRSS: exit.MaxRSS, CPU: exit.CPU, Uptime: exit.Uptime, Stderr: stderr.last(),
	}
}

func endedBeforeReady(exit ipc.Exit) error {
	why := " before it answered its first request"
	if exit.Code == exitConfig {
		why = ", which says that its configuration is wrong and that it shall not be started again"
	}
	e := ipc.Errorf(ipc.KindCrash, "it ended with %s%s", &exit, why)
	e.Exit = &exit
	return e
}

// hail gives the writer the greeting, as if it were a task.
func (w *worker) hail() {
	args := mustEncode(ipc.Greeting{
		Protocol: ipc.Protocol, Wire: w.pool.cfg.Wire, Group: w.pool.cfg.Name, Worker: w.slot.number, Of: w.pool.size(),
	})
	t := ipc.Task{Key: ipc.KeyHello, Target: helloTarget, Args: args}
	t.Timeout = -1 // the start has a timeout of its own
	c := w.pool.newCall(t, func(o ipc.Outcome) {
		var claims ipc.Hello
		if o.Err != nil || o.Value.Decode(&claims) != nil {
			claims = ipc.Hello{} // a worker that treats every request alike is a valid worker
		}
		w.greet <- claims
	})
	c.own = true
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

// slowStart is when a worker that has not answered its greeting is worth a word.
const slowStart = 5 * time.Second

// watch looks after the process until it has ended (nil) or has to be ended (why).
func (w *worker) watch(readDone <-chan struct{}) (why error) {
	p := w.pool
	now := time.Now()
	left := newClock(now, p.cfg.StartTimeout)
	slow, start := time.NewTimer(slowStart), time.NewTimer(left.wait(now))
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
			if wait := left.wait(time.Now()); wait > 0 {
				start.Reset(wait)
				continue
			}
			return ipc.Errorf(ipc.KindTimeout, "it did not answer its first request in %v", p.cfg.StartTimeout)
		case err := <-w.broken:
			return w.explain(err)
		case <-w.poked:
			if w.mayGo() {
				return w.retire()
			}
			if w.ask() {
				continue
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

// fail says why the worker is to be ended. The first reason will do: when there are others, it does not wait.
func (w *worker) fail(why error) {
	select {
	case w.broken <- why:
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
