package periodic_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fandango/internal/proctest"
	"fandango/periodic"
	"fandango/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary notes what happens in a bubble, and when.
type diary struct {
	start time.Time
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprint(time.Since(d.start))+" "+fmt.Sprintf(format, args...))
}

// expect compares what was noted since the last call.
func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Errorf("got  %q\nwant %q", d.lines, want)
	}
	d.lines = nil
}

// pass lets a bubble's time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// live runs an object in a bubble as long as do takes. The target notes each cycle unless cfg has another one.
func live(t *testing.T, cfg periodic.Config[string], do func(o *periodic.Object[string], d *diary)) {
	t.Helper()
	liveWith(t, func(*diary) periodic.Config[string] { return cfg }, do)
}

func liveWith(t *testing.T, cfg func(*diary) periodic.Config[string], do func(o *periodic.Object[string], d *diary)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		c := cfg(d)
		c.Registry = new(periodic.Registry)
		if c.Target == nil {
			c.Target = func(_ context.Context, args string) error { d.add("run%s", args); return nil }
		}
		o, err := periodic.New(c)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := o.Run(t.Context()); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		do(o, d)
		o.Kill()
		wg.Wait()
		if n := c.Registry.Len(); n != 0 {
			t.Errorf("%d objects in the registry after the end", n)
		}
	})
}

func start(t *testing.T, o *periodic.Object[string]) {
	t.Helper()
	if err := o.Start(); err != nil {
		t.Fatal(err)
	}
}

// takes makes a target that takes a while.
func takes(d *diary, while time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, args string) error {
		d.add("run%s", args)
		select {
		case <-time.After(while):
		case <-ctx.Done():
		}
		return nil
	}
}

func TestItIsPausedAtBirthAndStopsAndStarts(t *testing.T) {
	live(t, periodic.Config[string]{}, func(o *periodic.Object[string], d *diary) {
		pass(10 * time.Second)
		d.expect(t)
		if s := o.Stats(); !s.Alive || s.Started || !s.Next.IsZero() {
			t.Errorf("before Start: %+v", s)
		}
		start(t, o)
		pass(1500 * time.Millisecond)
		d.expect(t, "10s run", "11s run")
		if s := o.Stats(); !s.Started || s.Next.Sub(d.start) != 12*time.Second || s.Last.Sub(d.start) != 11*time.Second || s.Count != 2 {
			t.Errorf("between two cycles: %+v", s)
		}
		o.Stop()
		o.Stop()
		pass(10 * time.Second)
		d.expect(t)
		start(t, o)
		d.expect(t, "21.5s run")
		o.Kill()
		if err := o.Start(); !errors.Is(err, periodic.ErrEnded) {
			t.Errorf("Start after Kill: %v", err)
		}
		if s := o.Stats(); s.Alive || s.Started {
			t.Errorf("after Kill: %+v", s)
		}
	})
}

func TestStartWhenStartedForcesTheNextCycle(t *testing.T) {
	live(t, periodic.Config[string]{Period: 10 * time.Second, Started: true}, func(o *periodic.Object[string], d *diary) {
		pass(3 * time.Second)
		start(t, o)
		pass(12 * time.Second)
		d.expect(t, "0s run", "3s run", "13s run")
	})
}

func TestBUG99KilledWhilePausedItEnds(t *testing.T) {
	live(t, periodic.Config[string]{Started: true}, func(o *periodic.Object[string], d *diary) {
		pass(0)
		o.Stop()
		pass(time.Hour)
		d.expect(t, "0s run")
	}) // which waits for Run
}

func TestKillBeforeRunEndsIt(t *testing.T) {
	o, err := periodic.New(periodic.Config[int]{Started: true, Target: func(context.Context, int) error { panic("it ran") }})
	if err != nil {
		t.Fatal(err)
	}
	o.Kill()
	if err := o.Run(t.Context()); err != nil || o.Stats().Count != 0 {
		t.Errorf("Run: %v, %+v", err, o.Stats())
	}
	if err := o.Run(t.Context()); err == nil {
		t.Error("it runs twice")
	}
}

func TestKillCancelsTheTarget(t *testing.T) {
	liveWith(t, func(d *diary) periodic.Config[string] {
		return periodic.Config[string]{Started: true, Target: func(ctx context.Context, _ string) error {
			<-ctx.Done()
			d.add("cancelled")
			return ctx.Err()
		}}
	}, func(o *periodic.Object[string], d *diary) {
		pass(time.Second)
		o.Stop()
		pass(time.Second)
		d.expect(t) // Stop does not disturb it
		o.Kill()
		d.expect(t, "2s cancelled")
	})
}

func TestTheEndOfTheContextIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := periodic.New(periodic.Config[int]{Started: true, Target: func(context.Context, int) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
		if s := o.Stats(); s.Alive || s.Count != 3 || !s.Next.IsZero() {
			t.Errorf("after the end: %+v", s)
		}
		if err := o.Start(); !errors.Is(err, periodic.ErrEnded) {
			t.Errorf("Start after the end: %v", err)
		}
	})
}

func TestBUG100LatenessDoesNotAddUp(t *testing.T) {
	liveWith(t, func(d *diary) periodic.Config[string] {
		return periodic.Config[string]{Target: takes(d, 300*time.Millisecond), Started: true}
	}, func(_ *periodic.Object[string], d *diary) {
		pass(3500 * time.Millisecond)
		d.expect(t, "0s run", "1s run", "2s run", "3s run")
	})
}

// S01, row 101.
func TestWhatWasMissedBecomesOneCycleAndACount(t *testing.T) {
	slow := true
	liveWith(t, func(d *diary) periodic.Config[string] {
		return periodic.Config[string]{Started: true, Target: func(context.Context, string) error {
			d.add("run")
			if slow {
				slow = false
				time.Sleep(3500 * time.Millisecond)
			}
			return nil
		}}
	}, func(o *periodic.Object[string], d *diary) {
		pass(5 * time.Second)
		d.expect(t, "0s run", "3.5s run", "4s run", "5s run")
		s := o.Stats()
		if s.Missed != 2 || s.AccDelay != 2500*time.Millisecond || s.AvgDelay != 625*time.Millisecond || s.Delay != 0 || s.Usage != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestAMillionPeriodsDoNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cycles = 1_000_000
		const period = 7 * time.Millisecond
		start, n := time.Now(), 0
		var o *periodic.Object[int]
		o, err := periodic.New(periodic.Config[int]{Period: period, Started: true, Target: func(context.Context, int) error {
			if after := time.Since(start); after != time.Duration(n)*period {
				return fmt.Errorf("cycle %d began at %v", n, after)
			}
			if n++; n > cycles {
				o.Kill()
			}
			if n%10 == 0 {
				time.Sleep(time.Duration(n%7) * time.Millisecond)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if s := o.Stats(); s.Errors != 0 || s.Missed != 0 || s.Count != cycles+1 || s.AccDelay != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestThreadsKeepThePeriod(t *testing.T) {
	var now, most atomic.Int32
	liveWith(t, func(d *diary) periodic.Config[string] {
		run := takes(d, 2500*time.Millisecond)
		return periodic.Config[string]{Threads: 3, Started: true, Target: func(ctx context.Context, args string) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return run(ctx, args)
		}, StopHook: func(context.Context) error { d.add("stopped"); return nil }}
	}, func(o *periodic.Object[string], d *diary) {
		pass(5200 * time.Millisecond)
		d.expect(t, "0s run", "1s run", "2s run", "3s run", "4s run", "5s run")
		if s := o.Stats(); most.Load() != 3 || s.Running != 3 || s.Missed != 0 || s.Usage != 2.5 {
			t.Errorf("%d at a time, %+v", most.Load(), s)
		}
		o.Stop() // over when the last cycle is
		pass(10 * time.Second)
		d.expect(t, "7.5s stopped")
	})
}

func TestTheHooksAndTheirArguments(t *testing.T) {
	hooks := func(d *diary) periodic.Config[string] {
		return periodic.Config[string]{
			Args:      " fixed",
			StartHook: func(context.Context, time.Time) (string, error) { d.add("start"); return " first", nil },
			LoopHook:  func(context.Context, time.Time) (string, error) { d.add("loop"); return " later", nil },
			WaitHook:  func(_ context.Context, next time.Time) error { d.add("wait %v", next.Sub(d.start)); return nil },
			StopHook:  func(ctx context.Context) error { d.add("stop %v", ctx.Err()); return nil },
		}
	}
	session := func(o *periodic.Object[string], _ *diary) {
		start(t, o)
		pass(1500 * time.Millisecond)
		o.Stop()
		synctest.Wait()
	}
	t.Run("all", func(t *testing.T) {
		liveWith(t, hooks, func(o *periodic.Object[string], d *diary) {
			session(o, d)
			d.expect(t, "0s start", "0s run first", "0s wait 1s", "1s loop", "1s run later", "1s wait 2s", "1.5s stop <nil>")
			start(t, o)
			synctest.Wait()
			start(t, o)
			synctest.Wait()
			o.Kill()
			d.expect(t, "1.5s start", "1.5s run first", "1.5s wait 2.5s", "1.5s stop <nil>",
				"1.5s start", "1.5s run first", "1.5s wait 2.5s", "1.5s stop context canceled")
		})
	})
	// Row 102: what the start hook gave was used once.
	t.Run("what StartHook gives is kept", func(t *testing.T) {
		liveWith(t, func(d *diary) periodic.Config[string] {
			cfg := hooks(d)
			cfg.LoopHook, cfg.WaitHook, cfg.StopHook = nil, nil, nil
			return cfg
		}, func(o *periodic.Object[string], d *diary) {
			session(o, d)
			d.expect(t, "0s start", "0s run first", "1s run first")
		})
	})
	t.Run("none", func(t *testing.T) {
		live(t, periodic.Config[string]{Args: " fixed"}, func(o *periodic.Object[string], d *diary) {
			session(o, d)
			d.expect(t, "0s run fixed", "1s run fixed")
		})
	})
}

// Row 103.
func TestErrorsAndPanicsAreCountedAndItGoesOn(t *testing.T) {
	broken := errors.New("broken")
	var told []error
	liveWith(t, func(d *diary) periodic.Config[string] {
		fails := 0
		return periodic.Config[string]{
			Started: true,
			Error:   func(err error) { told = append(told, err) },
			StartHook: func(context.Context, time.Time) (string, error) {
				if fails++; fails == 1 {
					return "", errors.New("start")
				}
				return " started", nil
			},
			LoopHook: func(context.Context, time.Time) (string, error) { return " looped", nil },
			WaitHook: func(context.Context, time.Time) error { return errors.New("wait") },
			StopHook: func(context.Context) error { return errors.New("stop") },
			Target: func(_ context.Context, args string) error {
				d.add("run%s", args)
				panic(broken)
			},
		}
	}, func(o *periodic.Object[string], d *diary) {
		pass(2500 * time.Millisecond)
		o.Stop()
		d.expect(t, "1s run started", "2s run looped") // the first cycle had no arguments
		s := o.Stats()
		if got := fmt.Sprint(told); got != "[start wait panic: broken wait panic: broken wait stop]" || s.Errors != 7 || s.Err.Error() != "stop" || s.Count != 2 {
			t.Errorf("told %v, %+v", got, s)
		}
		var p *periodic.PanicError
		if !errors.As(told[2], &p) || len(p.Stack) == 0 || !errors.Is(told[2], broken) {
			t.Errorf("a panic is told as %#v", told[2])
		}
	})
}

func TestATargetOrHookThatEndsItsGoroutineEndsTheObject(t *testing.T) {
	exit := func() error { runtime.Goexit(); return nil }
	for name, cfg := range map[string]periodic.Config[int]{
		"target": {Target: func(context.Context, int) error { return exit() }},
		"hook": {
			Target:   func(context.Context, int) error { return nil },
			WaitHook: func(context.Context, time.Time) error { return exit() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Started = true
			cfg.Registry = new(periodic.Registry)
			o, err := periodic.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() { o.Run(t.Context()) })
			wg.Wait()
			if s := o.Stats(); s.Alive || s.Running != 0 || cfg.Registry.Len() != 0 {
				t.Errorf("%+v, %d in the registry", s, cfg.Registry.Len())
			}
		})
	}
}

func TestBUG104FirstLetsCyclesGoBy(t *testing.T) {
	live(t, periodic.Config[string]{First: 3}, func(o *periodic.Object[string], d *diary) {
		start(t, o)
		pass(1500 * time.Millisecond)
		o.Stop()
		start(t, o) // goes on counting
		pass(1500 * time.Millisecond)
		d.expect(t, "2.5s run")
		if s := o.Stats(); s.Skipped != 3 || s.Count != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
	live(t, periodic.Config[string]{First: 3, Started: true}, func(o *periodic.Object[string], d *diary) {
		pass(500 * time.Millisecond)
		start(t, o)
		pass(2 * time.Second)
		d.expect(t, "500ms run") // forced
	})
}

func TestBUG105AQueuedTimeIsUsedOnce(t *testing.T) {
	live(t, periodic.Config[string]{Started: true}, func(o *periodic.Object[string], d *diary) {
		pass(1500 * time.Millisecond)
		at := func(seconds float64) time.Time {
			return d.start.Add(time.Duration(seconds * float64(time.Second)))
		}
		d.expect(t, "0s run", "1s run")
		// One before the next regular cycle, not in order, some past: those make one cycle.
		o.SetQueue(at(4.2), at(1.7), at(1.1), at(1.3), at(1.5), at(4.2))
		pass(4 * time.Second)
		d.expect(t, "1.5s run", "1.7s run", "4.2s run", "5s run")
		if s := o.Stats(); s.Missed != 3 {
			t.Errorf("%d missed, want two that were past and one twin", s.Missed)
		}
		o.SetQueue(at(100))
		if next := o.Stats().Next; !next.Equal(at(100)) {
			t.Errorf("next is %v", next)
		}
		pass(10 * time.Second)
		d.expect(t)
		o.SetQueue()
		pass(500 * time.Millisecond)
		d.expect(t, "15.5s run", "16s run") // those between are missed
	})
}

func TestAQueueAndItsSessions(t *testing.T) {
	live(t, periodic.Config[string]{Period: time.Hour}, func(o *periodic.Object[string], d *diary) {
		o.SetQueue(d.start.Add(time.Second), d.start.Add(5*time.Second), d.start.Add(9*time.Second))
		pass(3 * time.Second)
		start(t, o) // the first time has passed
		pass(3 * time.Second)
		d.expect(t, "5s run")
		start(t, o) // forced
		pass(4 * time.Second)
		d.expect(t, "6s run", "9s run")
	})
}

// A time without a monotonic reading is one of the wall clock, which may be set: it is looked at every 30 s.
func TestAQueuedTimeOfTheWallClock(t *testing.T) {
	live(t, periodic.Config[string]{Period: time.Hour}, func(o *periodic.Object[string], d *diary) {
		o.SetQueue(d.start.Add(100 * time.Second).Round(0).UTC())
		start(t, o)
		pass(100 * time.Second)
		d.expect(t, "1m40s run")
	})
}

func TestBUG106MinWaitIsObeyed(t *testing.T) {
	liveWith(t, func(d *diary) periodic.Config[string] {
		return periodic.Config[string]{Target: takes(d, 900*time.Millisecond), MinWait: 300 * time.Millisecond, Started: true}
	}, func(o *periodic.Object[string], d *diary) {
		pass(4 * time.Second)
		d.expect(t, "0s run", "1.2s run", "2.4s run", "3.6s run")
		o.Stop() // ends the wait, too
		start(t, o)
		pass(time.Second)
		d.expect(t, "4.8s run")
	})
}

// Row 107.
func TestStats(t *testing.T) {
	liveWith(t, func(d *diary) periodic.Config[string] {
		return periodic.Config[string]{Target: takes(d, 1500*time.Millisecond), Started: true, Period: 2 * time.Second}
	}, func(o *periodic.Object[string], d *diary) {
		pass(3 * time.Second)
		want := periodic.Stats{
			Alive: true, Started: true, Running: 1, Count: 2, Took: 1500 * time.Millisecond, Usage: 0.75,
			Last: d.start.Add(2 * time.Second), Next: d.start.Add(4 * time.Second),
		}
		if s := o.Stats(); s != want {
			t.Errorf("got  %+v\nwant %+v", s, want)
		}
	})
}

// Row 108: a list of all objects kept each of them for ever.
func TestARegistryKeepsNothingAlive(t *testing.T) {
	var r periodic.Registry
	for range 10 {
		_, err := periodic.New(periodic.Config[int]{Registry: &r, Target: func(context.Context, int) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); r.Len() > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d objects are not collected", r.Len())
		}
	}
}

func TestStopAllAndKillAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now()}
		var r periodic.Registry
		var wg sync.WaitGroup
		for range 3 {
			o, err := periodic.New(periodic.Config[string]{
				Started: true, Registry: &r,
				Target: func(context.Context, string) error { d.add("run"); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { o.Run(t.Context()) })
		}
		d.expect(t, "0s run", "0s run", "0s run")
		r.StopAll()
		pass(10 * time.Second)
		d.expect(t)
		if r.Len() != 3 {
			t.Errorf("%d objects", r.Len())
		}
		r.KillAll()
		wg.Wait()
		if r.Len() != 0 {
			t.Errorf("%d objects after the end", r.Len())
		}
	})
}

func TestStopAllAndKillAllOfTheProgram(t *testing.T) {
	o, err := periodic.New(periodic.Config[int]{Started: true, Target: func(context.Context, int) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	periodic.StopAll()
	if s := o.Stats(); s.Started || !s.Alive {
		t.Errorf("after StopAll: %+v", s)
	}
	periodic.KillAll()
	if o.Stats().Alive {
		t.Error("alive after KillAll")
	}
}

// Row 109: it was not allowed.
func TestEveryMethodInsideTheTargetAndTheHooks(t *testing.T) {
	var o *periodic.Object[string]
	for _, place := range []string{"target", "start", "loop", "wait", "stop"} {
		t.Run(place, func(t *testing.T) {
			n := 0
			var target func(context.Context, string) error
			meddle := func(here string) {
				if here != place || !o.Stats().Alive {
					return
				}
				n++
				o.Stop()
				if err := errors.Join(o.Start(), o.Start(), o.SetPeriod(2*time.Second), o.SetTarget(target)); err != nil {
					t.Error(err)
				}
				o.SetQueue(time.Now())
				o.SetQueue()
				if !o.Stats().Started {
					t.Error("not started")
				}
				if n == 3 {
					o.Stop()
					o.Kill()
				}
			}
			target = func(context.Context, string) error { meddle("target"); return nil }
			synctest.Test(t, func(t *testing.T) {
				var err error
				o, err = periodic.New(periodic.Config[string]{
					Started: true, Registry: new(periodic.Registry),
					Target:    target,
					StartHook: func(context.Context, time.Time) (string, error) { meddle("start"); return "", nil },
					LoopHook:  func(context.Context, time.Time) (string, error) { meddle("loop"); return "", nil },
					WaitHook:  func(context.Context, time.Time) error { meddle("wait"); return nil },
					StopHook:  func(context.Context) error { meddle("stop"); return nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if place == "stop" {
					time.AfterFunc(time.Second, o.Stop)
				}
				if err := o.Run(ctx); err != nil {
					t.Error(err)
				}
				if n == 0 {
					t.Error("it was not called")
				}
			})
		})
	}
}

func TestThePeriodChangesWhileItRuns(t *testing.T) {
	for name, c := range map[string]struct {
		period time.Duration
		want   []string
	}{
		"longer":              {15 * time.Second, []string{"25s run", "40s run"}},
		"shorter":             {6 * time.Second, []string{"16s run", "22s run", "28s run", "34s run", "40s run"}},
		"shorter than it was": {5 * time.Second, []string{"15s run", "20s run", "25s run", "30s run", "35s run", "40s run"}},
		"already passed":      {2 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			live(t, periodic.Config[string]{Period: 10 * time.Second, Started: true}, func(o *periodic.Object[string], d *diary) {
				pass(15*time.Second - time.Millisecond)
				d.expect(t, "0s run", "10s run")
				if err := o.SetPeriod(c.period); err != nil {
					t.Fatal(err)
				}
				if c.want == nil { // a cycle now, and the grid of the new period
					pass(2 * time.Second)
					d.expect(t, "14.999s run", "16s run")
					if s := o.Stats(); s.Missed != 0 {
						t.Errorf("%d missed, which had not been due", s.Missed)
					}
					return
				}
				pass(25*time.Second + time.Millisecond)
				d.expect(t, c.want...)
			})
		})
	}
}

func TestSetPeriodOftenDoesNotPutOffACycleForEver(t *testing.T) {
	live(t, periodic.Config[string]{Started: true}, func(o *periodic.Object[string], _ *diary) {
		for range 100 {
			pass(300 * time.Millisecond)
			if err := errors.Join(o.SetPeriod(2*time.Second), o.SetPeriod(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if s := o.Stats(); s.Count < 15 {
			t.Errorf("%d cycles in 30 s", s.Count)
		}
	})
}

func TestTheTargetChangesWhileItRuns(t *testing.T) {
	live(t, periodic.Config[string]{Started: true}, func(o *periodic.Object[string], d *diary) {
		pass(0)
		if err := o.SetTarget(func(context.Context, string) error { d.add("other"); return nil }); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		d.expect(t, "0s run", "1s other")
	})
}

func TestWhatIsRefused(t *testing.T) {
	target := func(context.Context, int) error { return nil }
	for name, cfg := range map[string]periodic.Config[int]{
		"no target":        {},
		"negative period":  {Target: target, Period: -1},
		"short period":     {Target: target, Period: time.Microsecond},
		"negative wait":    {Target: target, MinWait: -1},
		"negative first":   {Target: target, First: -1},
		"negative threads": {Target: target, Threads: -1},
	} {
		if o, err := periodic.New(cfg); err == nil || o != nil {
			t.Errorf("%s: not refused", name)
		}
	}
	o, err := periodic.New(periodic.Config[int]{Target: target, Registry: new(periodic.Registry)})
	if err != nil {
		t.Fatal(err)
	}
	if o.SetTarget(nil) == nil || o.SetPeriod(0) == nil || o.SetPeriod(schedule.MaxPeriod+1) == nil {
		t.Error("a setter refuses nothing")
	}
}

// No cycle runs beside another one, none begins in a pause, and each that begins is counted, whatever is called.
func TestFromFiftyGoroutines(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 3} {
		var running, ran, over atomic.Int64
		o, err := periodic.New(periodic.Config[int]{
			Period: time.Millisecond, Threads: threads, Registry: new(periodic.Registry),
			Target: func(context.Context, int) error {
				if n := running.Add(1); n > int64(threads) {
					over.Add(1)
				}
				ran.Add(1)
				runtime.Gosched()
				running.Add(-1)
				return nil
			},
			StopHook: func(context.Context) error {
				if running.Load() != 0 {
					over.Add(1)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- o.Run(context.WithoutCancel(t.Context())) }()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for n := range 100 {
					switch (i + n) % 6 {
					case 0, 1:
						o.Start()
					case 2:
						o.Stop()
					case 3:
						o.SetPeriod(time.Duration(1+n%3) * time.Millisecond)
					case 4:
						o.SetQueue(time.Now(), time.Now().Add(time.Millisecond))
					case 5:
						o.Stats()
					}
				}
			})
		}
		wg.Wait()
		o.SetQueue()
		before := o.Stats().Count
		for o.Stats().Count < before+3 { // it still lives
			if err := o.Start(); err != nil {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
		for range 50 {
			wg.Go(o.Kill)
		}
		wg.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if s := o.Stats(); int64(s.Count) != ran.Load() || s.Running != 0 || over.Load() != 0 || s.Errors != 0 {
			t.Errorf("%d threads: %d ran, %d at a wrong time, %+v", threads, ran.Load(), over.Load(), s)
		}
	}
}

// How late cycles of 10 ms begin on this machine.
func BenchmarkLateness(b *testing.B) {
	var late []time.Duration
	var start time.Time
	var o *periodic.Object[int]
	const period = 10 * time.Millisecond
	o, err := periodic.New(periodic.Config[int]{
		Period: period, Started: true, Registry: new(periodic.Registry),
		StartHook: func(_ context.Context, now time.Time) (int, error) { start = now; return 0, nil },
		Target: func(context.Context, int) error {
			late = append(late, time.Since(start)%period)
			if len(late) == b.N {
				o.Kill()
			}
			return nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	cpu := proctest.CPU()
	if err := o.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(100*float64(proctest.CPU()-cpu)/float64(b.Elapsed()), "cpu-%")
	b.ReportMetric(float64(o.Stats().Missed), "missed")
}
