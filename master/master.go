package master

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fandango/ipc"
	"fandango/schedule"
)

// ErrPending is what errors.Is finds in the error of a Send that its policy, ipc.PolicyReject, refused.
var ErrPending = errors.New("the key is pending")

// Config says how a master works. The zero value works.
type Config struct {
	// Queue is how many sends may be accepted at a time whose callbacks have not returned. 0: 100,000. The runner should
	// have room for as many, and for the entries: a task that waited here for its turn and is refused there ends with
	// the runner's queue-full.
	Queue int
	// Grace is how long Run, when its context has ended, waits for the outcomes of what runs and for callbacks to return.
	// 0: 10 s; below 0: not at all.
	Grace time.Duration
	// Slow is how long a callback may take before it is counted and reported as slow. 0: 1 s.
	Slow time.Duration
	// Deliver runs each callback somewhere else, such as on the loop of a window toolkit: it is given the callback as a
	// func, calls it once, and returns when that has returned; it may return without calling it when that place is gone.
	// The Call of a mainloop.Queue is such a func. It may be called from many goroutines. nil: callbacks run on
	// goroutines of the master's.
	Deliver func(callback func())
	// Event is told what happens beside the values. It is called from many goroutines and must not block. nil: nobody is
	// told.
	Event func(Event)
}

// Master keeps the tables and gives tasks to a runner. Its methods may be called from many goroutines, and in callbacks.
type Master struct {
	runner   ipc.Runner
	cfg      Config
	loop     *schedule.Loop[alarm]
	ran      atomic.Bool
	commands atomic.Uint64
	quiet    chan struct{} // closed: it has ended, and every callback has returned
	gone     chan struct{} // closed: it has ended, and waits no longer

	mu    sync.Mutex // guards what follows
	clock clock
	core  core
}

// New makes a master over a runner. It starts nothing. Send and Command work from now on; entries when Run does.
func New(r ipc.Runner, cfg Config) *Master {
	if cfg.Queue <= 0 {
		cfg.Queue = 100_000
	}
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Slow <= 0 {
		cfg.Slow = time.Second
	}
	m := &Master{runner: r, cfg: cfg, quiet: make(chan struct{}), gone: make(chan struct{})}
	m.loop = schedule.NewBatchLoop(m.ring)
	now := time.Now()
	m.clock = clock{base: now, at: now}
	m.core = newCore(cfg, m.loop, now)
	m.core.spares = make([]*traffic, 0, 1024)
	return m
}

// background is the context of runs that nobody cancels.
var background = context.Background()

// Send gives a task to the runner, or lets it join or wait as its policy says (ipc.PolicyAll by default), and returns at
// once. Then then is called once, on a goroutine of its key's, with the outcome; nil: nobody is called. Without a
// target, the key is the target.
//
// When ctx ends before there is an outcome, the outcome for this caller is of kind cancelled, at once, and says nothing of
// a run that may have begun: its Attempts are 0. A run that nobody else waits for is cancelled too.
//
// When Send returns an error, the task was not accepted and then is not called: it is of kind queue-full, closed,
// cancelled or input. Send never blocks.
func (m *Master) Send(ctx context.Context, t ipc.Task, then func(Value)) error {
	return m.send(ctx, t, m.elsewhere(then), nil)
}

// send is a Send with then, or a Submit with done.
func (m *Master) send(ctx context.Context, t ipc.Task, then func(Value), done func(ipc.Outcome)) error {
	t, err := prepare(t)
	if err != nil {
		return err
	}
	a := ask{task: t, then: then, told: done, ctx: ctx, done: ctx.Done()}
	if a.done != nil {
		if ctx.Err() != nil {
			return ipc.Errorf(ipc.KindCancelled, "key %s: %w", quote(t.Key), context.Cause(ctx))
		}
		a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // it holds nothing. Others may join, who go on when ctx ends
	}
	var fx effects
	m.mu.Lock()
	run, fresh, err := m.core.send(&a, m.clock.now)
	m.unlock(&fx)
	if fresh != nil {
		m.watch(ctx, fresh)
	}
	if run.run == nil {
		return err
	}
	err = m.runner.Submit(a.ctx, a.task, //nolint:contextcheck // it is ctx without its end
		func(o ipc.Outcome) { m.done(run, o) })
	if err == nil {
		return nil
	}
	now := m.lock()
	tell := m.core.retract(run, err, now, &fx)
	m.unlock(&fx)
	if !tell {
		return nil
	}
	return err
}

// Submit makes a Master an [ipc.Runner]: it is a Send for the layers above. So ipc.Do waits for a send, an ipc.Target calls
// through the tables, and pool.Map runs a sequence through them. It costs about half of a Send.
//
// As with any runner, done must not block, for it is mostly called on a goroutine of the runner below; it is called in the
// order of its key's outcomes, and the task has its place in the queue until it returns. Config.Deliver has nothing to do
// with it. What may take its time is for Send.
func (m *Master) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	return m.send(ctx, t, nil, done)
}

// elsewhere is a callback that runs where Config.Deliver wants it.
func (m *Master) elsewhere(then func(Value)) func(Value) {
	if then == nil || m.cfg.Deliver == nil {
		return then
	}
	return func(v Value) {
		m.cfg.Deliver(func() { m.call(v.Key, func() { then(v) }) }) // call, because a panic would be that loop's
	}
}

// prepare checks a task, and makes equal tasks equal in their bytes.
func prepare(t ipc.Task) (ipc.Task, error) {
	err := ipc.CheckKey(t.Key)
	if err != nil {
		return t, err
	}
	if len(t.Target) == 0 {
		if t.Target, err = ipc.Encode(t.Key); err != nil {
			return t, ipc.Errorf(ipc.KindInput, "key %s: %w", quote(t.Key), err)
		}
	}
	switch t.Policy {
	case ipc.PolicyEach: // is never compared
		return t, nil
	case ipc.PolicyDefault, ipc.PolicyAll, ipc.PolicyLatest, ipc.PolicyFirst, ipc.PolicyReject:
	default:
		return t, ipc.Errorf(ipc.KindInput, "key %s: no such policy: %q", quote(t.Key), t.Policy)
	}
	if t.Target, err = ipc.Canonical(t.Target); err != nil {
		return t, ipc.Errorf(ipc.KindInput, "key %s: target: %w", quote(t.Key), err)
	}
	if t.Args.IsNil() {
		t.Args = nil // both are absent on the wire
	} else if t.Args, err = ipc.Canonical(t.Args); err != nil {
		return t, ipc.Errorf(ipc.KindInput, "key %s: args: %w", quote(t.Key), err)
	}
	return t, nil
}

// watch lets the waiters of g leave when ctx ends.
func (m *Master) watch(ctx context.Context, g *watch) {
	stop := context.AfterFunc(ctx, func() {
		var fx effects
		now := m.lock()
		m.core.withdraw(g, context.Cause(ctx), now, &fx)
		m.unlock(&fx)
	})
	m.mu.Lock()
	g.stop = stop
	over := g.over
	m.mu.Unlock()
	if over {
		stop()
	}
}

// done is called by the runner with the outcome of a run. It does not block, and runs no user's code.
func (m *Master) done(t ticket, o ipc.Outcome) {
	var fx effects
	now := m.lock()
	m.core.done(t, o, now, &fx)
	m.unlock(&fx)
}

// ring is called by the loop with what is due.
func (m *Master) ring(all []alarm, _ time.Time) {
	var fx effects
	now := m.lock()
	for _, a := range all {
		a.ring(&m.core, now, &fx)
	}
	m.unlock(&fx)
}

// lock takes the mutex. The time is told under it, so that it never runs backwards in the tables.
func (m *Master) lock() (now time.Time) {
	m.mu.Lock()
	return m.clock.now()
}

// clock tells the time by the monotonic clock, and asks the one on the wall, which takes as long again, once a
// millisecond.
type clock struct {
	base time.Time
	at   time.Time     // of the last look at the wall
	read time.Duration // the same, since base
}

func (k *clock) now() time.Time {
	since := time.Since(k.base)
	if since-k.read < time.Millisecond {
		return k.at.Add(since - k.read)
	}
	k.at = time.Now()
	k.read = k.at.Sub(k.base)
	return k.at
}

// unlock lets the mutex go, and does what is to be done.
func (m *Master) unlock(fx *effects) {
	h := m.core.need()
	if m.core.quiet() {
		select {
		case <-m.quiet:
		default:
			close(m.quiet)
		}
	}
	m.mu.Unlock()
	if h != nil {
		m.employ(h)
	}
	for _, cancel := range fx.cancel {
		cancel()
	}
	for _, stop := range fx.unwatch {
		stop()
	}
	for _, o := range fx.released {
		o.released <- o.verdict
	}
	for _, e := range fx.events {
		m.notify(e)
	}
	if fx.told != nil {
		m.tell(fx.told, fx.outcome)
	}
}

func (m *Master) notify(e Event) {
	if m.cfg.Event != nil {
		m.cfg.Event(e)
	}
}

// Run runs the entries until ctx ends; it can be called once. Then nothing begins any more: tasks that wait behind
// others end with an error of kind closed, and what the runner has may end within Config.Grace, and so may the
// callbacks. What has not ended by then is closed too, and Run returns an error that names the callbacks that hang.
func (m *Master) Run(ctx context.Context) error {
	if m.ran.Swap(true) {
		return errors.New("master: Run was called before")
	}
	m.do((*core).open)
	m.loop.Run(ctx)
	m.do((*core).close)
	if !m.still(max(m.cfg.Grace, 0)) {
		m.do((*core).abandon)
		m.still(time.Second) // for the callbacks that are told so
	}
	close(m.gone)
	return m.hung()
}

// do changes the core, and does what follows.
func (m *Master) do(change func(c *core, now time.Time, fx *effects)) {
	var fx effects
	now := m.lock()
	change(&m.core, now, &fx)
	m.unlock(&fx)
}

// still waits until all is quiet, and reports whether it is.
func (m *Master) still(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-m.quiet:
		return true
	case <-timer.C:
		return false
	}
}

// hung tells of the callbacks that have not returned.
func (m *Master) hung() error {
	var fx effects
	now := m.lock()
	var keys []string
	for h := range m.core.hands.all {
		if h.row != nil {
			keys = append(keys, h.row.key)
			fx.events = append(fx.events, Hung{Key: h.row.key, For: now.Sub(h.since)})
		}
	}
	m.unlock(&fx)
	if keys == nil {
		return nil
	}
	return fmt.Errorf("master: callbacks have not returned: %s", some(keys))
}
