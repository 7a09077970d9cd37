//go:build unix

package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"fandango/executor"
	"fandango/ipc"
	"fandango/pool"
)

// BenchmarkQueue is what it costs that a task waits: Submit to a pool whose workers have not been started, and the outcome
// that it has when the pool ends.
func BenchmarkQueue(b *testing.B) {
	p, err := pool.New(pool.Config{Command: []string{os.Args[0]}, Queue: max(1, b.N)})
	if err != nil {
		b.Fatal(err)
	}
	t := task(b, make([]byte, 64), 0)
	ended := 0
	done := func(ipc.Outcome) { ended++ }
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := p.Submit(context.Background(), t, done); err != nil {
			b.Fatal(err)
		}
	}
	p.Drain(0)
	if ended != b.N {
		b.Fatalf("%d outcomes of %d tasks", ended, b.N)
	}
}

// device is an object whose methods are targets.
type device struct{}

func (device) Read(_ context.Context, name string) (string, error) { return name, nil }

// BenchmarkResolve is the worker's way from a target's name to its answer: a typed handler, one that takes what is encoded
// as it is, a method found by reflection; each among many.
func BenchmarkResolve(b *testing.B) {
	var names executor.Registry
	for i := range 1000 {
		executor.Handle(&names, fmt.Sprint("other", i), func(_ context.Context, v ipc.Raw) (ipc.Raw, error) { return v, nil })
	}
	executor.Handle(&names, "raw", func(_ context.Context, v ipc.Raw) (ipc.Raw, error) { return v, nil })
	executor.Handle(&names, "typed", func(_ context.Context, v string) (string, error) { return v, nil })
	names.HandleMethods("device.", device{})
	for _, name := range []string{"raw", "typed", "device.read"} {
		t, err := ipc.NewTask("k", name, []string{strings.Repeat("x", 64)})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := names.Execute(b.Context(), t.Target, t.Args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
