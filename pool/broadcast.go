package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"fandango/ipc"
)

// Broadcast gives t to every worker that serves, each once, in turn with its other tasks; see [ipc.Broadcaster]. A kept
// task is repeated on every worker that starts later, in the order of the Broadcasts and before it takes a task; of one
// key only the newest is kept. A worker on which a kept task fails does not become ready, and says why; but a task that
// every worker has refused at once is not kept.
func (p *Pool) Broadcast(ctx context.Context, t ipc.Task, keep bool, done func([]ipc.Outcome)) error {
	if p.exec {
		return ipc.Errorf(ipc.KindInput, "pool %s starts one process per task: there is no worker to broadcast to", p.cfg.Name)
	}
	if t.Key != ipc.KeyBind {
		if err := p.check(&t); err != nil {
			return err
		}
	}
	t.Retries, t.Deadline = 0, 0
	p.mu.Lock()
	if err := p.refusal(); err != nil && p.phase >= drains {
		p.mu.Unlock()
		return err
	}
	if keep {
		p.kept = append(slices.DeleteFunc(p.kept, func(k ipc.Task) bool { return k.Key == t.Key }), t)
	}
	all := &gathering{done: func(outcomes []ipc.Outcome) {
		if keep && refused(outcomes) {
			p.forget(t)
		}
		done(outcomes)
	}}
	var begin []*worker
	for _, s := range p.places() {
		for _, w := range s.processes {
			if w.greeted && !isClosed(w.leave) {
				c := all.call(p, t)
				if w.order(c) {
					begin = append(begin, w)
				}
				defer c.watch(ctx, 0)
			}
		}
	}
	p.mu.Unlock()
	for _, w := range begin {
		w.wake()
	}
	all.closed()
	return nil
}

// refused says that every worker that was given a task has said that it failed.
func refused(outcomes []ipc.Outcome) bool {
	for _, o := range outcomes {
		if ipc.KindOf(o.Err) != ipc.KindTask {
			return false
		}
	}
	return len(outcomes) > 0
}

// forget keeps t no longer, unless a newer task of its key has taken its place.
func (p *Pool) forget(t ipc.Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = slices.DeleteFunc(p.kept, func(k ipc.Task) bool {
		return k.Key == t.Key && bytes.Equal(k.Target, t.Target) && bytes.Equal(k.Args, t.Args)
	})
}

// gathering collects the outcomes of one Broadcast.
type gathering struct {
	done func([]ipc.Outcome)

	mu       sync.Mutex
	outcomes []ipc.Outcome
	missing  int
	complete bool // all calls have been made
}

func (g *gathering) call(p *Pool, t ipc.Task) *call {
	g.missing++ // no call has begun yet
	c := p.newCall(t, func(o ipc.Outcome) {
		g.mu.Lock()
		g.outcomes = append(g.outcomes, o)
		g.missing--
		over := g.complete && g.missing == 0
		g.mu.Unlock()
		if over {
			g.done(g.outcomes)
		}
	})
	c.own = true
	return c
}

// closed says that all calls have been made.
func (g *gathering) closed() {
	g.mu.Lock()
	g.complete = true
	over := g.missing == 0
	g.mu.Unlock()
	if over {
		g.done(g.outcomes)
	}
}

// order needs pool.mu. It gives the worker a call of its own, and says whether the caller must wake it.
func (w *worker) order(c *call) bool {
	if w.flight.n > 0 {
		c.state, c.on = callOrdered, w
		w.orders = append(w.orders, c)
		return false
	}
	w.pool.dropIdle(w)
	w.assign(c)
	return true
}

// replay needs pool.mu. It orders what is kept, in front of all else; the last one that is done tells the watch by
// w.replayed. It says false when nothing is kept; else the caller wakes the worker.
func (w *worker) replay() bool {
	w.greeted = true
	kept := w.pool.kept
	var left atomic.Int64
	left.Store(int64(len(kept)))
	for _, t := range kept {
		c := w.pool.newCall(t, func(o ipc.Outcome) { // on the reader, or where the pool ends
			switch last := left.Add(-1) == 0; {
			case o.Err != nil:
				var e *ipc.Error
				if errors.As(o.Err, &e) && e.Exit != nil {
					return // it has ended, and that is news enough
				}
				w.fail(ipc.Errorf(ipc.KindTask, "what it is to repeat when it starts has failed: %s: %w", describe(t), o.Err))
			case last:
				w.replayed <- struct{}{}
			}
		})
		c.own = true
		c.state, c.on = callOrdered, w
		w.orders = append(w.orders, c)
	}
	w.fill()
	return w.flight.n > 0
}

func describe(t ipc.Task) string {
	if t.Key == ipc.KeyBind {
		return fmt.Sprintf("bind %s", t.Target)
	}
	return fmt.Sprintf("key %q", t.Key)
}

// take needs pool.mu. It is the worker's next call: its own orders come first.
func (w *worker) take() *call {
	for len(w.orders) > 0 {
		c := w.orders[0]
		w.orders = w.orders[1:]
		if c.state == callOrdered {
			return c
		}
	}
	switch {
	case !w.open:
		return nil
	case w.slot.canary:
		return w.pool.takeCaged()
	}
	return w.pool.takeWaiting()
}

// takeOrders needs pool.mu; the calls it returns are the caller's to finish.
func (w *worker) takeOrders() []*call {
	left := slices.DeleteFunc(w.orders, func(c *call) bool { return c.state != callOrdered })
	w.orders = nil
	for _, c := range left {
		c.state = callFinished
	}
	return left
}
