package main

import (
	"context"
	"fmt"

	"fandango/cmd/master/shell"
	"fandango/ipc"
	"fandango/master"
)

// serve is "master serve".
func (c *console) serve(ctx context.Context, cmd *shell.Serve) int {
	file, ok := c.parse(cmd.File)
	if !ok {
		return exitUsage
	}
	s, err := c.newSession(cmd.Output, cmd.Grace, file.Groups)
	if err != nil {
		c.say("%v", err)
		return exitNoWorker
	}
	s.interruptGrace = cmd.Grace
	s.rule(s.route(file))
	b := &shell.Batch{
		Out: c.out, Screen: s.screen, Tally: &shell.Tally{},
		Format: cmd.Format, Columns: isTerminal(c.out), Traces: cmd.Verbose,
	}
	code := s.live(ctx, func(ctx context.Context) int { return s.follow(ctx, b, file) })
	if code == exitTerm || code == exitInterrupt && !s.killed.Load() {
		return exitOK // this is how a daemon ends
	}
	return code
}

// parse reads the file, and says all that is wrong with it.
func (c *console) parse(name string) (*shell.File, bool) {
	f, err := open(name)
	if err != nil {
		c.say("%v", err)
		return nil, false
	}
	defer f.Close()
	file, errs := shell.ParseFile(f, name)
	for _, err := range errs {
		c.say("%v", err)
	}
	return file, len(errs) == 0
}

// follow prints the values of the file's keys until ctx ends and the last runs have ended.
func (s *session) follow(ctx context.Context, b *shell.Batch, file *shell.File) int {
	printing, stopPrinting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPrinting()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		s.end()
		stopPrinting()
	}()
	err := b.Follow(printing, func(emit func(shell.Result)) {
		if !s.add(ctx, file, emit) {
			s.stop(stopError(exitUsage))
			return
		}
		if all, _ := s.workers(); !s.out.Quiet {
			s.screen.Notef("%s, %s", shell.Plural(int64(all), "worker"), shell.Plural(int64(len(file.Adds)), "key"))
		}
		s.screen.Watch(func() string { return s.status(b.Tally) })
		s.start(ctx)
	})
	if code := s.verdict(err, b.Tally); err != nil {
		s.stop(stopError(code))
	}
	<-ended
	s.screen.Watch(nil)
	if runs := b.Tally.Runs(); err == nil && runs > 0 && !s.out.Quiet {
		s.screen.Notef("stopped after %s, %d failed", shell.Plural(runs, "run"), b.Tally.Failed())
	}
	return exitOK
}

// add gives the master what the file asks for. It reports whether all of it was accepted.
func (s *session) add(ctx context.Context, file *shell.File, emit func(shell.Result)) (ok bool) {
	ok = true
	refuse := func(line int, verb string, err error) {
		if err != nil {
			s.screen.Notef("%s", shell.Safe(fmt.Sprintf("%s:%d: %s: %v", file.Name, line, verb, err)))
			ok = false
		}
	}
	for _, a := range file.Adds {
		err := s.master.Add(master.Entry{
			Task: a.Task, Every: a.Every, Expire: a.Expire, Once: a.Once,
			Then: func(v master.Value) {
				if v.Attempts > 0 || ctx.Err() == nil { // else the end overtook it
					emit(shell.Result{Key: v.Key, Outcome: v.Outcome, At: v.At})
				}
			},
		})
		refuse(a.Line, "add", err)
	}
	for _, p := range file.Pauses {
		refuse(p.Line, "pause", s.master.Pause(p.For, p.Keys...))
	}
	return ok
}

// status is one line about a daemon.
func (s *session) status(tally *shell.Tally) string {
	all, ready := s.workers()
	return fmt.Sprintf("  %d/%d workers   %s   %s   %d failed   %d running", ready, all,
		shell.Plural(int64(len(s.master.Keys())), "key"), shell.Plural(tally.Runs(), "run"), tally.Failed(), s.running())
}

// route is the runner that hands each key to the group that its line names, and to the first group when it names none.
func (s *session) route(file *shell.File) ipc.Runner {
	groups := map[string]ipc.Runner{"": s.pools[0]}
	for i, g := range file.Groups {
		groups[g.Name] = s.pools[i]
	}
	r := router{}
	for _, a := range file.Adds {
		r[a.Task.Key] = groups[a.Group]
	}
	return r
}

// router knows who runs which key.
type router map[string]ipc.Runner

// Submit hands t to its key's runner.
func (r router) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	runner, ok := r[t.Key]
	if !ok {
		return ipc.Errorf(ipc.KindInput, "key %q has no workers", t.Key)
	}
	return runner.Submit(ctx, t, done)
}
