package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fandango/cmd/master/shell"
	"fandango/ipc"
	"fandango/pool"
)

// narrator words what happens to the workers of one group, for a person.
type narrator struct {
	session *session
	wire    ipc.Wire
	never   chan<- string // 1-buffered: is told why no worker can be started
	ending  atomic.Bool   // the workers that end now were told to

	mu      sync.Mutex      // guards what follows: events come from several goroutines
	command []string        // nil: the built-in worker
	told    map[string]bool // workers whose text on stdout has been shown; "": that one is slow
	ready   bool            // some worker was ready once
}

// tell takes an event of the pool. It does not wait.
func (n *narrator) tell(e pool.Event) {
	switch e := e.(type) {
	case pool.Ready:
		n.mu.Lock()
		n.ready = true
		n.mu.Unlock()
		n.session.wake()
	case pool.Text:
		if n.first(e.Worker) {
			n.session.screen.Note(n.text(e))
		}
	case pool.SlowStart:
		if n.first("") { // the others will be as slow
			n.session.screen.Note(n.slow(e))
		}
	case pool.StartFailed:
		n.session.wake()
		if n.wasReady() && (e.Attempt == 1 || e.Next < 0) {
			n.session.screen.Note(n.failed(e))
		}
	case pool.NeverReady:
		select {
		case n.never <- n.neverReady(e):
		default: // another group was first
		}
	case pool.Exited:
		if words := n.exited(e); words != "" {
			n.session.screen.Note(words)
		}
	case pool.Unhealthy:
		n.session.screen.Note(unhealthy(e))
	case pool.Healthy:
		n.session.screen.Notef("group %s is healthy again, after %s", e.Group, shell.Human(e.After))
	case pool.SetAside:
		n.session.screen.Note(setAside(e))
	case pool.Abandoned:
		n.session.screen.Note(abandoned(e))
	case pool.Started, pool.Stderr, pool.Resized: // in the log, with -v
	}
}

// first reports whether this is the first text of a worker, or, of "", the first slow one.
func (n *narrator) first(worker string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	told := n.told[worker]
	n.told[worker] = true
	return !told
}

func (n *narrator) wasReady() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ready
}

func (n *narrator) setCommand(command []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.command = command
}

// line is the worker's command, as a person would type it.
func (n *narrator) line() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.command == nil {
		return "built-in"
	}
	return shell.Safe(strings.Join(n.command, " "))
}

const mostWords = 10 // lines of a worker that are shown

func (n *narrator) text(e pool.Text) string {
	return fmt.Sprintf("master: worker %s (%s) wrote text to stdout, which is for answers:\n%s"+
		"        Logged and skipped; no answer was lost. Print to stderr instead.\n",
		e.Worker, n.line(), quoted(strings.Split(strings.TrimRight(string(e.Text), "\n"), "\n")))
}

func (n *narrator) slow(e pool.SlowStart) string {
	return fmt.Sprintf("master: worker %s (%s) has not answered its first request for %s\n        %s\n",
		e.Worker, n.line(), shell.Human(e.After), n.advice())
}

// advice is what the silence of a worker mostly comes from.
func (n *narrator) advice() string {
	if n.wire == ipc.JSON {
		return "does it flush stdout after each answer? does it speak msgpack (then without --wire json)?"
	}
	return "does it flush stdout after each answer? does it speak JSON lines (then: --wire json)?"
}

func (n *narrator) failed(e pool.StartFailed) string {
	next := "; it will not be tried again"
	switch {
	case e.Next >= 0:
		next = "; next try in " + shell.Human(e.Next)
	case e.Renewal:
		next = "; the one that it was to replace goes on"
	}
	return fmt.Sprintf("master: worker %s could not be started: %s%s\n", e.Worker, shell.Safe(e.Err.Error()), next) + lastWords(e.Err)
}

func (n *narrator) neverReady(e pool.NeverReady) string {
	s := fmt.Sprintf("master: no worker could be started: %s\n        ", n.line())
	if e.Err == nil {
		return s + fmt.Sprintf("%s, and no answer to the first request\n        %s\n", shell.Plural(int64(e.Starts), "start"), n.advice())
	}
	s += fmt.Sprintf("%s; the last one: %s\n", shell.Plural(int64(e.Starts), "start"), shell.Safe(e.Err.Error()))
	if ipc.KindOf(e.Err) == ipc.KindTimeout {
		s += fmt.Sprintf("        %s\n        or does it need longer? (then: --start-timeout)\n", n.advice())
	}
	return s + lastWords(e.Err)
}

// exited is nothing when the worker's end is no fault, or when the failure of its task says it all.
func (n *narrator) exited(e pool.Exited) string {
	var what string
	switch {
	case e.Retired, e.Key == "" && (n.session.ending.Load() || n.ending.Load()), n.session.killed.Load(), ipc.KindOf(e.Err) == ipc.KindTimeout, ipc.KindOf(e.Err) == ipc.KindCancelled,
		e.Key != "" && e.Err != nil && len(e.Exit.Stderr) == 0:
		return ""
	case e.Err != nil:
		what = "was ended: " + shell.Safe(e.Err.Error())
	default:
		what = "died (" + e.Exit.String() + ")"
	}
	if e.Key != "" && e.Err == nil {
		what += " on key \"" + shell.Safe(e.Key) + "\""
	}
	if e.Err == nil {
		what += ", after " + shell.Plural(int64(e.Exit.Served), "task")
	}
	if len(e.Exit.Stderr) == 0 {
		return fmt.Sprintf("master: worker %s %s\n", e.Worker, what)
	}
	return fmt.Sprintf("master: worker %s %s; its last words:\n%s", e.Worker, what, quoted(e.Exit.Stderr))
}

func unhealthy(e pool.Unhealthy) string {
	return fmt.Sprintf("master: group %s is unhealthy: %d lives of workers within %s came to nothing; it goes on trying, slowly. The last one:\n"+
		"        %s\n", e.Group, e.Failed, shell.Human(e.Within), shell.Safe(fmt.Sprint(e.Reason))) + lastWords(e.Reason)
}

func abandoned(e pool.Abandoned) string {
	return fmt.Sprintf("master: worker %s (process %d) is still there 5 s after SIGKILL: the kernel holds it. It is left to the system, "+
		"and another one is started:\n", e.Worker, e.PID) + shell.Quote(strings.Split(shell.Safe(e.View), "\n"))
}

func setAside(e pool.SetAside) string {
	return fmt.Sprintf("master: key \"%s\" is set aside until %s: its tasks have killed %s in a row; the last one:\n        %s\n",
		shell.Safe(e.Key), e.Until.Format(time.TimeOnly), shell.Plural(int64(e.Crashes), "worker"), shell.Safe(fmt.Sprint(e.Err)))
}

// lastWords are what a worker wrote to stderr before it ended.
func lastWords(err error) string {
	if e, ok := errors.AsType[*ipc.Error](err); ok && e.Exit != nil {
		return quoted(e.Exit.Stderr)
	}
	return ""
}

// quoted shows the last of some lines of a worker.
func quoted(lines []string) string { return shell.Quote(lines[max(0, len(lines)-mostWords):]) }
