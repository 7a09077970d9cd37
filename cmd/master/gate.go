package main

import (
	"context"
	"sync"

	"fandango/ipc"
)

// gate is a Runner that gives the one below no more tasks at once than it has workers. A pool gives a worker its next
// task before it tells the outcome of the last one; with a gate in front it has none to give, so that nothing starts
// after the first failure.
type gate struct {
	below  ipc.Runner
	failed func() // is told each failure, before the next task is let through

	mu      sync.Mutex // guards what follows
	free    int
	waiting []held
}

type held struct {
	ctx  context.Context //nolint:containedctx // this is the record of one call
	task ipc.Task
	done func(ipc.Outcome)
}

// Submit lets t through, or lets it wait.
func (g *gate) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	h := held{ctx, t, done}
	g.mu.Lock()
	wait := g.free == 0
	if wait {
		g.waiting = append(g.waiting, h)
	} else {
		g.free--
	}
	g.mu.Unlock()
	if wait {
		return nil
	}
	err := g.pass(h)
	if err != nil {
		g.next()
	}
	return err
}

func (g *gate) pass(h held) error {
	return g.below.Submit(h.ctx, h.task, func(o ipc.Outcome) {
		if o.Err != nil {
			g.failed()
		}
		h.done(o)
		g.next()
	})
}

// next uses a place that has become free.
func (g *gate) next() {
	for {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.free++
			g.mu.Unlock()
			return
		}
		h := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.mu.Unlock()
		err := g.pass(h)
		if err == nil {
			return
		}
		h.done(ipc.Outcome{Err: err})
	}
}
