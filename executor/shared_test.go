package executor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"fandango/executor"
	"fandango/internal/runnertest"
	"fandango/ipc"
)

func TestSharedIsARunner(t *testing.T) {
	runnertest.Test(t, runnertest.Kit{
		New: func(t *testing.T, workers int) runnertest.Running {
			t.Helper()
			return shared(t, t.Name(), func() (executor.Running, error) { return executor.Local(runnertest.Names(), workers), nil })
		},
		Options: true,
	})
}

func shared(t *testing.T, name string, makes func() (executor.Running, error)) *executor.SharedRunner {
	t.Helper()
	s, err := executor.Shared(name, makes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// counted is a runner that knows how many of its kind live.
type counted struct {
	executor.Running
	living, most *atomic.Int64
}

func (c counted) Run(ctx context.Context) error {
	if n := c.living.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	defer c.living.Add(-1)
	return c.Running.Run(ctx)
}

// Fandango's SingletonMap hands out the stopped object again (row 3).
func TestBUG3AfterTheEndASharedNameHasANewRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var living, most, made atomic.Int64
		makes := func() (executor.Running, error) {
			made.Add(1)
			return counted{executor.Local(executor.Func(func(n int) int { return n }), 1), &living, &most}, nil
		}
		alive := func(ctx context.Context, s *executor.SharedRunner) {
			t.Helper()
			if _, err := ipc.Do(ctx, s, task(t, "k", 1, ipc.Options{})); err != nil {
				t.Errorf("Do: %v", err)
			}
		}
		a, b := shared(t, t.Name(), makes), shared(t, t.Name(), makes)
		actx, endA := context.WithCancel(context.Background())
		bctx, endB := context.WithCancel(context.Background())
		ended := make(chan error, 2)
		go func() { ended <- a.Run(actx) }()
		alive(t.Context(), b) // before its Run
		go func() { ended <- b.Run(bctx) }()
		synctest.Wait()
		if made.Load() != 1 {
			t.Errorf("%d runners of one name", made.Load())
		}
		endA()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		alive(t.Context(), a) // b keeps it
		early := shared(t, t.Name(), makes)
		endB()
		if err := <-ended; err != nil || living.Load() != 0 {
			t.Errorf("Run = %v; %d live", err, living.Load())
		}
		if _, err := ipc.Do(t.Context(), a, task(t, "k", 1, ipc.Options{})); !errors.Is(err, ipc.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		cctx, endC := context.WithCancel(context.Background())
		late := shared(t, t.Name(), makes)
		for _, s := range []*executor.SharedRunner{early, late} {
			go func() { ended <- s.Run(cctx) }()
		}
		synctest.Wait()
		alive(t.Context(), late)
		endC()
		if err := errors.Join(<-ended, <-ended); err != nil || made.Load() != 2 || most.Load() != 1 {
			t.Errorf("Run = %v; %d were made, %d at a time", err, made.Load(), most.Load())
		}
		if err := late.Run(t.Context()); err == nil {
			t.Error("Run can be called twice")
		}
	})
}

func TestASharedRunnerThatCannotBeMadeIsTriedAgain(t *testing.T) {
	t.Parallel()
	why := errors.New("no worker command")
	if _, err := executor.Shared(t.Name(), func() (executor.Running, error) { return nil, why }); !errors.Is(err, why) {
		t.Errorf("err = %v", err)
	}
	s := shared(t, t.Name(), func() (executor.Running, error) { return executor.Local(runnertest.Names(), 1), nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// lifeless is a runner whose life ends by itself.
type lifeless struct{ *executor.LocalRunner }

func (lifeless) Run(context.Context) error { return errors.New("no life") }

func TestASharedRunnerThatEndsByItselfTellsAll(t *testing.T) {
	t.Parallel()
	var ended sync.WaitGroup
	for range 5 {
		s := shared(t, t.Name(), func() (executor.Running, error) { return lifeless{executor.Local(runnertest.Names(), 1)}, nil })
		ended.Go(func() {
			if err := s.Run(t.Context()); err == nil || err.Error() != "no life" {
				t.Errorf("Run = %v", err)
			}
		})
	}
	ended.Wait()
}

func TestSharedFromFiftyGoroutines(t *testing.T) {
	t.Parallel()
	var living, most atomic.Int64
	makes := func() (executor.Running, error) {
		return counted{executor.Local(executor.Func(func(n int) int { return n }), 1), &living, &most}, nil
	}
	var using sync.WaitGroup
	for range 50 {
		using.Go(func() {
			for range 20 {
				s := shared(t, t.Name(), makes)
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				if _, err := ipc.Do(t.Context(), s, task(t, "k", 1, ipc.Options{})); err != nil && !errors.Is(err, ipc.ErrClosed) {
					t.Error(err) // it is closed when others have ended it before our Run began
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		})
	}
	using.Wait()
	if living.Load() != 0 || most.Load() != 1 {
		t.Errorf("%d live, %d at a time", living.Load(), most.Load())
	}
}

// Two parts of a program share a worker, and neither needs to know of the other.
func ExampleShared() {
	part := func(ctx context.Context, name string) {
		evaluator, err := executor.Shared("greeter", func() (executor.Running, error) {
			return executor.Local(executor.Func(func(name string) string { return "hello " + name }), 1), nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- evaluator.Run(ctx) }()
		t, err := ipc.NewTask(name, name, nil)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Println(ipc.Do(ctx, evaluator, t))
		cancel()
		fmt.Println(<-ended)
	}
	part(context.Background(), "world")
	part(context.Background(), "moon")
	// Output:
	// "hello world" <nil>
	// <nil>
	// "hello moon" <nil>
	// <nil>
}
