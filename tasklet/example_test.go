//go:build unix

package tasklet_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/tasklet"
)

// A func in the background, with a callback.
func ExampleGo() {
	ctx := context.Background()
	answer := func(context.Context) (int, error) { return 6 * 7, nil }
	c := tasklet.Go(ctx, answer, tasklet.Config[int]{
		Delay: 10 * time.Millisecond,
		Then:  func(n int, err error) { fmt.Println("callback:", n, err) },
	})
	fmt.Println(c.Wait(ctx))

	c = tasklet.Go(ctx, func(context.Context) (int, error) { panic("out of paper") }, tasklet.Config[int]{})
	fmt.Println(c.Wait(ctx))
	// Output:
	// callback: 42 <nil>
	// 42 <nil>
	// 0 panic: out of paper
}

// One call in a process of its own, which may crash and take nothing with it.
func ExampleSubprocess() {
	ctx := context.Background()
	w := tasklet.Worker{
		Command: proctest.Command("worker"), // in a program: []string{"python3", "worker.py"}
		Timeout: 10 * time.Second,
	}
	echo := ipc.NewTarget[[]string, []string]("echo")
	words, err := tasklet.Subprocess(ctx, w, echo, []string{"hello", "there"}, tasklet.Config[[]string]{}).Wait(ctx)
	fmt.Println(words, err)

	crash := ipc.NewTarget[any, string]("x:kill9")
	_, err = tasklet.Subprocess(ctx, w, crash, nil, tasklet.Config[string]{}).Wait(ctx)
	fmt.Println(errors.Is(err, ipc.ErrCrash), err)
	// Output:
	// [hello there] <nil>
	// true its worker died (signal 9, SIGKILL)
}
