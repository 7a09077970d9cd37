//go:build unix

package pool_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/pool"
)

// ordered is the environment of a worker that claims `ordered`, and so is fed ahead.
func ordered() []string { return with("EVIL_CLAIM=ordered") }

// warmUp lets the workers get a pace.
func warmUp(t *testing.T, p *pool.Pool, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		err := p.Submit(t.Context(), task(t, "warm"+strconv.Itoa(i), "echo"), func(o ipc.Outcome) {
			if o.Err != nil {
				t.Error(o.Err)
			}
			all.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

// TestOneWindowAtMostWaitsBehindASlowTask holds decision 4: quick tasks that were already with a worker wait for its
// slow one; all others go by. With a window of 1 nobody waits.
func TestOneWindowAtMostWaitsBehindASlowTask(t *testing.T) {
	const most = 4096 // without a window in the Config: of tasks that take next to no time, on the fastest of machines
	for _, window := range []int{0, 100, 1} {
		t.Run("window "+strconv.Itoa(window), func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 2, Window: window, Env: ordered()})
			waitReady(t, p, 2)
			warmUp(t, p, 2000)
			const quick = 3 * most
			gate := filepath.Join(t.TempDir(), "gate")
			quickDone := make(chan struct{}, quick)
			var slow <-chan ipc.Outcome
			for i := range quick {
				if i == quick/2 {
					slow = submit(t, p, task(t, "slow", "until", gate))
				}
				err := p.Submit(t.Context(), task(t, strconv.Itoa(i), "echo"), func(ipc.Outcome) { quickDone <- struct{}{} })
				if err != nil {
					t.Fatal(err)
				}
			}
			waits := cmp.Or(window, most) - 1 // behind the slow one, in its window
			for range quick - waits {
				<-quickDone // the slow task is still running
			}
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if o := <-slow; o.Err != nil {
				t.Error(o.Err)
			}
			for range waits {
				<-quickDone
			}
		})
	}
}

// TestCrashOfAFedWorkerCostsOneTask holds decision 4: of all the tasks that a worker has, only the one that it runs can
// be lost.
func TestCrashOfAFedWorkerCostsOneTask(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: ordered()})
	warmUp(t, p, 500)
	var crashed, done atomic.Int64
	var all sync.WaitGroup
	const n = 2000
	all.Add(n)
	for i := range n {
		target := "echo"
		if i%200 == 100 {
			target = "x:kill9"
		}
		err := p.Submit(t.Context(), task(t, strconv.Itoa(i), target), func(o ipc.Outcome) {
			switch {
			case o.Err == nil && o.Attempts == 1:
				done.Add(1)
			case errors.Is(o.Err, ipc.ErrCrash):
				crashed.Add(1)
			default:
				t.Errorf("outcome = %+v", o)
			}
			all.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if crashed.Load() != n/200 || done.Load() != n-n/200 {
		t.Errorf("%d crashed, %d done; want %d and the rest", crashed.Load(), done.Load(), n/200)
	}
}

// TestFedTasksShareTheTimeOfARead: of answers that come in one read, each has taken its share of the time, and the shares
// add up to no more than the whole.
func TestFedTasksShareTheTimeOfARead(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: ordered()})
	warmUp(t, p, 500)
	var mu sync.Mutex
	var ran time.Duration
	none := 0
	var all sync.WaitGroup
	const n = 5000
	all.Add(n)
	begun := time.Now()
	for i := range n {
		err := p.Submit(t.Context(), task(t, strconv.Itoa(i), "echo"), func(o ipc.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			defer all.Done()
			if o.Err != nil || o.Queued < 0 || o.Ran < 0 {
				t.Errorf("outcome = %+v", o)
			}
			ran += o.Ran
			if o.Ran == 0 {
				none++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if whole := time.Since(begun); ran > whole || none > n/100 {
		t.Errorf("the shares are %v of %v, and %d of %d tasks have none", ran, whole, none, n)
	}
}

func TestTimeoutOfAFedTaskCountsFromItsTurn(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: ordered()})
	warmUp(t, p, 500)
	var all sync.WaitGroup
	for i := range 12 { // 12 × 300 ms, each within its own time
		all.Add(1)
		slow := task(t, strconv.Itoa(i), "x:late")
		slow.Timeout = 3 * time.Second
		if err := p.Submit(t.Context(), slow, func(o ipc.Outcome) {
			if o.Err != nil {
				t.Errorf("task %d: %v", i, o.Err)
			}
			all.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

func TestCancelOfFedTasks(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: ordered()})
	warmUp(t, p, 500)
	for round := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 200 {
			all.Add(1)
			key := strconv.Itoa(round) + "." + strconv.Itoa(i)
			err := p.Submit(ctx, task(t, key, "echo"), func(o ipc.Outcome) {
				if o.Err != nil && !errors.Is(o.Err, ipc.ErrCancelled) {
					t.Errorf("%s: %v", key, o.Err)
				}
				all.Done()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		all.Wait()
		if o := run(t, p, task(t, "after", "echo", round)); o.Err != nil || !strings.Contains(o.Value.String(), strconv.Itoa(round)) {
			t.Errorf("outcome = %+v", o)
		}
	}
}

// TestLargeValuesMakeThePipesWide: both ways, and each comes back whole, also from a worker that is fed ahead.
func TestLargeValuesMakeThePipesWide(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Env: ordered()})
	warmUp(t, p, 100)
	for _, size := range []int{70 << 10, 1 << 20, 5 << 20} {
		var outcomes []<-chan ipc.Outcome
		var want []string
		for i := range 8 {
			value := strings.Repeat(strconv.Itoa(i), size)
			want = append(want, value)
			outcomes = append(outcomes, submit(t, p, task(t, strconv.Itoa(i), "echo", value)))
		}
		for i, outcome := range outcomes {
			var got []string
			if o := <-outcome; o.Err != nil || o.Value.Decode(&got) != nil || len(got) != 1 || got[0] != want[i] {
				t.Errorf("%d bytes, task %d: another value, or %v", size, i, o.Err)
			}
		}
	}
}

// TestAWorkerThatAnswersWhatItHasNotRead: the task behind was never written, so its time never began, and nothing ended it.
func TestAWorkerThatAnswersWhatItHasNotRead(t *testing.T) {
	for _, claim := range []string{"ordered", "cancel"} {
		t.Run(claim, func(t *testing.T) {
			p, log := start(t, pool.Config{Workers: 1, Env: with("EVIL_CLAIM=" + claim)})
			if o := run(t, p, task(t, "evil", "x:ahead", "large")); o.Err != nil {
				t.Fatal(o.Err)
			}
			said := ""
			if o := run(t, p, task(t, "large", "echo", strings.Repeat("l", 4<<20))); o.Err != nil || o.Value.Decode(&said) != nil || said != "unread" {
				t.Errorf("outcome %d bytes, %v: an answer counts", len(o.Value), o.Err)
			}
			if o := run(t, p, task(t, "behind", "echo", 1)); o.Err != nil {
				t.Errorf("outcome = %+v: it has not begun there, and another worker can run it", o)
			}
			waitFor(t, log, func(e pool.Exited) bool { return strings.Contains(fmt.Sprint(e.Err), "answered what it has not read") })
		})
	}
}
