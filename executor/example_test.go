package executor_test

import (
	"context"
	"fmt"
	"strings"

	"fandango/executor"
	"fandango/ipc"
)

// Scope is a device that a worker drives.
type Scope struct{ Unit string }

// Read reads a channel.
func (s *Scope) Read(channel int) (string, error) {
	if channel > 4 {
		return "", fmt.Errorf("there is no channel %d", channel)
	}
	return fmt.Sprintf("%d %s", 10*channel, s.Unit), nil
}

// A worker of one object: its methods are targets. In a real worker, main is executor.Main(executor.Object(&Scope{})).
func ExampleObject() {
	e := executor.Object(&Scope{Unit: "mV"})
	show(e, "read", 3)
	show(e, "unit", nil)
	show(e, "read", 7)
	show(e, "reed", 3)
	// Output:
	// "30 mV"
	// "mV"
	// there is no channel 7
	// NameError: name "reed" is not defined; did you mean read? (known: read, unit)
}

// A worker of one func takes whole targets.
func ExampleFunc() {
	e := executor.Func(strings.ToUpper)
	v, err := e.Execute(context.Background(), encode("alba"), nil)
	fmt.Println(v, err)
	// Output: ALBA <nil>
}

// A registry of typed handlers: a slice takes a list, a struct takes named arguments, or its fields in order.
func ExampleHandle() {
	var reg executor.Registry
	executor.Handle(&reg, "sum", func(_ context.Context, numbers []int) (int, error) {
		sum := 0
		for _, n := range numbers {
			sum += n
		}
		return sum, nil
	})
	executor.Handle(&reg, "move", func(_ context.Context, args struct {
		Motor string
		To    float64
	},
	) (string, error) {
		return fmt.Sprintf("%s at %g", args.Motor, args.To), nil
	})
	show(&reg, "sum", []int{1, 2, 3})
	show(&reg, "move", map[string]any{"motor": "mono", "to": 12.5})
	show(&reg, "move", []any{"mono", 13})
	show(&reg, "move", map[string]any{"motor": 5})
	// Output:
	// 6
	// "mono at 12.5"
	// "mono at 13"
	// TypeError: move: argument motor: want string, got int 5
}

// An executor inside this process, without a worker process.
func ExampleLocal() {
	r := executor.Local(executor.Object(&Scope{Unit: "mV"}), 2)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()

	v, err := ipc.NewTarget[int, string]("read").Call(ctx, r, 2)
	fmt.Println(v, err)

	cancel()
	<-ran
	// Output: 20 mV <nil>
}

// show runs a task and prints its value as JSON, or its error.
func show(e executor.Executor, target string, args any) {
	var raw ipc.Raw
	if args != nil {
		raw = encode(args)
	}
	v, err := e.Execute(context.Background(), encode(target), raw)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(encode(v))
}

func encode(v any) ipc.Raw {
	raw, err := ipc.Encode(v)
	if err != nil {
		panic(err)
	}
	return raw
}
