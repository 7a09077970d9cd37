package master_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"fandango/executor"
	"fandango/internal/runnertest"
	"fandango/ipc"
	"fandango/master"
)

// both is a master over a runner in this process.
type both struct {
	*master.Master
	below runnertest.Running
}

// Run ends the master first, as a program does, so that what it closes is not told by the runner.
func (b both) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- b.below.Run(life) }()
	err := b.Master.Run(ctx)
	end()
	return errors.Join(err, <-ended)
}

func TestMasterIsARunner(t *testing.T) {
	over := func(worker func() executor.Executor) func(*testing.T, int) runnertest.Running {
		return func(_ *testing.T, workers int) runnertest.Running {
			below := executor.Local(worker(), workers)
			return both{master.New(below, master.Config{Queue: 500, Grace: -1}), below}
		}
	}
	runnertest.Test(t, runnertest.Kit{
		New: over(runnertest.Names), NewWhole: over(runnertest.Whole),
		Queue:     500 - 1, // one more runs: a master counts both
		Unordered: true,    // each key has a lane of its own
		Options:   true,
	})
}

// The fake of these tests is held to the same, so that what it shows of a master holds for a runner.
func TestFakeIsARunner(t *testing.T) {
	runnertest.Test(t, runnertest.Kit{
		New: func(t *testing.T, _ int) runnertest.Running {
			t.Helper()
			return &actor{runner: &runner{t: t}}
		},
		Task: func(t *testing.T, key string, deed runnertest.Deed, text string) ipc.Task {
			t.Helper()
			if deed != runnertest.Echo {
				text = string(deed)
			}
			return task(t, key, text)
		},
		Boundless: true,
	})
}

// actor is a fake that nobody plays: it knows the deeds of the suite.
type actor struct {
	*runner

	submitting sync.RWMutex // held for reading within Submit, so that no task is half accepted when the end begins
	acting     sync.WaitGroup
}

func (a *actor) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	if err := ipc.CheckKey(t.Key); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ipc.Errorf(ipc.KindCancelled, "key %q: %w", t.Key, context.Cause(ctx))
	}
	a.submitting.RLock()
	defer a.submitting.RUnlock()
	if err := a.runner.Submit(ctx, t, done); err != nil {
		return err
	}
	o := ipc.Outcome{Value: t.Target, Worker: "fake", Attempts: 1}
	switch text, _ := t.Target.Text(); runnertest.Deed(text) {
	case runnertest.Echo:
	case runnertest.Hang:
		return nil
	case runnertest.Fail:
		o.Value, o.Err = nil, ipc.Errorf(ipc.KindTask, "it has failed")
	}
	a.acting.Go(func() {
		if h := a.running(t.Key); h != nil { // else it was cancelled meanwhile
			a.end(h, o)
		}
	})
	return nil
}

func (a *actor) Run(ctx context.Context) error {
	<-ctx.Done()
	a.submitting.Lock()
	a.set(func() { a.refuse = ipc.Errorf(ipc.KindClosed, "the fake has ended") })
	a.submitting.Unlock()
	a.mu.Lock()
	all := slices.Clone(a.held)
	a.mu.Unlock()
	for _, h := range all {
		a.end(h, ipc.Outcome{Err: a.refuse})
	}
	a.acting.Wait()
	return nil
}
