//go:build !race

package evalx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// TestEvaluationOfFourGigabytes holds that an evaluation which wants more than --memory costs one worker that never had
// much more than that, and that the next task is well at once.
func TestEvaluationOfFourGigabytes(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	proctest.NoLeftovers(t)
	p, err := pool.New(pool.Config{Command: proctest.Command("worker", "--memory=512MiB"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	const (
		limit = 5 * time.Second  // of the task
		slack = 10 * time.Second // a second will do, but on a machine under load; the log has the times
		peak  = 640 << 20
	)
	do := func(key, source string) error {
		task, err := ipc.NewTask(key, source, nil)
		if err != nil {
			t.Fatal(err)
		}
		task.Timeout = limit
		_, err = ipc.Do(t.Context(), p, task)
		return err
	}
	if err := do("first", "1 + 1"); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{
		"pieces":  `[str(i) + "x" * 1000000 for i in range(4300)]`,
		"doubled": "x = 'x' * 1000000\nwhile len(x) < 4000 * 1000 * 1000:\n  x = x + x",
		"joined":  `"".join(["x" * 1000000] * 4300)`,
		"numbers": "[float(i) for i in range(1 << 29)]",
	} {
		began := time.Now()
		err := do(name, source)
		took := time.Since(began)
		var e *ipc.Error
		if !errors.As(err, &e) || e.Exit == nil || took > limit+slack {
			t.Errorf("%s: %v after %v, want the worker's end in %v", name, err, took, limit+slack)
			continue
		}
		if e.Exit.MaxRSS > peak {
			t.Errorf("%s: the worker had %d MiB, want at most %d", name, e.Exit.MaxRSS>>20, peak>>20)
		}
		began = time.Now()
		if err := do("next", "1 + 1"); err != nil || time.Since(began) > slack {
			t.Errorf("%s: the next task: %v after %v", name, err, time.Since(began))
		}
		t.Logf("%s: %s after %v, %d MiB; the next task %v later", name, e.Kind, took.Round(time.Millisecond), e.Exit.MaxRSS>>20, time.Since(began).Round(time.Millisecond))
	}
}
