package mainloop_test

import (
	"context"
	"fmt"
	"sync"

	"fandango/mainloop"
)

// A program has a loop of its own, as each window toolkit has; results of background work are shown there.
func Example() {
	events := make(chan func()) // what the loop runs; with a toolkit, New is given fyne.Do or glib.IdleAdd
	ctx, cancel := context.WithCancel(context.Background())
	post := func(f func()) {
		select {
		case events <- f:
		case <-ctx.Done():
		}
	}
	q := mainloop.New(post, mainloop.Config{
		Busy: func(busy bool) {
			fmt.Println("busy:", busy)
			if !busy {
				cancel() // here it is the end of the program
			}
		},
		Progress: func(done float64) { fmt.Printf("%.0f %%\n", 100*done) },
	})
	show := mainloop.Deliver(q, func(line string) { fmt.Println(line) })

	show("first result") // from any goroutine: they wait for the loop
	show("second result")
	var running sync.WaitGroup
	running.Go(func() { _ = q.Run(ctx) })
	for ctx.Err() == nil { // the loop
		select {
		case f := <-events:
			f()
		case <-ctx.Done():
		}
	}
	running.Wait()
	// Output:
	// busy: true
	// 0 %
	// first result
	// 50 %
	// second result
	// 100 %
	// busy: false
}
