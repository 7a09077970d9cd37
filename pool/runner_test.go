//go:build unix

package pool_test

import (
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/internal/runnertest"
	"fandango/ipc"
	"fandango/pool"
)

// kit makes pools of so many workers that play a role.
func kit(role string, wire ipc.Wire, window int) func(*testing.T, int) runnertest.Running {
	return func(t *testing.T, workers int) runnertest.Running {
		t.Helper()
		return made(t, pool.New, pool.Config{Command: proctest.Command(role), Workers: workers, Wire: wire, Window: window})
	}
}

func made(t *testing.T, makeNew func(pool.Config) (*pool.Pool, error), cfg pool.Config) *pool.Pool {
	t.Helper()
	cfg.Queue, cfg.Grace = 500, 20*time.Millisecond
	p, err := makeNew(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPoolIsARunner(t *testing.T) {
	for _, c := range []struct {
		name   string
		wire   ipc.Wire
		window int
	}{{"msgpack", ipc.Msgpack, 0}, {"json", ipc.JSON, 0}, {"one at a time", ipc.Msgpack, 1}} {
		t.Run(c.name, func(t *testing.T) {
			runnertest.Test(t, runnertest.Kit{
				New: kit("names", c.wire, c.window), NewWhole: kit("whole", c.wire, c.window),
				Queue: 500, Slack: 4096, Options: true, Dies: true,
			})
		})
	}
}

// A process per task runs no tuples: its target is a command, or a word of one.
func TestExecIsARunner(t *testing.T) {
	runnertest.Test(t, runnertest.Kit{
		New: func(t *testing.T, workers int) runnertest.Running {
			t.Helper()
			return made(t, pool.NewExec, pool.Config{Command: []string{"/bin/sh", "-c", "{}"}, Workers: workers})
		},
		Task: func(t *testing.T, key string, deed runnertest.Deed, text string) ipc.Task {
			t.Helper()
			script := map[runnertest.Deed]string{runnertest.Echo: "printf %s '" + text + "'", runnertest.Fail: "exit 3", runnertest.Hang: "sleep 300"}[deed]
			return task(t, key, script)
		},
		Queue: 500, Options: true,
	})
}
