package master_test

import (
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
	"fandango/schedule"
)

// cron adds a key with a cron line, in a bubble whose time begins at Saturday 2000-01-01 00:00 UTC.
func (h *house) cron(key, line string, e master.Entry) {
	h.t.Helper()
	c, err := schedule.ParseCron(line, time.UTC)
	if err != nil {
		h.t.Fatal(err)
	}
	e.Cron = c
	h.addKey(e, key)
}

func (h *house) wantState(key string, want master.State) {
	h.t.Helper()
	if got := h.state(key); got != want {
		h.t.Errorf("%v after the start %s is %s, want %s", time.Since(midnight), key, got, want)
	}
}

var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestACronEntryRunsWhenItsLineSaysSo(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		at := func(v master.Value) {
			if v.Cron == nil || v.Every != 0 {
				t.Errorf("%+v", v)
			}
			h.add("%s %s", v.Key, v.At.UTC().Format("02T15:04:05"))
		}
		h.cron("day", "30 3 * * *", master.Entry{Then: at})
		h.cron("hour", "15 5-6 * * *", master.Entry{Then: at})
		h.cron("start", "@reboot", master.Entry{Then: at})
		synctest.Wait()
		h.expect("start 01T00:00:00")
		h.wantState("day", master.Never)
		pass(48 * time.Hour)
		h.expect("day 01T03:30:00", "hour 01T05:15:00", "hour 01T06:15:00", "day 02T03:30:00", "hour 02T05:15:00", "hour 02T06:15:00")
		if v, _ := h.Value("day"); v.Missed != 0 {
			t.Errorf("%d missed", v.Missed)
		}
	})
}

func TestACronRunThatTakesLong(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.cron("k", "* * * * *", master.Entry{})
		pass(4*time.Minute + 30*time.Second)
		if n := len(h.started()); n != 1 {
			t.Fatalf("%d runs at a time", n)
		}
		h.answer("k", 1) // due at 2, 3 and 4 min: one run, and two missed
		if v, _ := h.Value("k"); v.Missed != 2 || len(h.started()) != 2 {
			t.Errorf("missed %d, %d runs", v.Missed, len(h.started()))
		}
		h.answer("k", 2)
		pass(29 * time.Second)
		if n := len(h.started()); n != 2 {
			t.Errorf("%d runs", n)
		}
		pass(time.Second)
		if n := len(h.started()); n != 3 {
			t.Errorf("%d runs, want the third at 5 min", n)
		}
		h.answer("k", 3)
		h.take()
	})
}

// No good value since halfway from a missed run to the next: of a daily key after half a day.
func TestACronValueBecomesStale(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		h.cron("k", "0 6 * * *", master.Entry{})
		pass(6 * time.Hour)
		h.answer("k", 1)
		h.take()
		h.wantState("k", master.Fresh)
		pass(24*time.Hour - time.Minute) // before the second run
		h.wantState("k", master.Fresh)
		pass(12*time.Hour + time.Minute) // the second run hangs
		h.wantState("k", master.Fresh)
		pass(time.Second)
		h.wantState("k", master.Stale)
		h.answer("k", 2)
		h.take()
		h.wantState("k", master.Fresh)
	})
}

// The run of 00:01 takes until 00:08:30.
func TestTheMissedRunsOfACronEntry(t *testing.T) {
	for _, tt := range []struct {
		missed schedule.Missed
		want   []string // when its runs begin, each of which takes 10 s
		count  int      // of those that were missed
	}{
		{schedule.Missed{}, []string{"1m0s", "8m30s", "9m0s"}, 6},
		{schedule.Missed{Runs: schedule.MissedSkip}, []string{"1m0s", "8m30s", "9m0s"}, 6}, // that of 00:08 is not missed yet
		{schedule.Missed{Runs: schedule.MissedAll, Most: 3}, []string{"1m0s", "8m30s", "8m40s", "8m50s", "9m0s"}, 4},
		{
			schedule.Missed{Runs: schedule.MissedAll},
			[]string{"1m0s", "8m30s", "8m40s", "8m50s", "9m0s", "9m10s", "9m20s", "9m30s", "9m40s"},
			0,
		},
		{schedule.Missed{Runs: schedule.MissedAll, Window: 2 * time.Minute}, []string{"1m0s", "8m30s", "8m40s", "9m0s"}, 5},
	} {
		quiet := master.Config{Event: func(master.Event) {}}
		bubble(t, quiet, func(t *testing.T, h *house) {
			h.cron("k", "* * * * *", master.Entry{Missed: tt.missed, Then: func(v master.Value) {
				h.add("%v", v.At.Sub(midnight)-v.Ran)
			}})
			pass(time.Minute)
			took := 7*time.Minute + 30*time.Second
			for range tt.want {
				pass(took)
				h.let("k", ipc.Outcome{Ran: took})
				if took = 10 * time.Second; h.running("k") == nil {
					pass(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)))
				}
			}
			h.expect(tt.want...)
			if v, _ := h.Value("k"); v.Missed != tt.count {
				t.Errorf("%+v: %d missed, want %d", tt.missed, v.Missed, tt.count)
			}
		})
	}
}

func TestMissedRunsInAPauseAreOne(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		h.cron("k", "* * * * *", master.Entry{Missed: schedule.Missed{Runs: schedule.MissedAll}})
		if err := h.Pause(0, "k"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if err := h.Resume("k"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if n := len(h.started()); n != 1 {
			t.Errorf("%d runs after the pause, want one for all", n)
		}
	})
}

func TestWatchTellsOfAStaleCronValue(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.cron("k", "0 * * * *", master.Entry{})
		pass(time.Hour)
		h.answer("k", 1)
		h.take()
		go func() {
			for v := range h.Watch(t.Context(), "k") {
				h.add("%s %v", v.State, time.Since(midnight).Round(time.Second))
			}
		}()
		synctest.Wait()
		h.take()
		pass(3 * time.Hour)
		h.expect("stale 2h30m0s")
	})
}

func TestACronEntryThatIsPaused(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		h.cron("hour", "0 * * * *", master.Entry{Then: func(v master.Value) { h.add("hour %v", v.At.Sub(midnight)) }})
		h.cron("day", "0 12 * * *", master.Entry{Then: func(v master.Value) { h.add("day %v", v.At.Sub(midnight)) }})
		if err := h.Pause(0); err != nil {
			t.Fatal(err)
		}
		pass(3*time.Hour + 30*time.Minute)
		h.expect()
		if err := h.Resume(); err != nil { // what was due meanwhile runs once, and is not missed
			t.Fatal(err)
		}
		pass(time.Hour)
		h.expect("hour 3h30m0s", "hour 4h0m0s")
		if err := h.Pause(90*time.Minute, "hour"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Hour)
		h.expect("hour 6h0m0s")
		if v, _ := h.Value("hour"); v.Missed != 0 {
			t.Errorf("%d missed", v.Missed)
		}
	})
}

func TestACronEntryThatIsReplacedOrRemoved(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		h.cron("k", "30 * * * *", master.Entry{})
		pass(time.Hour)
		h.cron("k", "0 * * * *", master.Entry{})
		h.cron("gone", "5 * * * *", master.Entry{})
		if _, err := h.Pop("gone"); err != nil {
			t.Error(err)
		}
		pass(59 * time.Minute)
		if n := len(h.started()); n != 1 {
			t.Errorf("%d runs, want that of 00:30 alone", n)
		}
		pass(time.Minute)
		if n := len(h.started()); n != 2 {
			t.Errorf("%d runs", n)
		}
		h.take()
	})
}

func TestAStaggeredEntry(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		s := schedule.Stagger{Phase: 2 * time.Second, Spread: 3 * time.Second, Jitter: time.Second}
		var at []time.Duration
		start := time.Now()
		h.addKey(master.Entry{Every: 10 * time.Second, Stagger: s, Then: func(v master.Value) { at = append(at, v.At.Sub(start)) }}, "k")
		pass(time.Hour)
		if len(at) != 360 {
			t.Fatalf("%d runs", len(at))
		}
		anchor := s.First(start, "k").Sub(start)
		if anchor < 2*time.Second || anchor >= 5*time.Second {
			t.Errorf("the first run is due %v after the start", anchor)
		}
		different := map[time.Duration]bool{}
		for i, after := range at {
			jitter := after - anchor - time.Duration(i)*10*time.Second
			if jitter < 0 || jitter >= time.Second {
				t.Fatalf("run %d is %v late", i, jitter)
			}
			different[jitter] = true
		}
		if v, _ := h.Value("k"); len(different) < 300 || v.Missed != 0 {
			t.Errorf("%d different jitters, %d missed", len(different), v.Missed)
		}
		h.take()
	})
}

func TestPlansThatAreRefused(t *testing.T) {
	bubble(t, master.Config{}, func(_ *testing.T, h *house) {
		daily, err := schedule.ParseCron("@daily", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []master.Entry{
			{Cron: daily, Every: time.Second},
			{Cron: daily, Stagger: schedule.Stagger{Phase: 1}},
			{Cron: daily, Missed: schedule.Missed{Window: -1}},
			{Stagger: schedule.Stagger{Phase: 1}},
			{Every: time.Second, Stagger: schedule.Stagger{Jitter: 2 * time.Second}},
			{Every: time.Second, Stagger: schedule.Stagger{Spread: -1}},
		} {
			e.Task.Key = "k"
			wantKind(t, h.Add(e), ipc.KindInput)
		}
	})
}
