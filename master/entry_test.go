package master_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// BUG 39: an added key ran twice at first. BUG 40: its period was counted from the last run.
func TestAnEntryRunsAtOnceAndThenAnchored(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		start := time.Now()
		h.addKey(master.Entry{Every: 10 * time.Second, Then: func(v master.Value) { h.add("%v", v.At.Sub(start)) }}, "k")
		synctest.Wait()
		for range 4 {
			pass(3 * time.Second) // the run takes 3 s
			h.answer("k", 1)
			pass(7 * time.Second)
		}
		h.expect("3s", "13s", "23s", "33s")
		if n := len(h.started()); n != 5 {
			t.Errorf("%d runs, want 5", n)
		}
	})
}

// S01, BUG 42: no overlap; what was missed becomes one run and a count.
func TestS01ARunThatTakesLongerThanItsPeriod(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "k")
		pass(3500 * time.Millisecond)
		if n := len(h.started()); n != 1 {
			t.Errorf("%d runs at a time", n)
		}
		h.answer("k", 1)
		got := h.take() // due at 1, 2 and 3 s: one run, at once, and two missed
		slices.Sort(got)
		if want := []string{"k 1", "missed k 2"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := len(h.started()); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
		h.answer("k", 2)
		pass(400 * time.Millisecond)
		if n := len(h.started()); n != 2 {
			t.Errorf("%d runs, want the third at 4 s", n)
		}
		pass(100 * time.Millisecond)
		h.answer("k", 3)
		if v, _ := h.Value("k"); v.Missed != 2 {
			t.Errorf("missed %d, want 2", v.Missed)
		}
		h.expect("k 2", "k 3")
	})
}

// BUG 41: many sends kept periodic keys from running.
func TestSendsDoNotStarveEntries(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		h.set(func() { h.auto = true })
		h.addKey(master.Entry{Every: 100 * time.Millisecond}, "k")
		for i := range 600 {
			h.send(bg, "k", i, "s")
			pass(5 * time.Millisecond)
		}
		n := 0
		for _, line := range h.take() {
			if strings.HasPrefix(line, "k ") {
				n++
			}
		}
		if n < 30 {
			h.t.Errorf("%d periodic runs in 3 s at 100 ms beside 600 sends", n)
		}
	})
}

// S02, S03.
func TestS02EntriesThatAreRefused(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		for _, e := range []master.Entry{
			{Every: -time.Second},
			{Every: 1},
			{Every: time.Microsecond},
			{Every: math.MaxInt64},
			{Every: math.MinInt64},
			{Every: time.Second, Expire: -1},
			{Every: time.Second, Task: ipc.Task{Options: ipc.Options{Policy: ipc.PolicyReject}}},
		} {
			e.Task.Key = "k"
			wantKind(t, h.Add(e), ipc.KindInput)
		}
		if h.Keys() != nil && len(h.Keys()) > 0 || h.started() != nil {
			t.Errorf("keys %q, started %q", h.Keys(), h.started())
		}
	})
}

func TestAnEntryWithoutAPeriodRunsOnce(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{}, "k")
		h.answer("k", 1)
		pass(time.Hour)
		h.expect("k 1")
		if n, err := master.Get[int](h.Master, "k"); n != 1 || err != nil { // and never expires
			t.Errorf("Get = %v, %v", n, err)
		}
		if got := h.state("k"); got != master.Fresh {
			t.Errorf("state %s", got)
		}
	})
}

// S04: one schedule, and a new generation.
func TestS04AddingAgainReplaces(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "k")
		h.answer("k", 1)
		h.addKey(master.Entry{Every: 10 * time.Second, Then: h.then("new")}, "k")
		if got := h.state("k"); got != master.Never {
			t.Errorf("state %s after adding anew", got)
		}
		h.answer("k", 2)
		pass(9 * time.Second)
		h.expect("k 1", "new 2")
		if n := len(h.started()); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
		pass(time.Second)
		h.answer("k", 3)
		h.expect("new 3")
		h.addKey(master.Entry{}, "k") // ends the period
		h.answer("k", 4)
		pass(time.Hour)
		h.expect("k 4")
	})
}

func TestS04AddingAgainWhileItRuns(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "k")
		synctest.Wait()
		h.addKey(master.Entry{Every: time.Minute, Then: h.then("new")}, "k")
		h.expect("k cancelled")
		h.answer("k", "old")
		h.expect()
		if got := h.state("k"); got != master.Never {
			t.Errorf("state %s: the old run wrote to the new generation", got)
		}
		h.answer("k", "new")
		h.expect(`new "new"`)
	})
}

// S06, BUG 54, 55.
func TestS06PopWhileItRuns(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "k")
		h.answer("k", 1)
		pass(time.Second)
		h.send(bg, "k", "read", "send") // joins, and is not touched
		v, err := h.Pop("k")
		if err != nil || v.Value.String() != "1" || v.State != master.Fresh {
			t.Errorf("Pop = %+v, %v", v, err)
		}
		h.expect("k 1", "k cancelled")
		h.answer("k", 2)
		h.expect("send 2 joined")
		if _, err := h.Get("k"); !errors.Is(err, master.ErrNoKey) {
			t.Errorf("Get after Pop: %v", err)
		}
		if _, err := h.Pop("k"); !errors.Is(err, master.ErrNoKey) || ipc.KindOf(err) != ipc.KindInput {
			t.Errorf("the second Pop: %v", err)
		}
		pass(time.Hour)
		h.expect()
	})
}

func TestS07PopAndAddAtOnce(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "k")
		synctest.Wait()
		if _, err := h.Pop("k"); err != nil {
			t.Fatal(err)
		}
		h.addKey(master.Entry{Every: time.Second, Then: h.then("new")}, "k")
		h.answer("k", "old")
		if got := h.state("k"); got != master.Never {
			t.Errorf("state %s: the old run wrote to the new generation", got)
		}
		h.answer("k", "new")
		h.expect("k cancelled", `new "new"`)
	})
}

// S08, BUG 56 to 58.
func TestS08PauseDuringARun(t *testing.T) {
	for name, c := range map[string]struct{ pause, resume func(h *house) error }{
		"all":             {func(h *house) error { return h.Pause(0) }, func(h *house) error { return h.Resume() }},
		"key":             {func(h *house) error { return h.Pause(0, "k") }, func(h *house) error { return h.Resume("k") }},
		"key, resume all": {func(h *house) error { return h.Pause(0, "k") }, func(h *house) error { return h.Resume() }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, master.Config{}, func(t *testing.T, h *house) {
				h.addKey(master.Entry{Every: 10 * time.Second}, "k")
				synctest.Wait()
				if err := c.pause(h); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				h.answer("k", 1) // it goes on
				h.send(bg, "other", "f", "other")
				h.answer("other", 1) // as Send does
				pass(94 * time.Second)
				h.expect("k 1", "other 1")
				if v, _ := h.Value("k"); !v.Paused || v.State != master.Fresh {
					t.Errorf("paused %v, state %s", v.Paused, v.State)
				}
				if err := c.resume(h); err != nil {
					t.Fatal(err)
				}
				h.answer("k", 2) // at 95 s: one run
				pass(4900 * time.Millisecond)
				if h.running("k") != nil {
					t.Error("it runs more than once")
				}
				pass(100 * time.Millisecond)
				h.answer("k", 3) // at 100 s, as anchored
				h.expect("k 2", "k 3")
				if v, _ := h.Value("k"); v.Paused || v.Missed != 0 {
					t.Errorf("paused %v, missed %d", v.Paused, v.Missed)
				}
			})
		})
	}
}

// A second pause was taken for the first one, and dropped, when that had not been answered yet.
func TestBUG28ASecondPauseCounts(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: 10 * time.Second}, "k")
		h.answer("k", 1)
		for _, d := range []time.Duration{time.Hour, 25 * time.Second} { // the newer one holds
			if err := h.Pause(d); err != nil {
				t.Fatal(err)
			}
		}
		pass(24 * time.Second)
		h.expect("k 1")
		if h.running("k") != nil {
			t.Error("it runs in the pause")
		}
		pass(time.Second)
		h.answer("k", 2)
		h.expect("k 2")
	})
}

func TestAPauseEndsByItself(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		start := time.Now()
		then := func(v master.Value) { h.add("%s %v", v.Key, v.At.Sub(start)) }
		for _, err := range []error{
			h.Pause(30 * time.Second),
			h.Add(master.Entry{Task: task(t, "a", "f"), Every: time.Minute, Then: then}), // also one that is added meanwhile
			h.Add(master.Entry{Task: task(t, "b", "f"), Every: time.Minute, Then: then}),
			h.Pause(40*time.Second, "b"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		pass(59 * time.Second)
		h.expect("a 30s", "b 40s")
		if err := h.Pause(time.Hour); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if err := h.Pause(time.Second); err != nil { // a shorter one, in its place
			t.Fatal(err)
		}
		pass(time.Second)
		got := h.take()
		slices.Sort(got)
		if want := []string{"a 1m2s", "b 1m2s"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestPausesThatAreRefused(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		h.addKey(master.Entry{Every: time.Second}, "k")
		wantKind(t, h.Pause(-1), ipc.KindInput)
		for _, err := range []error{h.Pause(0, "k", "x", "y"), h.Resume("k", "x")} {
			wantKind(t, err, ipc.KindInput)
			if !errors.Is(err, master.ErrNoKey) {
				t.Errorf("got %v", err)
			}
		}
		if v, _ := h.Value("k"); v.Paused {
			t.Error("paused all the same")
		}
	})
}

// Decision 10: the first that holds of never, expired, failed, stale, fresh.
func TestStates(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		check := func(want master.State, value string) {
			t.Helper()
			v, _ := h.Value("k")
			if v.State != want || v.Value.String() != value {
				t.Errorf("state %s, value %s; want %s, %s", v.State, v.Value, want, value)
			}
		}
		h.addKey(master.Entry{Every: 10 * time.Second, Expire: time.Minute}, "k")
		none := ipc.Raw(nil).String()
		check(master.Never, none)
		if _, err := h.Get("k"); !errors.Is(err, master.ErrNoValue) {
			t.Errorf("Get of no value: %v", err)
		}
		h.fail("k", "oh")
		check(master.Failed, none)
		_, err := h.Get("k")
		wantKind(t, err, ipc.KindTask)
		pass(10 * time.Second)
		h.answer("k", 1)
		check(master.Fresh, "1")
		pass(10 * time.Second)
		h.fail("k", "oh")
		check(master.Failed, "1") // the last good value stays beside the error
		if n, err := master.Get[int](h.Master, "k"); n != 1 || ipc.KindOf(err) != ipc.KindTask {
			t.Errorf("Get = %v, %v", n, err)
		}
		pass(10 * time.Second)
		h.answer("k", 2)
		pass(15 * time.Second)
		check(master.Fresh, "2")
		pass(1)
		check(master.Stale, "2") // its run hangs
		pass(45*time.Second - 2)
		check(master.Stale, "2")
		pass(1)
		check(master.Expired, none)
		h.fail("k", "oh")
		check(master.Expired, none) // still
		_, err = h.Get("k")
		wantKind(t, err, ipc.KindExpired)
		if !errors.Is(err, ipc.ErrTask) && !strings.Contains(err.Error(), "oh") {
			t.Errorf("the failure is not named: %v", err)
		}
		h.answer("k", 3)
		check(master.Fresh, "3")
	})
}

func TestAPausedKeyIsNotStale(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Second}, "k")
		h.answer("k", 1)
		if err := h.Pause(time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			want  master.State
		}{{59 * time.Second, master.Fresh}, {2 * time.Second, master.Fresh}, {time.Second, master.Stale}} {
			pass(c.after)
			if got := h.state("k"); got != c.want {
				t.Errorf("%v later: %s, want %s", c.after, got, c.want)
			}
		}
	})
}

// To resume what is not paused any more does not make its value younger.
func TestResumeAfterAPauseHasEnded(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: 10 * time.Second}, "k")
		h.answer("k", 1)
		for _, keys := range [][]string{nil, {"k"}} {
			if err := h.Pause(time.Second, keys...); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if err := h.Resume(keys...); err != nil {
				t.Fatal(err)
			}
			if got := h.state("k"); got != master.Stale {
				t.Errorf("%q: %s, want stale", keys, got)
			}
		}
		h.echo()
	})
}

// S09, BUG 48: the first read after expiry returned the old value. BUG 52: the error did not say which key, nor its age.
func TestS09AnExpiredValueIsNoValue(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Expire: 3 * time.Second}, "temp")
		h.answer("temp", 21.5)
		pass(3*time.Second - 1)
		if f, err := master.Get[float64](h.Master, "temp"); f != 21.5 || err != nil {
			t.Errorf("Get = %v, %v", f, err)
		}
		pass(1)
		for range 2 {
			f, err := master.Get[float64](h.Master, "temp")
			wantKind(t, err, ipc.KindExpired)
			if f != 0 || !strings.Contains(err.Error(), `"temp"`) || !strings.Contains(err.Error(), "3s old") {
				t.Errorf("Get = %v, %v", f, err)
			}
		}
		v, err := h.Pop("temp")
		if err != nil || v.Value != nil || v.State != master.Expired || ipc.KindOf(v.Err) != ipc.KindExpired {
			t.Errorf("Pop = %+v, %v", v, err)
		}
	})
}

// BUG 47: an expiry shorter than the period had no effect. BUG 51: without one, values expired after a period.
func TestExpireIsAsGiven(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Hour, Expire: time.Second}, "short")
		h.addKey(master.Entry{Every: time.Second}, "none")
		h.answer("short", 1)
		h.answer("none", 1)
		pass(100 * time.Hour)
		if got := h.state("short"); got != master.Expired {
			t.Errorf("short: %s", got)
		}
		if n, err := master.Get[int](h.Master, "none"); n != 1 || err != nil {
			t.Errorf("none: %v, %v", n, err)
		}
		h.echo()
	})
}

// BUG 49, as it is meant.
func TestOnceIsReadOnce(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Minute, Once: true}, "k")
		h.answer("k", 1)
		if v, _ := h.Value("k"); v.Value.String() != "1" || len(h.Values()) != 1 { // looking is not reading
			t.Errorf("Value = %+v", v)
		}
		if n, err := master.Get[int](h.Master, "k"); n != 1 || err != nil {
			t.Errorf("Get = %v, %v", n, err)
		}
		_, err := master.Get[int](h.Master, "k")
		wantKind(t, err, ipc.KindExpired)
		pass(time.Minute)
		h.answer("k", 2)
		if n, err := master.Get[int](h.Master, "k"); n != 2 || err != nil {
			t.Errorf("Get = %v, %v", n, err)
		}
	})
}

// BUG 43, 44: the callback of an added key was never called. And one that is too slow sees the newest, and a count.
func TestASlowCallbackOfAnEntrySkips(t *testing.T) {
	bubble(t, master.Config{Slow: time.Hour}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		release := make(chan struct{})
		h.addKey(master.Entry{Every: time.Second, Then: func(v master.Value) {
			h.add("%s", fmt.Sprint("skipped ", v.Skipped))
			<-release
		}}, "k")
		pass(1000 * time.Second)
		h.expect("skipped 0")
		if n := len(h.started()); n != 1001 {
			t.Errorf("%d runs, want 1001: a slow callback does not hold up the key", n)
		}
		if s := h.Stats(); s.Undelivered != 2 {
			t.Errorf("%d outcomes are kept, want the one being delivered and the newest", s.Undelivered)
		}
		release <- struct{}{}
		h.expect("skipped 999")
		close(release)
	})
}

func TestASendOfAnAddedKeyUpdatesItsValue(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Every: time.Minute}, "k")
		h.answer("k", 1)
		pass(time.Second)
		h.send(bg, "k", "read", "send")
		h.answer("k", 2)
		if n, err := master.Get[int](h.Master, "k"); n != 2 || err != nil {
			t.Errorf("Get = %v, %v", n, err)
		}
		h.send(bg, "k", "read", "send")
		pass(59 * time.Second) // its next run is due, and joins
		h.answer("k", 3)
		h.expect("k 1", "send 2", "send 3", "k 3 joined")
	})
}

func TestACancelledSendDoesNotFailTheKey(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{}, "k")
		h.answer("k", 1)
		ctx, cancel := context.WithCancel(bg)
		h.send(ctx, "k", "other", "send")
		cancel()
		h.expect("k 1", "send cancelled")
		if got := h.state("k"); got != master.Fresh {
			t.Errorf("state %s", got)
		}
	})
}

// BUG 17: values were Python objects; a key whose value is another type than asked for says so.
func TestGetOfAnotherType(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{}, "k")
		h.answer("k", "text")
		_, err := master.Get[int](h.Master, "k")
		wantKind(t, err, ipc.KindInput)
		if s, err := master.Get[string](h.Master, "k"); s != "text" || err != nil {
			t.Errorf("Get = %q, %v", s, err)
		}
		if r, err := master.Get[ipc.Raw](h.Master, "k"); r.String() != `"text"` || err != nil {
			t.Errorf("Get = %v, %v", r, err)
		}
		if v, err := master.Get[any](h.Master, "k"); v != "text" || err != nil {
			t.Errorf("Get = %v, %v", v, err)
		}
	})
}

func TestKeysAndValuesAreSorted(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		for _, key := range []string{"b", "c", "a"} {
			h.addKey(master.Entry{Every: time.Second, Expire: time.Minute}, key)
			h.answer(key, key)
		}
		pass(250 * time.Millisecond)
		var got []string
		for _, v := range h.Values() {
			got = append(got, fmt.Sprint(v.Key, " ", v.Value, " ", v.Age, " ", v.State, " ", v.Every, " ", v.Expire, " ", v.Callbacks))
		}
		want := []string{`a "a" 250ms fresh 1s 1m0s 1`, `b "b" 250ms fresh 1s 1m0s 1`, `c "c" 250ms fresh 1s 1m0s 1`}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := h.Keys(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("keys %q", got)
		}
	})
}

func TestAnEntryThatTheRunnerRefusesRunsAgain(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.refuse = ipc.Errorf(ipc.KindQueueFull, "no room") })
		h.addKey(master.Entry{Every: time.Second}, "k")
		h.expect("k queue-full")
		if got := h.state("k"); got != master.Failed {
			t.Errorf("state %s", got)
		}
		h.set(func() { h.refuse = nil })
		pass(time.Second)
		h.answer("k", 1)
		h.expect("k 1")
	})
}
