package load_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"fandango/cmd/master/load"
	"fandango/ipc"
)

// answering is a Runner that answers each task on a goroutine of its own.
type answering struct {
	answer func(n int64, t ipc.Task) (ipc.Outcome, error)

	n     atomic.Int64
	under atomic.Int64
	most  atomic.Int64

	mu   sync.Mutex // guards seen
	seen map[string]int
}

func (a *answering) Submit(_ context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	n := a.n.Add(1)
	a.mu.Lock()
	a.seen[string(t.Args)]++
	a.mu.Unlock()
	o, err := a.answer(n, t)
	if err != nil {
		return err
	}
	if under := a.under.Add(1); under > a.most.Load() {
		a.most.Store(under)
	}
	go func() {
		a.under.Add(-1)
		done(o)
	}()
	return nil
}

func echo(_ int64, t ipc.Task) (ipc.Outcome, error) {
	return ipc.Outcome{Value: append(ipc.Raw(nil), t.Args...)}, nil
}

func drive(t *testing.T, mode load.Mode, tasks int, answer func(int64, ipc.Task) (ipc.Outcome, error)) (*load.Load, *answering, error) {
	t.Helper()
	target, err := ipc.Encode("echo")
	if err != nil {
		t.Fatal(err)
	}
	a := &answering{answer: answer, seen: map[string]int{}}
	l := &load.Load{Mode: mode, Tasks: tasks, Payload: 64, Target: target, Echo: true}
	return l, a, l.Drive(t.Context(), a)
}

var modes = []load.Mode{load.Sync, load.Pipelined}

func TestEachTaskIsCountedAndItsPayloadIsItsOwn(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			const tasks, warm = 40_000, 4_000
			l, a, err := drive(t, mode, tasks, echo)
			if err != nil {
				t.Fatal(err)
			}
			r := l.Report()
			if r.Tasks != tasks || r.Failed != 0 || r.Error != "" || r.TasksPerS <= 0 || r.MBPerS <= 0 {
				t.Errorf("report = %+v", r)
			}
			if r.P50 <= 0 || r.P50 > r.P90 || r.P90 > r.P99 || r.P99 > r.Max {
				t.Errorf("percentiles %v, %v, %v, %v", r.P50, r.P90, r.P99, r.Max)
			}
			if a.n.Load() != tasks+warm || len(a.seen) != tasks {
				t.Errorf("%d tasks with %d payloads, want %d with %d", a.n.Load(), len(a.seen), tasks+warm, tasks)
			}
			timed := int64(tasks)
			if mode == load.Pipelined {
				timed = tasks / 16
			}
			if r.Times.N() != timed {
				t.Errorf("%d tasks were timed, want %d", r.Times.N(), timed)
			}
			if most := a.most.Load(); most > 1<<13 || mode == load.Sync && most > 1 {
				t.Errorf("%d tasks were under way at once", most)
			}
		})
	}
}

func TestFailuresAreCountedAndTheFirstIsKept(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			l, _, err := drive(t, mode, 100, func(n int64, task ipc.Task) (ipc.Outcome, error) {
				if n > 20 && n%10 == 0 { // after the warm-up
					return ipc.Outcome{Err: ipc.Errorf(ipc.KindCrash, "its worker died")}, nil
				}
				return echo(n, task)
			})
			if r := l.Report(); err != nil || r.Tasks != 100 || r.Failed != 10 || r.Error != "its worker died" || r.Kind != "crash" {
				t.Errorf("report = %+v, %v", r, err)
			}
		})
	}
}

func TestAnAnswerThatIsNoEchoFails(t *testing.T) {
	for _, mode := range modes {
		for name, spoil := range map[string]func(ipc.Raw) ipc.Raw{
			"another's": func(v ipc.Raw) ipc.Raw { v[len(v)-1]++; return v },
			"shorter":   func(v ipc.Raw) ipc.Raw { return v[:len(v)-1] },
			"none":      func(ipc.Raw) ipc.Raw { return nil },
		} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				l, _, err := drive(t, mode, 50, func(n int64, task ipc.Task) (ipc.Outcome, error) {
					o, err := echo(n, task)
					if n == 31 {
						o.Value = spoil(o.Value)
					}
					return o, err
				})
				if r := l.Report(); err != nil || r.Failed != 1 {
					t.Errorf("%d failed, %v; want 1", r.Failed, err)
				}
			})
		}
	}
}

func TestAFailureInTheWarmUpEndsIt(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			broken := ipc.Errorf(ipc.KindTask, "no such target")
			l, a, err := drive(t, mode, 1_000_000, func(int64, ipc.Task) (ipc.Outcome, error) { return ipc.Outcome{Err: broken}, nil })
			if !errors.Is(err, broken) || l.Report().Tasks != 0 {
				t.Errorf("error %v after %d tasks, want %v after 0", err, l.Report().Tasks, broken)
			}
			if a.n.Load() > 20_000 {
				t.Errorf("%d tasks were submitted", a.n.Load())
			}
		})
	}
}

// hanging is a Runner whose first task fails; the others run until they are taken back.
type hanging struct{ n atomic.Int64 }

var errBroken = ipc.Errorf(ipc.KindCrash, "exit code 3")

func (h *hanging) Submit(ctx context.Context, _ ipc.Task, done func(ipc.Outcome)) error {
	if h.n.Add(1) == 1 {
		go done(ipc.Outcome{Err: errBroken})
	} else {
		context.AfterFunc(ctx, func() { done(ipc.Outcome{Err: ipc.Errorf(ipc.KindCancelled, "taken back")}) })
	}
	return nil
}

// A worker that dies with every task takes as many restarts as there are tasks under way.
func TestAFailureInTheWarmUpTakesBackWhatIsUnderWay(t *testing.T) {
	target, err := ipc.Encode("echo")
	if err != nil {
		t.Fatal(err)
	}
	l := &load.Load{Mode: load.Pipelined, Tasks: 10_000, Payload: 64, Target: target}
	if err := l.Drive(t.Context(), &hanging{}); !errors.Is(err, errBroken) { // or this test does not end
		t.Errorf("error %v, want %v", err, errBroken)
	}
}

func TestARefusalIsTheError(t *testing.T) {
	full := ipc.Errorf(ipc.KindQueueFull, "no more may wait")
	for _, at := range []int64{1, 500} { // in the warm-up, and after it
		l, a, err := drive(t, load.Pipelined, 1000, func(n int64, task ipc.Task) (ipc.Outcome, error) {
			if n >= at {
				return ipc.Outcome{}, full
			}
			return echo(n, task)
		})
		if !errors.Is(err, full) || a.n.Load() != at || a.under.Load() != 0 {
			t.Errorf("error %v after %d tasks with %d under way, want %v after %d and none", err, a.n.Load(), a.under.Load(), full, at)
		}
		if want := max(0, at-101); l.Report().Tasks != want {
			t.Errorf("%d tasks were measured, want %d", l.Report().Tasks, want)
		}
	}
}

func TestWhatTheEndOvertakesDoesNotCount(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			a := &answering{seen: map[string]int{}, answer: func(n int64, task ipc.Task) (ipc.Outcome, error) {
				if n == 1100 {
					stop()
				}
				if n > 1100 {
					return ipc.Outcome{Err: ipc.ErrClosed}, nil
				}
				return echo(n, task)
			}}
			l := &load.Load{Mode: mode, Tasks: 10_000, Payload: 8, Target: ipc.Raw{0xa1, 'f'}, Echo: true}
			if err := l.Drive(ctx, a); err != nil {
				t.Fatal(err)
			}
			if r := l.Report(); r.Tasks != 100 || r.Failed != 0 || a.under.Load() != 0 {
				t.Errorf("%d tasks, %d failed, %d under way; want 100, 0, 0", r.Tasks, r.Failed, a.under.Load())
			}
		})
	}
}
