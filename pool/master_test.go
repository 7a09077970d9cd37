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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/master"
	"fandango/pool"
)

// What went wrong in Fandango's WorkerProcess between a master and a real process.

// over runs a pool of one worker with a master over it, until the end of the test.
func over(t *testing.T, cfg pool.Config) (*master.Master, *pool.Pool, *events) {
	t.Helper()
	cfg.Workers = 1
	p, log := start(t, cfg)
	return rule(t, p), p, log
}

// rule runs a master over a pool until the end of the test.
func rule(t *testing.T, p *pool.Pool) *master.Master {
	t.Helper()
	m := master.New(p, master.Config{Grace: -1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("master: %v", err)
		}
	})
	return m
}

// send sends a task, and returns where its value comes.
func send(t *testing.T, m *master.Master, task ipc.Task) <-chan master.Value {
	t.Helper()
	told := make(chan master.Value, 2)
	if err := m.Send(t.Context(), task, func(v master.Value) { told <- v }); err != nil {
		t.Fatal(err)
	}
	return told
}

// A second start, or one after the child had died, was an error, and there was no other way.
func TestBUG4AWorkerThatDiedIsReplaced(t *testing.T) {
	m, p, _ := over(t, pool.Config{})
	before := p.Workers()[0].PID
	if v := <-send(t, m, task(t, "dies", "x:kill9")); !errors.Is(v.Err, ipc.ErrCrash) {
		t.Errorf("%+v", v)
	}
	if v := <-send(t, m, task(t, "lives", "echo", 1)); v.Err != nil {
		t.Error(v.Err)
	}
	if w := p.Workers()[0]; w.PID == before || w.Restarts != 1 {
		t.Errorf("%+v", w)
	}
	if err := p.Run(t.Context()); !errors.Is(err, ipc.ErrClosed) {
		t.Errorf("a second Run: %v", err)
	}
}

// A dead child left send's callback pending, command blocked for ever, and get went on giving the old value.
func TestBUG8ADeadWorkerIsAnOutcomeForAll(t *testing.T) {
	m, _, _ := over(t, pool.Config{})
	if v := <-send(t, m, task(t, "k", "x:exit3")); !errors.Is(v.Err, ipc.ErrCrash) {
		t.Errorf("send: %+v", v)
	}
	if v := <-send(t, m, task(t, "k", "echo", 1)); v.Err != nil { // the key is not dead
		t.Errorf("send again: %+v", v)
	}
	if _, err := m.Command(t.Context(), "x:exit3", nil); !errors.Is(err, ipc.ErrCrash) {
		t.Errorf("command: %v", err)
	}
	told := make(chan master.Value, 2)
	entry := master.Entry{Task: task(t, "added", "x:kill9"), Then: func(v master.Value) { told <- v }}
	if err := m.Add(entry); err != nil {
		t.Fatal(err)
	}
	<-told
	if v, err := master.Get[int](m, "added"); !errors.Is(err, ipc.ErrCrash) {
		t.Errorf("get: %v, %v", v, err)
	}
}

// A callback slower than the timeout held up what kept the worker alive, which then left.
func TestBUG12ASlowCallbackKillsNoWorker(t *testing.T) {
	m, p, log := over(t, pool.Config{Timeout: 500 * time.Millisecond, Grace: 20 * time.Millisecond})
	echo := func(key string, i int) ipc.Task { // on a busy machine even that may take longer than a hang has
		one := task(t, key, "echo", i)
		one.Timeout = time.Minute
		return one
	}
	if v := <-send(t, m, echo("first", 1)); v.Err != nil {
		t.Fatal(v.Err)
	}
	before := p.Workers()[0].PID
	blocked, let := make(chan struct{}), make(chan struct{})
	err := m.Send(t.Context(), echo("slow", 1), func(master.Value) { close(blocked); <-let })
	if err != nil {
		t.Fatal(err)
	}
	<-blocked
	// Two timeouts go by, one after the other, while the callback is not back: that of a task, and another one's.
	for range 2 {
		if v := <-send(t, m, task(t, "hangs", "x:hang")); !errors.Is(v.Err, ipc.ErrTimeout) {
			t.Errorf("%+v", v)
		}
	}
	for i := range 20 {
		if v := <-send(t, m, echo("others", i)); v.Err != nil {
			t.Errorf("%+v", v)
		}
	}
	close(let)
	if w := p.Workers()[0]; w.PID == before || w.Restarts != 2 { // one for each task that did hang
		t.Errorf("%+v, after %v", w, of[pool.Started](log))
	}
}

// last_alive was when a sign of life had been asked for, and was logged as one.
func TestBUG13AProcessThatDoesNotAnswerIsNotReady(t *testing.T) {
	p, log := start(t, pool.Config{Command: proctest.Command("mute"), Workers: 1, StartTimeout: 200 * time.Millisecond})
	waitFor(t, log, func(pool.Started) bool { return true })
	waitFor(t, log, func(e pool.StartFailed) bool { return e.Attempt == 2 })
	if w := p.Workers()[0]; w.Served != 0 || w.State == pool.StateReady || len(of[pool.Ready](log)) != 0 {
		t.Errorf("%+v", w)
	}
}

// Both directions full: a master that writes while its worker writes was a deadlock after 15 of 60 answers.
func TestBUG15LargeTasksAndLargeAnswersPassEachOther(t *testing.T) {
	m, _, _ := over(t, pool.Config{})
	const most = 60
	large := strings.Repeat("x", 1<<20)
	told := make(chan error, most)
	for i := range most {
		k := task(t, "k", "echo", large, i)
		k.Policy = ipc.PolicyEach
		k.Key = strings.Repeat("k", i+1)
		err := m.Send(t.Context(), k, func(v master.Value) {
			if v.Err == nil && len(v.Value) < 1<<20 {
				v.Err = errors.New("the answer is cut")
			}
			told <- v.Err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range most {
		select {
		case err := <-told:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(60 * time.Second):
			t.Fatal("no more answers come")
		}
	}
}

// TestM06SendsRaceTheEndOfRealWorkers: whatever ends first, a send or a task is refused, or gets its one outcome. Run it
// with -args -cycles 1000 for more.
func TestM06SendsRaceTheEndOfRealWorkers(t *testing.T) {
	proctest.NoLeftovers(t)
	const senders, each = 4, 100
	for cycle := range *cycles {
		p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Env: with("EVIL_CLAIM=ordered"), Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		m := master.New(p, master.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var living, sending sync.WaitGroup
		living.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		living.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		var accepted atomic.Int64
		outcomes := make(chan string, 4*senders*each) // more than there may be
		for i := range senders {
			sending.Go(func() {
				for n := range each {
					key := fmt.Sprint(i, ".", n)
					if m.Send(t.Context(), task(t, key, "echo", n), func(master.Value) { outcomes <- key }) == nil {
						accepted.Add(1)
					}
					straight := key + " straight"
					if p.Submit(t.Context(), task(t, straight, "echo", n), func(ipc.Outcome) { outcomes <- straight }) == nil {
						accepted.Add(1)
					}
				}
			})
		}
		for len(outcomes) < cycle%7*20 { // the end comes somewhere in between
			<-time.After(100 * time.Microsecond)
		}
		cancel()
		living.Wait()
		sending.Wait()
		seen := map[string]bool{}
		for int64(len(seen)) < accepted.Load() {
			select {
			case key := <-outcomes:
				if seen[key] {
					t.Fatalf("key %s has two outcomes", key)
				}
				seen[key] = true
			case <-time.After(time.Minute):
				t.Fatalf("cycle %d: %d of %d have no outcome", cycle, accepted.Load()-int64(len(seen)), accepted.Load())
			}
		}
		if n := len(outcomes); n > 0 {
			t.Fatalf("cycle %d: %d outcomes more than were accepted", cycle, n)
		}
	}
}

// S01 and S06 with a real worker, in real time.

// gated is an entry whose runs end when let is called, and count gives how many have begun, by the worker's own word.
func gated(t *testing.T, ledger string) (k ipc.Task, count func() int, let func()) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	count = func() (n int) {
		for _, key := range keys(t, ledger) {
			if key == "k" {
				n++
			}
		}
		return n
	}
	return task(t, "k", "until", gate), count, func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

func TestS01ARunOfARealWorkerThatTakesLongerThanItsPeriod(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	p, _ := start(t, pool.Config{Workers: 2, Env: with("EVIL_LEDGER=" + ledger)})
	m := rule(t, p)
	k, count, let := gated(t, ledger)
	values, ticks := make(chan master.Value, 1000), make(chan master.Value, 1000)
	for _, e := range []master.Entry{
		{Task: k, Every: 20 * time.Millisecond, Then: func(v master.Value) { values <- v }},
		{Task: task(t, "tick", "echo"), Every: 20 * time.Millisecond, Then: func(v master.Value) { ticks <- v }},
	} {
		if err := m.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	for count() == 0 {
		<-time.After(time.Millisecond)
	}
	for range 10 { // the other worker runs, and k's periods pass
		if v := <-ticks; v.Err != nil {
			t.Error(v.Err)
		}
	}
	if n := count(); n != 1 || len(values) > 0 {
		t.Errorf("%d runs at a time, %d outcomes", n, len(values))
	}
	let()
	for range 2 {
		if v := <-values; v.Err != nil || v.Value.String() != `"k"` {
			t.Errorf("%+v", v)
		}
	}
	if v, ok := m.Value("k"); !ok || v.Missed < 1 {
		t.Errorf("missed %d, %v", v.Missed, ok)
	}
}

func TestS06PopWhileARealWorkerRunsIt(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	p, _ := start(t, pool.Config{Workers: 1, Env: with("EVIL_LEDGER=" + ledger)})
	m := rule(t, p)
	k, count, let := gated(t, ledger)
	values := make(chan master.Value, 1000)
	if err := m.Add(master.Entry{Task: k, Every: 20 * time.Millisecond, Then: func(v master.Value) { values <- v }}); err != nil {
		t.Fatal(err)
	}
	for count() == 0 {
		<-time.After(time.Millisecond)
	}
	if _, err := m.Pop("k"); err != nil {
		t.Error(err)
	}
	if v := <-values; !errors.Is(v.Err, ipc.ErrCancelled) {
		t.Errorf("%+v, want cancelled", v)
	}
	let()
	if v := <-send(t, m, task(t, "next", "echo")); v.Err != nil { // behind it, on its worker
		t.Error(v.Err)
	}
	if _, err := m.Get("k"); !errors.Is(err, master.ErrNoKey) {
		t.Errorf("Get = %v, want that there is no such key", err)
	}
	if n := count(); n != 1 || len(values) > 0 || slices.Contains(m.Keys(), "k") {
		t.Errorf("%d runs, %d more outcomes, keys %q", n, len(values), m.Keys())
	}
}
