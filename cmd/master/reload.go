package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"fandango/cmd/master/shell"
)

// heedFile reads the file again as often as it is told to, until ctx ends.
func (d *daemon) heedFile(ctx context.Context, emit func(shell.Result)) {
	for {
		select {
		case <-d.reread:
			d.reload(ctx, emit)
		case <-ctx.Done():
			return
		}
	}
}

// reload makes what runs what the file says now. Workers that are new serve before those go that they replace. When the
// file is wrong, or new workers do not start, all stays as it was.
func (d *daemon) reload(ctx context.Context, emit func(shell.Result)) {
	file, errs := parse(d.file.Name)
	c := change{daemon: d, groups: map[string]*group{}}
	if len(errs) == 0 {
		if err := c.apply(ctx, file); err != nil {
			c.undo(ctx)
			errs = []error{err}
		}
	}
	if ctx.Err() != nil {
		return
	}
	for _, err := range errs {
		d.screen.Notef("%s", shell.Safe(err.Error()))
	}
	if len(errs) > 0 {
		d.screen.Notef("%s was read again; nothing has changed, because of what is wrong", shell.Safe(d.file.Name))
		return
	}
	before := d.file
	d.file = file
	c.keys(ctx, before, emit)
	for name, g := range d.named {
		if c.groups[name] != g {
			g.words.ending.Store(true)
			g.pool.Drain(d.grace)
		}
		if c.groups[name] == nil {
			c.told("group " + name + " ended")
		}
	}
	d.named = c.groups
	if len(c.words) == 0 {
		c.told("nothing has changed")
	}
	d.screen.Notef("%s was read again: %s", shell.Safe(file.Name), shell.Safe(strings.Join(c.words, "; ")))
}

// change is the way from one file to the next.
type change struct {
	*daemon
	groups map[string]*group // as they will be
	back   []func()          // each takes one step back
	words  []string          // what is different, for a person
}

func (c *change) told(words string) { c.words = append(c.words, words) }

// apply changes the workers. After an error, undo takes back what it has done.
func (c *change) apply(ctx context.Context, file *shell.File) error {
	for _, wanted := range file.Groups {
		has := c.named[wanted.Name]
		if has != nil && reflect.DeepEqual(rest(has.made), rest(wanted)) {
			if err := c.adapt(ctx, has, wanted); err != nil {
				return err
			}
			continue
		}
		g, err := c.newGroup(wanted)
		if err != nil {
			return fmt.Errorf("worker %s: %w", wanted.Name, err)
		}
		never := make(chan string, 1)
		g.words.never = never
		if !c.keep(ctx, g) {
			return errors.New("the master is ending")
		}
		c.back = append(c.back, func() {
			g.words.ending.Store(true)
			g.pool.Drain(0)
		})
		if err := c.await(ctx, g, never); err != nil {
			return fmt.Errorf("worker %s: %w", wanted.Name, err)
		}
		c.groups[wanted.Name] = g
		if has == nil {
			c.told("group " + wanted.Name + " started")
		} else {
			c.told("group " + wanted.Name + " started anew")
		}
	}
	return nil
}

// rest is a group without what can be changed while it serves.
func rest(g shell.Group) shell.Group {
	if g.MaxWorkers <= g.Workers {
		g.MaxWorkers = 0
	}
	if g.Command == nil { // else it is a bound on its cgroup
		g.Memory = 0
	}
	g.Command, g.Workers = nil, 0
	return g
}

// adapt changes the command and the number of a group's workers.
func (c *change) adapt(ctx context.Context, g *group, wanted shell.Group) error {
	before := g.made
	if !slices.Equal(before.Command, wanted.Command) || before.Memory != wanted.Memory {
		command, err := commandOf(wanted)
		if err != nil {
			return err
		}
		c.back = append(c.back, func() {
			if command, err := commandOf(before); err == nil {
				_ = g.pool.Reload(ctx, command) // it has worked before
			}
			g.words.setCommand(before.Command)
		})
		g.words.setCommand(wanted.Command)
		if err := g.pool.Reload(ctx, command); err != nil {
			c.back = c.back[:len(c.back)-1] // the pool has done so itself
			g.words.setCommand(before.Command)
			return err
		}
		c.told("group " + wanted.Name + " has a new command")
	}
	if from, to := number(before), number(wanted); from != to {
		if err := g.pool.Resize(to); err != nil {
			return err
		}
		c.back = append(c.back, func() { _ = g.pool.Resize(from) })
		c.told(fmt.Sprintf("group %s has %s, %d before", wanted.Name, shell.Plural(int64(to), "worker"), from))
	}
	g.made = wanted
	c.back = append(c.back, func() { g.made = before })
	c.groups[wanted.Name] = g
	return nil
}

// number is how many workers a group has at least.
func number(g shell.Group) int {
	if g.Workers == 0 {
		return runtime.NumCPU()
	}
	return g.Workers
}

// await waits until one of a group's workers serves.
func (c *change) await(ctx context.Context, g *group, never <-chan string) error {
	for !slices.ContainsFunc(g.pool.Workers(), serves) {
		select {
		case <-c.news:
		case words := <-never:
			c.screen.Note(words)
			return errors.New("its workers do not start")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// undo takes all steps back.
func (c *change) undo(ctx context.Context) {
	for _, back := range slices.Backward(c.back) {
		if ctx.Err() == nil {
			back()
		}
	}
}

// keys adds, changes and removes what the file does.
func (c *change) keys(ctx context.Context, before *shell.File, emit func(shell.Result)) {
	had := map[string]*shell.Add{}
	for _, a := range before.Adds {
		had[a.Task.Key] = a
	}
	var lines []*shell.Add
	var added, changed, removed []string
	for _, a := range c.file.Adds {
		old := had[a.Task.Key]
		delete(had, a.Task.Key)
		switch {
		case old == nil:
			added = append(added, a.Task.Key)
		case !same(old, a):
			changed = append(changed, a.Task.Key)
		default:
			continue
		}
		lines = append(lines, a)
	}
	for key := range had {
		removed = append(removed, key)
		_, _ = c.master.Pop(key) // it may have been refused when it was added
	}
	slices.Sort(removed)
	c.routes.set(c.file, c.groups) // no removed key is due any more, and no new one yet
	c.add(ctx, lines, emit)
	for _, k := range []struct {
		what string
		keys []string
	}{{"added", added}, {"changed", changed}, {"removed", removed}} {
		if len(k.keys) > 0 {
			c.told(k.what + " " + strings.Join(k.keys, ", "))
		}
	}
	c.pauses(before, changed)
}

// pauses begins the pauses of the file anew if they are others, and those of keys that were added anew.
func (c *change) pauses(before *shell.File, changed []string) {
	others := !slices.EqualFunc(before.Pauses, c.file.Pauses, func(a, b *shell.Pause) bool {
		return a.For == b.For && slices.Equal(a.Keys, b.Keys)
	})
	if others {
		_ = c.master.Resume() // of no key by name, so none is unknown
		c.told("other pauses")
	}
	c.pause(slices.DeleteFunc(slices.Clone(c.file.Pauses), func(p *shell.Pause) bool {
		return !others && !slices.ContainsFunc(p.Keys, func(key string) bool { return slices.Contains(changed, key) })
	}))
}

// same reports whether two lines ask for the same, wherever they stand and whoever does it.
func same(a, b *shell.Add) bool {
	x, y := *a, *b
	x.Line, y.Line, x.Group, y.Group = 0, 0, "", ""
	x.Cron, y.Cron = nil, nil // When says it
	return reflect.DeepEqual(x, y)
}
