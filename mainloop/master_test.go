package mainloop_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"fandango/executor"
	"fandango/ipc"
	"fandango/mainloop"
	"fandango/master"
	"fandango/pool"
)

// over runs a master over an executor of this process until the test ends.
func over(t *testing.T, cfg master.Config) *master.Master {
	t.Helper()
	var reg executor.Registry
	executor.Handle(&reg, "echo", func(_ context.Context, n int) (int, error) { return n, nil })
	below := executor.Local(&reg, 4)
	m := master.New(below, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = below.Run(ctx) })
	running.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return m
}

func echo(t *testing.T, key string, n int) ipc.Task {
	t.Helper()
	task, err := ipc.NewTask(key, "echo", n)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// The counter has no lock: the race detector would find another goroutine than the loop's.
func TestTheLoopAloneRunsAMastersCallbacks(t *testing.T) {
	q, l := start(t, mainloop.Config{})
	var panicked sync.WaitGroup
	panicked.Add(1)
	m := over(t, master.Config{Deliver: q.Call, Event: func(e master.Event) {
		if _, ok := e.(master.Panicked); ok {
			panicked.Done()
		}
	}})
	sends, reads, wrong := 0, 0, 0
	note := func(count *int) func(master.Value) {
		return func(master.Value) {
			*count++
			if goroutine() != l.id {
				wrong++
			}
		}
	}
	if err := m.Add(master.Entry{Task: echo(t, "entry", 1), Every: time.Millisecond, Then: note(&reads)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), echo(t, "panics", 1), func(master.Value) { panic("in a callback") }); err != nil {
		t.Fatal(err)
	}
	const senders, each = 50, 20
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for n := range each {
				told := make(chan struct{})
				if err := m.Send(t.Context(), echo(t, strconv.Itoa(i), n), func(v master.Value) {
					note(&sends)(v)
					close(told)
				}); err != nil {
					t.Error(err)
					return
				}
				if n%2 == 0 { // joined by the next one, or not
					<-told
				}
			}
		})
	}
	sending.Wait()
	panicked.Wait()
	if _, err := m.Command(t.Context(), "echo", 1); err != nil {
		t.Error(err)
	}
	for {
		counted := make(chan [3]int, 1)
		q.Call(func() { counted <- [3]int{sends, reads, wrong} })
		n := <-counted
		if n[0] == senders*each && n[1] > 2 {
			if n[2] != 0 {
				t.Errorf("%d callbacks were on another goroutine than the loop's, %s", n[2], l.id)
			}
			return
		}
		runtime.Gosched()
	}
}

// A call that waits for an outcome may be made on the loop, although that is where callbacks go.
func TestTheLoopMayWaitForAMastersOutcome(t *testing.T) {
	q, _ := start(t, mainloop.Config{})
	m := over(t, master.Config{Deliver: q.Call})
	q.Call(func() {
		if v, err := ipc.NewTarget[int, int]("echo").Call(t.Context(), m, 7); v != 7 || err != nil {
			t.Errorf("Call = %v, %v", v, err)
		}
	})
}

// What a pool tells, and the results of a sequence, are values like others.
func TestTheLoopIsToldWhatAPoolDoes(t *testing.T) {
	q, l := start(t, mainloop.Config{})
	told := make(chan string, 1)
	p, err := pool.New(pool.Config{
		Command: []string{"/no/such/worker"}, Dir: t.TempDir(), Workers: 1,
		Event: mainloop.Deliver(q, func(e pool.Event) {
			if failed, ok := e.(pool.StartFailed); ok && failed.Attempt == 1 {
				told <- goroutine()
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if id := <-told; id != l.id {
		t.Errorf("told on %s, want %s", id, l.id)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCallReturnsWhenTheLoopIsGone(t *testing.T) {
	events := make(chan func(), 1)
	q := mainloop.New(func(f func()) { events <- f }, mainloop.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	called := make(chan struct{})
	go func() {
		defer close(called)
		q.Call(func() { t.Error("it ran") })
	}()
	f := <-events // which the loop never runs
	cancel()
	<-ended
	<-called
	f()
	q.Call(func() { t.Error("it ran") })
}

// A master whose callbacks all run on the loop of a program.
func ExampleQueue_Call() {
	events := make(chan func()) // what the loop runs; with a toolkit, New is given fyne.Do or glib.IdleAdd
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q := mainloop.New(func(f func()) {
		select {
		case events <- f:
		case <-ctx.Done():
		}
	}, mainloop.Config{})
	runner := executor.Local(executor.Func(func(n int) int { return n * n }), 1)
	m := master.New(runner, master.Config{Deliver: q.Call})
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{q.Run, runner.Run, m.Run} {
		running.Go(func() { _ = run(ctx) })
	}

	task, err := ipc.NewTask("square of 7", 7, nil)
	if err == nil {
		err = m.Send(ctx, task, func(v master.Value) {
			fmt.Println(v.Key, "is", v.Value.String()) // on the loop: a widget may be changed here
			cancel()
		})
	}
	fmt.Println(err)
	for ctx.Err() == nil { // the loop
		select {
		case f := <-events:
			f()
		case <-ctx.Done():
		}
	}
	running.Wait()
	// Output:
	// <nil>
	// square of 7 is 49
}
