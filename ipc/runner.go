package ipc

import "context"

// Runner runs tasks: a pool of processes, an executor in this process, a queue elsewhere, a fake.
type Runner interface {
	// Submit takes t and returns at once. When it returns nil, the task is accepted and done is called exactly once
	// with its outcome; otherwise done is never called. The error is of kind input, queue-full, no-worker, closed or (when
	// ctx has already ended) cancelled.
	//
	// done runs on the runner's own goroutine and must not block, nor may it run a user's code: it is for the layer
	// above. Users have Do, Target.Call, and a master's Send.
	//
	// When ctx ends first, the task is cancelled: its outcome is of kind cancelled, and a run that has begun is ended.
	Submit(ctx context.Context, t Task, done func(Outcome)) error
}

// Do runs one task and waits for its outcome. When ctx ends first, the task is cancelled and the error is of kind
// cancelled.
func Do(ctx context.Context, r Runner, t Task) (Raw, error) {
	if d, ok := r.(Doer); ok {
		return d.Do(ctx, t)
	}
	outcome := make(chan Outcome, 1) // 1-buffered: done never waits
	if err := r.Submit(ctx, t, func(o Outcome) { outcome <- o }); err != nil {
		return nil, err
	}
	// No select on ctx: a runner that took the task ends it when ctx ends, and says how.
	o := <-outcome
	return o.Value, o.Err
}

// SubmitAll submits tasks in order, as Submit does with one, and says how many were accepted: all of them, or those in
// front of the first one that was not, of which err tells why. done is called exactly once for each that was accepted, with
// its index in tasks and its outcome; perhaps before SubmitAll returns, and from several goroutines at once.
//
// The value of an outcome is lent: it is valid until done returns, and who keeps it keeps a copy. The slice tasks may be
// used again when SubmitAll has returned, but not what its elements point to, before their outcomes.
func SubmitAll(ctx context.Context, r Runner, tasks []Task, done func(i int, o Outcome)) (accepted int, err error) {
	if b, ok := r.(Batcher); ok {
		return b.SubmitAll(ctx, tasks, done)
	}
	for i, t := range tasks {
		if err := r.Submit(ctx, t, func(o Outcome) { done(i, o) }); err != nil {
			return i, err
		}
	}
	return len(tasks), nil
}

// Batcher is a Runner to which many tasks can be given for less than one by one: [SubmitAll] takes it.
type Batcher interface {
	Runner
	// SubmitAll is what the function SubmitAll says.
	SubmitAll(ctx context.Context, tasks []Task, done func(i int, o Outcome)) (accepted int, err error)
}

// Doer is a Runner with a shorter way for one who waits for his task: [Do] takes it.
type Doer interface {
	Runner
	// Do is what the function Do says.
	Do(ctx context.Context, t Task) (Raw, error)
}

// Broadcaster is a Runner whose workers can each be given the same task, because they hold state of their own.
type Broadcaster interface {
	Runner
	// Broadcast gives t to every worker that serves, and returns at once. When it returns nil, done is called exactly
	// once, with one outcome for each of these workers; there may be none. With keep, every worker that starts later is
	// given t before it takes a task. t may have KeyBind as its key: then its target names a class that the workers
	// construct with its args, and whose object resolves names from then on (Fandango's bind).
	//
	// done runs on the runner's own goroutine and must not block.
	Broadcast(ctx context.Context, t Task, keep bool, done func([]Outcome)) error
}
