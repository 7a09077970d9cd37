//go:build unix

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
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

// TestAbortWhileAWorkerRepeatsWhatIsKept: the tasks that it had not repeated yet were told one after the other to a watch
// that listens once, and Abort never returned.
func TestAbortWhileAWorkerRepeatsWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	ledger, gate := filepath.Join(dir, "ledger"), filepath.Join(dir, "gate")
	p, _ := start(t, pool.Config{Workers: 1, Env: with("EVIL_LEDGER=" + ledger)})
	waitReady(t, p, 1)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broadcast(t, p, task(t, "first", "until", gate), true)
	for i := range 10 {
		broadcast(t, p, task(t, fmt.Sprint("k", i), "echo"), true)
	}
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	if err := p.Resize(2); err != nil {
		t.Fatal(err)
	}
	times := func() (n int) {
		for _, key := range keys(t, ledger) {
			if key == "first" {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(time.Minute); times() < 2; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the second worker does not repeat what is kept")
		}
	}
	returned := make(chan struct{})
	go func() {
		p.Abort()
		close(returned)
	}()
	select {
	case <-returned:
	case <-time.After(time.Minute):
		t.Fatal("Abort does not return")
	}
}

// TestBroadcastWhileAWorkerDies: a worker whose tasks had been judged was still given one, which nobody ended.
func TestBroadcastWhileAWorkerDies(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2, Poison: pool.Poison{Suspect: 1 << 30}})
	one := task(t, "b", "echo")
	for round := range 5 {
		waitReady(t, p, 2)
		died := make(chan struct{})
		victim := p.Workers()[0]
		if victim.PID == 0 {
			t.Fatalf("%+v is ready", victim)
		}
		go func() {
			defer close(died)
			_ = syscall.Kill(-victim.PID, syscall.SIGKILL)
			for end := time.Now().Add(time.Minute); p.Workers()[0].Restarts == victim.Restarts && time.Now().Before(end); {
				<-time.After(100 * time.Microsecond)
			}
		}()
		var under atomic.Int64
		for !closed(died) { // one after the other, whatever becomes of them
			if under.Load() > 20_000 {
				<-time.After(100 * time.Microsecond)
				continue
			}
			under.Add(1)
			if err := p.Broadcast(t.Context(), one, false, func([]ipc.Outcome) { under.Add(-1) }); err != nil {
				t.Fatal(err)
			}
		}
		for end := time.Now().Add(time.Minute); under.Load() > 0; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("round %d: %d broadcasts have no outcome", round, under.Load())
			}
		}
	}
}
