//go:build unix

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/executor"
	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// playHandlers is a worker of the kind that this project's users write.
func playHandlers([]string) {
	var r executor.Registry
	executor.Handle(&r, "heed", func(ctx context.Context, _ any) (string, error) {
		<-ctx.Done()
		return "half", ctx.Err()
	})
	executor.Handle(&r, "deaf", func(context.Context, any) (string, error) {
		<-time.After(time.Hour)
		return "", nil
	})
	executor.Handle(&r, "echo", func(_ context.Context, v any) (any, error) { return v, nil })
	executor.Main(&r)
}

// cancelled submits a task, cancels it when it has begun, and returns its outcome and how long that took.
func cancelled(t *testing.T, p *pool.Pool, one ipc.Task) (ipc.Outcome, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	outcomes := make(chan ipc.Outcome, 2)
	if err := p.Submit(ctx, one, func(o ipc.Outcome) { outcomes <- o }); err != nil {
		t.Fatal(err)
	}
	waitState(t, p, pool.StateBusy)
	cancel(errors.New("the operator said no"))
	begun := time.Now()
	o := <-outcomes
	if !errors.Is(o.Err, ipc.ErrCancelled) || !strings.Contains(o.Err.Error(), "the operator said no") || o.Value != nil {
		t.Errorf("outcome = %+v, want cancelled", o)
	}
	return o, time.Since(begun)
}

// TestCancelAsksFirst: a worker that claims to know how ends its task and lives on.
func TestCancelAsksFirst(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		env     string
		target  string
	}{
		"a handler that heeds its context": {proctest.Command("handlers"), "", "heed"},
		"an endless evaluation":            {proctest.Command("evaluator"), "", "[x for x in range(1000000000) if x < 0]"},
		"an evaluation that sleeps":        {proctest.Command("evaluator"), "", "sleep(1000)"},
		"a worker of another kind":         {proctest.Command("worker"), "EVIL_CLAIM=cancel", "heed"},
		"one that is fed ahead":            {proctest.Command("worker"), "EVIL_CLAIM=cancel,ordered", "heed"},
		"one that answers half a value":    {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:cancelhalf"},
	} {
		t.Run(name, func(t *testing.T) {
			p, log := start(t, pool.Config{Workers: 1, Command: c.command, Env: with(c.env), CancelGrace: 20 * time.Second})
			for i := range 3 {
				if _, took := cancelled(t, p, task(t, "k", c.target)); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if o := run(t, p, task(t, "k", "echo", i)); c.command[1] != proctest.Command("evaluator")[1] && o.Err != nil {
					t.Error(o.Err)
				}
			}
			if n := len(of[pool.Started](log)); n != 1 {
				t.Errorf("%d workers were started, want the one to live on", n)
			}
		})
	}
}

// TestCancelKillsWhoDoesNotHeedIt: within the grace, and the slot serves within a second.
func TestCancelKillsWhoDoesNotHeedIt(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		env     string
		target  string
		grace   time.Duration
	}{
		"a handler that is deaf":       {proctest.Command("handlers"), "", "deaf", 50 * time.Millisecond},
		"one that reads it and hangs":  {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:canceldeaf", 50 * time.Millisecond},
		"one that reads nothing":       {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:hang", 50 * time.Millisecond},
		"one that is stopped":          {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:stop", 50 * time.Millisecond},
		"one that answers the cancel":  {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:cancelkey", 20 * time.Second},
		"one that answers another key": {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:cancelunknown", 20 * time.Second},
		"one that exits":               {proctest.Command("worker"), "EVIL_CLAIM=cancel", "x:cancelexit", 20 * time.Second},
		"one that is not to be asked":  {proctest.Command("handlers"), "", "heed", -1},
	} {
		t.Run(name, func(t *testing.T) {
			p, log := start(t, pool.Config{Workers: 1, Command: c.command, Env: with(c.env), CancelGrace: c.grace})
			if _, took := cancelled(t, p, task(t, "k", c.target)); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if o := run(t, p, task(t, "next", "echo", 1)); o.Err != nil {
				t.Error(o.Err)
			}
			if n := len(of[pool.Started](log)); n != 2 {
				t.Errorf("%d workers were started, want a second one", n)
			}
		})
	}
}

func TestCancelIsNotSentToWhoDoesNotClaimIt(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	p, log := start(t, pool.Config{Workers: 1, Env: with("EVIL_LEDGER=" + ledger), CancelGrace: 20 * time.Second})
	if _, took := cancelled(t, p, task(t, "k", "heed")); took > 10*time.Second {
		t.Errorf("it took %v: it was given a grace", took)
	}
	waitFor(t, log, func(pool.Exited) bool { return true })
	if got := keys(t, ledger); slices.Contains(got, ipc.KeyCancel) {
		t.Errorf("it was sent %q", got)
	}
}

// TestCancelRacesTheAnswer: whoever is first, each task has one outcome, and no cancel reaches a later task.
func TestCancelRacesTheAnswer(t *testing.T) {
	for _, command := range [][]string{proctest.Command("handlers"), proctest.Command("worker")} {
		t.Run(command[1], func(t *testing.T) {
			p, log := start(t, pool.Config{Workers: 2, Command: command, Env: with("EVIL_CLAIM=cancel,ordered"), CancelGrace: 20 * time.Second})
			counts := map[ipc.Kind]int{}
			for i := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				outcomes := make(chan ipc.Outcome, 4)
				done := func(o ipc.Outcome) { outcomes <- o }
				for range 2 { // the same key twice: a cancel of the first is not for the second
					if err := p.Submit(ctx, task(t, "k", "echo", i), done); err != nil {
						t.Fatal(err)
					}
				}
				after := submit(t, p, task(t, "k", "echo", i))
				go func() {
					<-time.After(time.Duration(i%20) * 10 * time.Microsecond)
					cancel()
				}()
				for range 2 {
					o := <-outcomes
					counts[ipc.KindOf(o.Err)]++
				}
				if o := <-after; o.Err != nil {
					t.Errorf("the task that nobody cancelled: %+v", o)
				}
			}
			t.Logf("outcomes %v, %d workers were started", counts, len(of[pool.Started](log)))
			if counts[""]+counts[ipc.KindCancelled] != 600 {
				t.Errorf("outcomes %v, want all of them done or cancelled", counts)
			}
		})
	}
}

// TestCancelBehindAnotherTaskLetsItsWorkerLive: it is cancelled at once, and its run, if it begins, is ended by asking.
func TestCancelBehindAnotherTaskLetsItsWorkerLive(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1, Command: proctest.Command("handlers"), CancelGrace: 20 * time.Second})
	for i := range 30 { // until it is fed ahead
		if o := run(t, p, task(t, fmt.Sprint("warm", i), "echo", i)); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		outcomes := make(chan ipc.Outcome, 16)
		for i := range 8 {
			if err := p.Submit(ctx, task(t, fmt.Sprint("k", i), "heed"), func(o ipc.Outcome) { outcomes <- o }); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		for range 8 {
			if o := <-outcomes; !errors.Is(o.Err, ipc.ErrCancelled) {
				t.Errorf("outcome = %+v, want cancelled", o)
			}
		}
	}
	if o := run(t, p, task(t, "next", "echo", 1)); o.Err != nil {
		t.Error(o.Err)
	}
	if n := len(of[pool.Started](log)); n != 1 {
		t.Errorf("%d workers were started, want the one to live on", n)
	}
}

func TestDrainDoesNotWaitForACancel(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("handlers"), CancelGrace: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan ipc.Outcome, 1)
	if err := p.Submit(ctx, task(t, "k", "deaf"), func(o ipc.Outcome) { outcome <- o }); err != nil {
		t.Fatal(err)
	}
	waitState(t, p, pool.StateBusy)
	cancel()
	p.Drain(10 * time.Millisecond)
	if o := <-outcome; !errors.Is(o.Err, ipc.ErrCancelled) {
		t.Errorf("outcome = %+v, want cancelled", o)
	}
}

// TestCancelWhileItsWorkerDiesTellsOnce: a task that goes back to the queue because its worker has died may be withdrawn
// at that very moment, and had two outcomes.
func TestCancelWhileItsWorkerDiesTellsOnce(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: with("EVIL_CLAIM=ordered"), Poison: pool.Poison{Suspect: 1 << 30}})
	for round := range 60 {
		ctx, cancel := context.WithCancel(t.Context())
		const tasks = 400
		told := make([]atomic.Int32, tasks)
		var all sync.WaitGroup
		all.Add(tasks)
		for i := range tasks {
			err := p.Submit(ctx, task(t, fmt.Sprint("k", i), "echo"), func(ipc.Outcome) {
				if told[i].Add(1) == 1 {
					all.Done()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if round > 0 {
			killOne(p)
		}
		<-time.After(time.Duration(round%20) * 50 * time.Microsecond)
		cancel()
		all.Wait()
		next := task(t, "next", "echo")
		next.Retries = 2 // the killed worker may still have read it: the kill takes effect when that has its turn
		if o := run(t, p, next); o.Err != nil {
			t.Errorf("the next task: %v", o.Err)
		}
		for i := range told {
			if n := told[i].Load(); n != 1 {
				t.Fatalf("round %d: task %d has %d outcomes", round, i, n)
			}
		}
	}
}
