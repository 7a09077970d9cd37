package schedule_test

import (
	_ "embed"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the Go release, where the system has none
)

// zoneNames are all that the tz database has.
//
//go:embed testdata/zones.txt
var zoneNames string

var everyDay = flag.Bool("every-day", false, "look at each day of each zone, not only at those around a change of the clocks")

// entry is a line, and what it means told once more without any of its parser: which minutes of which hours.
type entry struct {
	line          string
	hours, minute []int
	fixed         bool
}

func entries() (all []entry) {
	for h := range 24 { // every hour is in the gap of some zone
		for _, m := range []int{0, 1, 15, 30, 59} {
			all = append(all, entry{fmt.Sprintf("%d %d * * *", m, h), []int{h}, []int{m}, true})
		}
	}
	hours := func(from, to, step int) (all []int) {
		for h := from; h <= to; h += step {
			all = append(all, h)
		}
		return all
	}
	return append(all,
		entry{"0,20,40 1,2,3 * * *", []int{1, 2, 3}, []int{0, 20, 40}, true},
		entry{"10,50 0,23 * * *", []int{0, 23}, []int{10, 50}, true},
		entry{"@daily", []int{0}, []int{0}, true},
		entry{"0 * * * *", hours(0, 23, 1), []int{0}, false},
		entry{"15,45 * * * *", hours(0, 23, 1), []int{15, 45}, false},
		entry{"30 */2 * * *", hours(0, 23, 2), []int{30}, false},
		entry{"0,30 1-3 * * *", hours(1, 3, 1), []int{0, 30}, false},
		entry{"59 22-1 * * *", []int{22, 23, 0, 1}, []int{59}, false},
		entry{"@hourly", hours(0, 23, 1), []int{0}, false},
	)
}

// Over every zone of the tz database and the years 2020 to 2035: a line for fixed times comes exactly once on each local day
// for each of its times, never twice and never not at all, in a gap at its end and in a repeated hour the first time; a
// line with *, a step or a range in the hour comes whenever the clock on the wall shows it.
//
// What is right is found by reading the clock on the wall minute by minute. As nothing but a change of the clocks makes a
// day unlike another one, the days around each change are looked at, and a few around New Year; with -every-day all.
func TestP12EveryZoneOfTheWorld(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a few seconds")
	}
	began := time.Now()
	names, lines := strings.Fields(zoneNames), entries()
	if len(names) < 500 {
		t.Fatalf("only %d zones", len(names))
	}
	done := map[string]bool{} // many zones have the same clocks
	changes, days, runs := 0, 0, 0
	for _, name := range names {
		z := zone(t, name)
		spans, id := spansOf(z)
		changes += strings.Count(id, ",")
		if done[id] {
			continue
		}
		done[id] = true
		for _, s := range spans {
			days += int(s.to.Sub(s.from) / (24 * time.Hour))
			runs += checkSpan(t, z, lines, s)
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d zones with %d kinds of clocks, %d changes of the clocks, %d lines, 2020 to 2035: %d days and %d runs in %v",
		len(names), len(done), changes, len(lines), days, runs, time.Since(began).Round(time.Millisecond))
}

// span is a time to look at.
type span struct{ from, to time.Time }

// spansOf returns what is to be looked at in a zone, and what tells its clocks from others.
func spansOf(z *time.Location) (spans []span, id string) {
	first, last := time.Date(2020, 1, 1, 0, 0, 0, 0, z), time.Date(2036, 1, 1, 0, 0, 0, 0, z)
	const day = 24 * time.Hour
	_, offset := first.Zone()
	clocks := []string{strconv.Itoa(offset)}
	spans = append(spans, span{first, first.Add(2 * day)}, span{last.Add(-2 * day), last})
	for at := first; ; {
		_, at = at.ZoneBounds()
		if at.IsZero() || !at.Before(last) {
			break
		}
		_, offset := at.Zone()
		clocks = append(clocks, fmt.Sprint(at.Unix(), offset))
		spans = append(spans, span{at.Add(-2 * day), at.Add(2 * day)})
	}
	id = strings.Join(clocks, ",")
	if *everyDay {
		return []span{{first, last}}, id
	}
	return spans, id
}

// checkSpan compares what the lines say with what the clock on the wall shows, and returns how many runs that are.
func checkSpan(t *testing.T, z *time.Location, lines []entry, s span) (runs int) {
	t.Helper()
	shown := walk(z, s)
	for _, e := range lines {
		want := e.instants(shown)
		c := cron(t, e.line, z)
		got := make([]int64, 0, len(want))
		for at := c.Next(s.from.Add(-1)); at.Before(s.to); at = c.Next(at) {
			got = append(got, at.Unix())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, %s, from %v to %v: %d runs, want %d: %s", z, e.line, s.from, s.to, len(got), len(want), difference(z, got, want))
			return runs
		}
		runs += len(got)
	}
	return runs
}

// wall is what a zone's clock on the wall shows: for each minute of the day, the instants.
type wall struct {
	shown [24 * 60][]int64 // when it shows that minute
	fixed [24 * 60][]int64 // when it does so for the first time on a day; where it goes over the minute, when it has
}

// walk reads a zone's clock every minute.
func walk(z *time.Location, s span) *wall {
	w := &wall{}
	_, offset := s.from.Add(-time.Minute).Zone()
	highest := (s.from.Unix() + int64(offset)) / 60 // minutes since 1970, by the clock on the wall
	for at := s.from.Unix(); at < s.to.Unix(); at += 60 {
		_, offset := time.Unix(at, 0).In(z).Zone()
		shows := (at + int64(offset)) / 60
		w.shown[shows%(24*60)] = append(w.shown[shows%(24*60)], at)
		for ; highest <= shows; highest++ {
			w.fixed[highest%(24*60)] = append(w.fixed[highest%(24*60)], at)
		}
	}
	return w
}

// instants are when an entry is to run.
func (e entry) instants(w *wall) (at []int64) {
	for _, h := range e.hours {
		for _, m := range e.minute {
			if e.fixed {
				at = append(at, w.fixed[h*60+m]...)
			} else {
				at = append(at, w.shown[h*60+m]...)
			}
		}
	}
	slices.Sort(at)
	return slices.Compact(at) // those that meet at the end of a gap are one
}

func difference(z *time.Location, got, want []int64) string {
	for _, at := range got {
		if !slices.Contains(want, at) {
			return "not wanted: " + time.Unix(at, 0).In(z).String()
		}
	}
	for _, at := range want {
		if !slices.Contains(got, at) {
			return "missing: " + time.Unix(at, 0).In(z).String()
		}
	}
	return "one comes twice"
}

// Once per local day, said without reading a clock minute by minute: each day of 2020 to 2035 has its run, and they come in
// the order of the days.
func TestP12EachLocalDayHasItsRun(t *testing.T) {
	t.Parallel()
	done := map[string]bool{}
	for name := range strings.FieldsSeq(zoneNames) {
		z := zone(t, name)
		if _, id := spansOf(z); done[id] {
			continue
		} else {
			done[id] = true
		}
		c := cron(t, "30 2 * * *", z)
		at := time.Date(2019, 12, 31, 12, 0, 0, 0, z)
		for day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2036; day = day.AddDate(0, 0, 1) {
			at = c.Next(at)
			if y, m, d := at.Date(); y != day.Year() || m != day.Month() || d != day.Day() {
				t.Fatalf("%s: the run of %s is at %v", name, day.Format(time.DateOnly), at)
			}
		}
	}
}
