package master_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

func TestM01ACallbackPanicsOrExits(t *testing.T) {
	var stack atomic.Value
	notes := &notes{}
	cfg := master.Config{Event: func(e master.Event) {
		if p, ok := e.(master.Panicked); ok {
			stack.Store(string(p.Stack))
		}
		notes.add("%s", describe(e))
	}}
	bubble(t, cfg, func(t *testing.T, h *house) {
		h.notes = notes
		for name, bad := range map[string]func(){
			"panic":  func() { panic("oh") },
			"index":  func() { _ = []int{}[len(t.Name()):][0] },
			"goexit": runtime.Goexit,
		} {
			if err := h.Send(bg, task(t, "k", name), func(master.Value) { bad() }); err != nil {
				t.Fatal(err)
			}
			h.send(bg, "k", "after", name)
			h.answer("k", 1)
			h.answer("k", 2)
			got := h.take()
			if len(got) != 2 || !strings.HasPrefix(got[0], "panicked k") || got[1] != name+" 2" {
				t.Errorf("%s: got %q", name, got)
			}
			if s, _ := stack.Load().(string); !strings.Contains(s, "TestM01") {
				t.Errorf("%s: the stack does not show the callback:\n%s", name, s)
			}
		}
		if s := h.Stats(); s.Panicked != 3 || s.Held != 0 || s.Undelivered != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestM02ABlockedCallbackHoldsUpItsKeyOnly(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		if err := h.Send(bg, task(t, "k", "1"), func(master.Value) { <-release; h.add("released") }); err != nil {
			t.Fatal(err)
		}
		h.send(bg, "k", "2", "k")
		h.answer("k", 1)
		h.answer("k", 2) // its next run goes on
		for i := range 100 {
			key := fmt.Sprint("other ", i)
			h.send(bg, key, "f", key)
			h.answer(key, i)
		}
		if got := h.take(); len(got) != 100 || slices.Contains(got, "k 2") {
			t.Errorf("got %d, %q", len(got), got)
		}
		close(release)
		h.expect("released", "k 2")
	})
}

func TestManyBlockedCallbacks(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		var in atomic.Int64
		for i := range 1000 {
			if err := h.Send(bg, task(t, strconv.Itoa(i), "f"), func(master.Value) { in.Add(1); <-release }); err != nil {
				t.Fatal(err)
			}
		}
		h.echo()
		if n := in.Load(); n != 1000 {
			t.Errorf("%d callbacks are called at a time, want 1000", n)
		}
		if n := len(h.Callbacks()); n != 1000 {
			t.Errorf("%d callbacks in the table, want 1000", n)
		}
		close(release)
	})
}

// Decision 12: a key's next run begins only when fewer than 64 of its outcomes are undelivered.
func TestAKeyWaitsForItsCallbacks(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		for range 100 {
			if err := h.Send(bg, task(t, "k", "f", ipc.PolicyEach), func(master.Value) { <-release; h.add("x") }); err != nil {
				t.Fatal(err)
			}
		}
		h.echo()
		if n := len(h.started()); n != 64 {
			t.Errorf("%d runs begun while no callback returns, want 64", n)
		}
		release <- struct{}{}
		h.echo()
		if n := len(h.started()); n != 65 {
			t.Errorf("%d runs begun when one callback has returned, want 65", n)
		}
		close(release)
		h.echo()
		if n := len(h.take()); n != 100 {
			t.Errorf("%d callbacks called, want 100", n)
		}
	})
}

func TestCallbacksOfAKeyKeepTheirOrder(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		var mu sync.Mutex
		got := map[string][]int{}
		for i := range 300 {
			key := strconv.Itoa(i % 3)
			if err := h.Send(bg, task(t, key, i), func(v master.Value) {
				var n int
				if err := v.Value.Decode(&n); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[key] = append(got[key], n)
			}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for key, list := range got {
			if len(list) != 100 || !slices.IsSorted(list) {
				t.Errorf("key %s: %v", key, list)
			}
		}
	})
}

func TestSlowCallbacksAreToldOnce(t *testing.T) {
	bubble(t, master.Config{Slow: time.Second}, func(t *testing.T, h *house) {
		for i, key := range []string{"a", "b", "c"} {
			if err := h.Send(bg, task(t, key, "f"), func(master.Value) { time.Sleep(time.Duration(i) * 900 * time.Millisecond) }); err != nil {
				t.Fatal(err)
			}
			h.answer(key, 1)
			pass(100 * time.Millisecond)
		}
		pass(10 * time.Second)
		h.expect("slow c 1s")
		if err := h.Send(bg, task(t, "d", "f"), func(master.Value) { time.Sleep(time.Minute) }); err != nil {
			t.Fatal(err)
		}
		h.answer("d", 1)
		pass(time.Hour)
		h.expect("slow d 1s")
		if s := h.Stats(); s.Slow != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestTheCallbackTable(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Minute, Then: func(master.Value) { time.Sleep(time.Second) }}, "entry")
		h.answer("entry", 1)
		h.send(bg, "scan", "f", "a")
		h.send(bg, "scan", "f", "b")
		h.send(bg, "scan", "g", "c")
		pass(300 * time.Millisecond)
		want := []master.Callback{
			{Key: "entry", Entry: true, Undelivered: 1, Running: 300 * time.Millisecond},
			{Key: "scan", Waiting: 3},
		}
		if got := h.Callbacks(); !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		h.echo()
	})
}

// BUG 33: a command in a callback waited for itself. BUG 32: commands got each other's results.
func TestCommandInACallback(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		var in sync.Once
		for range 200 { // far more than may be undelivered
			if err := h.Send(bg, task(t, "k", "f", ipc.PolicyEach), func(master.Value) {
				in.Do(func() {
					for i := range 3 {
						got, err := h.Command(t.Context(), i, nil)
						h.add("%v %v", got, err)
					}
				})
			}); err != nil {
				t.Fatal(err)
			}
		}
		h.expect("0 <nil>", "1 <nil>", "2 <nil>")
	})
}
