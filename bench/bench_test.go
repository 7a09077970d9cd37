//go:build unix

// Package bench measures the road of a task end to end, through real processes and beside its physical limit, and those
// stretches of it that no package has a benchmark of; docs/performance.md says which command runs which. The comparison
// with others is in compare, and what drives them in peers.
package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"fandango/executor"
	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// The test binary plays the child: a worker that echoes its argument, or a raw echo of bytes.
func TestMain(m *testing.M) {
	switch os.Getenv("FANDANGO_BENCH") {
	case "worker":
		var names executor.Registry
		executor.Handle(&names, "echo", func(_ context.Context, v ipc.Raw) (ipc.Raw, error) { return v, nil })
		executor.Handle(&names, "cpu", func(context.Context, ipc.Raw) (int64, error) { return int64(proctest.CPU()), nil })
		executor.Main(&names)
	case "raw":
		_, err := io.Copy(os.Stdout, os.Stdin)
		if err != nil {
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

var sizes = []struct {
	name  string
	bytes int
}{{"64B", 64}, {"4KiB", 4 << 10}, {"1MiB", 1 << 20}}

// BenchmarkSync: one caller, who waits for each answer.
func BenchmarkSync(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			p := start(b, 1)
			payload := make([]byte, size.bytes)
			b.SetBytes(int64(size.bytes))
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				if _, err := ipc.Do(b.Context(), p, task(b, payload, i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPipelined: as many tasks at once as the workers can take.
func BenchmarkPipelined(b *testing.B) {
	for _, workers := range []int{1, 2} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%s/workers=%d", size.name, workers), func(b *testing.B) {
				p := start(b, workers)
				payload := make([]byte, size.bytes)
				b.SetBytes(int64(size.bytes))
				b.ReportAllocs()
				room := make(chan struct{}, max(64, (4<<20)/size.bytes)) // in flight
				var failed error
				var once sync.Once
				for i := uint64(0); b.Loop(); i++ {
					room <- struct{}{}
					err := p.Submit(b.Context(), task(b, payload, i), func(o ipc.Outcome) {
						if o.Err != nil {
							once.Do(func() { failed = o.Err })
						}
						<-room
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				for range cap(room) { // wait for the last ones
					room <- struct{}{}
				}
				if failed != nil {
					b.Fatal(failed)
				}
			})
		}
	}
}

// BenchmarkLimit is what two processes and two pipes can do when nothing is encoded: ping-pong.
func BenchmarkLimit(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "FANDANGO_BENCH=raw")
			in, err := cmd.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			sent, got := make([]byte, size.bytes), make([]byte, size.bytes)
			wrote := make(chan error, 1)
			write := func() {
				_, err := in.Write(sent)
				wrote <- err
			}
			b.SetBytes(int64(size.bytes))
			for b.Loop() {
				if size.bytes > 4<<10 {
					go write() // more than a pipe holds: the echo must be read meanwhile
				} else {
					write()
				}
				if _, err := io.ReadFull(out, got); err != nil {
					b.Fatal(err)
				}
				if err := <-wrote; err != nil {
					b.Fatal(err)
				}
			}
			if err := in.Close(); err != nil {
				b.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// start runs a pool of echo workers for the time of a benchmark.
func start(b *testing.B, workers int) *pool.Pool {
	b.Helper()
	p, err := pool.New(pool.Config{
		Command: []string{os.Args[0]},
		Env:     append(os.Environ(), "FANDANGO_BENCH=worker"),
		Workers: workers,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	})
	if _, err := ipc.Do(b.Context(), p, task(b, nil, 0)); err != nil { // ready
		b.Fatal(err)
	}
	return p
}

// task makes an echo task; no two have the same payload.
func task(b *testing.B, payload []byte, i uint64) ipc.Task {
	b.Helper()
	if len(payload) >= 8 {
		binary.LittleEndian.PutUint64(payload, i)
	}
	t, err := ipc.NewTask("k", "echo", payload)
	if err != nil {
		b.Fatal(err)
	}
	return t
}
