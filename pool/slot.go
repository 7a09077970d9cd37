package pool

import (
	"fmt"
	"math/rand/v2"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// slot keeps one worker alive: a process, and after it the next.
type slot struct {
	pool   *Pool
	number int // 1 …
	name   string

	// Guarded by pool.mu.
	worker *worker // the process of the moment; nil between two
	state  State   // without a process: waiting or stopped
	since  time.Time
	starts int
}

// exitConfig is the exit code of a worker that says: my configuration is wrong, do not start me again (EX_CONFIG).
const exitConfig = 78

// A worker that was ready this long starts a new count of failures, as does one that has answered a task.
const healthy = 10 * time.Second

// loop starts workers, one after the other, until the pool drains.
func (s *slot) loop() {
	failures := 0
	for !isClosed(s.pool.draining) {
		life := s.live()
		if life.healthy {
			failures = 0
		}
		pause := backOff(failures)
		failures++
		last := isClosed(s.pool.draining)
		if last || life.final {
			pause = -1
		}
		s.tell(life, failures, pause)
		if life.final {
			s.enter(StateStopped)
			s.pool.giveUp(life.err)
			break
		}
		if last {
			break
		}
		s.enter(StateWaiting)
		if failures >= neverReadyStarts {
			s.pool.tellNeverReady()
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-s.pool.draining:
			wait.Stop()
		}
	}
	s.enter(StateStopped)
}

// backOff is the pause before the next start: none after a worker that was healthy, then 0.1 s · 2ⁿ, at most 30 s. The
// ± 20 % keep the slots of a pool from starting in step.
func backOff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	pause := 100 * time.Millisecond << min(failures-1, 20)
	pause = min(pause, 30*time.Second)
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // no secret
}

// life is what became of one worker process.
type life struct {
	worker  *worker  // nil when it could not be started
	exit    ipc.Exit // of worker
	key     string   // of the task that it was running; "" when none was
	err     error    // why there was no process, why it was ended, or why it was never ready
	ready   bool
	healthy bool
	final   bool // never start it again
}

func (s *slot) live() life {
	p := s.pool
	p.mu.Lock()
	s.starts++
	p.mu.Unlock()
	process, err := p.spawner.Start(proc.Spec{
		Command: p.cfg.Command,
		Env:     p.cfg.environment(s.name),
		Dir:     p.cfg.Dir,
	})
	if err != nil {
		return life{err: err}
	}
	w := newWorker(s, process)
	p.mu.Lock()
	s.worker = w
	p.mu.Unlock()
	p.cfg.Log.Debug("worker started", "worker", s.name, "pid", process.PID())
	p.cfg.Event(Started{Worker: s.name, PID: process.PID()})

	l := w.live()

	p.mu.Lock()
	s.worker = nil
	p.mu.Unlock()
	l.worker = w
	l.final = l.exit.Code == exitConfig
	if l.err == nil && (!l.ready || l.final) {
		l.err = endedBeforeReady(l.exit, l.final)
	}
	return l
}

func endedBeforeReady(exit ipc.Exit, final bool) error {
	why := "before it answered its first request"
	if final {
		why = "which says that its configuration is wrong and that it shall not be started again"
	}
	e := ipc.Errorf(ipc.KindCrash, "it ended with %s %s", &exit, why)
	e.Exit = &exit
	return e
}

// tell reports the end of one life.
func (s *slot) tell(l life, failures int, pause time.Duration) {
	cfg := &s.pool.cfg
	if l.ready {
		cfg.Log.Info("worker exited", "worker", s.name, "exit", &l.exit, "key", l.key, "err", l.err, "next", pause)
		cfg.Event(Exited{Worker: s.name, PID: l.worker.process.PID(), Exit: l.exit, Key: l.key, Err: l.err, Next: pause})
		return
	}
	if pause < 0 && !l.final {
		return // the pool ended while it started
	}
	s.pool.mu.Lock()
	s.pool.lastErr = l.err
	s.pool.mu.Unlock()
	cfg.Log.Warn("worker did not start", "worker", s.name, "err", l.err, "attempt", failures, "next", pause)
	cfg.Event(StartFailed{Worker: s.name, Err: l.err, Attempt: failures, Next: pause})
}

func (s *slot) enter(state State) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.state, s.since = state, time.Now()
}

// snapshot needs pool.mu.
func (s *slot) snapshot() Worker {
	info := Worker{Name: s.name, State: s.state, Since: s.since, Restarts: max(0, s.starts-1)}
	w := s.worker
	if w == nil {
		if s.state == "" {
			info.State = StateWaiting // Run has not started it yet
		}
		return info
	}
	info.PID, info.Served, info.Hello = w.process.PID(), w.served, w.claims
	info.State, info.Since = w.state(), w.since
	if w.call != nil && w.ready {
		info.Key = w.call.task.Key
	}
	return info
}

// quote shows foreign bytes in a message, in bounded length.
func quote(b []byte) string {
	const most = 60
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
