//go:build unix

package pool_test

import (
	"context"
	"sync"
	"testing"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

func benchPool(b *testing.B, workers int) *pool.Pool {
	b.Helper()
	p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Workers: workers, Queue: 1 << 20, Env: ordered()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
	if _, err := ipc.Do(ctx, p, task(b, "warm", "echo")); err != nil {
		b.Fatal(err)
	}
	return p
}

// One caller, one task in flight.
func BenchmarkSync(b *testing.B) {
	p := benchPool(b, 1)
	t := task(b, "k", "echo", "0123456789012345678901234567890123456789012345678901234567890123")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ipc.Do(context.Background(), p, t); err != nil {
			b.Fatal(err)
		}
	}
}

// All tasks submitted, all outcomes awaited.
func BenchmarkPipelined(b *testing.B) {
	p := benchPool(b, 2)
	t := task(b, "k", "echo", "0123456789012345678901234567890123456789012345678901234567890123")
	b.ReportAllocs()
	room := make(chan struct{}, 1<<16)
	var wg sync.WaitGroup
	for b.Loop() {
		room <- struct{}{}
		wg.Add(1)
		if err := p.Submit(context.Background(), t, func(ipc.Outcome) { <-room; wg.Done() }); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}
