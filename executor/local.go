package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fandango/ipc"
)

// maxLocalQueue is how many tasks wait for a LocalRunner's workers; one more is refused.
const maxLocalQueue = 100_000

// LocalRunner runs tasks in this process: an [ipc.Runner] without worker processes, as Fandango's WorkerThread. Make one
// with [Local].
//
// A run that is cancelled or takes too long is told so by its context, and its outcome is given at once; a handler that
// does not obey its context goes on and keeps its worker until it returns, for nothing can end a goroutine from outside.
type LocalRunner struct {
	e Executor
	n int

	wake chan struct{} // 1-buffered: there is something in the queue

	mu     sync.Mutex // guards the rest
	queue  []*localTask
	closed bool
}

// Local returns a runner of e with n workers; below 1 it has one. Tasks are accepted at once and run while Run does. e
// must be safe for n tasks at a time.
func Local(e Executor, n int) *LocalRunner {
	return &LocalRunner{e: e, n: max(1, n), wake: make(chan struct{}, 1)}
}

// Run runs tasks until ctx ends. Then running tasks are cancelled and waited for, and those that have not started end as
// closed. Call it once.
func (r *LocalRunner) Run(ctx context.Context) error {
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
	errEnded     = ipc.Errorf(ipc.KindClosed, "the runner has ended")
	errStopped   = ipc.Errorf(ipc.KindCancelled, "the runner ended while the task ran")
	errCancelled = ipc.Errorf(ipc.KindCancelled, "the task was cancelled")
)

// Submit takes a task; see [ipc.Runner].
func (r *LocalRunner) Submit(ctx context.Context, task ipc.Task, done func(ipc.Outcome)) error {
	if err := ipc.CheckKey(task.Key); err != nil {
		return err
	}
	t := &localTask{Task: task, ctx: ctx, done: done, since: time.Now()}
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		return errEnded
	case len(r.queue) >= maxLocalQueue:
		r.mu.Unlock()
		return ipc.Errorf(ipc.KindQueueFull, "%d tasks are waiting", maxLocalQueue)
	}
	t.watch()
	r.queue = append(r.queue, t)
	r.mu.Unlock()
	r.tell()
	return nil
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
	if t.Timeout > 0 {
		timedOut := ipc.Errorf(ipc.KindTimeout, "the task ran longer than %v", t.Timeout)
		defer time.AfterFunc(t.Timeout, func() {
			cancel(timedOut)
			if last {
				t.settle(outcome(nil, timedOut))
			}
		}).Stop()
	}
	conclude(
		func() (any, error) { return r.e.Execute(runCtx, t.Target, t.Args) },
		func(result any, err error) {
			raw, failure := localOutcome(runCtx, result, err)
			again = ipc.KindOf(failure) == ipc.KindTimeout && !last && !errors.Is(err, errGoexit)
			if !again {
				t.settle(outcome(raw, failure))
			}
		},
	)
	return again
}

// localOutcome is what became of a run: of one that fails after its context ended, why that ended.
func localOutcome(ctx context.Context, result any, err error) (ipc.Raw, error) {
	if err == nil {
		var raw ipc.Raw
		if raw, err = toRaw(result); err == nil {
			return slices.Clone(raw), nil // it may be the target itself
		}
	}
	if cause, ok := errors.AsType[*ipc.Error](context.Cause(ctx)); ok {
		return nil, cause
	}
	if ctx.Err() != nil {
		return nil, errCancelled
	}
	if e, ok := err.(*ipc.Error); ok { //nolint:errorlint // what is wrapped has words around it that belong to it
		return nil, e
	}
	return nil, ipc.Errorf(cmp.Or(ipc.KindOf(err), ipc.KindTask), "%w", err)
}

// localTask is a task on its way.
type localTask struct {
	ipc.Task

	ctx   context.Context //nolint:containedctx // the record of one call
	done  func(ipc.Outcome)
	since time.Time
	stop  func() bool // no longer watches ctx
	late  *time.Timer // when it expires; nil: never

	mu      sync.Mutex // guards the rest
	begun   bool
	gone    bool // it is not to begin any more
	settled bool
}

// watch ends the task when its context ends, or when it has not begun by its deadline.
func (t *localTask) watch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = context.AfterFunc(t.ctx, func() { t.settle(ipc.Outcome{Err: errCancelled}) })
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
	defer t.mu.Unlock()
	t.begun = !t.settled && !t.gone && t.ctx.Err() == nil // an ended context settles it, if it has not yet
	return t.begun
}

// settle gives the task its outcome, the first time.
func (t *localTask) settle(o ipc.Outcome) {
	t.mu.Lock()
	first := !t.settled
	t.settled = true
	stop, late := t.stop, t.late
	t.mu.Unlock()
	if !first {
		return
	}
	stop()
	if late != nil {
		late.Stop()
	}
	if o.Queued == 0 {
		o.Queued = time.Since(t.since)
	}
	t.done(o)
}
