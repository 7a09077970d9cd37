//go:build unix

package pool_test

import (
	"context"
	"fmt"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// A pool is given its life by Run; what happens in between is Submit, mostly by way of ipc.Do, a Target or a master.
func Example() {
	p, err := pool.New(pool.Config{
		Command: proctest.Command("worker"), // in a program: []string{"python3", "worker.py"}
		Workers: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()

	echo := ipc.NewTarget[[]string, []string]("echo")
	words, err := echo.Call(ctx, p, []string{"hello", "there"})
	fmt.Println(words, err)

	crash, err := ipc.NewTask("a task that kills its worker", "x:kill9", nil)
	if err != nil {
		fmt.Println(err)
	}
	_, err = ipc.Do(ctx, p, crash)
	fmt.Println(ipc.KindOf(err), "-", err)

	cancel()
	fmt.Println(<-ended)
	// Output:
	// [hello there] <nil>
	// crash - its worker died (signal 9, SIGKILL)
	// <nil>
}
