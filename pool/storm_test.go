//go:build unix

package pool_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fandango/internal/evilworker"
	"fandango/ipc"
	"fandango/pool"
)

var (
	kills = flag.Int("kills", 100, "workers that the storm kills")
	storm = flag.Int("storm", 20, "tasks per kill")
)

// TestKillStorm holds P1: whatever is killed, each accepted task has one outcome, and by the workers' own ledger none is
// begun more often than its retries allow. Run it with -args -kills 1000 for the figure of the catalogue.
func TestKillStorm(t *testing.T) {
	for _, retries := range []int{0, 2} {
		for _, claim := range []string{"", "ordered"} { // fed ahead or not
			t.Run(fmt.Sprintf("retries %d %s", retries, claim), func(t *testing.T) { killStorm(t, retries, claim) })
		}
	}
}

func killStorm(t *testing.T, retries int, claim string) {
	t.Helper()
	ledger := filepath.Join(t.TempDir(), "ledger")
	p, _ := start(t, pool.Config{Workers: 4, Env: with("EVIL_LEDGER="+ledger, "EVIL_CLAIM="+claim)})
	tasks := *kills * *storm
	outcomes := make([]atomic.Int32, tasks)
	var done, crashed, strange atomic.Int64
	var all sync.WaitGroup

	// Each batch of tasks waits for one kill, which falls somewhere into the batch.
	killed := make(chan struct{})
	go func() {
		for range *kills {
			<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
			for !killOne(p) {
				<-time.After(100 * time.Microsecond)
			}
			killed <- struct{}{}
		}
	}()
	for i := range tasks {
		all.Add(1)
		one := task(t, strconv.Itoa(i), "echo")
		one.Retries = retries
		err := p.Submit(t.Context(), one, func(o ipc.Outcome) {
			outcomes[i].Add(1)
			switch ipc.KindOf(o.Err) {
			case "":
				done.Add(1)
			case ipc.KindCrash:
				crashed.Add(1)
			default:
				strange.Add(1)
			}
			all.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%*storm == *storm-1 {
			<-killed
		}
	}
	all.Wait()

	for i := range outcomes {
		if n := outcomes[i].Load(); n != 1 {
			t.Errorf("task %d has %d outcomes", i, n)
		}
	}
	begun := map[string]int{}
	for _, key := range keys(t, ledger) {
		begun[key]++
	}
	most := 0
	for key, n := range begun {
		most = max(most, n)
		if n > retries+1 {
			t.Errorf("task %s was begun %d times, with %d retries", key, n, retries)
		}
	}
	if int(done.Load()) > len(begun) {
		t.Errorf("%d tasks are done, and %d were begun", done.Load(), len(begun))
	}
	if strange.Load() != 0 {
		t.Errorf("%d outcomes are neither done nor crash", strange.Load())
	}
	t.Logf("%d kills, %d tasks: %d done, %d crash; begun at most %d times", *kills, tasks, done.Load(), crashed.Load(), most)
}

// killOne kills some worker that takes tasks; false when there is none.
func killOne(p *pool.Pool) bool {
	workers := p.Workers()
	w := workers[rand.IntN(len(workers))]
	takes := w.State == pool.StateReady || w.State == pool.StateBusy
	return takes && syscall.Kill(-w.PID, syscall.SIGKILL) == nil
}

// keys are those of the tasks that the workers began, by their own ledger.
func keys(t *testing.T, ledger string) (keys []string) {
	t.Helper()
	if err := evilworker.ReadLedger(ledger, func(e evilworker.Entry) { keys = append(keys, e.Key) }); err != nil {
		t.Fatal(err)
	}
	return keys
}
