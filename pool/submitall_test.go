//go:build unix

package pool_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// submitAll submits tasks together, and returns a func that waits for all outcomes. Each comes once.
func submitAll(t *testing.T, ctx context.Context, p *pool.Pool, tasks []ipc.Task) (outcomes func() []ipc.Outcome) { //nolint:revive // as tests have it
	t.Helper()
	told := make([]atomic.Int32, len(tasks))
	got := make([]ipc.Outcome, len(tasks))
	var all sync.WaitGroup
	all.Add(len(tasks))
	accepted, err := p.SubmitAll(ctx, tasks, func(i int, o ipc.Outcome) {
		if told[i].Add(1) > 1 {
			t.Errorf("task %d has a second outcome: %+v", i, o)
			return
		}
		o.Value = append(ipc.Raw(nil), o.Value...)
		got[i] = o
		all.Done()
	})
	if accepted != len(tasks) || err != nil {
		t.Fatalf("accepted %d of %d, %v", accepted, len(tasks), err)
	}
	return func() []ipc.Outcome {
		all.Wait()
		return got
	}
}

func TestSubmitAllGivesEachTaskItsOwnOutcome(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2, Command: proctest.Command("echoer"), Env: os.Environ()})
	var tasks []ipc.Task
	for i := range 5000 {
		one := task(t, strconv.Itoa(i), "echo", i)
		one.Idempotent = i/300%2 == 0
		if i%1000 == 500 {
			one = task(t, strconv.Itoa(i), "die")
		}
		tasks = append(tasks, one)
	}
	for i, o := range submitAll(t, t.Context(), p, tasks)() {
		switch {
		case i%1000 == 500 && errors.Is(o.Err, ipc.ErrCrash):
		case i%1000 == 500 || o.Err != nil || o.Value.String() != strconv.Itoa(i) || o.Attempts != 1 || o.Worker == "":
			t.Errorf("outcome of %d = %+v", i, o)
		}
	}
	if n := p.Pending(); n != 0 {
		t.Errorf("%d are pending", n)
	}
}

// TestBundlesAreUsedAgainOnlyWhenLetGo: the memory of calls that were submitted together is used for the next ones, while
// their workers die, and some of them time out, expire or are cancelled; every outcome is the task's own.
func TestBundlesAreUsedAgainOnlyWhenLetGo(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		t.Run(timeout.String(), func(t *testing.T) { useBundlesAgain(t, timeout) })
	}
}

func useBundlesAgain(t *testing.T, timeout time.Duration) {
	t.Helper()
	p, _ := start(t, pool.Config{
		Workers: 2, Command: proctest.Command("echoer"), Env: os.Environ(), Poison: pool.Poison{CoolDown: -1, Suspect: 1 << 20},
		Timeout: timeout,
	})
	warmUp(t, p, 100)
	const rounds, n = 40, 300
	for round := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		var tasks []ipc.Task
		for i := range n {
			one := task(t, strconv.Itoa(i), "echo", round*n+i)
			one.Idempotent = round%2 == 0
			one.Retries = i % 2
			switch {
			case round%8 == 3 && i == 150:
				one = task(t, "deadly", "die")
			case round%8 == 5 && i == 100:
				one = task(t, "hangs", "hang")
				one.Timeout = 20 * time.Millisecond
			case round%8 == 6 && i%3 == 0:
				one.Deadline = time.Millisecond
			}
			tasks = append(tasks, one)
		}
		by := context.Background()
		if round%8 == 7 {
			by = ctx
		}
		outcomes := submitAll(t, by, p, tasks)
		if round%8 == 7 {
			cancel()
		}
		for i, o := range outcomes() {
			switch kind := ipc.KindOf(o.Err); {
			case o.Err == nil && o.Value.String() == strconv.Itoa(round*n+i):
			case kind == ipc.KindCrash && (tasks[i].Key == "deadly" || tasks[i].Retries == 0):
			case kind == ipc.KindTimeout && tasks[i].Key == "hangs", kind == ipc.KindExpired && tasks[i].Deadline > 0:
			case kind == ipc.KindCancelled && round%8 == 7:
			default:
				t.Fatalf("round %d: outcome of %d = %+v", round, i, o)
			}
		}
		cancel()
	}
}

// A batch that is larger than what the pool takes is cut there, and the error is of the first task that was refused.
func TestSubmitAllIsCutAtTheFirstRefusal(t *testing.T) {
	many := make([]ipc.Task, 300)
	for i := range many {
		many[i] = task(t, strconv.Itoa(i), "echo", i)
	}
	bad := append([]ipc.Task(nil), many...)
	bad[70].Target = nil
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name     string
		ctx      context.Context //nolint:containedctx // a case
		tasks    []ipc.Task
		accepted int
		err      error
	}{
		{"a full queue", t.Context(), many, 100, ipc.ErrQueueFull},
		{"a task that is none", t.Context(), bad, 70, ipc.ErrInput},
		{"an ended context", ended, many, 0, ipc.ErrCancelled},
		{"none", t.Context(), nil, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := pool.New(pool.Config{Command: proctest.Command("echoer"), Queue: 100})
			if err != nil {
				t.Fatal(err)
			}
			told := map[int]error{}
			accepted, err := p.SubmitAll(c.ctx, c.tasks, func(i int, o ipc.Outcome) { told[i] = o.Err })
			if accepted != c.accepted || !errors.Is(err, c.err) || p.Pending() != accepted {
				t.Errorf("accepted %d, %v, and %d are pending; want %d, %v", accepted, err, p.Pending(), c.accepted, c.err)
			}
			p.Drain(0) // tells those that wait
			if len(told) != accepted {
				t.Errorf("%d outcomes of %d accepted tasks", len(told), accepted)
			}
			for i, err := range told {
				if i >= accepted || !errors.Is(err, ipc.ErrClosed) {
					t.Errorf("outcome of %d: %v", i, err)
				}
			}
			if accepted, err := p.SubmitAll(t.Context(), many, func(int, ipc.Outcome) { t.Error("it was called") }); accepted != 0 || !errors.Is(err, ipc.ErrClosed) {
				t.Errorf("afterwards: accepted %d, %v", accepted, err)
			}
		})
	}
}

// What was submitted together is cancelled, expired and ended one by one.
func TestSubmitAllTasksEndByThemselves(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("echoer"), Env: os.Environ()})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	tasks := []ipc.Task{task(t, "hangs", "hang"), task(t, "waits", "echo", 1), task(t, "expires", "echo", 2)}
	tasks[2].Deadline = 10 * time.Millisecond
	expired := make(chan struct{})
	var all sync.WaitGroup
	all.Add(3)
	var kinds [3]ipc.Kind
	if accepted, err := p.SubmitAll(ctx, tasks, func(i int, o ipc.Outcome) {
		defer all.Done()
		if kinds[i] = ipc.KindOf(o.Err); i == 2 {
			close(expired)
		}
	}); accepted != 3 || err != nil {
		t.Fatal(accepted, err)
	}
	<-expired
	cancel(errors.New("enough"))
	all.Wait()
	if want := [3]ipc.Kind{ipc.KindCancelled, ipc.KindCancelled, ipc.KindExpired}; kinds != want {
		t.Errorf("outcomes %v, want %v", kinds, want)
	}
}

// TestGreetingsAreNotPending: the greeting of a worker was taken off the count of the tasks that are pending.
func TestGreetingsAreNotPending(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 2, Env: os.Environ()})
	for _, worker := range []string{"main/1", "main/2"} {
		waitFor(t, log, func(e pool.Ready) bool { return e.Worker == worker })
	}
	if n := p.Pending(); n != 0 {
		t.Errorf("%d are pending, want none", n)
	}
}
