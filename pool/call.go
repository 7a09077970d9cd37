package pool

import (
	"context"
	"time"

	"fandango/ipc"
)

// call is one task on its way: in the queue, on a worker, or finished. There may be thousands, which are gone through again
// and again: so it fills two lines of the cache, what its caller gave and what changes, and what few of them need is in rare.
type call struct {
	key    string
	target ipc.Raw
	args   ipc.Raw

	bundle *bundle // it was submitted with others: this tells its outcome; nil: rare does
	number int32   // among them

	// Guarded by pool.mu until state is callFinished; from then on nobody writes them, but for lent and rare.owed.
	attempts int32   // how often it was given to a worker that read from it
	rare     *rare   // nil: it has none of that
	queued   instant // when it was submitted
	begun    instant // when it became the one that the worker runs; 0 before
	mark     int64   // where its tuple begins in what is written to that worker; the writer's
	on       *worker // the worker that has it
	state    callState
	own      bool // it is for one worker alone, and goes with it; from the start
	here     bool // its caller is about to wait for it, and can read its worker's answers meanwhile
	reads    bool // and is to do so
	written  bool // its worker's writer has it, or has written it
	lent     bool // and still needs the task's bytes
	shares   bool // it is idempotent; but once a worker has died that may have run it, the next one shall show whether by it
	batch    bool // so its answer may share a write with others
}

// rare is what few of the calls have that are submitted together.
type rare struct {
	limits  *limits           // nil: those of its bundle
	pool    *Pool             // of a call without a bundle
	done    func(ipc.Outcome) // likewise
	outcome chan ipc.Outcome  // 1-buffered: what a caller of Do waits for; nil: it was submitted

	// Guarded as the call's own.
	fate   *ipc.Error  // set when it is to be ended: timeout, cancelled or closed
	owed   func()      // tells its outcome once the writer needs the task's bytes no more
	clock  *time.Timer // of this run's timeout; nil without one
	expiry *time.Timer // of its deadline; nil without one
	unhook func() bool // ends the watch on its context; nil without one
}

// limits is what a task's options say of its runs.
type limits struct {
	timeout time.Duration
	retries int
}

func limitsOf(t *ipc.Task) limits { return limits{t.Timeout, t.Retries} }

// newCall makes a call by itself.
func (p *Pool) newCall(t ipc.Task, done func(ipc.Outcome)) *call {
	c := &struct {
		call
		rare
		own limits
	}{call{queued: p.now()}, rare{pool: p, done: done}, limitsOf(&t)}
	c.of(&t)
	c.call.rare, c.rare.limits = &c.rare, &c.own
	return &c.call
}

// of makes c the call of t, but for its limits.
func (c *call) of(t *ipc.Task) {
	c.key, c.target, c.args, c.shares = t.Key, t.Target, t.Args, t.Idempotent
}

func (c *call) pool() *Pool {
	if c.bundle != nil {
		return c.bundle.pool
	}
	return c.rare.pool
}

func (c *call) limits() *limits {
	if c.rare != nil && c.rare.limits != nil {
		return c.rare.limits
	}
	return &c.bundle.limits
}

// more needs pool.mu. It is rare, which there may not be yet.
func (c *call) more() *rare {
	if c.rare == nil {
		c.rare = &rare{}
	}
	return c.rare
}

// fate is why it is to be ended; nil: it is not.
func (c *call) fate() *ipc.Error {
	if c.rare == nil {
		return nil
	}
	return c.rare.fate
}

// outcome is what a caller of Do waits for; nil: there is none.
func (c *call) outcome() chan ipc.Outcome {
	if c.rare == nil {
		return nil
	}
	return c.rare.outcome
}

type callState uint8

const (
	callWaiting callState = iota
	callOrdered           // waits for the one worker that it is for
	callRunning
	callFinished
)

// watch begins to look at the caller's context and the deadline. The call may have finished already.
func (c *call) watch(ctx context.Context, deadline time.Duration) {
	var expiry *time.Timer
	var unhook func() bool
	if deadline > 0 {
		expiry = time.AfterFunc(deadline-c.waited(), func() {
			c.withdraw(ipc.Errorf(ipc.KindExpired, "it had not started %v after it was queued", deadline), false)
		})
	}
	if ctx.Done() != nil {
		unhook = context.AfterFunc(ctx, func() {
			c.withdraw(ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx)), true)
		})
	}
	if expiry == nil && unhook == nil {
		return
	}
	c.pool().mu.Lock()
	over := c.state == callFinished
	if !over {
		r := c.more()
		r.expiry, r.unhook = expiry, unhook
	}
	c.pool().mu.Unlock()
	if over { // finish has not seen them
		stopAll(expiry, unhook)
	}
}

func stopAll(timer *time.Timer, unhook func() bool) {
	if timer != nil {
		timer.Stop()
	}
	if unhook != nil {
		unhook()
	}
}

// withdraw ends a call that has not begun; with evenRunning also one that has, together with its worker.
func (c *call) withdraw(why *ipc.Error, evenRunning bool) {
	p := c.pool()
	var writer *worker // it may be encoding the call
	p.mu.Lock()
	switch {
	case c.state == callFinished:
		p.mu.Unlock()
		return
	case c.state == callRunning && c.on.head() == c:
		if evenRunning && c.fate() == nil {
			c.more().fate = why
			c.on.poke()
		}
		p.mu.Unlock()
		return
	case c.state == callWaiting:
		p.waiting--
	case c.written:
		writer = c.on
		c.more() // its worker may get as far, and has its fate to write: see beginHead
	case c.state == callRunning:
		c.on.stale = true
	}
	c.state = callFinished // its place, in a queue or behind another one on a worker, is skipped when its turn comes
	o := ipc.Outcome{Err: why, Attempts: int(c.attempts), Queued: c.waited()}
	if c.lent {
		c.on.owe(c, o)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if writer != nil {
		writer.encoded() // its bytes are its caller's again
	}
	c.finish(o)
}

// timeout bounds each of its runs; 0 or less: nothing does.
func (c *call) timeout() time.Duration {
	if own := c.limits().timeout; own != 0 {
		return own
	}
	return c.pool().cfg.Timeout
}

// begin needs pool.mu. It starts the clock of one run on w.
func (c *call) begin(w *worker) {
	timeout := c.timeout()
	c.begun = c.pool().now()
	c.attempts++
	if timeout <= 0 {
		return
	}
	now := time.Now()
	p, attempt, left, r := c.pool(), c.attempts, newClock(now, timeout), c.more()
	r.clock = time.AfterFunc(left.wait(now), func() {
		p.mu.Lock() // not c.pool(): c may be nobody's call by now, or another one
		defer p.mu.Unlock()
		// Without a clock the run is over, though the call may not have gone back to the queue yet.
		if r.clock == nil || c.state != callRunning || c.on != w || c.attempts != attempt || r.fate != nil {
			return
		}
		if wait := left.wait(time.Now()); wait > 0 {
			r.clock.Reset(wait)
			return
		}
		r.fate = ipc.Errorf(ipc.KindTimeout, "no answer after %v; its worker was killed", timeout)
		w.poke()
	})
}

// size is about what the call's tuple takes.
func (c *call) size() int { return len(c.key) + len(c.target) + len(c.args) + 16 }

// waited is how long it has been submitted.
func (c *call) waited() time.Duration { return c.pool().now().since(c.queued) }

// endRun needs pool.mu. It forgets a run that came to nothing, before another one. Its caller, who may have read the
// answers of the worker that it had, does not know of the next one.
func (c *call) endRun() {
	c.here = false
	c.stopClock()
	if c.rare != nil {
		c.rare.fate = nil
	}
}

// stopClock needs pool.mu. A look that has begun already finds that there is no clock.
func (c *call) stopClock() {
	if r := c.rare; r != nil && r.clock != nil {
		r.clock.Stop()
		r.clock = nil
	}
}

// finish tells the outcome. Its caller alone has moved the call to callFinished, and nothing is written to it any more.
func (c *call) finish(o ipc.Outcome) {
	if !c.own {
		c.pool().pending.Add(-1)
	}
	c.tell(&o)
}

// tell is finish for a call that is not pending any more.
func (c *call) tell(o *ipc.Outcome) {
	if r := c.rare; r != nil {
		stopAll(r.expiry, r.unhook)
		stopAll(r.clock, nil)
	}
	if c.bundle != nil {
		c.bundle.done(int(c.number), *o)
	} else {
		c.rare.done(*o)
	}
}

// deque is a queue of calls that also takes them back at its front.
type deque struct {
	ring []*call // its length is a power of two, or 0
	head int
	n    int
}

func (q *deque) grow() {
	if q.n < len(q.ring) {
		return
	}
	ring := make([]*call, max(64, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}

func (q *deque) pushBack(c *call) {
	q.grow()
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = c
	q.n++
}

func (q *deque) pushFront(c *call) {
	q.grow()
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.ring[q.head] = c
	q.n++
}

// at returns the i-th call.
func (q *deque) at(i int) *call { return q.ring[(q.head+i)&(len(q.ring)-1)] }

// remove takes one call out, wherever it is.
func (q *deque) remove(c *call) {
	for i := range q.n {
		if q.at(i) == c {
			for ; i < q.n-1; i++ {
				q.ring[(q.head+i)&(len(q.ring)-1)] = q.at(i + 1)
			}
			q.n--
			q.ring[(q.head+q.n)&(len(q.ring)-1)] = nil
			return
		}
	}
}

// keep takes out all but some.
func (q *deque) keep(which func(*call) bool) {
	all := *q
	*q = deque{}
	for i := range all.n {
		if c := all.at(i); which(c) {
			q.pushBack(c)
		}
	}
}

// popFront returns nil when the queue is empty.
func (q *deque) popFront() *call {
	if q.n == 0 {
		return nil
	}
	c := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if q.n == 0 && len(q.ring) > 1<<16 {
		*q = deque{} // a flood has passed: give its memory back
	}
	return c
}
