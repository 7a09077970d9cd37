package master_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

func TestTheEndClosesWhatHasNotBegun(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "entry")
		h.send(bg, "k", "1", "a")
		h.send(bg, "k", "2", "b")
		commanded := make(chan error)
		go func() {
			_, err := h.Command(bg, "go", nil)
			commanded <- err
		}()
		synctest.Wait()
		h.cancel()
		wantKind(t, <-commanded, ipc.KindClosed)
		h.expect("b closed")
		wantKind(t, h.Send(bg, task(t, "k", "3"), h.then("c")), ipc.KindClosed)
		wantKind(t, h.Add(master.Entry{Task: task(t, "k", "3")}), ipc.KindClosed)
		_, err := h.Command(bg, "go", nil)
		wantKind(t, err, ipc.KindClosed)
		pass(5 * time.Second)
		h.answer("k", 1) // what runs may end within the grace
		h.answer("entry", 1)
		pass(5 * time.Second)
		h.expect("a 1", "entry 1")
		if err := h.end(); err != nil {
			t.Error(err)
		}
		if n := len(h.started()); n != 2 {
			t.Errorf("%d runs, want none after the end", n-2)
		}
	})
}

func TestWhatDoesNotEndIsClosed(t *testing.T) {
	bubble(t, master.Config{Grace: 3 * time.Second}, func(t *testing.T, h *house) {
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		h.set(func() { h.deaf = true })
		h.send(bg, "a", "1", "a")
		h.send(ctx, "b", "1", "b")
		h.addKey(master.Entry{Every: time.Second}, "entry")
		synctest.Wait()
		if _, err := h.Pop("entry"); err != nil {
			t.Fatal(err)
		}
		h.expect("entry cancelled")
		start := time.Now()
		err := h.end()
		if took := time.Since(start); err != nil || took != 3*time.Second {
			t.Errorf("Run ended after %v with %v", took, err)
		}
		got := h.take()
		if len(got) != 2 || !strings.HasSuffix(got[0], "closed") || !strings.HasSuffix(got[1], "closed") {
			t.Errorf("got %q", got)
		}
		h.answer("a", "late")
		h.expect()
	})
}

func TestACommandThatDoesNotEndIsClosed(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		commanded := make(chan error)
		go func() {
			_, err := h.Command(bg, "go", nil)
			commanded <- err
		}()
		synctest.Wait()
		h.cancel()
		wantKind(t, <-commanded, ipc.KindClosed)
	})
}

// M02: stop reports the callback that hangs, and leaves after the grace.
func TestM02TheEndNamesCallbacksThatHang(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		if err := h.Send(bg, task(t, "k", "f"), func(master.Value) { <-release }); err != nil {
			t.Fatal(err)
		}
		h.answer("k", 1)
		start := time.Now()
		err := h.end()
		if err == nil || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(start); took != 11*time.Second {
			t.Errorf("Run ended after %v, want the grace of 10 s and 1 s", took)
		}
		h.expect("hung k 11s")
		close(release)
	})
}

// M04: a stop in a callback, and twice.
func TestM04StopInACallback(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		if err := h.Send(bg, task(t, "k", "f"), func(master.Value) {
			h.cancel()
			h.cancel()
			h.add("stopped")
		}); err != nil {
			t.Fatal(err)
		}
		h.answer("k", 1)
		if err := h.end(); err != nil {
			t.Error(err)
		}
		h.expect("stopped")
		if err := h.Run(bg); err == nil {
			t.Error("Run ran twice")
		}
	})
}

// M06: a send that races the end is refused, or gets its outcome.
func TestM06SendRacesTheEnd(t *testing.T) {
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		m := master.New(submit(func(_ context.Context, k ipc.Task, done func(ipc.Outcome)) error {
			go done(ipc.Outcome{Value: k.Target})
			return nil
		}), master.Config{})
		over := make(chan error)
		go func() { over <- m.Run(ctx) }()
		var senders, outcomes sync.WaitGroup
		for i := range 4 {
			senders.Go(func() {
				for n := range 100 {
					outcomes.Add(1)
					if err := m.Send(bg, task(t, strconv.Itoa(n%7), i), func(master.Value) { outcomes.Done() }); err != nil {
						outcomes.Done()
						wantKind(t, err, ipc.KindClosed)
					}
				}
			})
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		senders.Wait()
		outcomes.Wait()
		if s := m.Stats(); s.Accepted != s.Done+s.Lost || s.Pending+s.Held+s.Undelivered != 0 {
			t.Fatalf("the numbers do not add up: %+v", s)
		}
	}
}

func TestEntriesBeginWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{t: t, auto: true}
		m := master.New(r, master.Config{})
		if err := m.Add(master.Entry{Task: task(t, "k", "f"), Every: time.Minute}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := r.started(); got != nil {
			t.Errorf("started %q before Run", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- m.Run(ctx) }()
		if got := r.started(); len(got) != 1 {
			t.Errorf("started %q", got)
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
