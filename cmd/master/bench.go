package main

import (
	"context"
	"encoding/json"
	"errors"
	"syscall"

	"fandango/cmd/master/load"
	"fandango/cmd/master/shell"
	"fandango/internal/proc"
	"fandango/ipc"
	"fandango/pool"
)

// bench is "master bench".
func (c *console) bench(ctx context.Context, b *shell.Bench) int {
	l, err := b.Load()
	if err != nil {
		return c.wrong(&shell.UsageError{Verb: "bench", Message: err.Error()})
	}
	s, err := c.newSession(b.Output, b.Grace, []shell.Group{b.Group})
	if err != nil {
		return c.unmade(err)
	}
	workers := s.groups[0].pool
	s.rule(workers) // but the tasks go to the pool itself: a master's tables are no part of the road
	return s.live(ctx, func(ctx context.Context) int {
		s.screen.Watch(func() string {
			ended, since := l.Progress()
			return shell.BenchProgress(ended, b.Tasks, since)
		})
		s.start(ctx)
		s.gather(ctx, workers)
		err := l.Drive(ctx, workers)
		s.screen.Watch(nil)
		return s.tellMeasured(l, b, err, isTerminal(c.out))
	})
}

// gather waits until each worker serves, or has failed to start, and one serves; or until ctx ends.
func (s *session) gather(ctx context.Context, workers *pool.Pool) {
	for !assembled(workers) {
		select {
		case <-s.news:
		case <-ctx.Done():
			return
		}
	}
}

// tellMeasured prints what was measured until Drive ended with err, and returns the exit code.
func (s *session) tellMeasured(l *load.Load, b *shell.Bench, err error, columns bool) int {
	r := l.Report()
	r.Peer = "fandango"
	r.Workers, _ = s.workers()
	r.RSS, _ = proc.PeakRSS()
	if err != nil {
		r.Error, r.Kind = err.Error(), string(ipc.KindOf(err))
	}
	switch {
	case r.Tasks == 0 && err == nil:
		s.screen.Notef("nothing was measured: it ended before that")
	case r.Tasks == 0:
		s.screen.Notef("FAILED in the warm-up, nothing was measured: %s", shell.Safe(r.Error))
	case r.Error != "":
		s.screen.Notef("FAILED %d of %s, the first: %s", r.Failed, shell.Plural(r.Tasks, "task"), shell.Safe(r.Error))
	}
	var text []byte
	switch {
	case b.Format == shell.JSON && (r.Tasks > 0 || r.Error != ""):
		text, _ = json.Marshal(r) // it is made of numbers and strings
		text = append(text, '\n')
	case r.Tasks > 0:
		text = shell.AppendReport(nil, &r, columns)
	}
	bad := s.screen.Write(true, text)
	switch {
	case errors.Is(bad, syscall.EPIPE):
		return exitPipe
	case bad != nil:
		s.screen.Notef("%s", shell.Safe(bad.Error()))
		return exitFailed
	case r.Error != "":
		return exitFailed
	}
	return exitOK
}
