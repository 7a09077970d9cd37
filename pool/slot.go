package pool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"fandango/ipc"
)

// slot is one place for a worker. Its loop keeps a process alive there: it starts one, replaces it when it has ended,
// and, when it is to be renewed, starts its successor first and lets it go when that is ready.
type slot struct {
	pool   *Pool
	number int // 1 …
	name   string
	canary bool // it takes the tasks of suspected keys, and no others

	readies  chan *worker  // the slot's worker or its successor has answered its greeting
	ends     chan life     // a process of the slot has ended
	renewals chan renewal  // 1-buffered: start a successor
	dropped  chan struct{} // closed: the slot is no longer wanted

	// Owned by loop.
	successor *worker
	alive     int     // processes, with those that are on their way out
	asked     renewal // who waits for the successor
	failures  int     // lives in a row that came to nothing
	restart   *time.Timer
	again     *time.Timer // when a renewal that failed is tried again
	closing   bool

	// Guarded by pool.mu; written by loop.
	worker    *worker   // the one that starts or takes tasks; nil between two
	processes []*worker // all of the slot's that live
	state     State     // without a worker: waiting or stopped
	since     time.Time
	starts    int
	final     bool  // it has given up: its worker said that it shall not be started again
	err       error // why its last process failed; nil once one is ready
	undead    int   // processes that were left to the system
}

// renewal asks a slot for a new process in place of the one it has.
type renewal struct {
	why   string
	reply chan<- error // 1-buffered; nil: nobody waits
}

func (r *renewal) answer(err error) {
	if r.reply != nil {
		r.reply <- err
	}
	*r = renewal{}
}

// exitConfig is the exit code of a worker that says: my configuration is wrong, do not start me again (EX_CONFIG).
const exitConfig = 78

// taskFailures bounds the failures that count for a worker that was ready and died with a task, or of a signal by which
// others end a process: its slot is back within half a second, so neither a run of tasks that each kill a worker nor
// somebody who kills workers takes the pool from all others.
const taskFailures = 3

// A worker that was ready this long starts a new count of failures, as does one that has answered a task.
const healthy = 10 * time.Second

func newSlot(p *Pool, number int) *slot {
	return &slot{
		pool: p, number: number, name: fmt.Sprintf("%s/%d", p.cfg.Name, number),
		readies:  make(chan *worker),
		ends:     make(chan life),
		renewals: make(chan renewal, 1),
		dropped:  make(chan struct{}),
	}
}

// life is what the slot's goroutine does.
func (s *slot) life() func() {
	if s.pool.exec {
		return s.execLoop
	}
	return s.loop
}

// loop is the slot's whole life. It ends when the pool drains, or the slot is dropped, and no process of it is left.
func (s *slot) loop() {
	s.restart = time.NewTimer(0)
	s.again = time.NewTimer(0)
	s.again.Stop()
	defer s.restart.Stop()
	defer s.again.Stop()
	draining, dropped := s.pool.draining, s.dropped
	for !s.closing || s.alive > 0 {
		renewals := s.renewals
		if s.successor != nil { // one after the other
			renewals = nil
		}
		select {
		case <-s.restart.C:
			s.begin()
		case w := <-s.readies:
			s.promote(w)
		case l := <-s.ends:
			s.alive--
			s.ended(l)
			l.judge()
		case r := <-renewals:
			s.renew(r)
		case <-s.again.C:
			s.renew(renewal{why: "again"})
		case <-draining: // the workers see it themselves
			draining = nil
			s.close(ipc.Errorf(ipc.KindClosed, "%s has ended", s.pool.cfg.Name))
		case <-dropped:
			dropped = nil
			s.close(ipc.Errorf(ipc.KindClosed, "%s is no longer wanted", s.name))
			if s.worker != nil {
				s.worker.dismiss()
			}
			if s.successor != nil {
				s.successor.dismiss()
			}
		}
	}
	s.enter(nil, StateStopped)
	for {
		select {
		case r := <-s.renewals:
			r.answer(ipc.Errorf(ipc.KindClosed, "%s has ended", s.name))
		default:
			return
		}
	}
}

// close starts nothing new.
func (s *slot) close(why error) {
	s.closing = true
	s.restart.Stop()
	s.again.Stop()
	s.asked.answer(why)
}

// begin starts the slot's worker.
func (s *slot) begin() {
	if s.closing || s.worker != nil {
		return
	}
	if err := s.pool.crowded(); err != nil {
		s.pool.mu.Lock()
		s.err = err
		s.pool.mu.Unlock()
		s.restart.Reset(time.Second)
		return
	}
	w, err := s.start()
	if err != nil {
		s.ended(life{err: err})
		return
	}
	s.enter(w, StateStarting)
	s.alive++
	go func() { s.ends <- w.live() }() // loop takes it before it ends
}

// renew starts a successor beside the worker, or a worker where there is none.
func (s *slot) renew(r renewal) {
	switch {
	case s.closing:
		r.answer(ipc.Errorf(ipc.KindClosed, "%s has ended", s.name))
	case s.successor != nil: // it will do
	case s.worker == nil && r.reply == nil: // the next start is on its way
	case s.worker == nil:
		s.asked = r
		s.failures = 0
		s.takeHeart()
		s.restart.Stop()
		s.begin()
	default:
		w, err := s.start()
		if err != nil {
			s.unsuccessful(life{err: err}, r)
			return
		}
		s.pool.cfg.Log.Debug("worker is being renewed", "worker", s.name, "why", r.why)
		s.asked, s.successor = r, w
		s.alive++
		go func() { s.ends <- w.live() }() // loop takes it before it ends
	}
}

// promote lets a successor that is ready take the place of the worker.
func (s *slot) promote(w *worker) {
	if w == s.successor {
		s.worker.dismiss()
		s.enter(w, StateStarting)
		s.successor = nil
	}
	if w == s.worker {
		s.asked.answer(nil)
	}
}

// start starts one process and tells so.
func (s *slot) start() (*worker, error) {
	p := s.pool
	p.mu.Lock()
	s.starts++
	command := p.command
	p.mu.Unlock()
	process, err := p.spawner.Start(p.cfg.spec(command, s.name))
	if err != nil {
		return nil, err
	}
	p.cfg.Log.Debug("worker started", "worker", s.name, "pid", process.PID())
	p.cfg.Event(Started{Worker: s.name, PID: process.PID()})
	w := newWorker(s, process)
	w.command = command
	p.mu.Lock()
	s.processes = append(s.processes, w)
	p.mu.Unlock()
	return w, nil
}

// life is what became of one worker process.
type life struct {
	worker  *worker  // nil when it could not be started
	exit    ipc.Exit // of worker
	key     string   // of the task that it was running; "" when none was
	err     error    // why there was no process, why it was ended, or why it was never ready
	ready   bool
	healthy bool   // it was of use: a new count of failures begins
	judge   func() // lets its tasks have their outcomes, or another worker
	retired bool   // it was let go, or ended by itself with nothing to do and exit code 0
}

// ended decides what follows a life, and tells of it.
func (s *slot) ended(l life) {
	s.pool.mu.Lock()
	s.processes = slices.DeleteFunc(s.processes, func(w *worker) bool { return w == l.worker })
	s.pool.mu.Unlock()
	switch {
	case l.worker != nil && l.worker == s.successor:
		s.successor = nil
		asked := s.asked
		s.asked = renewal{}
		s.unsuccessful(l, asked)
		return
	case l.worker != nil && l.worker != s.worker: // it had been dismissed
		s.tell(l, -1)
		return
	case s.successor != nil: // and here it is
		s.enter(s.successor, StateStarting)
		s.successor = nil
		s.tell(l, 0)
		return
	}
	// The canary is there to be killed: the key that did it has been set aside, and others wait for their turn.
	if l.healthy || s.canary && l.ready && l.key != "" {
		s.failures = 0
	}
	// Its task may be to blame, or somebody outside: others wait for this slot.
	if l.ready && (l.key != "" || l.err == nil && (l.exit.Name == "SIGKILL" || l.exit.Name == "SIGTERM")) {
		s.failures = min(s.failures, taskFailures)
	}
	pause := backOff(s.failures)
	s.failures++
	final := l.exit.Code == exitConfig && l.worker != nil && !s.canary // whose tasks would wait for ever
	switch {
	case s.closing || isClosed(s.pool.draining):
		s.enter(nil, StateStopped)
		s.tell(l, -1)
	case final:
		s.enter(nil, StateStopped)
		s.tell(l, -1)
		s.pool.giveUp(s, l.err)
	default:
		s.enter(nil, StateWaiting)
		s.tell(l, pause)
		s.restart.Reset(pause)
		if s.failures >= neverReadyStarts {
			s.pool.tellNeverReady()
		}
	}
	s.asked.answer(l.err)
}

// unsuccessful is the end of a successor that never was ready. The worker goes on; when nobody asked for the renewal it
// is tried again.
func (s *slot) unsuccessful(l life, asked renewal) {
	pause := backOff(max(1, s.failures))
	s.failures++
	if asked.reply == nil && !s.closing {
		s.again.Reset(pause)
	} else {
		pause = -1
	}
	s.tellOf(l, pause, true)
	asked.answer(l.err)
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

// tell reports the end of one life; next is the pause before the next start, below 0 when there is none to come.
func (s *slot) tell(l life, next time.Duration) { s.tellOf(l, next, false) }

// tellOf is tell; renewal: the life was to take the place of a worker, which goes on.
func (s *slot) tellOf(l life, next time.Duration, renewal bool) {
	cfg := &s.pool.cfg
	if l.ready {
		if l.retired {
			cfg.Log.Debug("worker retired", "worker", s.name, "served", l.exit.Served)
		} else {
			cfg.Log.Info("worker exited", "worker", s.name, "exit", &l.exit, "key", l.key, "err", l.err, "next", next)
		}
		cfg.Event(Exited{
			Worker: s.name, PID: l.worker.process.PID(), Exit: l.exit, Key: l.key, Err: l.err, Retired: l.retired, Next: next,
		})
		s.pool.count(l)
		return
	}
	if s.closing || isClosed(s.pool.draining) {
		return // it had no time to become ready
	}
	s.pool.mu.Lock()
	s.pool.lastErr, s.err = l.err, l.err
	s.pool.mu.Unlock()
	cfg.Log.Warn("worker did not start", "worker", s.name, "err", l.err, "attempt", s.failures, "next", next)
	cfg.Event(StartFailed{Worker: s.name, Err: l.err, Attempt: s.failures, Next: next, Renewal: renewal})
	s.pool.count(l)
}

// enter makes w the slot's worker; without one, state says what the slot does.
func (s *slot) enter(w *worker, state State) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.worker, s.state, s.since = w, state, time.Now()
}

// takeHeart undoes having given up.
func (s *slot) takeHeart() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.final {
		s.final = false
		s.pool.given--
	}
}

// ask asks for a renewal that nobody waits for. It never blocks: when one is asked for already, that will do.
func (s *slot) ask(why string) {
	select {
	case s.renewals <- renewal{why: why}:
	default:
	}
}

// snapshot needs pool.mu.
func (s *slot) snapshot() Worker {
	info := Worker{Name: s.name, State: s.state, Since: s.since, Restarts: max(0, s.starts-1), Err: s.err, Canary: s.canary, Undead: s.undead}
	w := s.worker
	if w == nil {
		if s.state == "" {
			info.State = StateWaiting // Run has not started it yet
		}
		return info
	}
	if w.process != nil {
		info.PID = w.process.PID()
	}
	info.Served, info.Hello = w.served, w.claims
	info.State, info.Since = w.state(), w.since
	if c := w.head(); c != nil && w.ready {
		info.Key = c.key
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
