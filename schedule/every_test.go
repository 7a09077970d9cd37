package schedule_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fandango/schedule"
)

func TestS02PeriodsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, period := range []time.Duration{
		0, -1, -time.Second, math.MinInt64, math.MaxInt64, 1, time.Microsecond, schedule.MinPeriod - 1, schedule.MaxPeriod + 1,
	} {
		if _, err := schedule.NewEvery(period); err == nil {
			t.Errorf("NewEvery(%v) was accepted", period)
		}
	}
	for _, period := range []time.Duration{schedule.MinPeriod, time.Second, schedule.MaxPeriod} {
		if e, err := schedule.NewEvery(period); err != nil || e.Period() != period {
			t.Errorf("NewEvery(%v) = %v, %v", period, e.Period(), err)
		}
	}
}

func TestEveryNext(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, c := range []struct {
		late, next time.Duration // both after due, in a schedule of every 3 s
		missed     int
	}{
		{-1, 0, 0},
		{0, 3 * time.Second, 0},
		{3*time.Second - 1, 3 * time.Second, 0},
		{3 * time.Second, 6 * time.Second, 1},
		{10 * time.Second, 12 * time.Second, 3},
		{8 * time.Hour, 8*time.Hour + 3*time.Second, 9600},
	} {
		e, err := schedule.NewEvery(3 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		next, missed := e.Next(start, start.Add(c.late))
		if got := next.Sub(start); got != c.next || missed != c.missed {
			t.Errorf("%v late: next after %v, missed %d; want %v, %d", c.late, got, missed, c.next, c.missed)
		}
	}
}

func TestTheZeroEveryIsNeverDueAgain(t *testing.T) {
	t.Parallel()
	due := time.Now()
	if next, missed := (schedule.Every{}).Next(due, due.Add(time.Hour)); !next.Equal(due) || missed != 0 {
		t.Errorf("Next = %v, %d", next, missed)
	}
}

// The k-th run is due at start + k·period, each due time is either run or counted, and none is in the past.
func TestEveryDoesNotDrift(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		period := time.Duration(rapid.Int64Range(int64(schedule.MinPeriod), int64(time.Hour)).Draw(t, "period"))
		e, err := schedule.NewEvery(period)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		due, k := start, 0
		for range rapid.IntRange(1, 50).Draw(t, "runs") {
			now := due.Add(time.Duration(rapid.Int64Range(0, 5*int64(period)).Draw(t, "late")))
			next, missed := e.Next(due, now)
			k += missed + 1
			if want := start.Add(time.Duration(k) * period); !next.Equal(want) {
				t.Fatalf("run %d is due %v after start, want %v", k, next.Sub(start), want.Sub(start))
			}
			if !next.After(now) || next.Sub(now) > period {
				t.Fatalf("the next run is due %v from now", next.Sub(now))
			}
			due = next
		}
	})
}

// A million periods, each run as late as it likes to be within one, on the loop that serves every room.
func TestP12AMillionPeriodsDoNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const periods, period = 1_000_000, 10 * time.Millisecond
		e, err := schedule.NewEvery(period)
		if err != nil {
			t.Fatal(err)
		}
		s := schedule.Stagger{Phase: 3 * time.Millisecond, Spread: period, Jitter: period}
		start := time.Now()
		first := s.First(start, "key")
		due, k, worst := first, 0, time.Duration(0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var loop *schedule.Loop[string]
		var id schedule.ID
		loop = schedule.NewLoop(func(_ string, now time.Time) {
			worst = max(worst, now.Sub(s.Begin(due, "key")))
			due, _ = e.Next(due, due) // whenever it began
			if k++; k == periods {
				cancel()
			}
			loop.Set(id, s.Begin(due, "key"))
		})
		id = loop.Add("key", s.Begin(due, "key"))
		loop.Run(ctx)
		if off := due.Sub(first.Add(periods * period)); off != 0 || k != periods || worst != 0 {
			t.Errorf("after %d periods %v off, the latest run %v late", k, off, worst)
		}
	})
}

func TestStagger(t *testing.T) {
	t.Parallel()
	e, err := schedule.NewEvery(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []schedule.Stagger{{Phase: -1}, {Phase: time.Second + 1}, {Spread: -1}, {Spread: time.Minute}, {Jitter: -1}, {Jitter: time.Minute}} {
		if s.Check(e) == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
	s := schedule.Stagger{Phase: 100 * time.Millisecond, Spread: time.Second, Jitter: time.Second}
	if err := s.Check(e); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if got := (schedule.Stagger{}).First(start, "key"); !got.Equal(start) {
		t.Errorf("the zero Stagger starts %v late", got.Sub(start))
	}
	// Ten thousand names, and ten thousand runs of one: evenly over the second, in tenths.
	const n = 10_000
	var spread, jitter [10]int
	for i := range n {
		first := s.First(start, fmt.Sprint("key", i)).Sub(start) - s.Phase
		spread[first/(100*time.Millisecond)]++
		due := start.Add(time.Duration(i) * time.Second)
		begin := s.Begin(due, "key")
		jitter[begin.Sub(due)/(100*time.Millisecond)]++
		if !begin.Equal(s.Begin(due, "key")) {
			t.Fatal("another begin when asked again")
		}
	}
	for i := range spread {
		if min(spread[i], jitter[i]) < 800 || max(spread[i], jitter[i]) > 1200 {
			t.Errorf("uneven: %v names, %v runs", spread, jitter)
			break
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for in, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "3s": 3 * time.Second, "5m": 5 * time.Minute, "6h": 6 * time.Hour, "2d": 2 * day,
		"3": 3 * time.Second, "0.1": 100 * time.Millisecond, "1e-3": time.Millisecond, "1E2": 100 * time.Second,
		"1.5h": 90 * time.Minute, "1h30m": 90 * time.Minute, "2d12h": 60 * time.Hour, ".5s": 500 * time.Millisecond, "1.s": time.Second,
		"0": 0, "0s": 0, "0.000": 0, "+5s": 5 * time.Second, "5µs": 5 * time.Microsecond, "5us": 5 * time.Microsecond, "7ns": 7,
		"\t5s\n":                5 * time.Second,
		"9223372036854775807ns": math.MaxInt64, "9223372036": 9223372036 * time.Second, "106751d": 106751 * day,
	} {
		if got, err := schedule.ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestS02DurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", " ", "s", "d", "-1", "-3s", "NaN", "nan", "Inf", "+Inf", "-Inf", "infinity", "1e300", "1e400", "1e-12", "0.1ns", "1e10",
		"292y", "3 s", "3w", "1h30", "1..5s", "1.2.3s", ".s", ".", "0x10", "0x1p-2", "1_000", "5S", "106752d", "9223372036854775808ns", "9223372037s",
		"106751d106751d", "99999999999999999999d", "3s4", "µ", "three",
	} {
		if got, err := schedule.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"250ms", "1h30m", "1e300", "0x1p-2", "9223372036854775807ns", "-1", "NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := schedule.ParseDuration(s)
		if d < 0 || err != nil && d != 0 {
			t.Errorf("ParseDuration(%q) = %v, %v", s, d, err)
		}
		if err == nil {
			if again, err := schedule.ParseDuration(d.String()); err != nil || again != d {
				t.Errorf("%q is %v, which reads as %v, %v", s, d, again, err)
			}
		}
		want, bad := time.ParseDuration(s)
		if bad == nil && want > 0 && want < 1000*time.Hour && (err != nil || (d-want).Abs() > 10) {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", s, d, err, want)
		}
	})
}
