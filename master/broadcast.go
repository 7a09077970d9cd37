package master

import (
	"context"
	"fmt"
	"time"

	"fandango/ipc"
)

// broadcast is a task that every worker was given.
type broadcast struct {
	key   string
	then  func([]ipc.Outcome) // may be nil
	over  bool
	place node[*broadcast] // in core.broadcasts
}

// Broadcast gives a task to every worker that serves, each once. Then then is called once, on a goroutine of its key's
// as that of a Send, with one outcome for each of these workers; there may be none. nil: nobody is called. With keep,
// every worker that starts later is given the task before it takes another one; of each key the newest is kept. Without
// a target, the key is the target. Its outcomes are not stored in the data table.
//
// A broadcast takes a place in the queue until its callback has returned, and neither waits for a pending task of its
// key nor joins it; a Command does not wait for it. When ctx ends first, the workers' outcomes are of kind cancelled.
// When the master ends first, there is one outcome, of kind closed.
//
// When Broadcast returns an error, then is not called. It is of kind input when the runner is no [ipc.Broadcaster].
func (m *Master) Broadcast(ctx context.Context, t ipc.Task, keep bool, then func([]ipc.Outcome)) error {
	t, err := prepare(t)
	if err != nil {
		return err
	}
	if then != nil && m.cfg.Deliver != nil {
		here, key := then, t.Key
		then = func(all []ipc.Outcome) { m.elsewhere(func(Value) { here(all) })(Value{Key: key}) }
	}
	return m.broadcast(ctx, t, keep, then)
}

// Bind lets every worker construct an object of a class with args, also those that start later; it resolves the names of
// tasks from then on, in place of one that was bound before. Bind returns when each worker that serves has answered. Its
// error is that of the first worker on which it failed; a worker that starts later, and on which it fails, does not
// become ready.
func (m *Master) Bind(ctx context.Context, class string, args any) error {
	task, err := ipc.NewTask("bind", class, args)
	if err != nil {
		return err
	}
	task.Key = ipc.KeyBind
	told := make(chan []ipc.Outcome, 1) // 1-buffered: the callback never waits
	if err := m.broadcast(ctx, task, true, func(all []ipc.Outcome) { told <- all }); err != nil {
		return err
	}
	return failure("bind "+class, <-told) // also when ctx ends: the runner ends the tasks and says how
}

// failure is the error of the first outcome that has one.
func failure(what string, all []ipc.Outcome) error {
	var first *ipc.Outcome
	failed := 0
	for i := range all {
		if all[i].Err != nil {
			if failed++; first == nil {
				first = &all[i]
			}
		}
	}
	switch {
	case first == nil:
		return nil
	case first.Worker != "":
		what += ": worker " + first.Worker
	}
	if failed > 1 {
		what += fmt.Sprintf(", and %d more", failed-1)
	}
	return ipc.Errorf(ipc.KindOf(first.Err), "%s: %w", what, first.Err)
}

func (m *Master) broadcast(ctx context.Context, t ipc.Task, keep bool, then func([]ipc.Outcome)) error {
	r, ok := m.runner.(ipc.Broadcaster)
	if !ok {
		return ipc.Errorf(ipc.KindInput, "key %s: cannot be given to every worker: %T is no ipc.Broadcaster", quote(t.Key), m.runner)
	}
	b := &broadcast{key: t.Key, then: then}
	b.place.it = b
	var err error
	m.do(func(c *core, _ time.Time, _ *effects) { err = c.announce(b) })
	if err != nil {
		return err
	}
	err = r.Broadcast(ctx, t, keep, func(all []ipc.Outcome) {
		m.do(func(c *core, now time.Time, _ *effects) { c.answered(b, all, now) })
	})
	if err == nil {
		return nil
	}
	told := false
	m.do(func(c *core, _ time.Time, _ *effects) { told = !c.revoke(b) })
	if told {
		return nil
	}
	return err
}

// announce accepts a broadcast or says why not.
func (c *core) announce(b *broadcast) error {
	if err := c.admit(b.key); err != nil {
		c.stats.Refused++
		return err
	}
	c.stats.Held++
	c.broadcasts.push(&b.place)
	return nil
}

// revoke takes back a broadcast that the runner refused. It returns false when its callback has an outcome already.
func (c *core) revoke(b *broadcast) bool {
	if b.over {
		return false
	}
	b.over = true
	c.broadcasts.drop(&b.place)
	c.stats.Held--
	c.stats.Refused++
	return true
}

// answered puts the callback of a broadcast in line, behind those of its key. A second answer is ignored.
func (c *core) answered(b *broadcast, all []ipc.Outcome, now time.Time) {
	if b.over {
		return
	}
	b.over = true
	c.broadcasts.drop(&b.place)
	if b.then == nil {
		c.stats.Held--
		return
	}
	then := b.then
	w := &waiter{run: &run{row: c.row(b.key), result: &result{at: now}, over: true}, then: func(Value) { then(all) }}
	w.place.it = w
	c.deliver(w)
}
