package master_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// crew is a runner with workers of their own, all of which answer a broadcast with what the test says.
type crew struct {
	*runner
	told []func([]ipc.Outcome) // that have no outcomes yet
	kept []string
	deny error // what Broadcast returns
	none bool  // there is no worker: it answers at once
}

func (c *crew) Broadcast(_ context.Context, t ipc.Task, keep bool, done func([]ipc.Outcome)) error {
	c.mu.Lock()
	if c.deny != nil {
		c.mu.Unlock()
		return c.deny
	}
	c.log = append(c.log, t.String())
	if keep {
		c.kept = append(c.kept, t.String())
	}
	none := c.none
	if !none {
		c.told = append(c.told, done)
	}
	c.mu.Unlock()
	if none {
		done(nil)
	}
	return nil
}

// tell gives the oldest broadcast its outcomes, and again, as a bad runner does.
func (c *crew) tell(all ...ipc.Outcome) {
	synctest.Wait()
	c.mu.Lock()
	done := c.told[0]
	c.told = c.told[1:]
	c.mu.Unlock()
	done(all)
	done(nil)
	synctest.Wait()
}

// crewed is bubble with a crew.
func crewed(t *testing.T, cfg master.Config, test func(t *testing.T, h *house, c *crew)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &crew{runner: &runner{t: t}}
		h := &house{runner: c.runner, notes: &notes{}, t: t, over: make(chan error, 1)}
		h.Master = master.New(c, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		h.cancel = cancel
		go func() { h.over <- h.Run(ctx) }()
		test(t, h, c)
		if err := h.end(); err != nil {
			t.Error(err)
		}
		if s := h.Stats(); s.Held != 0 || s.Undelivered != 0 || s.Pending != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

// cry broadcasts with a callback that notes, and expects no error.
func (h *house) cry(key string, keep bool) {
	h.t.Helper()
	err := h.Broadcast(bg, task(h.t, key, "f"), keep, func(all []ipc.Outcome) {
		words := []string{key}
		for _, o := range all {
			words = append(words, o.Worker, say(master.Value{Outcome: o}))
		}
		h.add("%s", strings.Join(words, " "))
	})
	if err != nil {
		h.t.Fatalf("broadcast %s: %v", key, err)
	}
}

func TestBroadcastTellsWhatEachWorkerSaid(t *testing.T) {
	crewed(t, master.Config{}, func(t *testing.T, h *house, c *crew) {
		h.send(bg, "k", "g", "send") // runs, and does not hold it up
		h.cry("k", true)
		h.cry("other", false)
		if s := h.Stats(); s.Held != 3 || s.Pending != 1 {
			t.Errorf("stats %+v", s)
		}
		c.tell(ipc.Outcome{Worker: "main/1", Value: raw(t, 1)}, ipc.Outcome{Worker: "main/2", Err: ipc.Errorf(ipc.KindTask, "oh")})
		h.expect("k main/1 1 main/2 task")
		c.tell()
		h.expect("other")
		h.answer("k", 2)
		h.expect("send 2")
		if len(c.kept) != 1 || len(h.Keys()) != 0 {
			t.Errorf("kept %q, keys %q", c.kept, h.Keys())
		}
		c.none = true
		h.cry("nobody", true)
		h.expect("nobody")
	})
}

// A callback that blocks holds up its key, and not the goroutine of the runner.
func TestTheCallbackOfABroadcastHasALane(t *testing.T) {
	crewed(t, master.Config{}, func(t *testing.T, h *house, c *crew) {
		release := make(chan struct{})
		for range 2 {
			err := h.Broadcast(bg, task(t, "k", "f"), false, func([]ipc.Outcome) { <-release; h.add("called") })
			if err != nil {
				t.Fatal(err)
			}
		}
		c.tell() // returns
		c.tell()
		h.send(bg, "k", "f", "behind it")
		h.answer("k", 1)
		h.send(bg, "other", "f", "other")
		h.answer("other", 1)
		h.expect("other 1")
		close(release)
		h.expect("called", "called", "behind it 1")
	})
}

func TestBroadcastsThatAreRefused(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) { // a runner without workers of their own
		never := func([]ipc.Outcome) { t.Error("called") }
		err := h.Broadcast(bg, task(t, "k", "f"), false, never)
		wantKind(t, err, ipc.KindInput)
		if !strings.Contains(err.Error(), "no ipc.Broadcaster") {
			t.Error(err)
		}
		wantKind(t, h.Bind(bg, "Calc", nil), ipc.KindInput)
	})
	crewed(t, master.Config{Queue: 1}, func(t *testing.T, h *house, c *crew) {
		never := func([]ipc.Outcome) { t.Error("called") }
		wantKind(t, h.Broadcast(bg, ipc.Task{Key: ipc.KeyBind}, false, never), ipc.KindInput)
		wantKind(t, h.Bind(bg, "Calc", func() {}), ipc.KindInput)
		c.deny = ipc.Errorf(ipc.KindClosed, "the pool has ended")
		wantKind(t, h.Broadcast(bg, task(t, "k", "f"), false, never), ipc.KindClosed)
		wantKind(t, h.Bind(bg, "Calc", nil), ipc.KindClosed)
		c.deny = nil
		h.cry("k", false)
		wantKind(t, h.Broadcast(bg, task(t, "k", "f"), false, never), ipc.KindQueueFull)
		wantKind(t, h.Send(bg, task(t, "k", "f"), nil), ipc.KindQueueFull)
		c.tell()
		h.expect("k")
		if err := h.Broadcast(bg, task(t, "k", "f"), false, nil); err != nil { // nobody is called
			t.Error(err)
		}
		c.tell()
		if err := h.end(); err != nil {
			t.Error(err)
		}
		wantKind(t, h.Broadcast(bg, task(t, "k", "f"), false, never), ipc.KindClosed)
	})
}

func TestBind(t *testing.T) {
	crewed(t, master.Config{}, func(t *testing.T, h *house, c *crew) {
		bind := func() (bound chan error) {
			bound = make(chan error, 1)
			go func() { bound <- h.Bind(bg, "Calc", []any{10}) }()
			return bound
		}
		bound := bind()
		c.tell(ipc.Outcome{Worker: "main/1"}, ipc.Outcome{Worker: "main/2"})
		if err := <-bound; err != nil {
			t.Error(err)
		}
		if want := `__BIND: "Calc" [10]`; len(c.kept) != 1 || c.kept[0] != want {
			t.Errorf("kept %q, want %q", c.kept, want)
		}
		bound = bind()
		bad := ipc.Errorf(ipc.KindTask, "no class Calc")
		c.tell(ipc.Outcome{Worker: "main/1"}, ipc.Outcome{Worker: "main/2", Err: bad}, ipc.Outcome{Worker: "main/3", Err: bad})
		err := <-bound
		wantKind(t, err, ipc.KindTask)
		if want := "bind Calc: worker main/2, and 1 more: no class Calc"; !errors.Is(err, bad) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// A runner that never tells does not keep Run, Bind or a callback waiting.
func TestTheEndClosesBroadcasts(t *testing.T) {
	crewed(t, master.Config{Grace: 3 * time.Second}, func(t *testing.T, h *house, c *crew) {
		h.cry("k", false)
		var binder sync.WaitGroup
		binder.Go(func() { wantKind(t, h.Bind(bg, "Calc", nil), ipc.KindClosed) })
		synctest.Wait()
		start := time.Now()
		if err := h.end(); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("Run ended after %v: %v", time.Since(start), err)
		}
		binder.Wait()
		h.expect("k  closed")
		c.tell(ipc.Outcome{}) // too late
		h.expect()
	})
}
