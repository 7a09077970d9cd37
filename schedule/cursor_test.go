package schedule_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fandango/schedule"
)

// world is what clocks say, and who looks at them.
type world struct {
	schedule.Reading
	cursor schedule.Cursor
	said   []string
}

// follow begins to follow a line at Sunday 2026-11-22, at so much o'clock.
func follow(t *testing.T, line, clock string, missed schedule.Missed) *world {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", "2026-11-22 "+clock)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Reading: schedule.Reading{Wall: at, Passed: 1000 * time.Hour}}
	w.cursor = cron(t, line, time.UTC).From(w.Reading, missed)
	return w
}

// pass lets time go by, and looks as often as the cursor asks for.
func (w *world) pass(d time.Duration) *world {
	for d > 0 {
		wait := w.cursor.Wait()
		if wait < 0 || wait > d {
			wait = d
		}
		d -= wait
		w.Wall, w.Passed = w.Wall.Add(wait), w.Passed+wait
		w.look()
	}
	return w
}

func (w *world) look() *world {
	due, missed := w.cursor.Look(w.Reading)
	for _, at := range due {
		w.said = append(w.said, at.Format("02T15:04"))
		if at.Second() != 0 {
			w.said[len(w.said)-1] = at.Format("02T15:04:05")
		}
	}
	if missed > 0 {
		w.said = append(w.said, fmt.Sprintf("(%d missed)", missed))
	}
	return w
}

// step puts the clock on the wall forward or back; time does not pass.
func (w *world) step(d time.Duration) *world { w.Wall = w.Wall.Add(d); return w }

// sleep is what the machine does.
func (w *world) sleep(d time.Duration) *world {
	w.Wall = w.Wall.Add(d)
	if !w.Sleepless {
		w.Passed += d
	}
	return w
}

func (w *world) want(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(w.said, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

const day = 24 * time.Hour

// Clock back 2 h, forward 2 h, forward 3 days.
func TestS12StepsOfTheClock(t *testing.T) {
	t.Parallel()
	one := schedule.Missed{}
	t.Run("back 2 h: fixed times do not come twice", func(t *testing.T) {
		t.Parallel()
		follow(t, "0 9 * * *", "08:59:00", one).pass(10*time.Minute).step(-2*time.Hour).pass(4*time.Hour).want(t, "22T09:00")
	})
	t.Run("back 2 h: wildcards go on by the new time", func(t *testing.T) {
		t.Parallel()
		follow(t, "30 * * * *", "08:29:00", one).pass(10*time.Minute).step(-2*time.Hour).pass(2*time.Hour).want(t, "22T08:30 22T07:30 22T08:30")
	})
	t.Run("forward 2 h: fixed times come, once", func(t *testing.T) {
		t.Parallel()
		follow(t, "0,30 9 * * *", "08:00:00", one).pass(10*time.Minute).step(2*time.Hour).pass(24*time.Hour).
			want(t, "22T09:30 (1 missed) 23T09:00 23T09:30")
	})
	t.Run("forward 2 h: wildcards go on by the new time", func(t *testing.T) {
		t.Parallel()
		follow(t, "30 * * * *", "08:00:00", one).pass(10*time.Minute).step(2*time.Hour).pass(time.Hour).want(t, "22T10:30")
	})
	t.Run("forward 3 days: a correction", func(t *testing.T) {
		t.Parallel()
		follow(t, "0 9 * * *", "08:00:00", one).pass(10*time.Minute).step(3*day).pass(2*time.Hour).want(t, "25T09:00")
	})
	t.Run("back 3 days: a correction", func(t *testing.T) {
		t.Parallel()
		follow(t, "0 9 * * *", "08:00:00", one).pass(2*time.Hour).step(-3*day).pass(24*time.Hour).want(t, "22T09:00 20T09:00")
	})
	t.Run("back 2 h, twice: a correction in two steps", func(t *testing.T) {
		t.Parallel()
		follow(t, "0 9 * * *", "08:00:00", one).pass(2*time.Hour).step(-2*time.Hour).pass(time.Minute).
			step(-2*time.Hour).pass(4*time.Hour).want(t, "22T09:00 22T09:00")
	})
	t.Run("back and forward by seconds: nothing twice, nothing left out", func(t *testing.T) {
		t.Parallel()
		for _, line := range []string{"* * * * *", "0-9 8 * * *"} {
			w := follow(t, line, "07:59:30", one)
			if line[0] == '*' {
				w = follow(t, line, "08:00:30", one)
			}
			w.pass(time.Minute).step(-40 * time.Second).pass(time.Minute).step(50 * time.Second).pass(time.Minute)
			if line[0] == '*' {
				w.want(t, "22T08:01 22T08:02 22T08:03")
			} else {
				w.want(t, "22T08:00 22T08:01 22T08:02")
			}
		}
	})
}

func TestM22TenYearsForwardAndBack(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"0 9 * * *", "* * * * * *", "@every 10s"} {
		w := follow(t, line, "08:00:00", schedule.Missed{Runs: schedule.MissedAll})
		w.step(10 * 366 * day).look().step(-10 * 366 * day).look()
		if len(w.said) > 0 {
			t.Errorf("%s: a burst of %d: %v", line, len(w.said), w.said)
		}
		w.pass(25 * time.Hour)
		if want := map[byte]int{'0': 2, '*': 25 * 3600, '@': 25 * 360}[line[0]]; len(w.said) > want || len(w.said) < want-1 {
			t.Errorf("%s: %d runs in 25 h after it, want %d", line, len(w.said), want)
		}
	}
}

func TestM23EightHoursOfSleep(t *testing.T) {
	t.Parallel()
	eight := func(line string, missed schedule.Missed) *world {
		return follow(t, line, "02:00:00", missed).pass(time.Minute).sleep(8 * time.Hour).look()
	}
	eight("0 3 * * *", schedule.Missed{}).want(t, "22T03:00")
	eight("0 3 * * *", schedule.Missed{Runs: schedule.MissedSkip}).want(t, "(1 missed)")
	eight("0 3 * * *", schedule.Missed{Window: time.Hour}).want(t, "(1 missed)")
	eight("0 3 * * *", schedule.Missed{Window: 8 * time.Hour}).want(t, "22T03:00")
	eight("0 * * * *", schedule.Missed{}).want(t, "22T10:00 (7 missed)")
	eight("0 * * * *", schedule.Missed{Runs: schedule.MissedAll, Most: 3}).want(t, "22T08:00 22T09:00 22T10:00 (5 missed)")
	eight("0 * * * *", schedule.Missed{Runs: schedule.MissedAll, Window: 90 * time.Minute}).want(t, "22T09:00 22T10:00 (6 missed)")
	eight("@every 1h", schedule.Missed{}).want(t, "22T10:00 (7 missed)")
	eight("@every 1h", schedule.Missed{Runs: schedule.MissedSkip}).pass(time.Hour).want(t, "22T10:00 (7 missed) 22T11:00") // 10:00 is a minute ago

	w := follow(t, "* * * * * *", "02:00:00", schedule.Missed{Runs: schedule.MissedAll, Most: 2})
	w.sleep(8*time.Hour).look().want(t, "22T09:59:59 22T10:00 (9999 missed)") // counted so far and no further
	w.pass(time.Second)
	if got := w.said[3]; got != "22T10:00:01" {
		t.Errorf("the next is %s", got)
	}
}

// Where the system does not tell of its sleep, a clock that jumps forward has slept.
func TestM23SleepThatTheSystemDoesNotTellOf(t *testing.T) {
	t.Parallel()
	w := follow(t, "0 3 * * *", "02:00:00", schedule.Missed{})
	w.Sleepless = true
	w.pass(time.Minute).sleep(8*time.Hour).look().want(t, "22T03:00")
}

func TestACursorNeverWaitsLongerThanHalfAMinute(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]time.Duration{
		"0 9 * * *": 30 * time.Second, "1 8 * * *": 30 * time.Second, "@every 2h": 30 * time.Second,
		"@every 5s": 5 * time.Second, "7 0 8 * * *": 7 * time.Second, "@reboot": 0,
	} {
		if got := follow(t, line, "08:00:00", schedule.Missed{}).cursor.Wait(); got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
	w := follow(t, "@reboot", "08:00:00", schedule.Missed{}).look()
	if w.want(t, "22T08:00"); w.cursor.Wait() >= 0 || !w.cursor.Next().IsZero() {
		t.Error("what comes once is waited for again")
	}
	var zero schedule.Cursor
	if due, _ := zero.Look(w.Reading); due != nil || zero.Wait() >= 0 {
		t.Error("the zero Cursor is due")
	}
}

// @every goes by the time that passes, whatever the clock on the wall says.
func TestEveryOfACursorIsAnchored(t *testing.T) {
	t.Parallel()
	w := follow(t, "@every 10s", "08:00:00", schedule.Missed{})
	w.pass(10 * time.Second).step(2 * time.Hour).pass(10 * time.Second).step(-5 * time.Hour).pass(10 * time.Second)
	w.want(t, "22T08:00:10 22T10:00:20 22T05:00:30")
	w.Passed, w.Wall = w.Passed+13*time.Second, w.Wall.Add(13*time.Second) // a look that comes late
	w.look().pass(7 * time.Second)
	w.want(t, "22T08:00:10 22T10:00:20 22T05:00:30 22T05:00:40 22T05:00:50")
}

func TestMissedPoliciesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, m := range []schedule.Missed{{Runs: -1}, {Runs: 3}, {Most: -1}, {Most: 10_001}, {Window: -1}} {
		if m.Check() == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
	if err := (schedule.Missed{Runs: schedule.MissedAll, Most: 10_000, Window: time.Hour}).Check(); err != nil {
		t.Error(err)
	}
}

// As rooms do it: a Loop rings, the Cursor looks. A hundred days of it, in a bubble, with a change of the clocks: the hourly
// line comes in each hour that passes, the daily one on each day.
func TestALoopFollowsCursors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zone(t, "Europe/Madrid")
		runs := map[string]int{}
		lines := []string{"30 2 * * *", "0 * * * *"}
		cursors, ids := map[string]*schedule.Cursor{}, map[string]schedule.ID{}
		var loop *schedule.Loop[string]
		loop = schedule.NewLoop(func(line string, now time.Time) {
			due, missed := cursors[line].Look(schedule.Read())
			runs[line] += len(due)
			for _, at := range due {
				if !at.Equal(now) {
					t.Errorf("%s of %v began at %v", line, at, now)
				}
			}
			if missed > 0 {
				t.Errorf("%s: %d missed", line, missed)
			}
			loop.Set(ids[line], now.Add(cursors[line].Wait()))
		})
		for _, line := range lines {
			cursor := cron(t, line, z).From(schedule.Read(), schedule.Missed{})
			cursors[line] = &cursor
			ids[line] = loop.Add(line, time.Now())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*day+time.Second)
		defer cancel()
		loop.Run(ctx)
		if runs[lines[0]] != 100 || runs[lines[1]] != 100*24 {
			t.Errorf("runs: %v", runs)
		}
	})
}
