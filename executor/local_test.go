package executor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/executor"
	"fandango/ipc"
)

// waiting is an executor whose tasks take as long as their target says; without ending when told, if it is stubborn.
type waiting struct{ stubborn bool }

func (w waiting) Execute(ctx context.Context, target, _ ipc.Raw) (any, error) {
	var seconds float64
	if err := target.Decode(&seconds); err != nil {
		return nil, err
	}
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	if w.stubborn {
		<-t.C
		return target, nil
	}
	select {
	case <-t.C:
		return target, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// local runs f beside a running Local, in a bubble of time.
func local(t *testing.T, e executor.Executor, n int, f func(t *testing.T, r *executor.LocalRunner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := executor.Local(e, n)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- r.Run(ctx) }()
		f(t, r)
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func task(t *testing.T, key string, target any, options ipc.Options) ipc.Task {
	t.Helper()
	task, err := ipc.NewTask(key, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	task.Options = options
	return task
}

func TestLocalRuns(t *testing.T) {
	local(t, executor.Object(&device{Unit: "mm"}), 3, func(t *testing.T, r *executor.LocalRunner) {
		t.Helper()
		sum := ipc.NewTarget[[]float64, float64]("sum")
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if got, err := sum.Call(t.Context(), r, []float64{float64(i), 1}); got != float64(i+1) || err != nil {
					t.Errorf("sum(%d, 1) = %v, %v", i, got, err)
				}
			})
		}
		wg.Wait()
		_, err := ipc.NewTarget[[]any, int]("nope").Call(t.Context(), r, nil)
		if e, ok := errors.AsType[*ipc.Error](err); !ok || e.Type != "NameError" || e.Kind != ipc.KindTask {
			t.Errorf("unknown target: %v", err)
		}
	})
}

func TestLocalTimeout(t *testing.T) {
	for _, tt := range []struct {
		stubborn bool
		options  ipc.Options
		kind     ipc.Kind
		attempts int
		after    time.Duration
	}{
		{false, ipc.Options{Timeout: time.Second}, ipc.KindTimeout, 1, time.Second},
		{true, ipc.Options{Timeout: time.Second}, ipc.KindTimeout, 1, time.Second},
		{false, ipc.Options{Timeout: time.Second, Retries: 2}, ipc.KindTimeout, 3, 3 * time.Second},
		{false, ipc.Options{Timeout: time.Minute}, "", 1, 10 * time.Second},
		{false, ipc.Options{Timeout: -1}, "", 1, 10 * time.Second},
	} {
		local(t, waiting{tt.stubborn}, 1, func(t *testing.T, r *executor.LocalRunner) {
			t.Helper()
			began := time.Now()
			outcomes := make(chan ipc.Outcome, 2)
			if err := r.Submit(t.Context(), task(t, "k", 10, tt.options), func(o ipc.Outcome) { outcomes <- o }); err != nil {
				t.Fatal(err)
			}
			o := <-outcomes
			if took := time.Since(began); ipc.KindOf(o.Err) != tt.kind || o.Attempts != tt.attempts || took != tt.after || o.Worker != "local/1" {
				t.Errorf("%+v: outcome %+v after %v", tt, o, took)
			}
			synctest.Wait()
			if len(outcomes) > 0 {
				t.Errorf("%+v: a second outcome %+v", tt, <-outcomes)
			}
		})
	}
}

func TestLocalCancel(t *testing.T) {
	local(t, waiting{}, 1, func(t *testing.T, r *executor.LocalRunner) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		outcomes := make(chan ipc.Outcome, 3)
		for range 2 { // one runs, one waits
			if err := r.Submit(ctx, task(t, "k", 10, ipc.Options{}), func(o ipc.Outcome) { outcomes <- o }); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		cancel()
		for range 2 {
			if o := <-outcomes; !errors.Is(o.Err, ipc.ErrCancelled) {
				t.Errorf("outcome %+v", o)
			}
		}
		if _, err := ipc.Do(ctx, r, task(t, "late", 0, ipc.Options{})); !errors.Is(err, ipc.ErrCancelled) {
			t.Errorf("a task of an ended context: %v", err)
		}
	})
}

func TestLocalDeadline(t *testing.T) {
	local(t, waiting{}, 1, func(t *testing.T, r *executor.LocalRunner) {
		t.Helper()
		outcomes := make(chan ipc.Outcome, 2)
		done := func(o ipc.Outcome) { outcomes <- o }
		began := time.Now()
		_ = r.Submit(t.Context(), task(t, "runs", 10, ipc.Options{Deadline: time.Second}), done)
		_ = r.Submit(t.Context(), task(t, "waits", 10, ipc.Options{Deadline: time.Second}), done)
		if o := <-outcomes; !errors.Is(o.Err, ipc.ErrExpired) || time.Since(began) != time.Second {
			t.Errorf("outcome %+v after %v", o, time.Since(began))
		}
		if o := <-outcomes; o.Err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("outcome %+v after %v", o, time.Since(began))
		}
	})
}

func TestLocalEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := executor.Local(waiting{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var outcomes []ipc.Outcome
		for i := range 3 {
			key := strconv.Itoa(i)
			if err := r.Submit(t.Context(), task(t, key, 10, ipc.Options{}), func(o ipc.Outcome) { outcomes = append(outcomes, o) }); err != nil {
				t.Fatal(err)
			}
		}
		ran := make(chan error, 1)
		go func() { ran <- r.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-ran
		kinds := make([]ipc.Kind, len(outcomes))
		for i, o := range outcomes {
			kinds[i] = ipc.KindOf(o.Err)
		}
		if want := []ipc.Kind{ipc.KindCancelled, ipc.KindClosed, ipc.KindClosed}; !slices.Equal(kinds, want) {
			t.Errorf("kinds %v, want %v", kinds, want)
		}
		if err := r.Submit(t.Context(), task(t, "k", 1, ipc.Options{}), nil); !errors.Is(err, ipc.ErrClosed) {
			t.Errorf("Submit after the end: %v", err)
		}
	})
}

func TestLocalQueueFull(t *testing.T) {
	r := executor.Local(waiting{}, 1)
	count := 0
	done := func(ipc.Outcome) { count++ }
	full := task(t, "k", 1, ipc.Options{})
	for i := range 100_000 {
		if err := r.Submit(context.Background(), full, done); err != nil {
			t.Fatalf("Submit %d: %v", i, err)
		}
	}
	if err := r.Submit(context.Background(), full, done); !errors.Is(err, ipc.ErrQueueFull) {
		t.Errorf("Submit to a full queue: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil || count != 100_000 {
		t.Errorf("Run = %v, %d outcomes", err, count)
	}
}

func TestLocalSurvivesPanicAndGoexit(t *testing.T) {
	quiet(t)
	e := executor.Func(func(how string) string {
		switch how {
		case "panic":
			panic("boom")
		case "goexit":
			runtime.Goexit()
		}
		return how
	})
	local(t, e, 1, func(t *testing.T, r *executor.LocalRunner) {
		t.Helper()
		for _, how := range []string{"panic", "goexit", "fine"} {
			raw, err := ipc.Do(t.Context(), r, task(t, "k", how, ipc.Options{Retries: 3, Timeout: time.Hour}))
			e, _ := errors.AsType[*ipc.Error](err)
			if how == "fine" && (err != nil || raw.String() != `"fine"`) || how != "fine" && (e == nil || e.Type != how) {
				t.Errorf("%s: %s, %v", how, raw, err)
			}
		}
	})
}
