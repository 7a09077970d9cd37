package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"fandango/cmd/master/shell"
	"fandango/ipc"
	"fandango/master"
)

// session is what a batch and a daemon share: pools of workers, a master over them, a screen, signals, and the order in
// which they begin and end.
type session struct {
	out            shell.Output
	grace          time.Duration
	interruptGrace time.Duration // how long running tasks may go on after Ctrl-C; below 0: to their end
	screen         *shell.Screen
	log            hclog.Logger
	master         *master.Master
	bind           *ipc.Task // what each worker does first; nil: nothing

	stop   context.CancelCauseFunc // begin nothing new; the cause is a stopError
	never  chan string             // 1-buffered: why no worker can be started, for a person
	news   chan struct{}           // 1-buffered: a worker is ready, or has failed to start
	reread chan struct{}           // 1-buffered: read the file again; nil: there is none
	gaveUp chan struct{}           // closed: the workers were killed, and something else does not end
	giveUp sync.Once
	killed atomic.Bool // it was told to end at once
	ending atomic.Bool // workers that end now were told to

	mu      sync.Mutex // guards what follows
	groups  []*group   // at first those that it was made with, in order
	started bool
	closed  bool // nothing is to be started any more
	endRule context.CancelFunc
	release func() // gives back what takeCharge has taken
	pooling sync.WaitGroup
	ruling  sync.WaitGroup
}

// stopError is why a session ends early, as an exit code.
type stopError int

func (c stopError) Error() string { return "exit code " + strconv.Itoa(int(c)) }

// newSession prepares everything and starts nothing. Its error is for unmade.
func (c *console) newSession(out shell.Output, grace time.Duration, groups []shell.Group) (*session, error) {
	s := &session{
		out: out, grace: grace, interruptGrace: -1, screen: c.screen(&out), log: hclog.NewNullLogger(),
		never: make(chan string, 1), news: make(chan struct{}, 1), gaveUp: make(chan struct{}),
	}
	if out.Verbose {
		s.log = hclog.New(&hclog.LoggerOptions{Name: "master", Level: hclog.Debug, Output: s.screen.Log()})
	}
	for _, g := range groups {
		made, err := s.newGroup(g)
		if err != nil {
			return nil, err
		}
		s.groups = append(s.groups, made)
	}
	return s, nil
}

// unmade says why there is no session: a worker's command cannot be started, or what a group was asked to be is wrong.
func (c *console) unmade(err error) int {
	c.say("%v", err)
	if ipc.KindOf(err) == ipc.KindInput {
		return exitUsage
	}
	return exitNoWorker
}

// rule gives the session its master, over a runner that reaches all its pools.
func (s *session) rule(r ipc.Runner) {
	s.master = master.New(r, master.Config{Event: func(e master.Event) {
		s.log.Warn("master", "event", fmt.Sprintf("%T%+v", e, e))
	}})
}

// live does the session's work with a screen, and signals that end work's ctx, around it. It returns the exit code: work's own,
// or that of the signal. Work calls start when it first needs the workers.
func (s *session) live(outer context.Context, work func(ctx context.Context) int) int {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(outer))
	defer stop(nil)
	s.stop = stop
	var showing, heeding sync.WaitGroup
	screen, hide := context.WithCancel(context.WithoutCancel(outer))
	defer hide()
	showing.Go(func() { s.screen.Run(screen) })
	signals, ignore := notify(s.reread == nil)
	defer ignore()
	over := make(chan struct{})
	heeding.Go(func() { s.heed(ctx, outer.Done(), signals, over) })

	done := make(chan int, 1) // 1-buffered: work may end when nobody waits for it any more
	go func() {
		code := work(ctx)
		s.end()
		done <- code
	}()
	var code int
	select {
	case code = <-done:
		close(over)
		heeding.Wait()
		hide()
		showing.Wait()
	case <-s.gaveUp: // what still runs ends with the process
	}
	if early, ok := errors.AsType[stopError](context.Cause(ctx)); ok {
		return int(early)
	}
	return code
}

// start starts the workers and the master. The second time it does nothing.
func (s *session) start(ctx context.Context) {
	s.mu.Lock()
	first := !s.started && !s.closed
	if first {
		s.started = true
		s.release = takeCharge(s.log.Warn)
		var rule context.Context
		rule, s.endRule = context.WithCancel(context.WithoutCancel(ctx))
		s.ruling.Go(func() { s.report(s.master.Run(rule)) })
	}
	groups := s.groups
	s.mu.Unlock()
	if !first {
		return
	}
	for _, g := range groups {
		s.keep(ctx, g)
	}
}

// end ends the workers, and then the master: so each task has its outcome, and each callback has been called.
func (s *session) end() {
	s.ending.Store(true)
	s.mu.Lock()
	s.closed = true
	started := s.started
	s.mu.Unlock()
	if !started {
		return
	}
	s.drain(s.grace)
	s.pooling.Wait()
	s.endRule()
	s.ruling.Wait()
	s.release()
}

// drain has all workers end, once they have finished what they run, or after grace.
func (s *session) drain(grace time.Duration) {
	for _, g := range s.all() {
		g.pool.Drain(grace)
	}
}

// report tells of a part that ended with an error.
func (s *session) report(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.screen.Notef("%s", shell.Safe(err.Error()))
	}
}

// heed obeys signals, and the news that no worker can be started, until over is closed.
func (s *session) heed(ctx context.Context, outer <-chan struct{}, signals <-chan os.Signal, over <-chan struct{}) {
	for {
		select {
		case sig := <-signals:
			s.obey(ctx, sig)
		case <-outer:
			outer = nil
			s.leave(ctx, exitTerm, s.grace)
		case words := <-s.never:
			s.screen.Note(words)
			s.stop(stopError(exitNoWorker))
			s.abort()
		case <-over:
			select {
			case sig := <-signals: // it came before the end: the exit code says so
				s.obey(ctx, sig)
			default:
			}
			return
		}
	}
}

func (s *session) obey(ctx context.Context, sig os.Signal) {
	switch meaning(sig) {
	case interrupt:
		s.leave(ctx, exitInterrupt, s.interruptGrace)
	case hangUp:
		if s.reread != nil {
			select {
			case s.reread <- struct{}{}:
			default: // it will be read anyhow
			}
			return
		}
		s.leave(ctx, exitTerm, s.grace)
	case terminate:
		s.leave(ctx, exitTerm, s.grace)
	case inform:
		s.screen.Ask()
	case nothing:
	}
}

// leave ends the session in order; when it is ending already, at once.
func (s *session) leave(ctx context.Context, code stopError, grace time.Duration) {
	if ctx.Err() != nil {
		s.abort()
		return
	}
	s.stop(code) // before the pools refuse what they have, so that it is known why
	s.ending.Store(true)
	may := "will finish"
	if grace >= 0 {
		may = "may finish within " + shell.Human(grace)
	}
	s.tellRunning("stopping", may, "Ctrl-C again")
	s.drain(grace)
}

// halt ends a batch that has had a failure, unless it is ending already.
func (s *session) halt(how shell.Halt) {
	if s.ending.Swap(true) {
		return
	}
	s.stop(stopError(exitFailed))
	if how == shell.HaltNow {
		s.tellRunning("halting after a failure", "will be ended", "")
		s.abort()
		return
	}
	s.drain(-1)
	s.tellRunning("halting after a failure", "will finish", "Ctrl-C")
}

// tellRunning says what becomes of the tasks that run, if there are any, and how they can be ended.
func (s *session) tellRunning(what, may, kill string) {
	n := s.running()
	switch {
	case n == 0:
		return
	case kill != "" && n == 1:
		kill = " (" + kill + " to kill it)"
	case kill != "":
		kill = " (" + kill + " to kill them)"
	}
	s.screen.Notef("%s: %s %s%s", what, shell.Plural(int64(n), "running task"), may, kill)
}

// patience is how long the rest may take once the workers are to be killed, which takes half a second.
const patience = 3 * time.Second

// abort kills the workers, and lets go of what does not end then: an output that nobody reads.
func (s *session) abort() {
	s.killed.Store(true)
	s.ending.Store(true)
	for _, g := range s.all() {
		g.pool.Abort()
	}
	s.giveUp.Do(func() { time.AfterFunc(patience, func() { close(s.gaveUp) }) })
}
