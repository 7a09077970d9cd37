package master_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fandango/ipc"
	"fandango/master"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runner is a fake that holds each task until the test lets it go: with answer, fail or echo. A task whose context ends
// is cancelled, as a good runner does, unless it is deaf.
type runner struct {
	t *testing.T

	mu     sync.Mutex // guards what follows
	held   []*held
	log    []string // what was started, in order
	refuse error    // what Submit returns
	auto   bool     // each task answers at once with its target
	deaf   bool
}

type held struct {
	task ipc.Task
	done func(ipc.Outcome)
	stop func() bool
	over bool
}

func (r *runner) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	if err := ipc.CheckKey(t.Key); err != nil {
		r.t.Error(err)
	}
	r.log = append(r.log, t.String())
	for _, h := range r.held {
		if h.task.Key == t.Key {
			r.t.Errorf("%s was started while %s runs", t, h.task)
		}
	}
	h := &held{task: t, done: done}
	r.held = append(r.held, h)
	if r.auto {
		go r.end(h, ipc.Outcome{Value: t.Target, Attempts: 1})
		return nil
	}
	h.stop = context.AfterFunc(ctx, func() {
		if !r.deaf {
			r.end(h, ipc.Outcome{Err: ipc.Errorf(ipc.KindCancelled, "key %q: %w", t.Key, context.Cause(ctx))})
		}
	})
	return nil
}

// set changes how the runner behaves.
func (r *runner) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *runner) end(h *held, o ipc.Outcome) {
	r.mu.Lock()
	over := h.over
	h.over = true
	r.held = slices.DeleteFunc(r.held, func(x *held) bool { return x == h })
	r.mu.Unlock()
	if !over {
		if h.stop != nil {
			h.stop()
		}
		h.done(o)
	}
}

// running is the task of a key that runs now.
func (r *runner) running(key string) *held {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.held {
		if h.task.Key == key {
			return h
		}
	}
	return nil
}

// let waits until the key runs and gives it an outcome. It returns when everything that follows from it has happened.
func (r *runner) let(key string, o ipc.Outcome) {
	r.t.Helper()
	synctest.Wait()
	h := r.running(key)
	if h == nil {
		r.t.Fatalf("%s does not run", key)
	}
	o.Attempts = 1
	r.end(h, o)
	synctest.Wait()
}

func (r *runner) answer(key string, value any) {
	r.t.Helper()
	r.let(key, ipc.Outcome{Value: raw(r.t, value)})
}

func (r *runner) fail(key, message string) {
	r.t.Helper()
	r.let(key, ipc.Outcome{Err: ipc.Errorf(ipc.KindTask, "%s", message)})
}

// echo answers each running task with its target, until none runs.
func (r *runner) echo() {
	for {
		synctest.Wait()
		r.mu.Lock()
		all := slices.Clone(r.held)
		r.mu.Unlock()
		if len(all) == 0 {
			return
		}
		for _, h := range all {
			r.end(h, ipc.Outcome{Value: h.task.Target, Attempts: 1})
		}
	}
}

func (r *runner) started() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// notes collects what callbacks and events say.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

// then is a callback that notes a value under a name.
func (n *notes) then(name string) func(master.Value) {
	return func(v master.Value) { n.add("%s", name+" "+say(v)) }
}

// say is a value in a few words.
func say(v master.Value) string {
	s := v.Value.String()
	if v.Err != nil {
		s = string(ipc.KindOf(v.Err))
	}
	if v.Shared != ipc.SharedNone {
		s += " " + string(v.Shared)
	}
	if v.Skipped > 0 {
		s += fmt.Sprintf(" skipped %d", v.Skipped)
	}
	return s
}

// take returns what was noted since the last time.
func (n *notes) take() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

// house is a master that runs over a fake runner in a bubble.
type house struct {
	*master.Master
	*runner
	*notes
	t      *testing.T
	cancel context.CancelFunc
	over   chan error
}

// bubble runs a test in a bubble with a master that runs. At the end the master is stopped, and the numbers must add up.
func bubble(t *testing.T, cfg master.Config, test func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{runner: &runner{t: t}, notes: &notes{}, t: t, over: make(chan error, 1)}
		if cfg.Event == nil {
			cfg.Event = func(e master.Event) { h.add("%s", describe(e)) }
		}
		h.Master = master.New(h.runner, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		h.cancel = cancel
		go func() { h.over <- h.Run(ctx) }()
		test(t, h)
		cancel()
		<-h.over
		s := h.Stats()
		if s.Pending != 0 || s.Accepted != s.Done+s.Failed+s.Lost+s.Cancelled+s.Expired {
			t.Errorf("the numbers do not add up: %+v", s)
		}
	})
}

// end stops the master and returns what Run did.
func (h *house) end() error {
	h.cancel()
	err := <-h.over
	h.over <- err
	return err
}

func describe(e master.Event) string {
	switch e := e.(type) {
	case master.Panicked:
		return fmt.Sprintf("panicked %s %v", e.Key, e.Cause)
	case master.Slow:
		return fmt.Sprintf("slow %s %v", e.Key, e.For)
	case master.Hung:
		return fmt.Sprintf("hung %s %v", e.Key, e.For)
	case master.Missed:
		return fmt.Sprintf("missed %s %d", e.Key, e.Runs)
	}
	return fmt.Sprintf("%T", e)
}

func raw(tb testing.TB, v any) ipc.Raw {
	tb.Helper()
	r, err := ipc.Encode(v)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// task makes a task; an option is its policy.
func task(tb testing.TB, key string, target any, policy ...ipc.Policy) ipc.Task {
	tb.Helper()
	k, err := ipc.NewTask(key, target, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range policy {
		k.Policy = p
	}
	return k
}

// send sends and expects no error.
func (h *house) send(ctx context.Context, key string, target any, name string, policy ...ipc.Policy) {
	h.t.Helper()
	if err := h.Send(ctx, task(h.t, key, target, policy...), h.then(name)); err != nil {
		h.t.Fatalf("send %s: %v", key, err)
	}
}

// add adds an entry with a callback that notes, and expects no error.
func (h *house) addKey(e master.Entry, key string) {
	h.t.Helper()
	policy := e.Task.Policy
	e.Task = task(h.t, key, "read", policy)
	if e.Then == nil {
		e.Then = h.then(key)
	}
	if err := h.Add(e); err != nil {
		h.t.Fatalf("add %s: %v", key, err)
	}
}

// expect compares what was noted since the last time.
func (h *house) expect(want ...string) {
	h.t.Helper()
	if got := h.take(); !slices.Equal(got, want) {
		h.t.Errorf("got %q, want %q", got, want)
	}
}

// state looks at a key.
func (h *house) state(key string) master.State {
	v, _ := h.Value(key)
	return v.State
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) // in a bubble: no time passes
	synctest.Wait()
}

func wantKind(t *testing.T, err error, kind ipc.Kind) {
	t.Helper()
	if ipc.KindOf(err) != kind {
		t.Errorf("got %v, of kind %q; want kind %q", err, ipc.KindOf(err), kind)
	}
}
