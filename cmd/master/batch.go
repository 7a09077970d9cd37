package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"fandango/cmd/master/shell"
	"fandango/ipc"
	"fandango/master"
)

// batch is "master run".
func (c *console) batch(ctx context.Context, r *shell.Run) int {
	in, err := c.input(r)
	if err != nil {
		c.say("%v", err)
		return exitUsage
	}
	defer in.Close()
	source, err := shell.NewSource(in, r.Form)
	if err != nil {
		c.say("%v", err)
		return exitUsage
	}
	s, err := c.newSession(r.Output, r.Grace, []shell.Group{r.Group})
	if err != nil {
		c.say("%v", err)
		return exitNoWorker
	}
	s.rule(s.pools[0])
	tally := &shell.Tally{}
	b := &shell.Batch{
		Source: source, Out: c.out, Screen: s.screen, Tally: tally,
		Format: r.Format, Columns: isTerminal(c.out), Ordered: r.Ordered, Traces: r.Verbose,
		Send: func(ctx context.Context, t ipc.Task, then func(shell.Result)) error {
			s.start(ctx) // not before: an empty input needs no worker
			return s.master.Send(ctx, t, func(v master.Value) { then(shell.Result{Key: v.Key, Outcome: v.Outcome, At: v.At}) })
		},
	}
	return s.live(ctx, func(ctx context.Context) int {
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

// input opens what the tasks are read from.
func (c *console) input(r *shell.Run) (io.ReadCloser, error) {
	if r.File != "-" {
		return open(r.File)
	}
	if isTerminal(c.in) && !r.Quiet {
		c.say("reading tasks from the terminal, one a line; Ctrl-D ends")
	}
	return io.NopCloser(c.in), nil
}

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
