// Embed is a program that has a master inside: it starts worker processes, keeps a value fresh, and runs tasks. It is
// its own worker, so it needs no other program.
//
//	$ go run ./examples/embed
//	year [2,1013] <nil>
//	360360 = [2 2 2 3 3 5 7 11 13]
//	task error: 0 has no factors
//	pressure 3.1e-09 mbar
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"fandango/executor"
	"fandango/ipc"
	"fandango/master"
	"fandango/pool"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		serve()
		return
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// serve is the worker's side.
func serve() {
	var names executor.Registry
	executor.Handle(&names, "pressure", func(context.Context, struct{}) (float64, error) {
		return 3.1e-9 * (1 + math.Sin(float64(time.Now().Unix()))/100), nil
	})
	executor.Handle(&names, "factor", factor)
	executor.Main(&names)
}

func factor(_ context.Context, n int) ([]int, error) {
	if n < 1 {
		return nil, fmt.Errorf("%d has no factors", n)
	}
	var factors []int
	for d := 2; n > 1; d++ {
		for ; n%d == 0; n /= d {
			factors = append(factors, d)
		}
	}
	return factors, nil
}

// factorize is the same handler as the master's side sees it: a func.
var factorize = ipc.NewTarget[int, []int]("factor")

func run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	workers, err := pool.New(pool.Config{Command: []string{self, "worker"}, Workers: 2})
	if err != nil {
		return err
	}
	m := master.New(workers, master.Config{})

	// Both live until this function ends, and it waits for them: the master first, for it gives work to the pool.
	poolCtx, stopPool := context.WithCancel(ctx)
	masterCtx, stopMaster := context.WithCancel(ctx)
	var poolDone, masterDone sync.WaitGroup
	var poolErr, masterErr error
	poolDone.Go(func() { poolErr = workers.Run(poolCtx) })
	masterDone.Go(func() { masterErr = m.Run(masterCtx) })

	err = work(ctx, m, workers)

	stopMaster()
	masterDone.Wait()
	stopPool()
	poolDone.Wait()
	return errors.Join(err, masterErr, poolErr)
}

func work(ctx context.Context, m *master.Master, workers *pool.Pool) error {
	// A key whose value is read every second, and never handed out when it is older than three.
	pressure, err := ipc.NewTask("pressure", "pressure", nil)
	if err != nil {
		return err
	}
	updated := make(chan struct{}, 1)
	err = m.Add(master.Entry{Task: pressure, Every: time.Second, Expire: 3 * time.Second, Then: func(master.Value) {
		select {
		case updated <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		return err
	}

	// A task with a callback; the callbacks of one key run one after another.
	task, err := factorize.Task("year", 2026)
	if err != nil {
		return err
	}
	answered := make(chan master.Value, 1)
	if err := m.Send(ctx, task, func(v master.Value) { answered <- v }); err != nil {
		return err
	}
	v := <-answered
	fmt.Println(v.Key, v.Value, v.Err)

	// A call, as of a func in this process.
	if factors, err := factorize.Call(ctx, workers, 360360); err == nil {
		fmt.Println("360360 =", factors)
	}
	if _, err := factorize.Call(ctx, workers, 0); err != nil {
		fmt.Println(ipc.KindOf(err), "error:", err)
	}

	<-updated
	p, err := master.Get[float64](m, "pressure")
	if err != nil {
		return err
	}
	fmt.Printf("pressure %.1e mbar\n", p)
	return nil
}
