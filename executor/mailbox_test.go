package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/executor"
	"fandango/ipc"
)

// mailbox runs f beside a mailbox over a running Local, in a bubble of time.
func mailbox(t *testing.T, e executor.Executor, n int, f func(t *testing.T, m *executor.Mailbox)) {
	t.Helper()
	local(t, e, n, func(t *testing.T, r *executor.LocalRunner) {
		t.Helper()
		f(t, executor.NewMailbox(r))
	})
}

func put(t *testing.T, m *executor.Mailbox, key string, target any) {
	t.Helper()
	if err := m.Put(t.Context(), task(t, key, target, ipc.Options{})); err != nil {
		t.Fatal(err)
	}
}

// Row 123.
func TestRow123ResultsComeInTheOrderInWhichTasksEnd(t *testing.T) {
	mailbox(t, waiting{}, 3, func(t *testing.T, m *executor.Mailbox) {
		t.Helper()
		if _, ok := m.Get(); ok || m.Flush() != nil {
			t.Error("there are results of nothing")
		}
		for _, seconds := range []int{3, 1, 2} {
			put(t, m, "the same key", seconds)
		}
		time.Sleep(1500 * time.Millisecond)
		if r, ok := m.Get(); !ok || r.Value.String() != "1" || r.Task.Key != "the same key" || r.Worker == "" {
			t.Errorf("Get = %+v, %v", r, ok)
		}
		if err := m.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		var got []string
		for _, r := range m.Flush() {
			got = append(got, r.Value.String())
		}
		if want := []string{"2", "3"}; !slices.Equal(got, want) {
			t.Errorf("Flush = %v, want %v", got, want)
		}
	})
}

// getDone was True while a task ran, because the queues were empty.
func TestBUG124ItIsNotDoneWhileATaskRuns(t *testing.T) {
	mailbox(t, waiting{}, 1, func(t *testing.T, m *executor.Mailbox) {
		t.Helper()
		if !m.Done() {
			t.Error("a new mailbox is not done")
		}
		put(t, m, "k", 1)
		put(t, m, "k", 1)
		for _, want := range []int{2, 1, 0} {
			synctest.Wait()
			if m.Pending() != want || m.Done() != (want == 0) {
				t.Errorf("%d pending, done = %v; want %d", m.Pending(), m.Done(), want)
			}
			time.Sleep(time.Second)
		}
		if len(m.Flush()) != 2 || !m.Done() {
			t.Error("done depends on who takes the results")
		}
	})
}

// Row 125.
func TestRow125AResultThatHasNoEncodingIsAnError(t *testing.T) {
	e := executor.Func(func(int) any { return make(chan int) })
	mailbox(t, e, 1, func(t *testing.T, m *executor.Mailbox) {
		t.Helper()
		put(t, m, "k", 1)
		put(t, m, "k", 1)
		n := 0
		for r := range m.All(t.Context()) {
			if n++; !errors.Is(r.Err, ipc.ErrTask) && !errors.Is(r.Err, ipc.ErrInput) {
				t.Errorf("result %+v", r)
			}
		}
		if n != 2 {
			t.Errorf("%d results, want 2", n)
		}
	})
}

// SingletonWorker kept results under their targets: one that cannot be hashed, a dict, made it lose all that it had.
func TestBUG126ATargetThatIsNoKeyLosesNoResult(t *testing.T) {
	e := executor.Func(func(_ context.Context, target ipc.Raw) (any, error) { return target, nil })
	mailbox(t, e, 2, func(t *testing.T, m *executor.Mailbox) {
		t.Helper()
		targets := map[string]any{"dict": map[string]any{"a": 1}, "list": []any{1, []any{2}}, "text": "x", "none": nil}
		for key, target := range targets {
			put(t, m, key, target)
		}
		if err := m.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for key, target := range targets {
			r, ok := m.Take(key)
			if want := encoded(t, target).String(); !ok || r.Err != nil || r.Value.String() != want {
				t.Errorf("Take(%q) = %s, %v, %v; want %s", key, r.Value, r.Err, ok, want)
			}
			if _, again := m.Take(key); again {
				t.Errorf("the result of %q is there twice", key)
			}
		}
		if _, ok := m.Take("not there"); ok || len(m.Flush()) != 0 {
			t.Error("there is more")
		}
	})
}

func TestMailboxIsBounded(t *testing.T) {
	mailbox(t, waiting{}, 1, func(t *testing.T, m *executor.Mailbox) {
		t.Helper()
		m.Room = 2
		put(t, m, "a", 0)
		put(t, m, "b", 0)
		full := func() bool {
			return errors.Is(m.Put(t.Context(), task(t, "c", 0, ipc.Options{})), ipc.ErrQueueFull)
		}
		if !full() {
			t.Error("a third task has room while two are pending")
		}
		if err := m.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !full() {
			t.Error("a third task has room while two results wait")
		}
		m.Get()
		put(t, m, "c", 0)
	})
}

func TestMailboxTellsRefusalsAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := executor.Local(waiting{}, 1)
		m := executor.NewMailbox(r)
		if err := m.Put(t.Context(), ipc.Task{Key: ipc.KeyHello, Target: encoded(t, 1)}); !errors.Is(err, ipc.ErrInput) || !m.Done() {
			t.Errorf("Put of a reserved key: %v, %d pending", err, m.Pending())
		}
		put(t, m, "k", 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Wait(ctx); !errors.Is(err, ipc.ErrCancelled) {
			t.Errorf("Wait = %v", err)
		}
		for range m.All(ctx) {
			t.Error("a result of an ended context")
		}
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if o, ok := m.Get(); !ok || !errors.Is(o.Err, ipc.ErrClosed) {
			t.Errorf("Get = %+v, %v", o, ok)
		}
		if err := r.Run(ctx); err == nil {
			t.Error("Run can be called twice")
		}
	})
}

func TestMailboxFromManyGoroutines(t *testing.T) {
	t.Parallel()
	e := executor.Func(func(n int) int { return n })
	r := executor.Local(e, 4)
	ctx, cancel := context.WithCancel(context.Background())
	var running, working sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	m := executor.NewMailbox(r)
	const putters, each = 20, 100
	var mu sync.Mutex
	seen := map[string]int{}
	note := func(results ...executor.Result) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range results {
			seen[r.Task.Key]++
		}
	}
	for i := range putters {
		working.Go(func() {
			for n := range each {
				put(t, m, strconv.Itoa(each*i+n), n) //nolint:contextcheck // that of the test
				if r, ok := m.Get(); ok {
					note(r)
				}
			}
			for r := range m.All(ctx) {
				note(r)
			}
		})
	}
	working.Wait()
	note(m.Flush()...)
	if len(seen) != putters*each {
		t.Errorf("%d results, want %d", len(seen), putters*each)
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("the result of %s was taken %d times", key, times)
		}
	}
}

// Tasks in the background of this process; their results wait until somebody asks.
func ExampleMailbox() {
	var reg executor.Registry
	executor.Handle(&reg, "square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	runner := executor.Local(&reg, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()

	worker := executor.NewMailbox(runner)
	for n := range 4 {
		t, err := ipc.NewTask(fmt.Sprint("square of ", n), "square", n)
		if err == nil {
			err = worker.Put(ctx, t)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(worker.Wait(ctx), worker.Done())
	first, _ := worker.Get()
	fmt.Println(first.Task.Key, first.Value, first.Err)
	for _, r := range worker.Flush() {
		fmt.Println(r.Task.Key, r.Value, r.Err)
	}
	cancel()
	fmt.Println(<-ended)
	// Output:
	// <nil> true
	// square of 0 0 <nil>
	// square of 1 1 <nil>
	// square of 2 4 <nil>
	// square of 3 9 <nil>
	// <nil>
}
