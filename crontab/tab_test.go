package crontab_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/crontab"
	"fandango/ipc"
	"fandango/schedule"
	"fandango/tasklet"
)

// tab runs in a bubble, whose time begins at Saturday 2000-01-01 00:00 UTC.
type tab struct {
	*crontab.Tab
	t     *testing.T
	begun time.Time

	mu   sync.Mutex
	said []string
}

func newTab(t *testing.T) *tab {
	t.Helper()
	b := &tab{t: t, begun: time.Now()}
	b.Tab = crontab.New(crontab.Config{Zone: time.UTC, Result: func(r crontab.Result) {
		b.say("%s", r.Due.UTC().Format("02T15:04"))
	}})
	return b
}

func (b *tab) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, fmt.Sprintf(format, args...))
}

func (b *tab) add(line crontab.Line) *crontab.Job {
	b.t.Helper()
	if line.Task == nil {
		line.Task = func(context.Context) (any, error) { return nil, nil }
	}
	j, err := b.Add(line)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

// during runs the tab for a while, and do beside it.
func (b *tab) during(d time.Duration, do func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	synctest.Wait()
	if do != nil {
		do()
	}
	time.Sleep(d - time.Since(b.begun) + 1) // in a bubble: no time passes
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		b.t.Error(err)
	}
}

func (b *tab) want(words string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := strings.Join(b.said, " "); got != words {
		b.t.Errorf("%s, want %s", got, words)
	}
}

const day = 24 * time.Hour

// works takes its time.
func works(d time.Duration) crontab.Task {
	return func(ctx context.Context) (any, error) {
		select {
		case <-time.After(d):
			return "done", nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// The rows of what went wrong in Fandango's CronTab.

func TestRow85ListsRangesAndNamesRunAndABadLineIsToldByAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		b.add(crontab.Line{When: "0,30 9-10 * jan SAT,SUN"})
		if _, err := b.Add(crontab.Line{When: "0 25 * * *", Task: works(0)}); err == nil || !strings.Contains(err.Error(), "25 is not between 0 and 23") {
			t.Errorf("Add: %v", err)
		}
		b.during(day, nil)
		b.want("01T09:00 01T09:30 01T10:00 01T10:30")
	})
}

func TestRow86AStepOfDaysCountsFromOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		b.add(crontab.Line{When: "0 12 */10 */2 *"})
		b.during(60*day, nil)
		b.want("01T12:00 11T12:00 21T12:00 31T12:00") // of January, the first month; not of February
	})
}

func TestRow87SundayIsZeroAndSeven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		b.add(crontab.Line{When: "0 12 * * 0"})
		b.add(crontab.Line{When: "0 13 * * 7"})
		b.during(8*day, nil)
		b.want("02T12:00 02T13:00")
	})
}

func TestRow88EitherDayFieldWillDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		b.add(crontab.Line{When: "0 12 5 * MON"})
		b.during(6*day, nil)
		b.want("03T12:00 05T12:00")
	})
}

func TestRow89NothingIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		j := b.add(crontab.Line{When: "*/7 * * * *", Keep: 1000})
		b.during(day, nil)
		for _, r := range j.Results() {
			if !r.Began.Equal(r.Due) {
				t.Errorf("the run of %v began %v late", r.Due, r.Began.Sub(r.Due))
			}
		}
	})
}

func TestRow90AskingSuppressesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		j := b.add(crontab.Line{When: "1 0 * * *"})
		at := b.begun.Add(time.Minute)
		if !j.Match(at) || !j.Match(at.Add(59*time.Second)) || j.Match(at.Add(time.Minute)) || j.Match(at.Add(-1)) {
			t.Error("Match names other minutes than 00:01")
		}
		b.during(2*time.Minute, func() {
			time.Sleep(time.Minute - 1) // in a bubble: no time passes
			if !j.Changed(at) || !j.Match(at) {
				t.Error("00:01 was not there before")
			}
		})
		b.want("01T00:01")
		if j.Changed(at.Add(30*time.Second)) || !j.Changed(at.Add(time.Minute)) {
			t.Error("Changed tells other minutes than that of the run")
		}
	})
}

func TestRow91ALongRunIsToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		overlap schedule.Overlap
		want    string
		skipped int
	}{
		"skip":  {schedule.OverlapSkip, "01T00:01 01T00:05", 5},
		"queue": {schedule.OverlapQueue, "01T00:01 01T00:04 01T00:07", 4},
		"allow": {schedule.OverlapAllow, "01T00:01 01T00:02 01T00:03 01T00:04 01T00:05 01T00:06 01T00:07", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTab(t)
				j := b.add(crontab.Line{When: "1-7 0 1 1 *", Task: works(200 * time.Second), Overlap: c.overlap})
				b.during(20*time.Minute, nil)
				b.want(c.want)
				if s := j.Stats(); s.Skipped != c.skipped || s.Count+s.Skipped != 7 || s.Running != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestRow92TheNightsOfTheClockChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		b.add(crontab.Line{When: "CRON_TZ=Europe/Madrid 30 2 26-27 3 *"}) // the clocks go from 2 to 3 on the 26th
		b.add(crontab.Line{When: "CRON_TZ=Europe/Madrid 30 2 29 10 *"})   // and back from 3 to 2
		b.during(366*day, nil)
		b.want("26T01:00 27T00:30 29T00:30")
	})
}

func TestRow93AnotherTaskIsTheOneThatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		j := b.add(crontab.Line{When: "0 3 * * *", Task: func(context.Context) (any, error) { return "own", nil }})
		other := func(context.Context) (any, error) { return "other", nil }
		if r := j.Do(t.Context(), other); r.Value != "other" || r.Err != nil || !r.Due.Equal(b.begun) {
			t.Errorf("%+v", r)
		}
		if r := j.Do(t.Context(), nil); r.Value != "own" {
			t.Errorf("%+v", r)
		}
		if s := j.Stats(); s.Count != 2 || s.Alive || !s.Last.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

func TestRow95TheLastResultsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		n := 0
		count := func(context.Context) (any, error) { n++; return n, nil }
		ten := b.add(crontab.Line{When: "*/2 * * * *", Task: count})
		none := b.add(crontab.Line{When: "59 0 * * *", Keep: -1})
		b.during(time.Hour, nil)
		if r := ten.Results(); len(r) != 10 || r[0].Value != 21 || r[9].Value != 30 {
			t.Errorf("%d results: %v", len(r), r)
		}
		if r, ok := ten.Get(); !ok || r.Value != 21 || len(ten.Results()) != 9 {
			t.Errorf("Get: %v, %v", r, ok)
		}
		if _, ok := none.Get(); ok || none.Stats().Count != 1 {
			t.Error("a result was kept by a job that keeps none")
		}
	})
}

func TestRow96StopDoesNotWaitAndAliveIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		j := b.add(crontab.Line{When: "*/5 * * * *", Task: works(2 * time.Minute)})
		if j.Alive() {
			t.Error("alive before Run")
		}
		b.during(time.Hour, func() {
			time.Sleep(6 * time.Minute) // in a bubble: no time passes
			j.Stop()
			if s := j.Stats(); s.Running != 1 || s.Alive || s.Started || !s.Next.IsZero() {
				t.Errorf("%+v", s)
			}
			time.Sleep(20 * time.Minute)
			j.Start()
			if s := j.Stats(); !s.Alive || !s.Next.Equal(b.begun.Add(30*time.Minute)) {
				t.Errorf("%+v", s)
			}
			time.Sleep(10 * time.Minute)
			if !b.Remove(j) || b.Remove(j) {
				t.Error("Remove does not say whether the job was there")
			}
			if j.Start(); j.Alive() {
				t.Error("alive after Remove")
			}
		})
		b.want("01T00:05 01T00:30 01T00:35")
	})
}

func TestRow134TimedRangeYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var got []time.Duration
		for at := range crontab.Range(t.Context(), time.Second, 250*time.Millisecond) {
			if since := time.Since(begun); since != at {
				t.Errorf("%v came after %v", at, since)
			}
			got = append(got, at)
		}
		if want := []time.Duration{0, 250e6, 500e6, 750e6}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func TestRangeLeavesOutWhatWentBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []time.Duration
		for at := range crontab.Range(t.Context(), 10*time.Second, time.Second) {
			got = append(got, at)
			if at == time.Second {
				time.Sleep(3500 * time.Millisecond) // in a bubble: no time passes
			}
		}
		if want := []time.Duration{0, 1e9, 4e9, 5e9, 6e9, 7e9, 8e9, 9e9}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		for range crontab.Range(t.Context(), time.Second, 0) {
			t.Error("a period of 0 yields")
		}
		for range crontab.Range(t.Context(), time.Hour, time.Minute) {
			break
		}
	})
}

func TestRangeAndWaitEndAtOnceWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		n := 0
		for range crontab.Range(ctx, time.Hour, time.Minute) {
			n++
		}
		for range crontab.Wait(ctx, time.Hour) {
			t.Error("the wait was whole")
		}
		if n != 2 || time.Since(begun) != 90*time.Second {
			t.Errorf("%d turns in %v", n, time.Since(begun))
		}
		for at := range crontab.Wait(t.Context(), time.Minute) {
			n += int(at.Sub(begun) / time.Second)
		}
		if n != 152 {
			t.Errorf("the wait ended after %d s", n-2)
		}
	})
}

func TestRebootAndEveryBeginWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		b.add(crontab.Line{When: "@every 90m"})
		boot := b.add(crontab.Line{When: "@reboot"})
		b.during(4*time.Hour, func() {
			b.add(crontab.Line{When: "@reboot"}) // begins at once, too
		})
		b.want("01T00:00 01T00:00 01T01:30 01T03:00")
		if s := boot.Stats(); s.Alive || s.Count != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestATaskThatPanicsOrEndsItsGoroutineIsAnErrorOfItsJobAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		bad := errors.New("bad")
		jobs := map[string]*crontab.Job{
			"panic":  b.add(crontab.Line{When: "* * * * *", Task: func(context.Context) (any, error) { panic(bad) }}),
			"goexit": b.add(crontab.Line{When: "* * * * *", Task: func(context.Context) (any, error) { runtime.Goexit(); return nil, nil }}),
			"error":  b.add(crontab.Line{When: "* * * * *", Task: func(context.Context) (any, error) { return nil, bad }}),
		}
		b.during(3*time.Minute, nil)
		for name, j := range jobs {
			if s := j.Stats(); s.Count != 3 || s.Errors != 3 || s.Err == nil || s.Running != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if p, ok := errors.AsType[*tasklet.PanicError](jobs["panic"].Results()[0].Err); !ok || !errors.Is(p, bad) || len(p.Stack) == 0 {
			t.Errorf("%v", jobs["panic"].Results()[0].Err)
		}
	})
}

func TestAResultFuncThatPanicsEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := crontab.New(crontab.Config{Result: func(crontab.Result) { panic("told") }})
		j, err := tab.Add(crontab.Line{When: "* * * * *", Task: works(0)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+1)
		defer cancel()
		if err := tab.Run(ctx); err != nil {
			t.Error(err)
		}
		if s := j.Stats(); s.Count != 3 || s.Err == nil || !strings.Contains(s.Err.Error(), "callback: panic: told") {
			t.Errorf("%+v", s)
		}
	})
}

func TestTheEndCancelsWhatRunsAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		j := b.add(crontab.Line{When: "1,2 0 * * *", Task: works(time.Hour), Overlap: schedule.OverlapQueue})
		b.during(10*time.Minute, nil)
		if s := j.Stats(); s.Running != 0 || s.Count != 1 || s.Skipped != 1 || !errors.Is(s.Err, context.Canceled) {
			t.Errorf("%+v", s)
		}
		if _, err := b.Add(crontab.Line{When: "* * * * *", Task: works(0)}); !errors.Is(err, crontab.ErrEnded) {
			t.Errorf("Add after the end: %v", err)
		}
		if b.Run(t.Context()) == nil {
			t.Error("it runs twice")
		}
	})
}

func TestAllOfItIsLegalFromInsideATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		var j *crontab.Job
		j = b.add(crontab.Line{When: "* * * * *", Task: func(ctx context.Context) (any, error) {
			j.Stop()
			j.Start()
			_ = j.Stats()
			j.Do(ctx, works(0))
			b.Remove(j)
			_, err := b.Add(crontab.Line{Name: "next", When: "@reboot", Task: works(0)})
			return nil, err
		}})
		b.during(5*time.Minute, nil)
		b.want("01T00:01 01T00:01 01T00:01")
		if err := j.Stats().Err; err != nil || len(b.Jobs()) != 1 || b.Jobs()[0].Name() != "next" {
			t.Errorf("%v, %d jobs", err, len(b.Jobs()))
		}
	})
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	tab := crontab.New(crontab.Config{})
	ok := crontab.Line{Name: "a", When: "* * * * *", Task: works(0)}
	if _, err := tab.Add(ok); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*crontab.Line){
		`there is a job "a" already`:            func(*crontab.Line) {},
		"has no task":                           func(l *crontab.Line) { l.Task = nil },
		"no way to deal with runs that overlap": func(l *crontab.Line) { l.Overlap = 3 },
		"no way to deal with missed runs":       func(l *crontab.Line) { l.Missed.Runs = 7 },
		"there is no such day":                  func(l *crontab.Line) { l.When = "0 0 30 2 *" },
	} {
		line := ok
		change(&line)
		if _, err := tab.Add(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, want := range []string{"0 3 * * *", "0 3 * * * #2", "0 3 * * * #3"} {
		if j, err := tab.Add(crontab.Line{When: "0  3 * * *", Task: works(0)}); err != nil || j.Name() != want {
			t.Errorf("%v, want the name %s", err, want)
		}
	}
}

// runner is a Runner whose workers answer with what they were asked.
type runner struct{}

func (runner) Submit(_ context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	if t.Args == nil {
		return ipc.Errorf(ipc.KindQueueFull, "no room")
	}
	go done(ipc.Outcome{Value: t.Args})
	return nil
}

func TestSendGivesATaskToARunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		task, err := ipc.NewTask("k", "clean", []int{7})
		if err != nil {
			t.Fatal(err)
		}
		j := b.add(crontab.Line{When: "0 3 * * *", Task: crontab.Send(runner{}, task)})
		full := b.add(crontab.Line{When: "0 4 * * *", Task: crontab.Send(runner{}, ipc.Task{Key: "k"})})
		b.during(5*time.Hour, nil)
		r, _ := j.Get()
		if value, ok := r.Value.(ipc.Raw); !ok || string(value.AppendJSON(nil)) != "[7]" || r.Err != nil {
			t.Errorf("%+v", r)
		}
		if r, _ = full.Get(); ipc.KindOf(r.Err) != ipc.KindQueueFull {
			t.Errorf("%+v", r)
		}
	})
}

// Start, stop, do, add and remove from 50 goroutines: no run is lost or doubled.
func TestFiftyGoroutinesAtOneTab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTab(t)
		steady := b.add(crontab.Line{When: "* * * * * *", Keep: -1, Task: works(0)})
		others := make([]*crontab.Job, 10)
		for i := range others {
			others[i] = b.add(crontab.Line{When: "* * * * * *", Overlap: schedule.Overlap(i % 3), Keep: 5, Task: works(time.Duration(i) * 300 * time.Millisecond)})
		}
		b.during(10*time.Minute, func() {
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					j := others[i%10]
					for n := range 100 {
						switch (n + i) % 5 {
						case 0:
							j.Stop()
						case 1:
							j.Start()
						case 2:
							j.Do(t.Context(), works(time.Millisecond))
						case 3:
							_, _ = j.Get()
						case 4:
							extra := b.add(crontab.Line{When: "* * * * * *", Keep: -1})
							time.Sleep(time.Duration(i+1) * time.Millisecond) // in a bubble: no time passes
							b.Remove(extra)
						}
						time.Sleep(time.Duration(i*7+n) * time.Millisecond)
					}
				})
			}
			all.Wait()
		})
		if s := steady.Stats(); s.Count != 600 || s.Missed+s.Skipped+s.Running != 0 {
			t.Errorf("%+v", s)
		}
		for _, j := range others {
			if s := j.Stats(); s.Running != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}
