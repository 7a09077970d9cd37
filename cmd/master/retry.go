package main

import (
	"context"

	"fandango/ipc"
)

// retrier is a Runner that gives a task once more to the one below when its worker says that it has failed, as long as
// the task has retries left. Those after crashes and timeouts, which the one below makes, count too.
type retrier struct{ below ipc.Runner }

// Submit hands t down.
func (r retrier) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	return r.submit(ctx, t, 0, done)
}

// submit is for a task that has had so many attempts.
func (r retrier) submit(ctx context.Context, t ipc.Task, attempts int, done func(ipc.Outcome)) error {
	return r.below.Submit(ctx, t, func(o ipc.Outcome) {
		o.Attempts += attempts
		again := t
		again.Retries = t.Retries - (o.Attempts - attempts)
		if ipc.KindOf(o.Err) == ipc.KindTask && again.Retries >= 0 && r.submit(ctx, again, o.Attempts, done) == nil {
			return
		}
		done(o)
	})
}
