package master_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

var bg = context.Background()

func TestEqualTasksJoin(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "k", "read", "a")
		h.send(bg, "k", "read", "b")
		h.answer("k", 7)
		h.expect("a 7", "b 7 joined")
		if got := h.started(); len(got) != 1 {
			t.Errorf("started %q, want one run", got)
		}
		h.send(bg, "k", "read", "c") // not pending any more
		h.answer("k", 8)
		h.expect("c 8")
	})
}

func TestEqualIsByTheCanonicalBytes(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		one := ipc.Task{Key: "k", Target: raw(h.t, "f"), Args: ipc.Raw{0x91, 0x01}}
		same := ipc.Task{Key: "k", Target: ipc.Raw{0xd9, 1, 'f'}, Args: ipc.Raw{0xdc, 0, 1, 0xd3, 0, 0, 0, 0, 0, 0, 0, 1}}
		for name, task := range map[string]ipc.Task{"x": one, "y": same} {
			if err := h.Send(bg, task, h.then(name)); err != nil {
				h.t.Fatal(err)
			}
		}
		h.answer("k", 1)
		if got := h.take(); len(got) != 2 {
			h.t.Errorf("got %q, want two", got)
		}
	})
}

// BUG 21, 34: the new target and args of a pending key were dropped.
func TestS05NoUpdateIsLost(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "k", "upd 1", "a")
		h.send(bg, "k", "upd 2", "b")
		h.send(bg, "k", "upd 1", "c") // not joined: the newest that is pending is another
		h.echo()
		h.expect(`a "upd 1"`, `b "upd 2"`, `c "upd 1"`)
		if got, want := h.started(), []string{`k: "upd 1"`, `k: "upd 2"`, `k: "upd 1"`}; !slices.Equal(got, want) {
			t.Errorf("started %q, want %q", got, want)
		}
	})
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		policy  ipc.Policy
		want    []string
		started int
	}{
		{ipc.PolicyDefault, []string{`a "1"`, `b "2"`, `c "3"`}, 3},
		{ipc.PolicyAll, []string{`a "1"`, `b "2"`, `c "3"`}, 3},
		{ipc.PolicyLatest, []string{`a "1"`, `b "3" overtaken`, `c "3"`}, 2},
		{ipc.PolicyFirst, []string{`a "1"`, `b "1" joined`, `c "1" joined`}, 1},
		{ipc.PolicyEach, []string{`a "1"`, `b "2"`, `c "3"`}, 3},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			bubble(t, master.Config{}, func(t *testing.T, h *house) {
				h.send(bg, "k", "1", "a", c.policy)
				h.send(bg, "k", "2", "b", c.policy)
				h.send(bg, "k", "3", "c", c.policy)
				h.echo()
				got := h.take()
				slices.Sort(got)
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if n := len(h.started()); n != c.started {
					t.Errorf("%d runs, want %d", n, c.started)
				}
			})
		})
	}
}

func TestPolicyReject(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "k", "1", "a")
		err := h.Send(bg, task(t, "k", "2", ipc.PolicyReject), h.then("b"))
		wantKind(t, err, ipc.KindInput)
		if !errors.Is(err, master.ErrPending) {
			t.Errorf("%v is not ErrPending", err)
		}
		h.send(bg, "k", "1", "c", ipc.PolicyReject) // equal: it joins
		h.echo()
		h.expect(`a "1"`, `c "1" joined`)
	})
}

func TestPolicyEachNeverJoins(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		for range 3 {
			h.send(bg, "k", "same", "a", ipc.PolicyEach)
		}
		h.echo()
		h.expect(`a "same"`, `a "same"`, `a "same"`)
		if n := len(h.started()); n != 3 {
			t.Errorf("%d runs, want 3", n)
		}
	})
}

func TestLatestOvertakesOnlyLatest(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		h.send(bg, "k", "1", "a")
		h.send(bg, "k", "2", "b", ipc.PolicyLatest)
		h.send(bg, "k", "3", "c")
		h.send(bg, "k", "4", "d", ipc.PolicyLatest)
		h.echo()
		h.expect(`a "1"`, `c "3"`, `d "4"`, `b "4" overtaken`)
	})
}

func TestTasksThatAreRefused(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		for name, change := range map[string]func(*ipc.Task){
			"reserved":      func(k *ipc.Task) { k.Key = ipc.KeyBind },
			"long key":      func(k *ipc.Task) { k.Key = strings.Repeat("x", ipc.MaxKey+1) },
			"bad UTF-8":     func(k *ipc.Task) { k.Key = "\xff" },
			"policy":        func(k *ipc.Task) { k.Policy = "sometimes" },
			"cut target":    func(k *ipc.Task) { k.Target = ipc.Raw{0xdd, 0xff, 0xff, 0xff, 0xff} },
			"two in target": func(k *ipc.Task) { k.Target = ipc.Raw{1, 2} },
			"cut args":      func(k *ipc.Task) { k.Args = ipc.Raw{0x92, 1} },
		} {
			k := task(t, "k", "f")
			change(&k)
			err := h.Send(bg, k, h.then(name))
			wantKind(t, err, ipc.KindInput)
			wantKind(t, h.Add(master.Entry{Task: k}), ipc.KindInput)
		}
		h.expect()
		if got := h.started(); got != nil {
			t.Errorf("started %q", got)
		}
	})
}

func TestWithoutATargetTheKeyIsTheTarget(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		if err := h.Send(bg, ipc.Task{Key: "read"}, nil); err != nil {
			t.Fatal(err)
		}
		if got, want := h.started(), []string{`read: "read"`}; !slices.Equal(got, want) {
			t.Errorf("started %q, want %q", got, want)
		}
		h.answer("read", 1)
	})
}

func TestKeepStoresASentValue(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "plain", "f", "a")
		kept := task(t, "kept", "f")
		kept.Keep = true
		if err := h.Send(bg, kept, nil); err != nil {
			t.Fatal(err)
		}
		h.answer("plain", 1)
		h.answer("kept", 2)
		if got := h.Keys(); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("keys %q", got)
		}
		if n, err := master.Get[int](h.Master, "kept"); n != 2 || err != nil {
			t.Errorf("Get = %v, %v", n, err)
		}
		if v, err := h.Pop("kept"); err != nil || v.Value.String() != "2" {
			t.Errorf("Pop = %v, %v", v, err)
		}
		if _, err := h.Pop("kept"); !errors.Is(err, master.ErrNoKey) {
			t.Errorf("the second Pop: %v", err)
		}
	})
}

// BUG 8, 24: a dead worker left the key pending for ever.
func TestAFailureIsAnOutcome(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		h.send(bg, "k", "f", "a")
		h.let("k", ipc.Outcome{Err: ipc.Errorf(ipc.KindCrash, "signal 9")})
		h.expect("a crash")
		h.send(bg, "k", "f", "b")
		h.answer("k", 1)
		h.expect("b 1")
	})
}

// BUG 25: a send between the answer and its bookkeeping was lost.
func TestASendInACallbackOfItsOwnKeyIsNotLost(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		if err := h.Send(bg, task(t, "k", "f"), func(master.Value) { h.send(bg, "k", "f", "again") }); err != nil {
			t.Fatal(err)
		}
		h.answer("k", 1)
		h.answer("k", 2)
		h.expect("again 2")
	})
}

// BUG 23: the same callback added twice was called once.
func TestM05TheSameCallbackTwiceIsCalledTwice(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		then := h.then("a")
		for range 2 {
			if err := h.Send(bg, task(t, "k", "f"), then); err != nil {
				t.Fatal(err)
			}
		}
		h.answer("k", 1)
		h.expect("a 1", "a 1 joined")
	})
}

func TestTheRunnersRefusalIsSends(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.refuse = ipc.Errorf(ipc.KindQueueFull, "no room") })
		wantKind(t, h.Send(bg, task(t, "k", "f"), h.then("a")), ipc.KindQueueFull)
		h.expect()
		if s := h.Stats(); s.Accepted != 0 || s.Refused != 1 || s.Held != 0 {
			t.Errorf("stats %+v", s)
		}
		h.set(func() { h.refuse = nil })
		h.send(bg, "k", "f", "b")
		h.answer("k", 1)
		h.expect("b 1")
	})
}

// M26, M03: a full queue is told at once, also in a callback.
func TestM03SendNeverBlocks(t *testing.T) {
	bubble(t, master.Config{Queue: 2}, func(t *testing.T, h *house) {
		h.send(bg, "a", "f", "a")
		h.send(bg, "b", "f", "b")
		wantKind(t, h.Send(bg, task(t, "c", "f"), h.then("c")), ipc.KindQueueFull)
		h.answer("a", 1)
		h.expect("a 1")
		if err := h.Send(bg, task(t, "c", "f"), func(master.Value) {
			err := h.Send(bg, task(t, "d", "f"), h.then("d")) // b and this callback hold the two places
			h.add("%s", string(ipc.KindOf(err)))
		}); err != nil {
			t.Fatal(err)
		}
		h.answer("c", 1)
		h.expect("queue-full")
		h.send(bg, "d", "f", "d")
		h.echo()
	})
}

func TestACancelledCallerLeaves(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		ctx, cancel := context.WithCancel(bg)
		h.send(ctx, "k", "f", "a")
		h.send(bg, "k", "f", "b")
		cancel()
		h.expect("a cancelled")
		h.answer("k", 1) // for b it went on
		h.expect("b 1 joined")
		wantKind(t, h.Send(ctx, task(t, "k", "f"), h.then("c")), ipc.KindCancelled)
	})
}

func TestARunThatNobodyWaitsForIsCancelled(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		ctx, cancel := context.WithCancel(bg)
		h.send(ctx, "k", "f", "a")
		h.send(ctx, "k", "f", "b")
		h.send(ctx, "k", "g", "c") // waits
		cancel()
		h.expect("a cancelled", "b cancelled", "c cancelled")
		if h.running("k") != nil {
			h.t.Error("the run goes on")
		}
		if got := h.started(); len(got) != 1 {
			h.t.Errorf("started %q", got)
		}
	})
}

func TestThousandsLeaveWithOneContext(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		ctx, cancel := context.WithCancel(bg)
		var n sync.WaitGroup
		before := runtime.NumGoroutine()
		for range 10_000 {
			n.Add(1)
			if err := h.Send(ctx, task(t, "k", "f", ipc.PolicyEach), func(master.Value) { n.Done() }); err != nil {
				t.Fatal(err)
			}
		}
		if more := runtime.NumGoroutine() - before; more > 10 {
			t.Errorf("%d goroutines for 10,000 pending sends", more)
		}
		cancel()
		n.Wait()
	})
}

// W21: an answer that comes after its caller has left never satisfies the next task of the key.
func TestW21ALateAnswerIsNotTheNextOnes(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		h.set(func() { h.deaf = true })
		ctx, cancel := context.WithCancel(bg)
		h.send(ctx, "k", "f", "a")
		cancel()
		h.expect("a cancelled")
		h.send(bg, "k", "f", "b") // equal, but the first is as good as gone
		h.expect()
		h.answer("k", "late")
		h.expect()
		h.answer("k", "new")
		h.expect(`b "new"`)
	})
}

// W18: the runner's second outcome of a run is ignored.
func TestW18TheFirstOutcomeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done []func(ipc.Outcome)
		m := master.New(submit(func(_ context.Context, _ ipc.Task, d func(ipc.Outcome)) error {
			done = append(done, d)
			return nil
		}), master.Config{})
		n := &notes{}
		for _, name := range []string{"a", "b"} {
			if err := m.Send(bg, task(t, "k", name), n.then(name)); err != nil {
				t.Fatal(err)
			}
		}
		first := done[0] // the next is added by another goroutine
		for n := range 3 {
			first(ipc.Outcome{Value: raw(t, n+1)})
		}
		synctest.Wait()
		first(ipc.Outcome{Value: raw(t, 9)})
		done[1](ipc.Outcome{Value: raw(t, 4)})
		if got, want := n.take(), []string{"a 1", "b 4"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

type submit func(context.Context, ipc.Task, func(ipc.Outcome)) error

func (f submit) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	return f(ctx, t, done)
}

// A runner that answers within Submit, and a long queue behind one key, take no stack.
func TestARunnerThatAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := master.New(submit(func(_ context.Context, k ipc.Task, d func(ipc.Outcome)) error {
			d(ipc.Outcome{Value: k.Target})
			return nil
		}), master.Config{})
		n := 0
		for range 10_000 {
			if err := m.Send(bg, task(t, "k", "f", ipc.PolicyEach), func(master.Value) { n++ }); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n != 10_000 {
			t.Errorf("%d callbacks, want 10,000", n)
		}
	})
}

func TestADeadlineCountsTheWaitBehindOthers(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "k", "1", "a")
		for name, deadline := range map[string]time.Duration{"b": time.Second, "c": 3 * time.Second} {
			k := task(t, "k", name)
			k.Deadline = deadline
			if err := h.Send(bg, k, h.then(name)); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		h.expect("b expired")
		pass(time.Second)
		h.answer("k", 1)
		if left := h.running("k").task.Deadline; left != time.Second {
			t.Errorf("%v are left for the runner, want 1 s", left)
		}
		h.echo()
		h.expect("a 1", `c "c"`)
	})
}

func TestTheWaitBehindOthersCountsAsQueued(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "k", "1", "a")
		if err := h.Send(bg, task(t, "k", "2"), func(v master.Value) { h.add("%s", v.Queued) }); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		h.answer("k", 1)
		h.let("k", ipc.Outcome{Queued: time.Second})
		h.expect("a 1", "4s")
	})
}
