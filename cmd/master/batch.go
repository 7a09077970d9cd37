package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"fandango/cmd/master/shell"
	"fandango/executor/evalx"
	"fandango/ipc"
	"fandango/pool"
)

// batch is "master run".
func (c *console) batch(ctx context.Context, r *shell.Run) int {
	if r.Form.Expression && r.Form.Comma != 0 && r.Command == nil { // now, and not once for each row
		if err := evalx.CheckExpression(r.Form.Target); err != nil {
			return c.wrong(&shell.UsageError{Verb: "run", Message: "-t: " + err.Error()})
		}
	}
	in, err := c.input(r)
	if err != nil {
		c.say("%v", err)
		return exitUsage
	}
	defer in.Close()
	c.yield(r)
	source, err := shell.NewSource(in, r.Form)
	if err != nil {
		c.say("%v", err)
		return exitUsage
	}
	s, err := c.newSession(r.Output, r.Grace, []shell.Group{r.Group})
	if err != nil {
		return c.unmade(err)
	}
	s.bind = r.Bind
	workers := s.groups[0].pool
	runner := ipc.Runner(workers)
	if r.RetryFailures {
		runner = retrier{runner}
	}
	var halt func()
	if r.Halt != shell.HaltNever {
		halt = func() { s.halt(r.Halt) }
		all, _ := s.workers()
		runner = &gate{below: runner, free: max(all, r.MaxWorkers), failed: halt}
	}
	s.rule(runner)
	tally := &shell.Tally{}
	b := &shell.Batch{
		Source: source, Out: c.out, Screen: s.screen, Tally: tally,
		Format: r.Format, Columns: isTerminal(c.out), Ordered: r.Ordered, Traces: r.Verbose, Printed: r.Exec, All: r.All,
		Failed: halt,
	}
	return s.live(ctx, func(ctx context.Context) int {
		b.Send = s.toOne(ipc.Options{Retries: r.Retries, Idempotent: r.Idempotent})
		if r.All {
			b.Send = s.toAll(ctx, workers)
		}
		s.screen.Watch(func() string { return tally.Progress(s.running()) })
		err := b.Run(ctx)
		s.screen.Watch(nil)
		code := s.verdict(err, tally)
		if _, lost := errors.AsType[*shell.OutputError](err); !r.Quiet && !lost {
			all, _ := s.workers()
			s.screen.Note(tally.Summary(all))
		}
		return code
	})
}

// send is how a batch hands on a task.
type send = func(ctx context.Context, t ipc.Task, then func(shell.Result, ...shell.Result)) error

// toOne has one worker run a task, with what of the options every task of the batch has.
func (s *session) toOne(all ipc.Options) send {
	return func(ctx context.Context, t ipc.Task, then func(shell.Result, ...shell.Result)) error {
		s.start(ctx) // not before: an empty input needs no worker
		t.Retries, t.Idempotent = all.Retries, all.Idempotent
		return s.master.Submit(ctx, t, func(o ipc.Outcome) { then(shell.Result{Key: t.Key, Outcome: o, At: time.Now()}) })
	}
}

// toAll has every worker run a task, one task after the other. Before each one, workers that have died are waited for.
func (s *session) toAll(stopped context.Context, workers *pool.Pool) send {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, t ipc.Task, then func(shell.Result, ...shell.Result)) error {
		s.start(ctx)
		select {
		case turn <- struct{}{}:
		case <-stopped.Done():
			return ipc.Errorf(ipc.KindClosed, "stopped before it ran")
		}
		for !assembled(workers) {
			select {
			case <-s.news:
			case <-stopped.Done():
				return ipc.Errorf(ipc.KindClosed, "stopped before it ran")
			}
		}
		err := workers.Broadcast(ctx, t, false, func(all []ipc.Outcome) {
			if len(all) == 0 {
				all = []ipc.Outcome{{Err: ipc.Errorf(ipc.KindNoWorker, "no worker serves at the moment")}}
			}
			slices.SortFunc(all, func(a, b ipc.Outcome) int { // main/2 before main/10
				return cmp.Or(cmp.Compare(len(a.Worker), len(b.Worker)), cmp.Compare(a.Worker, b.Worker))
			})
			results := make([]shell.Result, len(all))
			for i, o := range all {
				results[i] = shell.Result{Key: t.Key, Outcome: o, At: time.Now()}
			}
			then(results[0], results[1:]...)
			<-turn
		})
		if err != nil {
			<-turn
		}
		return err
	}
}

// assembled reports whether each worker serves, or has failed to start, and one serves.
func assembled(p *pool.Pool) bool {
	serving := 0
	for _, w := range p.Workers() {
		switch {
		case serves(w):
			serving++
		case w.Err == nil && w.State != pool.StateStopped:
			return false
		}
	}
	return serving > 0
}

// input opens what the tasks are read from.
func (c *console) input(r *shell.Run) (io.ReadCloser, error) {
	if r.File != "-" {
		return open(r.File)
	}
	if c.typed(r) && !r.Quiet {
		c.say("reading tasks from the terminal, one a line; Ctrl-D ends")
	}
	return io.NopCloser(c.in), nil
}

// yield shows no progress while tasks are typed: it would be written over them.
func (c *console) yield(r *shell.Run) {
	if c.typed(r) && r.Progress == "auto" {
		r.Progress = "none"
	}
}

// typed reports whether the tasks are typed on a terminal.
func (c *console) typed(r *shell.Run) bool { return r.File == "-" && isTerminal(c.in) }

// open opens a file that is to be read.
func open(name string) (*os.File, error) {
	f, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is a directory", name), f.Close())
	}
	return f, nil
}

// verdict is the exit code of a batch that ended with err.
func (s *session) verdict(err error, tally *shell.Tally) int {
	output, bad := errors.AsType[*shell.OutputError](err)
	switch {
	case errors.Is(err, syscall.EPIPE) && bad: // quietly: this is how a pipe ends
		s.abort()
		return exitPipe
	case bad:
		s.screen.Notef("%s; what was still to come is lost", shell.Safe(output.Error()))
		s.abort()
		return exitFailed
	case err != nil:
		s.screen.Notef("the input could not be read to its end: %s", shell.Safe(err.Error()))
		return exitFailed
	case tally.Failed() > 0:
		return exitFailed
	}
	return exitOK
}
