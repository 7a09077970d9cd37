package shell

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"fandango/ipc"
)

// BenchmarkBatch is the shell's share of a task: a line in, a line out, over a Send that answers at once.
func BenchmarkBatch(b *testing.B) {
	lines := strings.Repeat("sr/di/dcct/averagecurrent\n", b.N)
	source, err := NewSource(strings.NewReader(lines), Form{Target: "echo"})
	if err != nil {
		b.Fatal(err)
	}
	value, err := ipc.Encode("sr/di/dcct/averagecurrent")
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now()
	showing, stop := context.WithCancel(b.Context())
	screen := NewScreen(io.Discard, io.Discard, false, NoProgress, nil)
	var show sync.WaitGroup
	show.Go(func() { screen.Run(showing) })
	batch := Batch{
		Source: source, Out: io.Discard, Screen: screen, Tally: &Tally{}, Format: JSON,
		Send: func(_ context.Context, t ipc.Task, then func(Result, ...Result)) error {
			then(Result{Key: t.Key, Outcome: ipc.Outcome{Value: value, Worker: "main/1", Attempts: 1}, At: at})
			return nil
		},
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := batch.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	stop()
	show.Wait()
}
