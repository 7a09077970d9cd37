package master_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"fandango/ipc"
	"fandango/master"
)

// submit submits, and expects no error.
func (h *house) submit(name, key string, target any, done func(), policy ...ipc.Policy) {
	h.t.Helper()
	err := h.Master.Submit(bg, task(h.t, key, target, policy...), func(o ipc.Outcome) {
		h.add("%s", name+" "+say(master.Value{Outcome: o}))
		if done != nil {
			done()
		}
	})
	if err != nil {
		h.t.Fatalf("submit %s: %v", key, err)
	}
}

// teller waits until the key runs, and returns what gives it an outcome: it does so on the goroutine that calls it.
func (h *house) teller(key string, value any) (tell func()) {
	h.t.Helper()
	synctest.Wait()
	held, o := h.running(key), ipc.Outcome{Value: raw(h.t, value), Attempts: 1}
	return func() { h.runner.end(held, o) }
}

func TestASubmitIsToldOnTheRunnersGoroutine(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		told := false // not atomic: it is this goroutine that writes it
		h.submit("a", "k", "f", func() { told = true })
		h.teller("k", 1)()
		if !told {
			t.Error("the runner has told an outcome, and the caller of Submit was not told")
		}
		h.expect("a 1")
		if s := h.Stats(); s.Done != 1 || s.Held != 0 || s.Undelivered != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestSubmitsThatJoinAreEachToldOnce(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.submit("a", "k", "f", nil)
		h.submit("b", "k", "f", nil)
		h.send(bg, "k", "f", "c")
		h.submit("d", "k", "f", nil)
		h.answer("k", 1)
		h.expect("a 1", "b 1 joined", "c 1 joined", "d 1 joined")
		if got := h.started(); len(got) != 1 {
			t.Errorf("started %q, want one run", got)
		}
	})
}

// What is told of a key is told in order, on whatever goroutine it is: one after the other.
func TestASubmitWaitsForTheCallbacksOfItsKey(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		if err := h.Send(bg, task(t, "k", "1"), func(master.Value) { <-release; h.add("released") }); err != nil {
			t.Fatal(err)
		}
		h.submit("b", "k", "2", func() { <-release; h.add("b has returned") })
		h.submit("c", "k", "3", nil)
		for i, key := range []string{"k", "k", "k"} {
			h.answer(key, i)
		}
		h.expect()
		release <- struct{}{}
		h.expect("released", "b 1")
		if s := h.Stats(); s.Held != 2 || s.Undelivered != 2 {
			t.Errorf("of two that have not returned: %+v", s)
		}
		release <- struct{}{}
		h.expect("b has returned", "c 2")
	})
}

// A done that has not returned is one that Run waits for, and another outcome of its key waits for it, too.
func TestASubmitThatIsBeingToldHoldsItsPlace(t *testing.T) {
	bubble(t, master.Config{Queue: 2}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		h.submit("a", "k", "1", func() { <-release })
		h.submit("b", "k", "2", nil)
		go h.teller("k", 1)()
		h.answer("k", 2)
		h.expect("a 1")
		err := h.Master.Submit(bg, task(t, "other", "f"), func(ipc.Outcome) {})
		wantKind(t, err, ipc.KindQueueFull)
		h.cancel()
		synctest.Wait()
		select {
		case err := <-h.over:
			t.Errorf("Run has returned, with %v", err)
			h.over <- err
		default:
		}
		close(release)
		h.expect("b 2")
	})
}

// A done is no user's code, but a runner must live with it.
func TestASubmitWhoseDonePanicsOrExits(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		for name, bad := range map[string]func(){"panic": func() { panic("oh") }, "goexit": runtime.Goexit} {
			h.submit(name, "k", name, bad)
			h.submit("after", "k", "f", nil)
			over, tell := make(chan bool), h.teller("k", 1)
			go func() {
				returned := false
				defer func() { over <- returned }()
				tell()
				returned = true
			}()
			if returned := <-over; returned != (name == "panic") {
				t.Errorf("%s: the runner's goroutine goes on: %v", name, returned)
			}
			h.answer("k", 2)
			cause := map[string]string{"panic": "oh", "goexit": "<nil>"}[name]
			h.expect(name+" 1", "panicked k "+cause, "after 2")
		}
		if s := h.Stats(); s.Panicked != 2 || s.Done != 4 || s.Held != 0 || s.Undelivered != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestASubmitThatTheEndOvertakesIsTold(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		h.send(bg, "k", "1", "a")
		h.submit("b", "k", "2", nil)
		h.submit("c", "other", "3", nil)
		h.set(func() { h.deaf = true })
		h.cancel() // b has not begun; a and c run
		h.answer("k", 1)
		h.answer("other", 3)
		h.expect("b closed", "a 1", "c 3")
	})
}

// A run's memory is used again. An outcome that a runner tells twice must not be taken for that of the run that has it then.
func TestASecondOutcomeIsNotThatOfAnotherRun(t *testing.T) {
	t.Parallel()
	var told []func(ipc.Outcome)
	m := master.New(submit(func(_ context.Context, _ ipc.Task, done func(ipc.Outcome)) error {
		told = append(told, done)
		return nil
	}), master.Config{})
	outcomes := map[string][]ipc.Raw{}
	for _, key := range []string{"a", "b", "c"} {
		err := m.Submit(bg, ipc.Task{Key: key}, func(o ipc.Outcome) { outcomes[key] = append(outcomes[key], o.Value) })
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range told[:len(told)-1] {
			old(ipc.Outcome{Value: raw(t, "of an older one")})
		}
		if s := m.Stats(); s.Pending != 1 {
			t.Fatalf("%d pending, want the one of %s", s.Pending, key)
		}
		told[len(told)-1](ipc.Outcome{Value: raw(t, key)})
	}
	for key, values := range outcomes {
		if len(values) != 1 || string(values[0]) != string(raw(t, key)) {
			t.Errorf("%s has %q", key, values)
		}
	}
}
