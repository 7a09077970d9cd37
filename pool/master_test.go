//go:build unix

package pool_test

import (
	"context"
	"errors"
	"strings"
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
	return m, p, log
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
