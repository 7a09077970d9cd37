//go:build unix

package pool_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

var (
	rounds = flag.Int("rounds", 4, "pools to which everything is done at once")
	seed   = flag.Uint64("seed", 1, "of the first of these rounds")
)

// TestEverythingAtOnce: workers are killed and stopped from outside while tasks are submitted, cancelled and time out,
// kept tasks are broadcast, the pool is resized and reloaded, and at some moment it drains or is aborted. Each task that
// was accepted has one outcome, none begins more often than it may, and Run returns. Run it with -args -rounds 500 for more.
func TestEverythingAtOnce(t *testing.T) {
	for i := range *rounds {
		n := *seed + uint64(i)
		t.Run(fmt.Sprint("seed ", n), func(t *testing.T) { (&fray{seed: n}).run(t) })
	}
}

// fray is one round.
type fray struct {
	seed  uint64
	p     *pool.Pool
	quit  chan struct{}
	all   sync.WaitGroup
	under atomic.Int64 // tasks and broadcasts without an outcome
	twice atomic.Int64

	mu    sync.Mutex // guards kinds
	kinds map[ipc.Kind]int
}

func (f *fray) run(t *testing.T) {
	t.Helper()
	proctest.NoLeftovers(t)
	ledger := filepath.Join(t.TempDir(), "ledger")
	dice := f.dice(0)
	claim := []string{"", "ordered", "cancel", "ordered,cancel"}[dice.IntN(4)]
	p, err := pool.New(pool.Config{
		Command: proctest.Command("worker"), Env: with("EVIL_LEDGER="+ledger, "EVIL_CLAIM="+claim), Workers: 3,
		Timeout: 200 * time.Millisecond, CancelGrace: 20 * time.Millisecond, Recycle: pool.Recycle{Tasks: 100},
		Poison: pool.Poison{Suspect: 1 + dice.IntN(3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.p, f.quit, f.kinds = p, make(chan struct{}), map[ipc.Kind]int{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()

	for i := range 3 {
		f.again(i+1, func(dice *rand.Rand) { f.submit(t, dice) })
	}
	for i := range 2 {
		f.again(i+4, func(dice *rand.Rand) {
			if _, err := p.Do(ctx, f.task(t, dice)); ipc.KindOf(err) == ipc.KindClosed {
				f.wait(time.Millisecond)
			}
		})
	}
	f.again(6, func(dice *rand.Rand) { f.hurt(dice) })
	f.again(7, func(dice *rand.Rand) {
		f.wait(time.Duration(dice.IntN(40)) * time.Millisecond)
		_ = p.Resize(1 + dice.IntN(4))
	})
	f.again(8, func(dice *rand.Rand) {
		patience, stop := context.WithTimeout(ctx, time.Duration(dice.IntN(300))*time.Millisecond)
		defer stop()
		command := proctest.Command([]string{"worker", "worker", "exit"}[dice.IntN(3)], "3")
		if p.Reload(patience, command) != nil {
			f.wait(time.Millisecond)
		}
	})
	f.again(9, func(dice *rand.Rand) {
		f.wait(time.Duration(dice.IntN(20)) * time.Millisecond)
		f.under.Add(1)
		one := task(t, fmt.Sprint("kept ", dice.IntN(8)), "echo")
		if p.Broadcast(ctx, one, true, func([]ipc.Outcome) { f.under.Add(-1) }) != nil {
			f.under.Add(-1)
		}
	})

	f.wait(time.Duration(200+dice.IntN(300)) * time.Millisecond)
	switch dice.IntN(4) {
	case 0:
		cancel()
	case 1:
		p.Drain(50 * time.Millisecond)
	case 2:
		p.Abort()
	case 3:
		p.Drain(time.Hour)
		f.wait(time.Duration(dice.IntN(20)) * time.Millisecond)
		p.Abort()
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		panic(fmt.Sprintf("Run does not return: %+v", p.Workers())) // with all stacks
	}
	close(f.quit)
	over := make(chan struct{})
	go func() {
		f.all.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(time.Minute):
		panic("somebody waits for a pool that has ended")
	}
	if n := f.under.Load(); n != 0 || f.twice.Load() != 0 {
		t.Errorf("%d have no outcome, %d more than one", n, f.twice.Load())
	}
	begun := map[string]int{}
	for _, key := range keys(t, ledger) {
		if begun[key]++; strings.HasPrefix(key, "once") && begun[key] > 1 || strings.HasPrefix(key, "retry") && begun[key] > 2 {
			t.Errorf("key %q was begun %d times", key, begun[key])
		}
	}
	t.Logf("claims %q, outcomes %v", claim, f.kinds)
}

func (f *fray) dice(n uint64) *rand.Rand { return rand.New(rand.NewPCG(f.seed, n)) }

// again does something again and again until the end.
func (f *fray) again(n int, what func(dice *rand.Rand)) {
	dice := f.dice(uint64(n))
	f.all.Go(func() {
		for !closed(f.quit) {
			what(dice)
		}
	})
}

func (f *fray) wait(d time.Duration) {
	select {
	case <-f.quit:
	case <-time.After(d):
	}
}

var frayTasks atomic.Int64

// task is some task; its key says how often it may begin.
func (f *fray) task(t *testing.T, dice *rand.Rand) ipc.Task {
	t.Helper()
	targets := []string{"x:exit", "heed", "x:cancelexit", "x:canceldeaf", "x:answerhang", "x:replyexit", "x:unknown", "x:closein"}
	retries := dice.IntN(2)
	key := fmt.Sprint([]string{"once ", "retry "}[retries], frayTasks.Add(1))
	one := task(t, key, "work", min(10, dice.ExpFloat64()))
	if dice.IntN(30) == 0 {
		one = task(t, key, targets[dice.IntN(len(targets))])
	}
	one.Retries = retries
	if dice.IntN(20) == 0 {
		one.Deadline = time.Duration(dice.IntN(5000)) * time.Microsecond
	}
	return one
}

// submit submits one, and may cancel it.
func (f *fray) submit(t *testing.T, dice *rand.Rand) {
	t.Helper()
	if f.under.Load() > 60 {
		f.wait(time.Millisecond)
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.under.Add(1)
	var told atomic.Int32
	err := f.p.Submit(ctx, f.task(t, dice), func(o ipc.Outcome) {
		if told.Add(1) > 1 {
			f.twice.Add(1)
			return
		}
		f.mu.Lock()
		f.kinds[ipc.KindOf(o.Err)]++
		f.mu.Unlock()
		f.under.Add(-1)
		go cancel() // it ends what watches the context
	})
	switch {
	case err != nil:
		f.under.Add(-1)
		cancel()
		f.wait(time.Millisecond)
	case dice.IntN(3) == 0:
		f.wait(time.Duration(dice.ExpFloat64() * float64(time.Millisecond)))
		cancel()
	}
}

// hurt kills, or stops for a while, a worker.
func (f *fray) hurt(dice *rand.Rand) {
	f.wait(time.Duration(dice.ExpFloat64() * 5 * float64(time.Millisecond)))
	workers := f.p.Workers()
	pid := workers[dice.IntN(len(workers))].PID
	switch {
	case pid == 0:
	case dice.IntN(3) == 0:
		_ = syscall.Kill(-pid, syscall.SIGSTOP)
		f.wait(time.Duration(dice.IntN(30)) * time.Millisecond)
		_ = syscall.Kill(-pid, syscall.SIGCONT)
	default:
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}
