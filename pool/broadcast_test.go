//go:build unix

package pool_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

var _ ipc.Broadcaster = (*pool.Pool)(nil)

// broadcast waits for the outcomes.
func broadcast(t *testing.T, p *pool.Pool, task ipc.Task, keep bool) []ipc.Outcome {
	t.Helper()
	got := make(chan []ipc.Outcome, 2)
	if err := p.Broadcast(t.Context(), task, keep, func(o []ipc.Outcome) { got <- o }); err != nil {
		t.Fatal(err)
	}
	return <-got
}

func TestBroadcastReachesEveryWorkerOnce(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 3})
	waitReady(t, p, 3)
	busy := submit(t, p, task(t, "busy", "x:late"))
	outcomes := broadcast(t, p, task(t, "who", "pid"), false)
	var pids []string
	for _, o := range outcomes {
		if o.Err != nil {
			t.Error(o.Err)
		}
		pids = append(pids, o.Value.String())
	}
	slices.Sort(pids)
	if len(slices.Compact(pids)) != 3 {
		t.Errorf("processes %v answered, want 3 different ones", pids)
	}
	if o := <-busy; o.Err != nil {
		t.Error(o.Err)
	}
}

func TestKeptTasksAreRepeatedOnEveryNewWorkerInOrder(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	p, _ := start(t, pool.Config{Workers: 1, Env: with("EVIL_LEDGER=" + ledger)})
	if n := len(broadcast(t, p, task(t, "early", "echo"), true)); n > 1 {
		t.Errorf("%d outcomes of one worker", n)
	}
	run(t, p, task(t, "ready", "echo"))
	for _, key := range []string{"a", "b", "a"} { // the newest of a key wins, and comes last
		for _, o := range broadcast(t, p, task(t, key, "echo"), true) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
	}
	broadcast(t, p, task(t, "not kept", "echo"), false)
	run(t, p, task(t, "die", "x:kill9"))
	if o := run(t, p, task(t, "end", "echo")); o.Err != nil {
		t.Fatal(o.Err)
	}
	if got, want := strings.Join(keys(t, ledger), " "), "early ready a b a not kept die early b a end"; got != want {
		t.Errorf("the workers ran %q, want %q", got, want)
	}
}

func TestFailedReplayKeepsTheWorkerOut(t *testing.T) {
	p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(broadcast(t, p, task(t, "setup", "no such thing"), true)); n != 0 {
		t.Fatalf("%d outcomes of no worker", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for end := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		if why := p.Workers()[0].Err; why != nil {
			if !strings.Contains(why.Error(), `key "setup": no such target`) {
				t.Errorf("error = %v", why)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("worker = %+v, want it not ready", p.Workers()[0])
		}
	}
}

func TestWhatEveryWorkerRefusesIsNotKept(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	waitReady(t, p, 2)
	for _, o := range broadcast(t, p, task(t, "setup", "no such thing"), true) {
		if !errors.Is(o.Err, ipc.ErrTask) {
			t.Errorf("outcome = %+v, want a failure", o)
		}
	}
	run(t, p, task(t, "die", "x:kill9"))
	waitReady(t, p, 2) // the new one, too
}

func TestBroadcastToAWorkerThatDies(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	waitReady(t, p, 2)
	for _, o := range broadcast(t, p, task(t, "die", "x:exit3"), false) {
		if !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 1 {
			t.Errorf("outcome = %+v, want a crash", o)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	waitReady(t, p, 2)
	got := make(chan []ipc.Outcome, 1)
	if err := p.Broadcast(ctx, task(t, "hang", "x:hang"), false, func(o []ipc.Outcome) { got <- o }); err != nil {
		t.Fatal(err)
	}
	waitState(t, p, pool.StateBusy)
	cancel()
	for _, o := range <-got {
		if !errors.Is(o.Err, ipc.ErrCancelled) {
			t.Errorf("outcome = %+v, want cancelled", o)
		}
	}
	p.Drain(0)
	if err := p.Broadcast(t.Context(), task(t, "late", "echo"), true, nil); !errors.Is(err, ipc.ErrClosed) {
		t.Errorf("Broadcast after Drain = %v, want closed", err)
	}
}
