package periodic_test

import (
	"context"
	"fmt"
	"time"

	"fandango/periodic"
)

func ExampleObject() {
	seen := make(chan string)
	o, err := periodic.New(periodic.Config[string]{
		Target: func(_ context.Context, device string) error {
			seen <- "read " + device
			return nil
		},
		Args:     "sr/vc/temp",
		Period:   5 * time.Millisecond,
		StopHook: func(context.Context) error { seen <- "stopped"; return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- o.Run(context.Background()) }()

	if err := o.Start(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-seen)
	fmt.Println(<-seen)
	o.Stop()
	fmt.Println(<-seen)
	o.Kill()
	fmt.Println("ended:", <-ended)
	// Output:
	// read sr/vc/temp
	// read sr/vc/temp
	// stopped
	// ended: <nil>
}

// The hooks give the arguments, and any method may be called where the target runs.
func ExampleConfig() {
	var o *periodic.Object[int]
	n := 0
	o, err := periodic.New(periodic.Config[int]{
		Period:    time.Millisecond,
		Started:   true,
		StartHook: func(context.Context, time.Time) (int, error) { return 100, nil },
		LoopHook:  func(context.Context, time.Time) (int, error) { n++; return n, nil },
		Target: func(_ context.Context, args int) error {
			fmt.Println(args)
			if args == 2 {
				o.Kill()
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = o.Run(context.Background())
	fmt.Println(err, o.Stats().Count)
	// Output:
	// 100
	// 1
	// 2
	// <nil> 3
}
