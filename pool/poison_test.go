//go:build unix

package pool_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

func TestPoisonedKeyIsSetAside(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1, Poison: pool.Poison{CoolDown: 2 * time.Second}, IdleAfter: 200 * time.Millisecond})
	poison := task(t, "poison", "x:kill9")
	var workers []string
	for range 3 {
		o := run(t, p, poison)
		if !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 1 {
			t.Fatalf("outcome = %+v, want a crash", o)
		}
		workers = append(workers, o.Worker)
	}
	if got := strings.Join(workers, " "); got != "main/1 main/1 main/canary" {
		t.Errorf("it ran on %s", got)
	}
	for _, w := range p.Workers() {
		if w.Canary != (w.Name == "main/canary") {
			t.Errorf("worker = %+v", w)
		}
	}
	neighbour := p.Workers()[0].PID
	for range 3 {
		o := run(t, p, poison)
		if !errors.Is(o.Err, ipc.ErrCrash) || !strings.Contains(o.Err.Error(), "set aside until") || o.Worker != "" {
			t.Errorf("outcome = %+v, want it set aside", o)
		}
		if o := run(t, p, task(t, "neighbour", "echo")); o.Err != nil {
			t.Error(o.Err)
		}
	}
	if now := p.Workers()[0].PID; now != neighbour && neighbour != 0 {
		t.Errorf("the neighbours' worker is %d, was %d", now, neighbour)
	}
	if e := waitFor(t, log, func(pool.SetAside) bool { return true }); e.Key != "poison" || e.Crashes != 3 {
		t.Errorf("event = %+v", e)
	}

	// After the cool-down the canary tries again, and an answer clears the key.
	healed := task(t, "poison", "echo")
	for end := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		o := run(t, p, healed)
		if o.Err == nil {
			if o.Worker != "main/canary" {
				t.Errorf("it was healed on %s", o.Worker)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it never came back: %v", o.Err)
		}
	}
	if o := run(t, p, healed); o.Err != nil || o.Worker != "main/1" {
		t.Errorf("outcome = %+v, want it done by main/1", o)
	}
	waitReady(t, p, 1) // the canary goes when it is idle
}

// TestATaskThatIsSetAsideIsNotWritten: the canary was sent it all the same, and died of it, while its outcome said that it
// had not run.
func TestATaskThatIsSetAsideIsNotWritten(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	p, log := start(t, pool.Config{Workers: 1, Env: with("EVIL_LEDGER=" + ledger), Poison: pool.Poison{CoolDown: time.Hour}})
	poison, other := task(t, "poison", "x:kill9"), task(t, "other", "x:kill9")
	for _, k := range []ipc.Task{poison, poison, other, other, poison} {
		if o := run(t, p, k); !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 1 {
			t.Fatalf("outcome = %+v, want a crash", o)
		}
	}
	waitFor(t, log, func(e pool.SetAside) bool { return e.Key == "poison" })
	if o := run(t, p, poison); !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 0 {
		t.Errorf("outcome = %+v, want it set aside", o)
	}
	if o := run(t, p, task(t, "other", "echo")); o.Err != nil || o.Worker != "main/canary" { // behind it
		t.Errorf("outcome = %+v, want it done by the canary", o)
	}
	got := slices.DeleteFunc(keys(t, ledger), func(key string) bool { return key != "poison" })
	if len(got) != 3 {
		t.Errorf("it began %d times, want 3", len(got))
	}
}

// TestAReloadForgetsWhatTheOldWorkersDiedOf: a key stayed set aside, for up to an hour, when its worker had been mended.
func TestAReloadForgetsWhatTheOldWorkersDiedOf(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1, Poison: pool.Poison{CoolDown: time.Hour}})
	for range 3 {
		run(t, p, task(t, "poison", "x:kill9"))
	}
	waitFor(t, log, func(pool.SetAside) bool { return true })
	if err := p.Reload(t.Context(), []string{"/bin/false"}); err == nil {
		t.Error("a worker that ends at once was taken for a new one")
	}
	if o := run(t, p, task(t, "poison", "echo")); !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 0 {
		t.Errorf("after a reload that failed: outcome = %+v, want it set aside", o)
	}
	if err := p.Reload(t.Context(), proctest.Command("worker")); err != nil {
		t.Fatal(err)
	}
	if o := run(t, p, task(t, "poison", "echo")); o.Err != nil || o.Worker != "main/1" {
		t.Errorf("outcome = %+v, want it done by main/1", o)
	}
}

func TestRetriesGoOnInTheCanary(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	again := task(t, "k", "x:kill9")
	again.Retries = 5
	o := run(t, p, again)
	if !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 3 || !strings.Contains(o.Err.Error(), "set aside") {
		t.Errorf("outcome = %+v, want it set aside after 3 attempts", o)
	}
}

// TestManyPoisonedKeysDoNotWaitForEachOther: a canary that each of them kills once was held back as if it could not start.
func TestManyPoisonedKeysDoNotWaitForEachOther(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1})
	var poisons []ipc.Task
	for i := range 9 {
		poison := task(t, fmt.Sprint("poison ", i), "x:kill9")
		poisons = append(poisons, poison)
		for range 2 {
			run(t, p, poison)
			run(t, p, task(t, "neighbour", "echo")) // the worker is of use
		}
	}
	var ended []<-chan ipc.Outcome
	for _, poison := range poisons {
		ended = append(ended, submit(t, p, poison))
	}
	for _, outcome := range ended {
		if o := <-outcome; !errors.Is(o.Err, ipc.ErrCrash) || o.Worker != "main/canary" {
			t.Errorf("outcome = %+v, want a crash of the canary", o)
		}
	}
	for _, e := range of[pool.Exited](log) {
		if e.Worker == "main/canary" && e.Next > 0 { // the pauses grow: 25 s for these few
			t.Errorf("after %s the others wait for %v", e.Key, e.Next)
		}
	}
}

func TestOtherEndsArePoisonOfNobody(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	slow := task(t, "slow", "x:hang")
	slow.Timeout = 20 * time.Millisecond
	for range 4 {
		if o := run(t, p, slow); !errors.Is(o.Err, ipc.ErrTimeout) {
			t.Errorf("outcome = %+v, want a timeout", o)
		}
		if o := run(t, p, task(t, "failing", "no such target")); !errors.Is(o.Err, ipc.ErrTask) {
			t.Errorf("outcome = %+v, want a failure", o)
		}
	}
}

// TestACanaryThatExits78ComesBack: it was taken for one that shall not be started again, and what waited for it was never
// told anything.
func TestACanaryThatExits78ComesBack(t *testing.T) {
	once := filepath.Join(t.TempDir(), "once")
	script := `case $MASTER_WORKER in */canary) [ -e "` + once + `" ] || { : >"` + once + `"; exit 78; };; esac; exec "$@"`
	p, log := start(t, pool.Config{Workers: 1, Command: append([]string{"/bin/sh", "-c", script, "sh"}, proctest.Command("worker")...)})
	for range 2 {
		run(t, p, task(t, "poison", "x:kill9"))
	}
	if o := run(t, p, task(t, "poison", "echo", 1)); o.Err != nil {
		t.Errorf("outcome = %+v", o)
	}
	waitFor(t, log, func(e pool.StartFailed) bool { return e.Worker == "main/canary" && e.Next >= 0 })
}
