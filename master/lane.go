package master

import (
	"runtime/debug"
	"time"

	"fandango/ipc"
)

// hand is a goroutine that gives runs to the runner and calls callbacks. Hands come when there is something to do and
// go when there is nothing; while Run runs, one stays for what comes next. While there is something to do, one at least
// is seeking, which is not in a callback. So a callback that blocks holds up nothing but its key, and callbacks that
// return fast share few hands.
type hand struct {
	place node[*hand]
	wake  chan struct{} // 1-buffered: there is something to do for a hand that stayed; nil: it never did
	row   *row          // whose callback it is in; nil: none
	at    *waiter       // whom it calls
	since time.Time
	told  bool // that it is slow
}

// queue puts a row in line for a hand.
func (c *core) queue(row *row) {
	if row.held {
		return
	}
	row.held = true
	row.turn.it = row
	c.speak.push(&row.turn)
}

// need returns a hand when there is something to do and nobody seeks it: one to be woken, or a new one, for a goroutine
// to be.
func (c *core) need() *hand {
	idle := c.seeking == 0 && c.start.empty() && c.speak.empty()
	h := c.spare
	switch {
	case c.seeking > 0, idle && (c.staying || h == nil):
		return nil
	case h != nil:
		c.spare = nil
	default:
		h = &hand{}
		h.place.it = h
		c.hands.push(&h.place)
	}
	c.seeking++
	return h
}

// employ sets a hand to work.
func (m *Master) employ(h *hand) {
	if h.wake == nil {
		go m.work(h)
	} else {
		h.wake <- struct{}{}
	}
}

// take gives a hand a callback to call.
func (c *core) take(h *hand, now time.Time) (w *waiter) {
	row := c.speak.first()
	if row == nil {
		return nil
	}
	c.speak.drop(&row.turn)
	w = row.out.first()
	row.out.drop(&w.place)
	if row.queued == w {
		row.queued = nil
	}
	row.hand, h.row, h.at, h.since, h.told = h, row, w, now, false
	c.seeking--
	if !c.slowSet {
		c.slowSet = true
		c.alarm.Set(c.slowID, now.Add(c.slow))
	}
	return w
}

// returned notes that the callback of a hand is over.
func (c *core) returned(h *hand, now time.Time, fx *effects) {
	row, w := h.row, h.at
	if took := now.Sub(h.since); took >= c.slow && !h.told {
		c.stats.Slow++
		fx.events = append(fx.events, Slow{Key: row.key, For: took})
	}
	row.hand, h.row, h.at = nil, nil, nil
	c.seeking++
	c.told(w, row, func() time.Time { return now }, fx)
}

// panicked counts a callback that did not return, and reports whether its stack is worth its price: a few a second are.
func (c *core) panicked(now time.Time) bool {
	const few = 10
	c.stats.Panicked++
	if now.Sub(c.stacksFrom) >= time.Second {
		c.stacks, c.stacksFrom = 0, now
	}
	c.stacks++
	return c.stacks <= few
}

// rest is for a hand that finds nothing to do. It returns whether it may stay, until it is woken.
func (c *core) rest(h *hand) (stay bool) {
	c.seeking--
	if stay = c.staying && c.spare == nil; !stay {
		c.hands.drop(&h.place)
		return false
	}
	if h.wake == nil {
		h.wake = make(chan struct{}, 1)
	}
	c.spare = h
	return true
}

// watchman looks for slow callbacks.
type watchman struct{}

func (watchman) ring(c *core, now time.Time, fx *effects) {
	var next time.Time
	for h := range c.hands.all {
		if h.row == nil || h.told {
			continue
		}
		due := h.since.Add(c.slow)
		if !now.Before(due) {
			h.told = true
			c.stats.Slow++
			fx.events = append(fx.events, Slow{Key: h.row.key, For: now.Sub(h.since)})
		} else if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	c.slowSet = !next.IsZero()
	if c.slowSet {
		c.alarm.Set(c.slowID, next)
	}
}

// value is what a callback gets.
func (w *waiter) value() Value {
	r := w.run
	v := Value{Key: r.row.key, Outcome: w.share(&r.result.Outcome), At: r.result.at, State: Fresh, Skipped: int(w.skipped)}
	if v.Err != nil {
		v.State = Failed
	}
	if e := w.entry; e != nil {
		v.Every, v.Cron, v.Expire, v.Missed = e.every.Period(), e.cron(), e.kind.expire, int(e.missed)
	}
	return v
}

// work is the goroutine of a hand.
func (m *Master) work(h *hand) {
	over := false
	defer func() {
		if over {
			return
		}
		// The callback has called Goexit: this goroutine ends, and the work goes to another one.
		var fx effects
		now := m.lock()
		m.core.returned(h, now, &fx)
		m.core.seeking--
		m.core.hands.drop(&h.place)
		m.unlock(&fx)
	}()
	for !over {
		over = !m.step(h)
	}
}

// step does one thing, or waits for one. It returns false when the hand is to end.
func (m *Master) step(h *hand) bool {
	var fx effects
	now := m.lock()
	if h.row != nil {
		m.core.returned(h, now, &fx)
	}
	if r := m.core.start.first(); r != nil {
		m.core.start.drop(&r.place)
		run, task, ctx := r.ticket(), r.task(), r.leash.ctx // while nobody ends it
		m.unlock(&fx)
		if err := m.runner.Submit(ctx, task, func(o ipc.Outcome) { m.done(run, o) }); err != nil {
			m.done(run, ipc.Outcome{Err: err})
		}
		return true
	}
	w := m.core.take(h, now)
	if w == nil {
		stay := m.core.rest(h)
		m.unlock(&fx)
		if stay {
			<-h.wake
		}
		return stay
	}
	if key := w.run.row.key; w.done != nil {
		o := w.share(&w.run.result.Outcome)
		m.unlock(&fx)
		m.call(key, func() { w.done(o) })
	} else {
		v := w.value()
		m.unlock(&fx)
		m.call(key, func() { w.then(v) })
	}
	return true
}

// tell tells the caller of a Submit on the goroutine that has learned of his outcome, which is mostly the runner's.
func (m *Master) tell(w *waiter, o ipc.Outcome) {
	row := w.run.row
	defer func() { // also when it calls Goexit
		var fx effects
		m.mu.Lock()
		m.core.told(w, row, m.clock.now, &fx)
		m.unlock(&fx)
	}()
	m.call(row.key, func() { w.done(o) })
}

// call calls a callback, whatever it does.
func (m *Master) call(key string, callback func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		event := Panicked{Key: key, Cause: recover()} // a nil cause: it called Goexit
		now := m.lock()
		show := m.core.panicked(now)
		m.mu.Unlock()
		if show {
			event.Stack = debug.Stack()
		}
		m.notify(event)
	}()
	callback()
	returned = true
}
