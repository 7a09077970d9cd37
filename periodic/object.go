package periodic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"fandango/schedule"
)

// ErrEnded is the error of Start when the object was killed or its Run has ended.
var ErrEnded = errors.New("the periodic object has ended")

// relook is how long a wait for a time of the wall clock may be, because that clock may be set.
const relook = 30 * time.Second

// Config says what an object does. Only Target is needed.
type Config[A any] struct {
	// Target is called each cycle. Its context ends when the object is killed, not when it is stopped.
	Target func(ctx context.Context, args A) error
	// Args is what the target gets when no hook says otherwise.
	Args A
	// Period is the time from one cycle to the next, within the limits of schedule.NewEvery. 0: 1 s.
	Period time.Duration
	// MinWait is the least time from the end of a cycle to the beginning of another one, when cycles take so long that
	// the period leaves less. 0: none.
	MinWait time.Duration
	// First is how many cycles are let go by before the first one that runs. They are counted over the object's whole
	// life, and a forced one is never let go by.
	First int
	// Threads is how many cycles may run at a time. 0: 1.
	Threads int
	// Started makes Run begin with a session.
	Started bool

	// StartHook gives the arguments of a session's first cycle. They are kept for the later ones when there is no
	// LoopHook. nil: Args.
	StartHook func(ctx context.Context, now time.Time) (A, error)
	// LoopHook gives the arguments of each cycle but the first. nil: what the first one got.
	LoopHook func(ctx context.Context, now time.Time) (A, error)
	// WaitHook is called before each wait for a cycle. nil: none.
	WaitHook func(ctx context.Context, next time.Time) error
	// StopHook is called when a session is over and its last cycle has returned; when the end was Kill, with a context
	// that is cancelled. nil: none.
	StopHook func(ctx context.Context) error

	// Error is told each error and each panic of the target and the hooks, on their goroutine. nil: they are counted,
	// and Stats has the last one.
	Error func(error)
	// Registry can stop and kill all its objects together. nil: the one of StopAll and KillAll.
	Registry *Registry
}

// Stats is how an object does.
type Stats struct {
	Alive    bool          // not killed, and Run has not ended
	Started  bool          // in a session, or about to be
	Running  int           // cycles that run now
	Count    int           // cycles that began
	Errors   int           // errors and panics of the target and the hooks
	Missed   int           // cycles that another one stands for, because it began late
	Skipped  int           // cycles that Config.First let go by
	Delay    time.Duration // how late the last cycle began
	AccDelay time.Duration // the sum of all delays
	AvgDelay time.Duration // their mean
	Took     time.Duration // how long the last cycle that returned had taken
	Usage    float64       // Took as a share of the period
	Last     time.Time     // when the last cycle began; zero: none has
	Next     time.Time     // when the next cycle is due; zero while stopped
	Err      error         // the last error; nil: there was none
}

// PanicError is a panic of the target or of a hook.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // where, as debug.Stack tells it
}

// Error returns one line. The stack is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the error that panic was called with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Object runs its target every period. New makes one. Its methods never block, but for Run.
type Object[A any] struct {
	cfg   Config[A]     // but for Target, Args and Period it does not change
	entry uint64        // in the registry
	turn  chan struct{} // 1-buffered: whoever takes it out waits for the next cycle, and calls the hooks

	mu     sync.Mutex // guards what follows
	cancel context.CancelFunc
	alarm  *schedule.Alarm // of Run; nil: it was not called
	ended  bool            // killed, or the context of Run has ended
	wanted bool            // Start was called last, not Stop
	anew   bool            // a session is to begin
	forced bool            // its first cycle is due now, whatever the queue says
	target func(context.Context, A) error
	every  schedule.Every
	queue  []time.Time // sorted

	session bool      // one is on
	fresh   bool      // none of its cycles has begun
	args    A         // of its last cycle
	due     time.Time // when the next cycle is due by the period
	ticked  bool      // a cycle was due one period before that
	skip    int       // cycles still to let go by
	rested  time.Time // not before then, for MinWait
	stats   Stats
}

// New checks cfg and makes an object, which Run brings to life.
func New[A any](cfg Config[A]) (*Object[A], error) {
	if cfg.Period == 0 {
		cfg.Period = time.Second
	}
	every, err := schedule.NewEvery(cfg.Period)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Target == nil:
		return nil, errNoTarget
	case cfg.MinWait < 0:
		return nil, fmt.Errorf("the least wait between two cycles must not be negative, it is %v", cfg.MinWait)
	case cfg.First < 0:
		return nil, fmt.Errorf("the number of cycles to let go by must not be negative, it is %d", cfg.First)
	case cfg.Threads < 0:
		return nil, fmt.Errorf("the number of threads must not be negative, it is %d", cfg.Threads)
	}
	cfg.Threads = max(cfg.Threads, 1)
	if cfg.Registry == nil {
		cfg.Registry = &everything
	}
	o := &Object[A]{
		cfg:    cfg,
		turn:   make(chan struct{}, 1),
		target: cfg.Target,
		every:  every,
		args:   cfg.Args,
		skip:   cfg.First,
		wanted: cfg.Started,
		anew:   cfg.Started,
	}
	o.entry = register(cfg.Registry, o)
	return o, nil
}

var errNoTarget = errors.New("a periodic object needs a target")

// Run is the object's life: it calls the target and the hooks, on this goroutine when there is one thread, until Kill or
// the end of ctx. It returns nil when every cycle has returned, so a target should obey its context. It runs once.
func (o *Object[A]) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.mu.Lock()
	if o.alarm != nil {
		o.mu.Unlock()
		return errors.New("a periodic object runs once")
	}
	o.alarm = schedule.NewAlarm()
	defer o.alarm.Stop()
	defer context.AfterFunc(ctx, o.alarm.Wake)()
	o.cancel = cancel
	if o.ended {
		cancel()
	}
	o.mu.Unlock()
	defer o.cfg.Registry.remove(o.entry)
	defer o.Kill() // it is over, however it ends: the target may have ended this goroutine

	o.turn <- struct{}{}
	var others sync.WaitGroup
	for range o.cfg.Threads - 1 {
		others.Go(func() { o.serve(ctx) })
	}
	o.serve(ctx)
	others.Wait()
	return nil
}

// Start begins a session: the first cycle is due now, the next one a period later. In a session it ends that one first,
// as soon as the cycle that runs has returned. The error is ErrEnded or nil.
func (o *Object[A]) Start() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return ErrEnded
	}
	o.forced = o.wanted
	o.wanted, o.anew = true, true
	o.poke()
	return nil
}

// Stop ends the session. A cycle that runs is not disturbed; none begins after it.
func (o *Object[A]) Stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted, o.anew, o.forced = false, false, false
	o.poke()
}

// Kill ends the object for good: the target's context is cancelled, and Run returns when the target has. Before Run it
// makes Run return at once.
func (o *Object[A]) Kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.cancel != nil {
		o.cancel()
	}
}

// SetTarget changes what the cycles that begin from now on call.
func (o *Object[A]) SetTarget(target func(ctx context.Context, args A) error) error {
	if target == nil {
		return errNoTarget
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.target = target
	return nil
}

// SetPeriod changes the period from the last cycle on: the next one is due a new period after it. When that has
// passed already, it is due now.
func (o *Object[A]) SetPeriod(period time.Duration) error {
	every, err := schedule.NewEvery(period)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.ticked && o.due.After(now) {
		o.due = o.due.Add(period - o.every.Period())
		if !o.due.After(now) {
			next, _ := every.Next(o.due, now) // those before were not due when they were to be
			o.due = next.Add(-period)
		}
	}
	o.every = every
	o.poke()
	return nil
}

// SetQueue overrides the period: while there are times in the queue, cycles run at these times and at no others. Each
// is used once; those that are past together make one cycle. When the queue is empty, the period goes on where it would
// be without it. A new queue replaces the old one, no times empty it. A session drops what was due before it began.
func (o *Object[A]) SetQueue(times ...time.Time) {
	queue := slices.SortedFunc(slices.Values(times), time.Time.Compare)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = queue
	o.poke()
}

// Stats returns how the object does now.
func (o *Object[A]) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.Alive, s.Started = !o.ended, o.wanted && !o.ended
	if s.Count > 0 {
		s.AvgDelay = s.AccDelay / time.Duration(s.Count)
	}
	s.Usage = float64(s.Took) / float64(o.every.Period())
	if s.Started && o.session {
		s.Next, _ = o.nextDue()
	}
	return s
}

// poke makes the one that waits look again.
func (o *Object[A]) poke() {
	if o.alarm != nil {
		o.alarm.Wake()
	}
}

// serve is one thread: it waits for a cycle while the others run theirs, and runs it while another one waits.
func (o *Object[A]) serve(ctx context.Context) {
	for {
		c, ok := o.await(ctx)
		if !ok {
			return
		}
		o.cycle(ctx, c)
	}
}

// cycle is one call of the target.
type cycle[A any] struct {
	target func(context.Context, A) error
	args   A
}

// step is what is to be done next.
type step int

const (
	stepOver  step = iota // the life is over
	stepLook              // look again
	stepRest              // nothing, until somebody pokes
	stepDrain             // a session ends: wait until its cycles have returned
	stepWait              // wait for a cycle that is due later
	stepEnd               // a session has ended
	stepBegin             // a cycle is due: ask the hooks for its arguments
)

// await waits for the turn and then for the next cycle, and calls the hooks on the way. It returns false at the end of the
// life.
func (o *Object[A]) await(ctx context.Context) (cycle[A], bool) {
	<-o.turn
	defer func() { o.turn <- struct{}{} }() // at the end, too, and when a hook ends its goroutine
	hooked := false                         // WaitHook was called for this wait
	for {
		now := time.Now()
		step, due, wait := o.next(ctx, now)
		switch step {
		case stepOver:
			return cycle[A]{}, false
		case stepLook:
		case stepEnd:
			hooked = false
			if o.cfg.StopHook != nil {
				o.call(func() error { return o.cfg.StopHook(ctx) })
			}
		case stepBegin:
			hooked = false
			if c, ok := o.begin(ctx, due, now); ok {
				return c, true
			}
		case stepWait:
			if o.cfg.WaitHook != nil && !hooked {
				hooked = true
				o.call(func() error { return o.cfg.WaitHook(ctx, due) })
				continue // it may have taken a while, and changed anything
			}
			o.alarm.Wait(wait)
		case stepRest, stepDrain: // each cycle pokes when it returns
			o.alarm.Wait(math.MaxInt64)
		}
	}
}

// next says what to do at now. A cycle is taken out of the queue, or off the period, when it is to begin.
func (o *Object[A]) next(ctx context.Context, now time.Time) (do step, due time.Time, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		o.ended = true
	}
	if !o.current() {
		if o.stats.Running > 0 {
			return stepDrain, due, 0
		}
		o.session = false
		return stepEnd, due, 0
	}
	if !o.session {
		switch {
		case o.ended:
			return stepOver, due, 0
		case !o.wanted:
			return stepRest, due, 0
		}
		o.session, o.fresh, o.anew = true, true, false
		o.due, o.ticked = now, false
		o.queue = slices.DeleteFunc(o.queue, now.After)
	}
	due, queued := o.nextDue()
	ready := due
	if o.rested.After(ready) {
		ready = o.rested
	}
	if wait = ready.Sub(now); wait > 0 {
		if queued {
			wait = min(wait, relook)
		}
		return stepWait, due, wait
	}
	var missed int
	if queued {
		later := slices.IndexFunc(o.queue, func(t time.Time) bool { return t.After(now) })
		if later < 0 {
			later = len(o.queue)
		}
		o.queue = o.queue[later:]
		missed = later - 1
		if !o.due.After(now) {
			o.due, _ = o.every.Next(o.due, now)
			o.ticked = true
		}
	} else {
		o.due, missed = o.every.Next(o.due, now)
		o.ticked = true
	}
	o.stats.Missed += missed
	if o.skip > 0 && !o.forced {
		o.skip--
		o.stats.Skipped++
		return stepLook, due, 0
	}
	o.forced = false
	return stepBegin, due, 0
}

// current reports whether no session is on that has to end.
func (o *Object[A]) current() bool { return !o.session || o.wanted && !o.anew && !o.ended }

// nextDue returns when the next cycle is due, and whether the queue says so.
func (o *Object[A]) nextDue() (due time.Time, queued bool) {
	if len(o.queue) > 0 && !o.forced {
		return o.queue[0], true
	}
	return o.due, false
}

// begin asks the hooks for the arguments of a cycle, and begins it, unless there are none, or the session has ended
// meanwhile.
func (o *Object[A]) begin(ctx context.Context, due, now time.Time) (c cycle[A], ok bool) {
	hook := o.cfg.LoopHook
	if o.fresh { // only the one whose turn it is touches fresh and args
		o.args = o.cfg.Args
		hook = o.cfg.StartHook
	}
	if hook != nil {
		ok := o.call(func() (err error) {
			args, err := hook(ctx, now)
			if err == nil {
				o.args = args
			}
			return err
		})
		if !ok {
			return c, false
		}
		now = time.Now()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.current() {
		return c, false
	}
	o.fresh = false
	s := &o.stats
	s.Running++
	s.Count++
	s.Last = now
	s.Delay = now.Sub(due)
	s.AccDelay += s.Delay
	return cycle[A]{o.target, o.args}, true
}

// cycle calls the target.
func (o *Object[A]) cycle(ctx context.Context, c cycle[A]) {
	start := time.Now()
	defer func() {
		end := time.Now()
		o.mu.Lock()
		defer o.mu.Unlock()
		o.stats.Running--
		o.stats.Took = end.Sub(start)
		o.rested = end.Add(o.cfg.MinWait)
		if o.cfg.Threads > 1 {
			o.poke()
		}
	}()
	o.call(func() error { return c.target(ctx, c.args) })
}

// call calls f, and counts its error or panic. It returns true when there was none.
func (o *Object[A]) call(f func() error) bool {
	err := guard(f)
	if err == nil {
		return true
	}
	o.mu.Lock()
	o.stats.Errors++
	o.stats.Err = err
	o.mu.Unlock()
	if o.cfg.Error != nil {
		o.cfg.Error(err)
	}
	return false
}

// guard calls f, and makes an error of its panic.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}
