package master

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"fandango/ipc"
)

// epoch counts the sends that were accepted between two Commands. A Command may begin when its epoch and all older ones
// are at 0.
type epoch struct {
	number  int
	pending int
	orders  []*order
	younger *epoch
}

// order is a Command that waits.
type order struct {
	epoch    *epoch     // nil: it waits no longer
	released chan error // 1-buffered; nil: begin
	verdict  error
}

// command lets a Command wait for what is pending now.
func (c *core) command(o *order, now time.Time, fx *effects) {
	if c.closed {
		o.verdict = closed("the command")
		fx.released = append(fx.released, o)
		return
	}
	e := c.newest
	o.epoch = e
	e.orders = append(e.orders, o)
	c.newest = &epoch{number: e.number + 1}
	e.younger = c.newest
	c.orders++
	c.turn(fx)
	if c.orders > 0 {
		for row := range c.gated { // nothing is full while a Command waits
			c.advance(row, now, fx)
		}
	}
}

// turn releases the Commands of the oldest epochs that have nothing pending.
func (c *core) turn(fx *effects) {
	for c.oldest.pending == 0 && c.oldest != c.newest {
		c.release(c.oldest, nil, fx)
		c.oldest = c.oldest.younger
	}
}

func (c *core) release(e *epoch, verdict error, fx *effects) {
	for _, o := range e.orders {
		if o.epoch != nil {
			o.epoch, o.verdict = nil, verdict
			c.orders--
			if verdict == nil {
				c.commands++
			}
			fx.released = append(fx.released, o)
		}
	}
	e.orders = nil
}

// countermand takes back a Command that waits, and returns the epoch that it waits for; nil when it waits no longer.
func (c *core) countermand(o *order) *epoch {
	e := o.epoch
	if e != nil {
		o.epoch = nil
		c.orders--
		e.orders = slices.DeleteFunc(e.orders, func(x *order) bool { return x == o })
	}
	return e
}

// appendKey appends the key of a row that has a send of an epoch, or of an older one, without an outcome.
func (e *epoch) appendKey(_ *core, keys []string, row *row, _ time.Time) []string {
	for r := range row.runs {
		for w := range r.waiters.all {
			if w.entry == nil && w.epoch.number <= e.number {
				return append(keys, row.key)
			}
		}
	}
	return keys
}

// Command runs target with args when every Send that was accepted before it has its outcome, and returns the result.
// Callbacks, runs of entries and other Commands do not count, so it may be called in a callback. It has a result of its
// own, whatever else runs. When ctx ends first, the error is of kind cancelled and names the keys that it waited for.
func (m *Master) Command(ctx context.Context, target, args any) (ipc.Raw, error) {
	task, err := ipc.NewTask("", target, args)
	if err != nil {
		return nil, err
	}
	name := cut(task.Target)
	task.Key = fmt.Sprintf("%s (command %d)", name, m.commands.Add(1))
	o := &order{released: make(chan error, 1)}
	m.do(func(c *core, now time.Time, fx *effects) { c.command(o, now, fx) })
	if err := m.wait(ctx, o, name); err != nil {
		return nil, err
	}
	defer m.do((*core).commanded)
	outcome := make(chan ipc.Outcome, 1) // 1-buffered: the runner never waits
	if err := m.runner.Submit(ctx, task, func(o ipc.Outcome) { outcome <- o }); err != nil {
		return nil, err
	}
	select {
	case o := <-outcome: // also when ctx ends: the runner ends the task and says how
		return o.Value, o.Err
	case <-m.gone:
		return nil, closed("command " + name)
	}
}

// wait waits until a Command may begin.
func (m *Master) wait(ctx context.Context, o *order, name string) error {
	select {
	case err := <-o.released:
		return err
	case <-ctx.Done():
	}
	m.mu.Lock()
	e := m.core.countermand(o)
	m.mu.Unlock()
	if e == nil {
		return <-o.released // it came in the same moment
	}
	var keys []string
	for part := range gather(m, e.appendKey) {
		keys = append(keys, part...)
	}
	slices.Sort(keys)
	return ipc.Errorf(ipc.KindCancelled, "command %s: waited for %s: %w", name, some(keys), context.Cause(ctx))
}

// commanded notes that a Command has ended.
func (c *core) commanded(time.Time, *effects) { c.commands-- }

// cut is a target as a part of a key.
func cut(target ipc.Raw) string {
	const most = 400
	name, ok := target.Text()
	if !ok {
		name = target.String()
	}
	if len(name) <= most {
		return strings.ToValidUTF8(name, "?")
	}
	n := most
	for !utf8.RuneStart(name[n]) && n > 0 {
		n--
	}
	return strings.ToValidUTF8(name[:n], "?") + "…"
}

// some names a few keys.
func some(keys []string) string {
	const few = 10
	switch {
	case len(keys) == 0:
		return "nothing more"
	case len(keys) > few:
		return fmt.Sprintf("the outcomes of %q and %d more", keys[:few], len(keys)-few)
	}
	return fmt.Sprintf("the outcomes of %q", keys)
}
