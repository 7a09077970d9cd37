// Package pool keeps worker processes alive and gives them tasks.
//
// A [Pool] is an [ipc.Runner]. Each of its slots is one goroutine that starts a worker process, greets it, watches it
// and replaces it (slot.go); each process has a reader and a writer (worker.go). The rules it keeps: every accepted
// task has exactly one outcome; a task starts at most once unless it asks for retries; an answer that was written is
// counted, whatever became of its worker; and every worker is treated as hostile.
package pool

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// Pool runs tasks on worker processes. Make it with New, give it its life with Run.
type Pool struct {
	cfg     Config
	spawner *proc.Spawner
	made    time.Time // when
	exec    bool      // a process per task, no workers; see NewExec

	draining  chan struct{} // closed: start nothing new
	graceOver chan struct{} // closed: running tasks have had their time
	aborted   chan struct{} // closed: end now

	pending atomic.Int64 // accepted calls that are not finished
	naps    bool         // readers may nap: there is another processor for everybody else
	napping atomic.Bool  // one does
	bundles sync.Pool    // of *bundle, to be used again

	mu      sync.Mutex // guards what follows, and the fields of calls, workers and slots that say so
	queue   deque      // waiting calls, and withdrawn ones that have not been skipped yet
	waiting int        // calls in the queue that still wait
	idle    []*worker  // open workers with nothing in flight; the latest used is the first taken
	phase   phase
	slots   []*slot
	least   int            // the pool does not shrink below it,
	most    int            // nor grow above it, by itself
	living  sync.WaitGroup // the slots' loops, and Run itself
	command []string       // what the slots start
	kept    []ipc.Task     // what every new worker is given first
	ready   bool           // some worker was ready once
	given   int            // slots that have given up for good
	lastErr error          // why a start failed last
	never   bool           // NeverReady was told
	grace   *time.Timer
	left    clock // of grace

	canary   *slot               // runs the tasks of suspected keys; nil: none is needed
	cage     deque               // calls that wait for the canary
	suspects map[string]*suspect // keys whose last tasks have killed their workers

	undead int // processes of all slots that were left to the system

	failures  []time.Time // of lives that came to nothing, as many as the intensity allows
	sickSince *time.Time  // when they became too many; nil: they are not

	reloading sync.Mutex // held by Reload
}

type phase int

const (
	fresh phase = iota
	running
	drains
	ended
)

// mostSpawners is how many threads start processes, at most: one for each processor.
const mostSpawners = 8

// New checks cfg and makes a pool. It starts nothing. Tasks may be submitted from now on; they wait for Run. Its error is of
// kind input, or no-worker when there is no such program.
func New(cfg Config) (*Pool, error) {
	cfg, err := withDefaults(cfg)
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg:       cfg,
		made:      time.Now(),
		spawner:   proc.NewSpawner(min(runtime.GOMAXPROCS(0), mostSpawners)),
		draining:  make(chan struct{}),
		graceOver: make(chan struct{}),
		aborted:   make(chan struct{}),
		suspects:  map[string]*suspect{},
	}
	p.naps = runtime.GOMAXPROCS(0) > 1
	p.command, p.least, p.most = cfg.Command, cfg.Workers, cfg.MaxWorkers
	for i := range cfg.Workers {
		p.slots = append(p.slots, newSlot(p, i+1))
	}
	return p, nil
}

// The bounds after which a pool that never had a ready worker says so.
const (
	neverReadyStarts = 5
	neverReadyAfter  = 30 * time.Second
)

// Run is the whole life of the pool: it starts the workers, replaces those that end, and returns when ctx has ended, or
// Drain or Abort was called, and no process or goroutine of the pool is left, but for processes that SIGKILL does not end
// (see [Abandoned]) and who waits for them. The end of ctx means Drain(cfg.Grace).
// Call it once.
func (p *Pool) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.phase != fresh && p.phase != drains {
		p.mu.Unlock()
		return ipc.Errorf(ipc.KindClosed, "pool %s: Run was called twice", p.cfg.Name)
	}
	if p.phase == fresh {
		p.phase = running
	}
	var spawning sync.WaitGroup
	stopSpawner := make(chan struct{})
	spawning.Go(func() { p.spawner.Run(stopSpawner) })
	for _, s := range p.places() {
		p.living.Go(s.life())
	}
	p.mu.Unlock()
	impatient := time.AfterFunc(max(neverReadyAfter, p.cfg.StartTimeout), p.tellNeverReady)
	stopWatching := context.AfterFunc(ctx, func() { p.Drain(p.cfg.Grace) })

	<-p.draining
	p.living.Wait() // every process has been reaped, or cannot be
	impatient.Stop()
	stopWatching()
	close(stopSpawner)
	spawning.Wait()

	p.mu.Lock()
	p.phase = ended
	if p.grace != nil {
		p.grace.Stop()
	}
	p.mu.Unlock()
	return nil
}

// Drain ends the pool in order: tasks that wait are `closed` at once, running ones may finish within grace (below 0:
// however long it takes), then Run returns. Calling it again can only shorten the grace.
func (p *Pool) Drain(grace time.Duration) {
	p.mu.Lock()
	var left []*call
	if p.phase < drains {
		p.phase = drains
		close(p.draining)
		left = p.takeAll()
		for _, s := range p.places() {
			for _, w := range s.processes {
				left = append(left, w.takeOrders()...)
			}
		}
	}
	if grace >= 0 && p.phase == drains {
		now := time.Now()
		switch left := newClock(now, grace); {
		case p.grace == nil:
			p.left = left
			p.grace = time.AfterFunc(p.left.wait(now), p.lookAtGrace)
		case left.end.Before(p.left.end):
			p.left = left
			p.grace.Reset(p.left.wait(now))
		}
	}
	p.mu.Unlock()
	for _, c := range left {
		c.finish(ipc.Outcome{Err: ipc.Errorf(ipc.KindClosed, "%s ended before it ran", p.cfg.Name), Queued: c.waited()})
	}
}

func (p *Pool) lookAtGrace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rest := p.left.wait(time.Now()); rest > 0 {
		p.grace.Reset(rest)
	} else if !isClosed(p.graceOver) {
		close(p.graceOver)
	}
}

// Abort ends the pool now: running workers get SIGTERM, and SIGKILL half a second later. Their tasks are `closed`.
func (p *Pool) Abort() {
	p.Drain(-1)
	p.closeOnce(p.aborted)
}

func (p *Pool) closeOnce(c chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isClosed(c) {
		close(c)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Submit gives t to a worker, or lets it wait for one; see [ipc.Runner]. What t points to is not copied: it must not change
// before the outcome, and may then, also when the task was withdrawn.
func (p *Pool) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	if err := p.check(&t); err != nil {
		return err
	}
	return p.submit(ctx, p.newCall(t, done), t.Deadline)
}

// submit is Submit for a call of a task that has been checked.
func (p *Pool) submit(ctx context.Context, c *call, deadline time.Duration) error {
	if ctx.Err() != nil {
		return ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))
	}
	p.mu.Lock()
	if err := p.full(); err != nil {
		p.mu.Unlock()
		return err
	}
	p.pending.Add(1)
	w := p.place(c, false)
	reads := w != nil && c.reads
	grow := w == nil && p.wantsMore()
	p.mu.Unlock()

	c.watch(ctx, deadline)
	switch {
	case reads:
		w.attend(c)
	case w != nil:
		w.send()
	case grow:
		p.grow()
	}
	return nil
}

// check refuses what could never reach a worker.
func (p *Pool) check(t *ipc.Task) error {
	if err := ipc.CheckKey(t.Key); err != nil {
		return err
	}
	const envelope = 9 // the heads of array and key, and a nil for absent args
	if size := envelope + len(t.Key) + len(t.Target) + len(t.Args); size > p.cfg.Limits.Size {
		return ipc.Errorf(ipc.KindInput, "key %q: target and args are %d bytes; a message may have %d", t.Key, size, p.cfg.Limits.Size)
	}
	if len(t.Target) == 0 {
		return ipc.Errorf(ipc.KindInput, "key %q: no target", t.Key)
	}
	return nil
}

// Worker is a snapshot of one slot.
type Worker struct {
	Name     string
	State    State
	Since    time.Time // when it came into its state
	PID      int       // 0 without a process
	Key      string    // of its running task
	Served   int       // answers of this process
	Restarts int       // processes before this one
	Err      error     // why its last process came to nothing; nil once one is ready
	Hello    ipc.Hello // what it claims
	Canary   bool      // it takes the tasks of suspected keys, and no others; see Poison
	Undead   int       // processes before this one that SIGKILL has not ended yet
}

// State is what a slot is doing.
type State string

// The states: starting → ready ⇄ busy → ending; a worker that has ended is waiting for its replacement; stopped is the
// end.
const (
	StateStarting State = "starting"
	StateReady    State = "ready"
	StateBusy     State = "busy"
	StateEnding   State = "ending"
	StateWaiting  State = "waiting"
	StateStopped  State = "stopped"
)

// Workers returns a snapshot of all slots, in order; last the canary's, if there is one.
func (p *Pool) Workers() []Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Worker
	for _, s := range p.places() {
		list = append(list, s.snapshot())
	}
	return list
}

// Pending is how many tasks were accepted and have no outcome yet; those of broadcasts are not counted.
func (p *Pool) Pending() int { return int(p.pending.Load()) }

// takeIdle needs p.mu.
func (p *Pool) takeIdle() *worker {
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	w := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return w
}

// dropIdle needs p.mu.
func (p *Pool) dropIdle(w *worker) {
	for i, other := range p.idle {
		if other == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

// place needs p.mu. It gives c to an idle worker, and returns that for the caller to wake; or lets c wait.
func (p *Pool) place(c *call, front bool) *worker {
	var w *worker
	queue := &p.queue
	if p.suspected(c.key) == nil {
		w = p.takeIdle()
	} else {
		w, queue = p.idleCanary(), &p.cage
	}
	if w != nil {
		w.assign(c)
		return w
	}
	c.state, c.here = callWaiting, false
	p.waiting++
	if front {
		queue.pushFront(c)
	} else {
		queue.pushBack(c)
		const few = 64
		if queue.n > few+2*p.waiting { // no worker may come by who skips the withdrawn ones
			queue.keep(func(c *call) bool { return c.state == callWaiting })
		}
	}
	return nil
}

// takeWaiting needs p.mu. The call it returns no longer waits. One whose key has become suspected meanwhile goes to the
// canary.
func (p *Pool) takeWaiting() *call {
	for {
		c := takeFrom(&p.queue)
		if c == nil {
			return nil
		}
		p.waiting--
		if p.suspected(c.key) == nil {
			return c
		}
		if w := p.place(c, false); w != nil {
			w.wake()
		}
	}
}

// takeCaged needs p.mu. It is takeWaiting for the canary.
func (p *Pool) takeCaged() *call {
	c := takeFrom(&p.cage)
	if c != nil {
		p.waiting--
	}
	return c
}

// takeFrom skips the calls that were withdrawn.
func takeFrom(q *deque) *call {
	for {
		if c := q.popFront(); c == nil || c.state == callWaiting {
			return c
		}
	}
}

// takeAll needs p.mu; the calls it returns are the caller's to finish.
func (p *Pool) takeAll() []*call {
	var all []*call
	for _, q := range []*deque{&p.queue, &p.cage} {
		for c := takeFrom(q); c != nil; c = takeFrom(q) {
			p.waiting--
			c.state = callFinished
			all = append(all, c)
		}
	}
	return all
}

// requeue lets c wait once more: in front when it never started, behind the others when it is tried again. When nothing
// new may start it says why; c is finished then, and the caller's to tell. One that was withdrawn meanwhile has been told.
func (p *Pool) requeue(c *call, front bool) error {
	p.mu.Lock()
	if c.state == callFinished {
		p.mu.Unlock()
		return nil
	}
	if err := p.refusal(); err != nil {
		c.state = callFinished
		p.mu.Unlock()
		return err
	}
	w := p.place(c, front)
	p.mu.Unlock()
	if w != nil {
		w.wake()
	}
	return nil
}

// refusal needs p.mu. It is why no task may start any more.
func (p *Pool) refusal() error {
	switch {
	case p.phase >= drains:
		return ipc.Errorf(ipc.KindClosed, "%s has ended", p.cfg.Name)
	case p.given == len(p.slots):
		return ipc.Errorf(ipc.KindNoWorker, "no worker of %s can be started: %w", p.cfg.Name, p.lastErr)
	}
	return nil
}

// full needs p.mu. It is why no task is accepted at this moment.
func (p *Pool) full() error {
	if err := p.refusal(); err != nil {
		return err
	}
	if p.waiting >= p.cfg.Queue && len(p.idle) == 0 {
		return ipc.Errorf(ipc.KindQueueFull, "%s: %d tasks are waiting, and no more may", p.cfg.Name, p.cfg.Queue)
	}
	return nil
}

// giveUp says that one slot will start no more workers. When it was the last, the tasks that wait are told.
func (p *Pool) giveUp(s *slot, err error) {
	p.mu.Lock()
	if !slices.Contains(p.slots, s) { // it has been dropped in this moment
		p.mu.Unlock()
		return
	}
	p.given++
	s.final = true
	p.lastErr = err
	tell := p.disappoint()
	p.mu.Unlock()
	if tell() {
		p.tellNeverReady()
	}
}

// disappoint needs p.mu. When no slot is left that starts workers, those who wait for one are told so: by tell, which is
// to be called without p.mu, and says whether it is so.
func (p *Pool) disappoint() (tell func() bool) {
	if p.given < len(p.slots) {
		return func() bool { return false }
	}
	left, why := p.takeAll(), p.refusal()
	return func() bool {
		for _, c := range left {
			c.finish(ipc.Outcome{Err: why, Queued: c.waited()})
		}
		return true
	}
}

// tellNeverReady tells it once, and only if it is so.
func (p *Pool) tellNeverReady() {
	p.mu.Lock()
	tell := !p.ready && !p.never && p.phase == running
	p.never = p.never || tell
	starts, err := 0, p.lastErr
	for _, s := range p.slots {
		starts += s.starts
	}
	p.mu.Unlock()
	if tell {
		p.cfg.Log.Error("no worker has ever been ready", "group", p.cfg.Name, "starts", starts, "err", err)
		p.cfg.Event(NeverReady{Starts: starts, Err: err})
	}
}
