package pool

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"

	"fandango/ipc"
)

// Batch says how Map and Each go through their input. The zero value keeps the order and ends at the first failure.
type Batch struct {
	Window    int  // the most tasks that have been submitted and whose results have not been taken; 0: 256
	Unordered bool // results come as they are ready, and no slow task holds up others; else in the order of the input
	AllErrors bool // a failure is a result like any other, and the loop goes on; else the first one is the last result

	// Progress is called before each result with how many there were, this one included, and how many tasks are under
	// way or wait for their turn as results. It runs on the goroutine of the loop. nil: nobody is told.
	Progress func(done, pending int)
}

// Map calls target on r once with each of args, several at a time, and yields what comes back: a result, or the error of
// one call, which names the item (counted from 1).
//
//	for sum, err := range pool.Map(ctx, p, sum, slices.Values(rows), pool.Batch{}) {
//
// Where Batch.Unordered makes it matter which item a result belongs to, let the result say so, or use [Each], whose rules
// for leaving the loop, for ctx and for args hold here too.
func Map[A, R any](ctx context.Context, r ipc.Runner, target ipc.Target[A, R], args iter.Seq[A], b Batch) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		tasks := func(yield func(ipc.Task, error) bool) {
			for a := range args {
				if !yield(taskFor(target, a)) {
					return
				}
			}
		}
		for i, f := range flow(ctx, r, tasks, b) {
			var result R
			err := f.outcome.Err
			if err == nil {
				if err = f.outcome.Value.Decode(&result); err != nil {
					err = ipc.Errorf(ipc.KindInput, "result: %w", err)
				}
			}
			if err != nil {
				err = fmt.Errorf("item %d: %w", i, err)
			}
			if !yield(result, err) || err != nil && !b.AllErrors {
				return
			}
		}
	}
}

// mapped numbers the keys of Map.
var mapped atomic.Uint64

func taskFor[A, R any](target ipc.Target[A, R], a A) (ipc.Task, error) {
	t, err := target.Task("", a)
	name, _ := t.Target.Text()
	t.Key = name + "#map" + strconv.FormatUint(mapped.Add(1), 10)
	return t, err
}

// Each runs each of tasks on r, several at a time, and yields them with their outcomes. A task that r refuses has the
// refusal as its outcome; but when r's queue is full and tasks of this loop are in it, Each waits for their room.
//
// Leaving the loop early cancels what is under way and waits until r has let go of it. So does the end of ctx, which gives
// each task under way, and the next one if there is one, an outcome of kind cancelled.
//
// Each takes tasks on a goroutine of its own, so that results come while the next task is not there yet. It is gone when
// the loop is over; a sequence that may block for long must therefore end with ctx, and a loop that is left early over
// such a sequence must end ctx first. At most one task more than the window is taken.
func Each(ctx context.Context, r ipc.Runner, tasks iter.Seq[ipc.Task], b Batch) iter.Seq2[ipc.Task, ipc.Outcome] {
	return func(yield func(ipc.Task, ipc.Outcome) bool) {
		good := func(yield func(ipc.Task, error) bool) {
			for t := range tasks {
				if !yield(t, nil) {
					return
				}
			}
		}
		for _, f := range flow(ctx, r, good, b) {
			if !yield(f.task, f.outcome) || f.outcome.Err != nil && !b.AllErrors {
				return
			}
		}
	}
}

// finished is a task that has its outcome.
type finished struct {
	number  int // of the task: 1 …
	task    ipc.Task
	outcome ipc.Outcome
}

// flow yields, numbered from 1 in the order of the input, what became of tasks. One that comes with an error could not be
// made.
func flow(ctx context.Context, r ipc.Runner, tasks iter.Seq2[ipc.Task, error], b Batch) iter.Seq2[int, finished] {
	if b.Window <= 0 {
		b.Window = 256
	}
	return func(yield func(int, finished) bool) {
		ctx, cancel := context.WithCancel(ctx)
		f := &feeder{
			runner:   r,
			room:     make(chan struct{}, b.Window),
			outcomes: make(chan finished, b.Window),
			freed:    make(chan struct{}, 1),
			left:     make(chan struct{}),
		}
		var feeding sync.WaitGroup
		feeding.Go(func() {
			defer close(f.outcomes)
			defer f.running.Wait() // so that every outcome is in the channel before it is closed
			f.feed(ctx, tasks)
		})
		defer feeding.Wait()
		defer cancel()
		defer close(f.left)

		done := 0
		give := func(next finished) bool {
			done++
			<-f.room
			if b.Progress != nil {
				b.Progress(done, len(f.room))
			}
			return yield(next.number, next)
		}
		early := make(map[int]finished) // by number: those whose turn has not come
		for next := range f.outcomes {
			if b.Unordered {
				if !give(next) {
					return
				}
				continue
			}
			early[next.number] = next
			for turn, here := early[done+1]; here; turn, here = early[done+1] {
				delete(early, turn.number)
				if !give(turn) {
					return
				}
			}
		}
	}
}

// feeder submits tasks, as many at a time as there is room.
type feeder struct {
	runner   ipc.Runner
	room     chan struct{} // holds one element for each task that is taken and not yet given out as a result
	outcomes chan finished // has room for all that room admits, so that a runner never waits
	freed    chan struct{} // 1-buffered: a task in flight has ended
	left     chan struct{} // closed: the loop is over
	running  sync.WaitGroup
	inFlight atomic.Int64
}

// feed goes through tasks until they end, the loop is left or ctx ends.
func (f *feeder) feed(ctx context.Context, tasks iter.Seq2[ipc.Task, error]) {
	number := 0
	for t, err := range tasks {
		number++
		select {
		case f.room <- struct{}{}: // also when ctx has ended: the loop has to be told that this task did not run
		case <-f.left:
			return
		}
		switch {
		case ctx.Err() != nil:
			err = withdrawn(ctx)
		case err == nil:
			err = f.submit(ctx, number, t)
		}
		if err == nil {
			continue
		}
		f.outcomes <- finished{number, t, ipc.Outcome{Err: err}}
		if ctx.Err() != nil {
			return
		}
	}
}

// submit gives t to the runner. When its queue is full, it waits for the room of a task of ours, if one is there.
func (f *feeder) submit(ctx context.Context, number int, t ipc.Task) error {
	for {
		f.running.Add(1)
		f.inFlight.Add(1)
		err := f.runner.Submit(ctx, t, func(o ipc.Outcome) {
			f.outcomes <- finished{number, t, o}
			f.inFlight.Add(-1)
			select {
			case f.freed <- struct{}{}:
			default:
			}
			f.running.Done()
		})
		if err == nil {
			return nil
		}
		f.running.Done()
		if f.inFlight.Add(-1) == 0 || !errors.Is(err, ipc.ErrQueueFull) {
			return err
		}
		select {
		case <-f.freed:
		case <-ctx.Done():
			return withdrawn(ctx)
		}
	}
}

func withdrawn(ctx context.Context) error {
	return ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))
}
