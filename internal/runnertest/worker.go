package runnertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"fandango/executor"
	"fandango/ipc"
)

// Names is the suite's own worker, for runners whose workers are executors. Its names do the deeds, and show how args
// arrive.
func Names() executor.Executor { return executor.Object(names{Unit: "mm"}) }

// Whole is a worker that takes a target as it is, when there are no args.
func Whole() executor.Executor {
	return executor.Func(func(target any) string { return fmt.Sprintf("whole %v", target) })
}

type names struct{ Unit string }

// Echo answers with its argument.
func (names) Echo(text string) string { return text }

// Fail says that it has failed.
func (names) Fail() (int, error) { return 0, errors.New("it has failed") }

// Hang runs until its run is ended.
func (names) Hang(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// Panic panics.
func (names) Panic() { panic("at the disco") }

// Goexit ends its goroutine.
func (names) Goexit() { runtime.Goexit() }

// Void takes nothing.
func (names) Void() string { return "void" }

// List takes what comes in order.
func (names) List(numbers ...int) string { return fmt.Sprintf("list %v", numbers) }

// Map takes what comes by name.
func (names) Map(args struct{ X, Y int }) string { return fmt.Sprintf("x=%d y=%d", args.X, args.Y) }

// One takes a single value of any kind.
func (names) One(v any) string { return fmt.Sprintf("one %v", v) }

// names makes the tasks of Names.
func (Kit) names(t *testing.T, key string, deed Deed, text string) ipc.Task {
	t.Helper()
	var args any
	if deed == Echo {
		args = []string{text}
	}
	task, err := ipc.NewTask(key, string(deed), args)
	if err != nil {
		t.Fatal(err)
	}
	return task
}
