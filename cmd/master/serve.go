package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fandango/cmd/master/shell"
	"fandango/ipc"
	"fandango/master"
)

// daemon is a session that serves a file.
type daemon struct {
	*session
	file   *shell.File
	named  map[string]*group
	routes routes
	values lookout
	tally  shell.Tally
}

// serve is "master serve".
func (c *console) serve(ctx context.Context, cmd *shell.Serve) int {
	file, errs := parse(cmd.File)
	for _, err := range errs {
		c.say("%v", err)
	}
	if len(errs) > 0 {
		return exitUsage
	}
	if slices.ContainsFunc(file.Adds, func(a *shell.Add) bool { return a.Cron != nil && a.Cron.Zone() == time.Local }) {
		c.heedZone(time.Local)
	}
	s, err := c.newSession(cmd.Output, cmd.Grace, file.Groups)
	if err != nil {
		return c.unmade(err)
	}
	s.interruptGrace = cmd.Grace
	s.reread = make(chan struct{}, 1)
	d := &daemon{session: s, file: file, named: map[string]*group{}}
	d.values.running, d.values.tell = s.runners, func(words string) { s.screen.Notef("%s", words) }
	for _, g := range s.groups {
		d.named[g.made.Name] = g
	}
	d.routes.set(file, d.named)
	s.rule(&d.routes)
	b := &shell.Batch{
		Out: c.out, Screen: s.screen, Tally: &d.tally,
		Format: cmd.Format, Columns: isTerminal(c.out), Traces: cmd.Verbose,
	}
	code := s.live(ctx, func(ctx context.Context) int { return d.follow(ctx, b) })
	if code == exitTerm || code == exitInterrupt && !s.killed.Load() {
		return exitOK // this is how a daemon ends
	}
	return code
}

// parse reads the file, and tells all that is wrong with it.
func parse(name string) (*shell.File, []error) {
	f, err := open(name)
	if err != nil {
		return nil, []error{err}
	}
	defer f.Close()
	return shell.ParseFile(f, name)
}

// follow prints the values of the file's keys until ctx ends and the last runs have ended.
func (d *daemon) follow(ctx context.Context, b *shell.Batch) int {
	printing, stopPrinting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPrinting()
	ended := make(chan struct{})
	var looking sync.WaitGroup
	err := b.Follow(printing, func(emit func(shell.Result)) {
		go func() {
			defer close(ended)
			d.heedFile(ctx, emit)
			d.end()
			stopPrinting()
		}()
		if !d.add(ctx, d.file.Adds, emit) || !d.pause(d.file.Pauses) {
			d.stop(stopError(exitUsage))
			return
		}
		if all, _ := d.workers(); !d.out.Quiet {
			d.screen.Notef("%s, %s", shell.Plural(int64(all), "worker"), d.file.Counts())
		}
		d.screen.Watch(d.status)
		d.start(ctx)
		looking.Go(func() { d.values.run(ctx, d.master.All()) })
	})
	if code := d.verdict(err, b.Tally); err != nil {
		d.stop(stopError(code))
	}
	<-ended
	looking.Wait()
	d.screen.Watch(nil)
	if runs := d.tally.Runs(); err == nil && runs > 0 && !d.out.Quiet {
		d.screen.Notef("stopped after %s, %d failed", shell.Plural(runs, "run"), d.tally.Failed())
	}
	return exitOK
}

// add gives the master what lines of the file ask for. It reports whether all of it was accepted.
func (d *daemon) add(ctx context.Context, adds []*shell.Add, emit func(shell.Result)) (ok bool) {
	ok = true
	for _, a := range adds {
		err := d.master.Add(master.Entry{
			Task: a.Task, Every: a.Every, Stagger: a.Stagger, Cron: a.Cron, Missed: a.Missed, Expire: a.Expire, Once: a.Once,
			Then: func(v master.Value) {
				overtaken := v.Attempts == 0 && ctx.Err() != nil   // by the end
				replaced := ipc.KindOf(v.Err) == ipc.KindCancelled // by another file
				if !overtaken && !replaced {
					emit(shell.Result{Key: v.Key, Outcome: v.Outcome, At: v.At})
				}
			},
		})
		ok = d.accepted(a.Line, a.Verb(), err) && ok
	}
	return ok
}

// pause does what lines of the file ask for. It reports whether all of it was accepted.
func (d *daemon) pause(pauses []*shell.Pause) (ok bool) {
	ok = true
	for _, p := range pauses {
		ok = d.accepted(p.Line, "pause", d.master.Pause(p.For, p.Keys...)) && ok
	}
	return ok
}

func (d *daemon) accepted(line int, verb string, err error) bool {
	if err != nil {
		d.screen.Notef("%s", shell.Safe(fmt.Sprintf("%s:%d: %s: %v", d.file.Name, line, verb, err)))
	}
	return err == nil
}

// status is one line about a daemon.
func (d *daemon) status() string {
	all, ready := d.workers()
	return fmt.Sprintf("  %d/%d workers   %s%s   %s   %d failed   %d running", ready, all,
		shell.Plural(int64(len(d.master.Keys())), "key"), d.values.summary(), shell.Plural(d.tally.Runs(), "run"), d.tally.Failed(), d.running())
}

// routes is a Runner that hands each key to the group that its line names, and to the first group when it names none.
type routes struct {
	to atomic.Pointer[map[string]ipc.Runner]
}

func (r *routes) set(file *shell.File, groups map[string]*group) {
	to := map[string]ipc.Runner{}
	for _, a := range file.Adds {
		name := a.Group
		if name == "" {
			name = file.Groups[0].Name
		}
		to[a.Task.Key] = groups[name].pool
	}
	r.to.Store(&to)
}

// Submit hands t to its key's workers; once more when these have ended before it ran, and it has others now.
func (r *routes) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	runner, ok := (*r.to.Load())[t.Key]
	if !ok {
		return ipc.Errorf(ipc.KindInput, "key %q has no workers", t.Key)
	}
	return runner.Submit(ctx, t, func(o ipc.Outcome) {
		late := o.Attempts == 0 && ipc.KindOf(o.Err) == ipc.KindClosed
		if late && (*r.to.Load())[t.Key] != runner && r.Submit(ctx, t, done) == nil {
			return
		}
		done(o)
	})
}
