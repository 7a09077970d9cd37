package pool

import (
	"context"
	"time"

	"fandango/ipc"
)

// call is one task on its way: in the queue, on a worker, or finished.
type call struct {
	pool *Pool
	task ipc.Task
	done func(ipc.Outcome)

	bundle *bundle // it was submitted with others: this tells its outcome, and not done
	number int     // among them

	queued  time.Time        // when it was submitted
	outcome chan ipc.Outcome // 1-buffered: what a caller of Do waits for; nil: it was submitted
	own     bool             // it is for one worker alone, and goes with it

	// Guarded by pool.mu until state is callFinished; from then on nobody writes them, but for lent and owed.
	here     bool // its caller is about to wait for it, and can read its worker's answers meanwhile
	reads    bool // and is to do so
	written  bool // its worker's writer has it, or has written it
	lent     bool // and still needs the task's bytes
	batch    bool // its answer may share a write with others
	exact    bool // it must not: a worker has died that may have run it, and the next one shall show whether by it
	state    callState
	on       *worker     // the worker that has it
	owed     func()      // tells its outcome once the writer needs the task's bytes no more
	mark     int64       // where its tuple begins in what is written to that worker; the writer's
	begun    time.Time   // when it became the one that the worker runs; zero before
	clock    *time.Timer // of this run's timeout; nil without one
	attempts int         // how often it was given to a worker that read from it
	expiry   *time.Timer // of its deadline; nil without one
	unhook   func() bool // ends the watch on its context; nil without one
	fate     *ipc.Error  // set when it is to be ended: timeout, cancelled or closed
}

type callState uint8

const (
	callWaiting callState = iota
	callOrdered           // waits for the one worker that it is for
	callRunning
	callFinished
)

// watch begins to look at the caller's context and the deadline. The call may have finished already.
func (c *call) watch(ctx context.Context) {
	var expiry *time.Timer
	var unhook func() bool
	if c.task.Deadline > 0 {
		expiry = time.AfterFunc(c.task.Deadline-time.Since(c.queued), func() {
			c.withdraw(ipc.Errorf(ipc.KindExpired, "it had not started %v after it was queued", c.task.Deadline), false)
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
	c.pool.mu.Lock()
	over := c.state == callFinished
	if !over {
		c.expiry, c.unhook = expiry, unhook
	}
	c.pool.mu.Unlock()
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
	p := c.pool
	p.mu.Lock()
	switch {
	case c.state == callFinished:
		p.mu.Unlock()
		return
	case c.state == callRunning && c.on.head() == c:
		if evenRunning && c.fate == nil {
			c.fate = why
			c.on.poke()
		}
		p.mu.Unlock()
		return
	case c.state == callWaiting:
		p.waiting--
	}
	c.state = callFinished // its place, in a queue or behind another one on a worker, is skipped when its turn comes
	o := ipc.Outcome{Err: why, Attempts: c.attempts, Queued: time.Since(c.queued)}
	if c.lent {
		c.on.owe(c, o)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	c.finish(o)
}

// timeout bounds each of its runs; 0 or less: nothing does.
func (c *call) timeout() time.Duration {
	if c.task.Timeout == 0 {
		return c.pool.cfg.Timeout
	}
	return c.task.Timeout
}

// begin needs pool.mu. It starts the clock of one run on w.
func (c *call) begin(w *worker) {
	timeout := c.timeout()
	c.begun = time.Now()
	c.attempts++
	if timeout <= 0 {
		return
	}
	attempt, left := c.attempts, newClock(c.begun, timeout)
	c.clock = time.AfterFunc(left.wait(c.begun), func() {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		// Without a clock the run is over, though the call may not have gone back to the queue yet.
		if c.clock == nil || c.state != callRunning || c.on != w || c.attempts != attempt || c.fate != nil {
			return
		}
		if wait := left.wait(time.Now()); wait > 0 {
			c.clock.Reset(wait)
			return
		}
		c.fate = ipc.Errorf(ipc.KindTimeout, "no answer after %v; its worker was killed", timeout)
		w.poke()
	})
}

// size is about what the call's tuple takes.
func (c *call) size() int { return len(c.task.Key) + len(c.task.Target) + len(c.task.Args) + 16 }

// endRun needs pool.mu. It forgets a run that came to nothing, before another one. Its caller, who may have read the
// answers of the worker that it had, does not know of the next one.
func (c *call) endRun() {
	c.fate, c.here = nil, false
	stopAll(c.clock, nil)
	c.clock = nil
}

// finish tells the outcome. Its caller alone has moved the call to callFinished, and nothing is written to it any more.
func (c *call) finish(o ipc.Outcome) {
	stopAll(c.expiry, c.unhook)
	stopAll(c.clock, nil)
	if !c.own {
		c.pool.pending.Add(-1)
	}
	if c.bundle != nil {
		c.bundle.done(c.number, o)
	} else {
		c.done(o)
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
