package pool_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/pool"
)

// freezer makes processes that SIGKILL does not end: the first kind of control groups holds what it has frozen in state D.
type freezer struct {
	t   *testing.T
	dir string
}

func newFreezer(t *testing.T) *freezer {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/freezer", "fandango") //nolint:usetesting // it is a control group
	if err != nil {
		t.Skipf("nothing here makes a process that cannot be killed: %v", err)
	}
	f := &freezer{t, dir}
	t.Cleanup(func() {
		f.thaw()
		for end := time.Now().Add(5 * time.Second); os.Remove(dir) != nil && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond)
		}
	})
	return f
}

func (f *freezer) write(file, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, file), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *freezer) freeze(pid int) {
	f.t.Helper()
	if pid <= 0 || pid == os.Getpid() {
		f.t.Fatalf("process %d is not to be frozen", pid) // 0 would be this one
	}
	f.write("cgroup.procs", strconv.Itoa(pid))
	f.write("freezer.state", "FROZEN")
}

func (f *freezer) thaw() { f.write("freezer.state", "THAWED") }

// TestO18AProcessThatSurvivesSIGKILL: its task has its outcome, its slot serves, up to a bound, and it is reaped when it
// ends at last.
func TestO18AProcessThatSurvivesSIGKILL(t *testing.T) {
	ice := newFreezer(t)
	p, log := start(t, pool.Config{Workers: 2})
	waitReady(t, p, 2)
	for _, w := range []string{"first", "second"} {
		stuck := task(t, w, "x:hang")
		stuck.Timeout = 2 * time.Second
		outcome := submit(t, p, stuck)
		waitState(t, p, pool.StateBusy)
		ice.freeze(pidOf(p, w))
		begun := time.Now()
		o := <-outcome
		e, ok := errors.AsType[*ipc.Error](o.Err)
		if !ok || e.Kind != ipc.KindTimeout || e.Exit == nil || !e.Exit.Alive {
			t.Errorf("outcome = %+v, want a timeout of a process that is alive", o)
		}
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("the outcome came after %v", took)
		}
		if o := run(t, p, task(t, "next", "echo")); o.Err != nil {
			t.Error(o.Err)
		}
	}
	if told := of[pool.Abandoned](log); len(told) != 2 || !strings.Contains(told[0].View, "State: D") {
		t.Errorf("events = %+v, want two of state D", told)
	}
	undead := 0
	for _, w := range p.Workers() {
		undead += w.Undead
	}
	if undead != 2 {
		t.Errorf("workers = %+v, want 2 undead processes", p.Workers())
	}
	// With as many as slots, the next death is not replaced before one of them has ended.
	for _, o := range broadcast(t, p, task(t, "die", "x:kill9"), false) {
		if !errors.Is(o.Err, ipc.ErrCrash) {
			t.Errorf("outcome = %+v, want a crash", o)
		}
	}
	waiting := submit(t, p, task(t, "waits", "echo"))
	for end := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		if err := p.Workers()[0].Err; err != nil && strings.Contains(err.Error(), "survive SIGKILL") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("workers = %+v, want the reason why none is started", p.Workers())
		}
	}
	ice.thaw()
	if o := <-waiting; o.Err != nil {
		t.Error(o.Err)
	}
	waitReady(t, p, 2)
}

// TestO18StopWaitsForNoProcessThatCannotBeKilled holds P8 for a process that nothing ends.
func TestO18StopWaitsForNoProcessThatCannotBeKilled(t *testing.T) {
	for name, exec := range map[string]bool{"worker": false, "exec": true} {
		t.Run(name, func(t *testing.T) {
			ice := newFreezer(t)
			made, cfg, one := pool.New, pool.Config{Workers: 1}, task(t, "k", "x:hang")
			if exec {
				made, cfg.Command, one = pool.NewExec, []string{"sleep"}, task(t, "k", "300")
			}
			p, log := startNew(t, made, cfg)
			outcome := submit(t, p, one)
			waitState(t, p, pool.StateBusy)
			ice.freeze(pidOf(p, "k"))
			p.Abort()
			begun := time.Now()
			if o := <-outcome; !errors.Is(o.Err, ipc.ErrClosed) {
				t.Errorf("outcome = %+v, want closed", o)
			}
			if took := time.Since(begun); took > 12*time.Second {
				t.Errorf("it took %v", took)
			}
			waitFor(t, log, func(pool.Abandoned) bool { return true })
			waitState(t, p, pool.StateStopped)
			ice.thaw()
		})
	}
}

func pidOf(p *pool.Pool, key string) int {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		for _, w := range p.Workers() {
			if w.Key == key && w.PID != 0 {
				return w.PID
			}
		}
	}
	return 0
}
