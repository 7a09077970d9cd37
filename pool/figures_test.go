//go:build unix

package pool_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
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

// The figures of the catalogue take minutes; by default each test shows the same in a second or two. For the figures:
//
//	go test ./pool -run 'Neighbours|LeakNothing|Cycles|Pending' -v -timeout 30m -args -neighbours 60s -restarts 10000 -cycles 1000 -pending 1000000
var (
	neighbours = flag.Duration("neighbours", time.Second, "how long one of 8 workers is killed every 20 ms")
	restarts   = flag.Int("restarts", 100, "workers that are killed one after the other")
	cycles     = flag.Int("cycles", 20, "pools that are started and stopped")
	pending    = flag.Int("pending", 20_000, "tasks that wait at once")
)

// TestNeighboursOfAKilledWorkerAreUntouched holds P2: what is killed costs nobody else a task.
func TestNeighboursOfAKilledWorkerAreUntouched(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 8})
	waitReady(t, p, 8)
	var mu sync.Mutex
	crashed, total := map[string]int{}, 0
	quit := make(chan struct{})
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := 0; !closed(quit); n++ {
				o := <-submit(t, p, task(t, fmt.Sprintf("%d.%d", i, n), "echo"))
				mu.Lock()
				total++
				if o.Err != nil {
					if ipc.KindOf(o.Err) != ipc.KindCrash {
						t.Errorf("outcome = %+v", o)
					}
					crashed[o.Worker]++
				}
				mu.Unlock()
			}
		})
	}
	killed := map[string]int{}
	for end := time.Now().Add(*neighbours); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		for _, w := range p.Workers() {
			if w.Name == "main/3" && (w.State == pool.StateReady || w.State == pool.StateBusy) && syscall.Kill(-w.PID, syscall.SIGKILL) == nil {
				killed[w.Name]++
			}
		}
	}
	close(quit)
	callers.Wait()
	for name, n := range crashed {
		if name != "main/3" || n > killed[name] {
			t.Errorf("%d tasks of %s crashed; %v were killed", n, name, killed)
		}
	}
	for _, e := range of[pool.Exited](log) {
		if e.Worker != "main/3" && !e.Retired {
			t.Errorf("event = %+v: only main/3 was killed", e)
		}
	}
	t.Logf("%d tasks, %d kills, tasks that crashed: %v", total, killed["main/3"], crashed)
}

// TestRestartsLeakNothing holds P18, O28.
func TestRestartsLeakNothing(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 4, Poison: pool.Poison{CoolDown: -1}})
	waitReady(t, p, 4)
	kill := func(n int) {
		for i := range n {
			key := strconv.Itoa(i)
			run(t, p, task(t, key, "echo")) // a worker that was of use is replaced at once
			run(t, p, task(t, key, "x:kill9"))
		}
		waitReady(t, p, 4)
	}
	kill(20) // what is made once, is made now
	before := usage()
	kill(*restarts)
	after := usage()
	for end := time.Now().Add(5 * time.Second); after.goroutines > before.goroutines && time.Now().Before(end); after = usage() {
		<-time.After(time.Millisecond) // the last of them is on its way out
	}
	if after.goroutines > before.goroutines || after.files > before.files || after.threads > before.threads+4 || after.zombies > 0 || after.rss > before.rss+10<<20 {
		t.Errorf("before %+v, after %d restarts %+v", before, *restarts, after)
	}
	t.Logf("before %+v, after %d restarts %+v", before, *restarts, after)
}

type used struct{ goroutines, files, threads, zombies, rss int }

func usage() used {
	debug.FreeOSMemory() // what is garbage is not in use
	count := func(pattern string) int {
		names, _ := filepath.Glob(pattern)
		return len(names)
	}
	u := used{goroutines: runtime.NumGoroutine(), files: count("/proc/self/fd/*"), threads: count("/proc/self/task/*")}
	statm, _ := os.ReadFile("/proc/self/statm")
	if f := strings.Fields(string(statm)); len(f) > 1 {
		pages, _ := strconv.Atoi(f[1])
		u.rss = pages * os.Getpagesize()
	}
	for _, left := range proctest.Look() {
		if strings.Contains(left, "zombie=true") {
			u.zombies++
		}
	}
	return u
}

// TestStartStopCycles holds P8, M08: a pool ends whatever it is doing at the time.
func TestStartStopCycles(t *testing.T) {
	proctest.NoLeftovers(t)
	for i := range *cycles {
		p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Workers: 1 + i%3})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		outcomes := make(chan ipc.Outcome, 10)
		for n := range 10 {
			if err := p.Submit(t.Context(), task(t, strconv.Itoa(n), "echo"), func(o ipc.Outcome) { outcomes <- o }); err != nil {
				t.Fatal(err)
			}
		}
		for range i % 11 { // stop somewhere in between
			<-outcomes
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("cycle %d hangs: %+v", i, p.Workers())
		}
		for range 10 - i%11 {
			<-outcomes
		}
	}
}

// TestManyPendingTasks holds P13, M25: what waits costs little, one too many is refused, and the end comes soon.
func TestManyPendingTasks(t *testing.T) {
	p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Workers: 1, Queue: *pending})
	if err != nil {
		t.Fatal(err)
	}
	before := usage()
	var outcomes atomic.Int64
	one := task(t, "k", "echo")
	took := make([]time.Duration, *pending)
	for i := range *pending {
		begun := time.Now()
		if err := p.Submit(context.Background(), one, func(ipc.Outcome) { outcomes.Add(1) }); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(begun)
	}
	each := (usage().rss - before.rss) / *pending
	if err := p.Submit(t.Context(), one, func(ipc.Outcome) {}); ipc.KindOf(err) != ipc.KindQueueFull {
		t.Errorf("one more: %v, want queue-full", err)
	}
	if each > 1<<10 {
		t.Errorf("each pending task takes %d bytes", each)
	}
	begun := time.Now()
	p.Drain(0)
	ended := time.Since(begun)
	if n := outcomes.Load(); n != int64(*pending) {
		t.Errorf("%d outcomes of %d tasks", n, *pending)
	}
	slices.Sort(took)
	t.Logf("%d pending: %d bytes each, submit p99 %v, all told in %v", *pending, each, took[len(took)*99/100], ended)
}
