//go:build unix

package pool_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// load keeps tasks coming until stop is called, which returns how many there were and the first error.
func load(t *testing.T, p *pool.Pool) (stop func() (int, error)) {
	t.Helper()
	quit := make(chan struct{})
	type total struct {
		n   int
		err error
	}
	totals := make(chan total, 1)
	go func() {
		var sum total
		for !closed(quit) {
			results := make(chan ipc.Outcome, 8)
			for i := range 8 {
				if err := p.Submit(t.Context(), task(t, strconv.Itoa(sum.n+i), "echo"), func(o ipc.Outcome) { results <- o }); err != nil {
					results <- ipc.Outcome{Err: err}
				}
			}
			for range 8 {
				o := <-results
				sum.n++
				if o.Err != nil && sum.err == nil {
					sum.err = o.Err
				}
			}
		}
		totals <- sum
	}()
	return func() (int, error) {
		close(quit)
		sum := <-totals
		return sum.n, sum.err
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// leastReady samples how many workers take tasks and stop returns the least.
func leastReady(p *pool.Pool) (stop func() int) {
	quit, least := make(chan struct{}), make(chan int, 1)
	go func() {
		seen := 1 << 30
		for {
			ready := 0
			for _, w := range p.Workers() {
				if w.State == pool.StateReady || w.State == pool.StateBusy {
					ready++
				}
			}
			seen = min(seen, ready)
			select {
			case <-quit:
				least <- seen
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	return func() int { close(quit); return <-least }
}

func TestRecycleAfterTasks(t *testing.T) { // O36
	p, log := start(t, pool.Config{Workers: 2, Recycle: pool.Recycle{Tasks: 50}})
	waitReady(t, p, 2)
	least := leastReady(p)
	stop := load(t, p)
	retired := 0
	waitFor(t, log, func(pool.Exited) bool { retired++; return retired == 10 })
	n, err := stop()
	if err != nil {
		t.Errorf("of %d tasks one failed: %v", n, err)
	}
	for _, e := range of[pool.Exited](log) {
		if !e.Retired || e.Err != nil || e.Exit.Served < 45 {
			t.Errorf("event = %+v, want a retirement after 45 answers or more", e)
		}
	}
	if got := least(); got < 1 {
		t.Errorf("at one moment %d of 2 workers took tasks", got)
	}
}

func TestRecycleByAgeAndMemory(t *testing.T) {
	for name, r := range map[string]pool.Recycle{
		"age":    {Age: 50 * time.Millisecond},
		"memory": {Memory: 64 << 20},
		"idle":   {Idle: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p, log := start(t, pool.Config{Workers: 1, Recycle: r})
			if name == "memory" {
				if o := run(t, p, task(t, "k", "x:mem")); o.Err != nil {
					t.Fatal(o.Err)
				}
			}
			if e := waitFor(t, log, func(pool.Exited) bool { return true }); !e.Retired {
				t.Errorf("event = %+v, want a retirement", e)
			}
			if o := run(t, p, task(t, "next", "echo")); o.Err != nil {
				t.Error(o.Err)
			}
		})
	}
}

func TestMemoryLimitBelowTheBaselineIsIgnored(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1, Recycle: pool.Recycle{Memory: 1}})
	waitReady(t, p, 1)
	for i := range 10 {
		if o := run(t, p, task(t, strconv.Itoa(i), "echo")); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if n := len(of[pool.Started](log)); n != 1 {
		t.Errorf("%d workers were started, want 1", n)
	}
}

func waitReady(t *testing.T, p *pool.Pool, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		ready := 0
		for _, w := range p.Workers() {
			if w.State == pool.StateReady || w.State == pool.StateBusy {
				ready++
			}
		}
		if ready == n && len(p.Workers()) == n {
			return
		}
	}
	t.Fatalf("workers are %+v, want %d that take tasks", p.Workers(), n)
}

func TestReloadUnderLoadLosesNothing(t *testing.T) { // P17
	p, log := start(t, pool.Config{Workers: 2})
	waitReady(t, p, 2)
	least := leastReady(p)
	stop := load(t, p)
	for i := range 20 {
		if err := p.Reload(t.Context(), proctest.Command("worker", strconv.Itoa(i))); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
	}
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("of %d tasks one failed: %v", n, err)
	}
	if got := least(); got < 1 {
		t.Errorf("at one moment %d of 2 workers took tasks", got)
	}
	if n := len(of[pool.Started](log)); n != 42 {
		t.Errorf("%d workers were started, want 2 and 20 × 2", n)
	}
}

func TestBadReloadLeavesTheOldWorkersServing(t *testing.T) { // P17
	p, _ := start(t, pool.Config{Workers: 2, StartTimeout: 3 * time.Second})
	waitReady(t, p, 2)
	before := p.Workers()
	for _, c := range []struct {
		command []string
		says    string
	}{
		{proctest.Command("exit", "3"), "exit code 3"},
		{proctest.Command("mute"), "did not answer its first request"},
		{[]string{"/no/such/worker"}, "no such file"},
		{nil, "no worker command"},
	} {
		err := p.Reload(t.Context(), c.command)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Reload(%q) = %v, want %q in it", c.command, err, c.says)
		}
		if o := run(t, p, task(t, "k", "echo")); o.Err != nil {
			t.Errorf("after it: %v", o.Err)
		}
	}
	for i, w := range p.Workers() {
		if w.PID != before[i].PID {
			t.Errorf("worker %s was replaced", w.Name)
		}
	}
	if err := p.Reload(t.Context(), proctest.Command("worker", "good")); err != nil {
		t.Errorf("the next good reload: %v", err)
	}
	if p.Workers()[0].PID == before[0].PID {
		t.Error("the good reload replaced nobody")
	}
}

func TestReloadHealsAPoolThatCannotStart(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1, Command: proctest.Command("exit", "78")})
	waitFor(t, log, func(pool.StartFailed) bool { return true })
	if err := p.Reload(t.Context(), proctest.Command("worker")); err != nil {
		t.Fatal(err)
	}
	if o := run(t, p, task(t, "k", "echo")); o.Err != nil {
		t.Error(o.Err)
	}
}

func TestResize(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	waitReady(t, p, 2)
	stop := load(t, p)
	for _, n := range []int{5, 1, 3} {
		if err := p.Resize(n); err != nil {
			t.Fatal(err)
		}
		waitReady(t, p, n)
	}
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("of %d tasks one failed: %v", n, err)
	}
	if names := fmt.Sprint(p.Workers()[0].Name, p.Workers()[1].Name, p.Workers()[2].Name); names != "main/1main/2main/3" {
		t.Errorf("names are %s", names)
	}
	if err := p.Resize(0); !errors.Is(err, ipc.ErrInput) {
		t.Errorf("Resize(0) = %v, want input", err)
	}
	p.Drain(-1)
	if err := p.Resize(2); !errors.Is(err, ipc.ErrClosed) {
		t.Errorf("Resize after Drain = %v, want closed", err)
	}
}

func TestPoolGrowsWhileTasksWaitAndShrinksWhenIdle(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, MaxWorkers: 3, IdleAfter: 20 * time.Millisecond})
	waitReady(t, p, 1)
	var running []<-chan ipc.Outcome
	for i := 0; len(p.Workers()) < 3; i++ {
		running = append(running, submit(t, p, task(t, strconv.Itoa(i), "x:late")))
		<-time.After(5 * time.Millisecond)
		if i > 1000 {
			t.Fatal("it never grew to 3 workers")
		}
	}
	for _, outcome := range running {
		if o := <-outcome; o.Err != nil {
			t.Error(o.Err)
		}
	}
	waitReady(t, p, 1)
	if o := run(t, p, task(t, "k", "echo")); o.Err != nil {
		t.Error(o.Err)
	}
}

func TestUnhealthyIsSaidOnceAndHeals(t *testing.T) { // O09, P3
	flag := t.TempDir() + "/healed"
	p, log := start(t, pool.Config{
		Workers: 1, Env: with("EVIL_START=until:" + flag), Intensity: pool.Intensity{Failures: 3},
	})
	var told atomic.Int32
	waitFor(t, log, func(pool.Unhealthy) bool { told.Add(1); return true })
	if ok, reason := p.Health(); ok || !strings.Contains(reason.Error(), "exit code 1") {
		t.Errorf("Health = %v, %v; want not ok, exit code 1", ok, reason)
	}
	if w := p.Workers()[0]; w.Err == nil {
		t.Errorf("worker = %+v, want its error", w)
	}
	waitFor(t, log, func(e pool.StartFailed) bool { return e.Attempt >= 5 })
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := run(t, p, task(t, "k", "echo")); o.Err != nil {
		t.Fatal(o.Err)
	}
	waitFor(t, log, func(pool.Healthy) bool { return true })
	if ok, reason := p.Health(); !ok {
		t.Errorf("Health = %v, %v; want ok", ok, reason)
	}
	if n := len(of[pool.Unhealthy](log)); n != 1 {
		t.Errorf("Unhealthy was told %d times", n)
	}
}

func TestWorkerThatAlwaysExitsIsStartedSlowly(t *testing.T) { // P3: 15 starts in 60 s
	p, log := start(t, pool.Config{Workers: 1, Command: proctest.Command("exit", "1")})
	begun := time.Now()
	var at []time.Duration
	waitFor(t, log, func(pool.Started) bool {
		at = append(at, time.Since(begun))
		return len(at) == 6
	})
	p.Drain(0)
	if at[5] < 1200*time.Millisecond { // 0 + 0.1 + 0.2 + 0.4 + 0.8 s, less 20 %
		t.Errorf("six starts within %v", at[5])
	}
}

// TestResizeToThoseThatHaveGivenUp: the last slot that started workers was dropped, and the tasks that waited were never
// told.
func TestResizeToThoseThatHaveGivenUp(t *testing.T) {
	script := `case $MASTER_WORKER in */1) exit 78;; esac; exec "$@"`
	p, log := start(t, pool.Config{Workers: 2, Command: append([]string{"/bin/sh", "-c", script, "sh"}, proctest.Command("worker")...)})
	waitFor(t, log, func(e pool.StartFailed) bool { return e.Next < 0 })
	one, let := untilLet(t)
	running := submit(t, p, one)
	waitState(t, p, pool.StateBusy)
	waiting := submit(t, p, task(t, "waiting", "echo"))
	if err := p.Resize(1); err != nil {
		t.Fatal(err)
	}
	if o := <-waiting; !errors.Is(o.Err, ipc.ErrNoWorker) {
		t.Errorf("outcome = %+v, want no-worker", o)
	}
	let()
	if o := <-running; o.Err != nil {
		t.Error(o.Err)
	}
}

// TestReloadWaitsForARenewal: it failed, and was taken back, because a worker was just being recycled.
func TestReloadWaitsForARenewal(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1, Env: with("EVIL_START=slow:0.5"), Recycle: pool.Recycle{Tasks: 1}})
	if o := run(t, p, task(t, "k", "echo")); o.Err != nil {
		t.Fatal(o.Err)
	}
	waitFor(t, log, func(pool.Ready) bool { return true })
	n := 0
	waitFor(t, log, func(pool.Started) bool { n++; return n == 2 }) // its successor is on the way
	if err := p.Reload(t.Context(), proctest.Command("worker", "good")); err != nil {
		t.Error(err)
	}
}

// TestAFailedReloadTakesAllBack: a worker that had died meanwhile was replaced by the new command, which stayed.
func TestAFailedReloadTakesAllBack(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 2, StartTimeout: 3 * time.Second})
	waitReady(t, p, 2)
	second := p.Workers()[1]
	script := `case $MASTER_WORKER in */1) exec sleep 300;; esac; NEW=yes exec "$@"`
	failed := make(chan error, 1)
	go func() {
		failed <- p.Reload(t.Context(), append([]string{"/bin/sh", "-c", script, "sh"}, proctest.Command("worker")...))
	}()
	starts := 0
	waitFor(t, log, func(pool.Started) bool { starts++; return starts == 3 }) // of the first one's successor
	_ = syscall.Kill(-second.PID, syscall.SIGKILL)
	readies := 0
	waitFor(t, log, func(pool.Ready) bool { readies++; return readies == 3 })
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "did not answer its first request") {
		t.Fatalf("Reload = %v", err)
	}
	waitReady(t, p, 2)
	for _, o := range broadcast(t, p, task(t, "who", "x:info"), false) {
		if o.Err != nil || strings.Contains(o.Value.String(), "NEW=yes") {
			t.Errorf("a worker of the new command is left: %v", o.Err)
		}
	}
}
