package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fandango/ipc"
)

// LocalRunner runs tasks in this process: an [ipc.Runner] without worker processes, as Fandango's WorkerThread. Make one
// with [Local].
//
// A run that is cancelled or takes too long is told so by its context, and its outcome is given at once; a handler that
// does not obey its context goes on and keeps its worker until it returns, for nothing can end a goroutine from outside.
type LocalRunner struct {
	// Queue is how many tasks may wait for a worker; one more is refused. Local sets it to 100,000; another number is to
	// be set before the first Submit.
	Queue int

	e Executor
	n int

	wake    chan struct{} // 1-buffered: there is something in the queue
	pending atomic.Int64

	mu      sync.Mutex   // guards the rest
	queue   []*localTask // the oldest first, with those that have ended and not been skipped yet
	waiting int          // of them, those that wait
	ran     bool
	closed  bool
}

// Local returns a runner of e with n workers; below 1 it has one. Tasks are accepted at once and run while Run does. e
// must be safe for n tasks at a time.
func Local(e Executor, n int) *LocalRunner {
	return &LocalRunner{Queue: 100_000, e: e, n: max(1, n), wake: make(chan struct{}, 1)}
}

// Run runs tasks until ctx ends. Then running tasks are cancelled and waited for, and those that have not started end as
// closed. Call it once.
func (r *LocalRunner) Run(ctx context.Context) error {
	r.mu.Lock()
	again := r.ran
	r.ran = true
	r.mu.Unlock()
	if again {
		return errors.New("executor: Run of a local runner was called before")
	}
	var wg sync.WaitGroup
	for i := range r.n {
		name := fmt.Sprintf("local/%d", i+1)
		wg.Go(func() { persist(func() { r.work(ctx, name) }) })
	}
	wg.Wait()

	r.mu.Lock()
	r.closed = true
	rest := r.queue
	r.queue = nil
	r.mu.Unlock()
	for _, t := range rest {
		t.settle(ipc.Outcome{Err: errEnded})
	}
	return nil
}

var (
	errEnded   = ipc.Errorf(ipc.KindClosed, "the runner has ended")
	errStopped = ipc.Errorf(ipc.KindCancelled, "the runner ended while the task ran")
)

// cancelled is what becomes of a task whose context has ended.
func cancelled(ctx context.Context) *ipc.Error {
	return ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))
}

// Submit takes a task; see [ipc.Runner].
func (r *LocalRunner) Submit(ctx context.Context, task ipc.Task, done func(ipc.Outcome)) error {
	if err := ipc.CheckKey(task.Key); err != nil {
		return err
	}
	if len(task.Target) == 0 {
		return ipc.Errorf(ipc.KindInput, "key %q: no target", task.Key)
	}
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	t := &localTask{Task: task, runner: r, ctx: ctx, done: done, since: time.Now(), waits: true}
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		return errEnded
	case r.waiting >= r.Queue:
		r.mu.Unlock()
		return ipc.Errorf(ipc.KindQueueFull, "%d tasks are waiting, and no more may", r.Queue)
	}
	r.waiting++
	r.pending.Add(1)
	t.watch()
	r.queue = append(r.queue, t)
	r.tidy()
	r.mu.Unlock()
	r.tell()
	return nil
}

// Pending is how many tasks were accepted and have no outcome yet.
func (r *LocalRunner) Pending() int { return int(r.pending.Load()) }

// tidy needs r.mu. It takes those that have ended out of the queue, when they are the most of it: no worker may come by.
func (r *LocalRunner) tidy() {
	const few = 64
	if len(r.queue) > few+2*r.waiting {
		r.queue = slices.DeleteFunc(r.queue, (*localTask).over)
	}
}

// unwait counts a task that waits no longer.
func (r *LocalRunner) unwait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
}

// tell wakes a worker.
func (r *LocalRunner) tell() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// work is one worker's life.
func (r *LocalRunner) work(ctx context.Context, name string) {
	for ctx.Err() == nil {
		if t, more := r.next(); t != nil {
			if more {
				r.tell()
			}
			r.run(ctx, t, name)
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
		}
	}
}

// next takes the oldest task; more: it was not the only one.
func (r *LocalRunner) next() (t *localTask, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return nil, false
	}
	t, r.queue[0] = r.queue[0], nil
	r.queue = r.queue[1:]
	return t, len(r.queue) > 0
}

// run runs a task, and again as often as its options allow when it timed out.
func (r *LocalRunner) run(ctx context.Context, t *localTask, name string) {
	for attempt := 1; t.begin() && r.attempt(ctx, t, name, attempt); attempt++ {
	}
}

// attempt runs a task once. again: it has no outcome yet, for it timed out and may be tried again.
func (r *LocalRunner) attempt(ctx context.Context, t *localTask, name string, attempt int) (again bool) { //nolint:contextcheck // a run ends with its task's context, or with ours
	last := attempt > t.Retries
	began := time.Now()
	outcome := func(v ipc.Raw, err error) ipc.Outcome {
		return ipc.Outcome{
			Value: v, Err: err, Worker: name, Attempts: attempt,
			Queued: began.Sub(t.since), Ran: time.Since(began),
		}
	}
	runCtx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(errStopped) })()
	var timedOut error
	if t.Timeout > 0 {
		timedOut = ipc.Errorf(ipc.KindTimeout, "the task ran longer than %v", t.Timeout)
		defer time.AfterFunc(t.Timeout, func() {
			cancel(timedOut)
			if last {
				t.settle(outcome(nil, timedOut))
			}
		}).Stop()
	}
	conclude(
		func() (ipc.Raw, error) { return EncodeResult(r.e.Execute(runCtx, t.Target, t.Args)) },
		func(result ipc.Raw, err error) {
			raw, failure := localOutcome(runCtx, timedOut, result, err)
			again = ipc.KindOf(failure) == ipc.KindTimeout && !last && !errors.Is(err, errGoexit)
			if !again {
				t.settle(outcome(raw, failure))
			}
		},
	)
	return again
}

// conclude runs f and calls done once with what became of it, even when f panics or ends its goroutine.
func conclude(f func() (ipc.Raw, error), done func(ipc.Raw, error)) {
	var result ipc.Raw
	err := error(errGoexit)
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, panicked(p)
		}
		done(result, err)
	}()
	result, err = f()
}

// localOutcome is what became of a run: of one that fails after its context ended, why that ended.
func localOutcome(ctx context.Context, timedOut error, result ipc.Raw, err error) (ipc.Raw, error) {
	if err == nil {
		return slices.Clone(result), nil // it may be the target itself
	}
	switch cause := context.Cause(ctx); {
	case cause == nil:
	case errors.Is(cause, errStopped), errors.Is(cause, timedOut):
		return nil, cause
	default:
		return nil, cancelled(ctx)
	}
	if e, ok := err.(*ipc.Error); ok { //nolint:errorlint // what is wrapped has words around it that belong to it
		return nil, e
	}
	return nil, ipc.Errorf(cmp.Or(ipc.KindOf(err), ipc.KindTask), "%w", err)
}

// localTask is a task on its way.
type localTask struct {
	ipc.Task

	runner *LocalRunner
	ctx    context.Context //nolint:containedctx // the record of one call
	done   func(ipc.Outcome)
	since  time.Time
	stop   func() bool // no longer watches ctx
	late   *time.Timer // when it expires; nil: never

	mu      sync.Mutex // guards the rest; where both are held, it is taken after the runner's
	waits   bool       // it takes a place among those that wait
	begun   bool
	gone    bool // it is not to begin any more
	settled bool
}

// watch ends the task when its context ends, or when it has not begun by its deadline.
func (t *localTask) watch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = context.AfterFunc(t.ctx, func() { t.settle(ipc.Outcome{Err: cancelled(t.ctx)}) })
	if t.Deadline > 0 {
		t.late = time.AfterFunc(t.Deadline, t.expire)
	}
}

// expire ends a task that has not begun.
func (t *localTask) expire() {
	t.mu.Lock()
	begun := t.begun
	t.gone = t.gone || !begun
	t.mu.Unlock()
	if !begun {
		t.settle(ipc.Outcome{Err: ipc.Errorf(ipc.KindExpired, "the task had not started after %v", t.Deadline)})
	}
}

// begin reports whether the task is still to be run.
func (t *localTask) begin() bool {
	t.mu.Lock()
	t.begun = !t.settled && !t.gone && t.ctx.Err() == nil // an ended context settles it, if it has not yet
	begun := t.begun
	unwait := begun && t.waits
	t.waits = t.waits && !begun
	t.mu.Unlock()
	if unwait {
		t.runner.unwait()
	}
	return begun
}

// over reports whether the task has its outcome.
func (t *localTask) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled
}

// settle gives the task its outcome, the first time.
func (t *localTask) settle(o ipc.Outcome) {
	t.mu.Lock()
	first := !t.settled
	t.settled = true
	stop, late := t.stop, t.late
	unwait := t.waits
	t.waits = false
	t.mu.Unlock()
	if !first {
		return
	}
	if unwait {
		t.runner.unwait()
	}
	stop()
	if late != nil {
		late.Stop()
	}
	if o.Queued == 0 {
		o.Queued = time.Since(t.since)
	}
	t.runner.pending.Add(-1)
	t.done(o)
}
