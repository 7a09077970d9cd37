//go:build unix

package pool

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"fandango/internal/proc"
)

// TestWorkerThatPrintsForEverLetsItsCallerWrite: a caller of Do looks at what was printed before he came. Where more came
// faster than he read, his task was not written, and so its timeout did not begin, until the worker happened to pause.
func TestWorkerThatPrintsForEverLetsItsCallerWrite(t *testing.T) {
	s := proc.NewSpawner(1)
	stop := make(chan struct{})
	var spawning sync.WaitGroup
	spawning.Go(func() { s.Run(stop) })
	defer spawning.Wait()
	defer close(stop)
	p, err := s.Start(proc.Spec{Command: []string{"cat", "/dev/zero"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Reap()
	defer p.Kill()

	in := source{out: p.Stdout, now: true, left: feedBytes}
	total := 0
	for buf := make([]byte, 1000); err == nil || total == 0 && errors.Is(err, os.ErrDeadlineExceeded); { // it has to begin
		var n int
		n, err = in.Read(buf)
		total += n
	}
	if total > feedBytes || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes without waiting, then %v; want at most %d, and no time", total, err, feedBytes)
	}
	in.now = false
	if _, err := io.ReadFull(&in, make([]byte, 2*feedBytes)); err != nil {
		t.Errorf("waiting, it reads on: %v", err)
	}
}
