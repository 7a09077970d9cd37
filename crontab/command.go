package crontab

import (
	"context"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// Command is a process to start; its Task does it once, each time it is called.
type Command struct {
	Args    []string      // the program and its arguments, as they are
	Stdin   string        // what it can read
	Env     []string      // its environment; nil: the caller's
	Dir     string        // its working directory; "": the caller's
	Timeout time.Duration // when it is ended. 0: never
	Grace   time.Duration // from the SIGTERM that asks it to end to the SIGKILL that does. 0: 2 s; below 0: none
	Keep    int           // how many bytes of its stdout and of its stderr are kept, the last ones. 0: 1 MiB
}

// Output is what a Command has left: the value of its Result, with and without an error.
type Output struct {
	Code   int    // its exit code; -1 when a signal ended it, or when it was not started
	Signal string // the name of that signal, "SIGKILL"; "" without one
	Stdout string
	Stderr string
	Cut    bool // it wrote more than was kept
}

// Shell is a Command for a line as a crontab has it, for /bin/sh (on Windows: cmd).
func Shell(line string) Task { return Command{Args: shell("", line)}.Task() }

// shell is the command line of a shell that does a line.
func shell(name, line string) []string {
	switch {
	case name != "":
	case runtime.GOOS == "windows":
		return []string{"cmd", "/c", line}
	default:
		name = "/bin/sh"
	}
	return []string{name, "-c", line}
}

// Task starts the process and waits for its end. It leads a group, and what is left of that is killed at its end. When the
// context ends, or the timeout has passed, the group is asked to end, and then killed.
//
// The value is an Output. The error has a kind: task for an exit code other than 0, crash when a signal ended it, timeout,
// cancelled, and no-worker when it could not be started. Where there was a process, its end is in the error's Exit.
func (c Command) Task() Task {
	if c.Grace == 0 {
		c.Grace = 2 * time.Second
	}
	if c.Keep <= 0 {
		c.Keep = 1 << 20
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	return func(ctx context.Context) (any, error) {
		out, err := c.run(ctx)
		return out, err // and not nil for an Output that is there
	}
}

func (c Command) run(ctx context.Context) (Output, error) {
	none := Output{Code: -1}
	if len(c.Args) == 0 || c.Args[0] == "" {
		return none, ipc.Errorf(ipc.KindInput, "a command without a program")
	}
	// The system kills a process when the thread that started it ends, so the spawner outlives it.
	spawner, stop := proc.NewSpawner(1), make(chan struct{})
	var spawning sync.WaitGroup
	spawning.Go(func() { spawner.Run(stop) })
	defer spawning.Wait()
	defer close(stop)
	process, err := spawner.Start(proc.Spec{Command: c.Args, Env: c.Env, Dir: c.Dir})
	if err != nil {
		return none, ipc.Errorf(ipc.KindNoWorker, "%w", err)
	}

	stdout, stderr := last{most: c.Keep}, last{most: c.Keep}
	var talking sync.WaitGroup
	talking.Go(func() { // it may read nothing for ever, or end without reading
		_, _ = io.WriteString(process.Stdin, c.Stdin)
		_ = process.Stdin.Close()
	})
	talking.Go(func() { _, _ = io.Copy(&stdout, process.Stdout) })
	talking.Go(func() { _, _ = io.Copy(&stderr, proc.Rest{File: process.Stderr}) })
	why := c.await(ctx, process)
	process.Kill() // what is left of its group, so that the end of its output comes
	past := time.Now()
	_ = process.Stdin.SetWriteDeadline(past)
	process.Stdout.Hurry(true)
	_ = process.Stderr.SetReadDeadline(past)
	talking.Wait()
	exit := process.Reap()

	out := Output{
		Code: exit.Code, Stdout: stdout.text(), Stderr: stderr.text(), Cut: stdout.cut || stderr.cut,
	}
	if exit.Signal != 0 {
		out.Signal = exit.Name
	}
	return out, verdict(why, exit, out.Stderr)
}

// await returns when the process has ended; with why it was ended, or nil.
func (c Command) await(ctx context.Context, process *proc.Process) *ipc.Error {
	var late <-chan time.Time
	if c.Timeout > 0 {
		timer := time.NewTimer(c.Timeout)
		defer timer.Stop()
		late = timer.C
	}
	var why *ipc.Error
	select {
	case <-process.Exited():
		return nil
	case <-late:
		why = ipc.Errorf(ipc.KindTimeout, "it was ended after %v", c.Timeout)
	case <-ctx.Done():
		why = ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))
	}
	if c.Grace > 0 && process.Signal(proc.Terminate) == nil {
		grace := time.NewTimer(c.Grace)
		defer grace.Stop()
		select {
		case <-process.Exited():
		case <-grace.C:
		}
	}
	process.Kill()
	<-process.Exited()
	return why
}

// verdict is the error of a run.
func verdict(why *ipc.Error, exit proc.Exit, stderr string) error {
	told := &ipc.Exit{
		Code: exit.Code, Signal: exit.Signal, Name: exit.Name, Core: exit.Core,
		MaxRSS: exit.MaxRSS, CPU: exit.CPU, Uptime: exit.Uptime,
	}
	told.Stderr = strings.Split(strings.TrimSpace(stderr), "\n")
	told.Stderr = told.Stderr[max(0, len(told.Stderr)-lastLines):]
	switch {
	case why != nil:
	case exit.Signal != 0:
		why = ipc.Errorf(ipc.KindCrash, "it died (%s)", told)
	case exit.Code != 0:
		why = ipc.Errorf(ipc.KindTask, "%s", told)
		if words := told.Stderr[len(told.Stderr)-1]; words != "" {
			why.Message += ": " + words
		}
	default:
		return nil
	}
	why.Exit = told
	return why
}

// lastLines of stderr are in an error.
const lastLines = 200

// last keeps the end of what is written to it.
type last struct {
	most int
	b    []byte
	cut  bool
}

func (l *last) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > 2*l.most {
		l.trim()
	}
	return len(p), nil
}

func (l *last) trim() {
	if over := len(l.b) - l.most; over > 0 {
		l.b = l.b[:copy(l.b, l.b[over:])]
		l.cut = true
	}
}

func (l *last) text() string {
	l.trim()
	return string(l.b)
}

// Send is a task for a Runner: a pool, a master, an executor of this process. The value is an ipc.Raw. Its errors are those
// of ipc.Do.
func Send(r ipc.Runner, task ipc.Task) Task {
	return func(ctx context.Context) (any, error) {
		value, err := ipc.Do(ctx, r, task)
		return value, err
	}
}
