//go:build unix

package pool_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fandango/executor"
	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// playEchoer is a worker of our own make, which answers in batches when it is allowed to.
func playEchoer([]string) {
	var names executor.Registry
	executor.Handle(&names, "echo", func(_ context.Context, v ipc.Raw) (ipc.Raw, error) { return v, nil })
	executor.Handle(&names, "hang", func(ctx context.Context, _ ipc.Raw) (ipc.Raw, error) { <-ctx.Done(); return nil, nil })
	executor.Handle(&names, "die", func(context.Context, ipc.Raw) (ipc.Raw, error) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	executor.Main(&names)
}

// idempotent lets a task run again.
func idempotent(t ipc.Task) ipc.Task {
	t.Idempotent = true
	return t
}

// TestCrashAmongIdempotentTasksIsPinnedOnOne: when answers share a write, a worker that dies leaves several tasks that it
// may have run. They run again, one at a time, so that each that kills a worker is found, and none that does not.
func TestCrashAmongIdempotentTasksIsPinnedOnOne(t *testing.T) {
	for _, wire := range []ipc.Wire{ipc.Msgpack, ipc.JSON} {
		t.Run(string(wire), func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 2, Wire: wire, Command: proctest.Command("echoer"), Env: os.Environ()})
			warmUp(t, p, 500)
			const n, every = 4000, 400
			var crashed, wrong atomic.Int64
			var all sync.WaitGroup
			all.Add(n)
			for i := range n {
				deadly := i%every == every/2
				target := "echo"
				if deadly {
					target = "die"
				}
				one := task(t, strconv.Itoa(i), target, i)
				if i%7 != 0 { // among them are tasks that must not run twice
					one = idempotent(one)
				}
				err := p.Submit(t.Context(), one, func(o ipc.Outcome) {
					defer all.Done()
					switch {
					case deadly && errors.Is(o.Err, ipc.ErrCrash):
						crashed.Add(1)
					case deadly || o.Err != nil || o.Value.String() != strconv.Itoa(i) || o.Attempts != 1:
						wrong.Add(1)
						t.Errorf("outcome of %d = %+v", i, o)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			all.Wait()
			if crashed.Load() != n/every {
				t.Errorf("%d crashed, want %d", crashed.Load(), n/every)
			}
		})
	}
}

// TestIdempotentTaskThatHangsIsTheOneThatTimesOut: what had been answered before it, though not yet written, is written.
func TestIdempotentTaskThatHangsIsTheOneThatTimesOut(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("echoer"), Env: os.Environ()})
	warmUp(t, p, 500)
	var all sync.WaitGroup
	for i := range 300 {
		target := "echo"
		if i == 100 {
			target = "hang"
		}
		one := idempotent(task(t, strconv.Itoa(i), target, i))
		one.Timeout = 2 * time.Second
		all.Add(1)
		if err := p.Submit(t.Context(), one, func(o ipc.Outcome) {
			if (o.Err != nil) != (target == "hang") || o.Err != nil && !errors.Is(o.Err, ipc.ErrTimeout) {
				t.Errorf("outcome of %d = %+v", i, o)
			}
			all.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

// TestIdempotentTasksOfAWorkerThatDoesNotBatch are like all others.
func TestIdempotentTasksOfAWorkerThatDoesNotBatch(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: ordered()})
	warmUp(t, p, 100)
	if _, err := ipc.Do(t.Context(), p, idempotent(task(t, "k", "x:kill9"))); !errors.Is(err, ipc.ErrCrash) {
		t.Errorf("error %v, want a crash", err)
	}
	if got, err := ipc.Do(t.Context(), p, idempotent(task(t, "k", "echo", "x"))); err != nil || !strings.Contains(got.String(), "x") {
		t.Errorf("Do = %s, %v", got, err)
	}
}

// TestHeldAnswersKeepTheirValues: what is written with a later answer is not what the worker has read meanwhile.
func TestHeldAnswersKeepTheirValues(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("echoer"), Env: os.Environ()})
	warmUp(t, p, 500)
	var all sync.WaitGroup
	for i := range 300 {
		size := 20_000 + 1000*(i%50) // some of them large
		all.Add(1)
		want := strings.Repeat(strconv.Itoa(i%10), size)
		if err := p.Submit(t.Context(), idempotent(task(t, strconv.Itoa(i), "echo", want)), func(o ipc.Outcome) {
			defer all.Done()
			if got, ok := o.Value.Text(); o.Err != nil || !ok || got != want {
				t.Errorf("task %d of %d bytes: another value, or %v", i, size, o.Err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}
