// Package proc is the only room that starts, signals and waits for processes.
//
// A [Spawner] starts them, all from goroutines that are locked to their threads; a [Process] is one of them with its
// three pipes and its process group. The order of an end is always the same, and this package exists to make it hold:
// the leader ends ([Process.Exited]), what it wrote is read, the rest of its group is killed, and only then is the
// leader reaped ([Process.Reap]); so no signal ever goes to a number that the system has given to somebody else.
package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Spec says what to start.
type Spec struct {
	Command []string // the program and its arguments; never given to a shell
	Env     []string // its whole environment
	Dir     string   // its working directory; "": the caller's
	Confine *Confine // what it may take; nil: as much as the caller
	// Cgroup is a delegated directory of cgroup v2. The process begins in a new group there, which is called as Name and a
	// number, and whose end is that of all that is in it; Memory and Processes of Confine bound that group. "": none.
	Cgroup string
	Name   string
}

// Spawner starts processes. A parent-death signal is sent when the thread that started the child ends, not when the
// process does; so all starts happen on threads that live as long as the Spawner runs.
type Spawner struct {
	threads int
	starts  chan start
	ended   chan struct{}

	mu    sync.Mutex // guards found
	found found
}

// found is where a program was found, when, and in which PATH.
type found struct {
	name, path, in string
	at             time.Time
}

// foundFor is how long a place in the PATH is believed: that has many directories, and a process per task looks often.
const foundFor = time.Second

// start asks a thread for what has to be the thread's: all else has been prepared.
type start struct {
	cmd   *exec.Cmd
	reply chan<- error // 1-buffered
}

// NewSpawner makes a Spawner that starts so many processes side by side, at least 1: a thread waits until the child has
// become the program that it is to be. It starts nothing until Run.
func NewSpawner(threads int) *Spawner {
	return &Spawner{threads: max(1, threads), starts: make(chan start), ended: make(chan struct{})}
}

// ErrSpawnerEnded is the error of a Start whose Spawner no longer runs.
var ErrSpawnerEnded = errors.New("the spawner has ended")

// Run serves Start until stop is closed. Close it only when every process has been reaped: the system kills those that
// are left when Run returns.
func (s *Spawner) Run(stop <-chan struct{}) {
	defer close(s.ended)
	var serving sync.WaitGroup
	for range s.threads {
		serving.Go(func() { s.serve(stop) })
	}
	serving.Wait()
}

// serve starts what it is asked to, on a thread of its own.
func (s *Spawner) serve(stop <-chan struct{}) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	for {
		select {
		case r := <-s.starts:
			r.reply <- startAccounted(func() (int, error) {
				if err := r.cmd.Start(); err != nil {
					return 0, err
				}
				return r.cmd.Process.Pid, nil
			})
		case <-stop:
			return
		}
	}
}

// Start starts a process in a session of its own, with pipes for its stdin, stdout and stderr and no other descriptor.
func (s *Spawner) Start(spec Spec) (*Process, error) {
	look := false
	for begun := time.Now(); ; {
		p, err := s.startOnce(spec, look)
		switch {
		case errors.Is(err, os.ErrNotExist) && !look:
			look = true // it may have moved to another directory
		// A program that was just written may still be open for writing in a child that another thread is forking
		// (golang/go#22315): that passes.
		case errors.Is(err, syscall.ETXTBSY) && time.Since(begun) < textBusy:
			<-time.After(10 * time.Millisecond)
		default:
			return p, err
		}
	}
}

// command prepares a command. Where its program is it knows from last time, unless that is long ago or it is to look.
func (s *Spawner) command(words []string, look bool) *exec.Cmd {
	in := os.Getenv("PATH")
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := &s.found; !look && f.name == words[0] && f.in == in && time.Since(f.at) < foundFor {
		return &exec.Cmd{Path: f.path, Args: words}
	}
	cmd := exec.Command(words[0], words[1:]...)
	if cmd.Err == nil {
		s.found = found{words[0], cmd.Path, in, time.Now()}
	}
	return cmd
}

// onThread has one of the spawner's threads start a command.
func (s *Spawner) onThread(cmd *exec.Cmd) error {
	reply := make(chan error, 1)
	select {
	case s.starts <- start{cmd, reply}:
	case <-s.ended:
		return ErrSpawnerEnded
	}
	return <-reply
}

// Find tells in words why a program cannot be started, before anything is. Nil is no promise that it can.
func Find(name string) error {
	_, err := exec.LookPath(name)
	switch {
	case err == nil:
		return nil
	case filepath.Base(name) == name:
		return fmt.Errorf("worker %s: not found in PATH (%s): %w", name, os.Getenv("PATH"), err)
	}
	if info, statErr := os.Stat(name); statErr == nil && info.IsDir() {
		return fmt.Errorf("worker %s: it is a directory: %w", name, err)
	}
	return fmt.Errorf("worker %s: %w", name, err)
}

// Process is one started process. Its owner reads Stdout and Stderr to their ends, waits for Exited, and calls Reap
// exactly once.
type Process struct {
	Stdin  *os.File // our ends; this takes write deadlines,
	Stdout *Output
	Stderr *os.File // and this read deadlines

	cmd     *exec.Cmd
	cgroup  *cgroup // nil: none of its own
	begun   time.Time
	exited  chan struct{}
	watched sync.WaitGroup // the goroutine that watches for the exit
	waitErr error          // of a wait that reaped, where waiting and reaping are one
	widened atomic.Bool    // Widen was called, and has done it
	mu      sync.Mutex     // guards reaped
	reaped  bool           // the process number is no longer ours: signal nobody
}

// widePipes is how many pipes of this program Widen has widened.
var widePipes atomic.Int32

// textBusy bounds the retries of a start whose program is being written at that moment.
const textBusy = time.Second

func (s *Spawner) startOnce(spec Spec, look bool) (p *Process, err error) {
	command, confine := spec.Command, spec.Confine
	var group *cgroup
	if spec.Cgroup != "" {
		if group, err = makeCgroup(spec.Cgroup, spec.Name, confine); err != nil {
			return nil, fmt.Errorf("start %s: %w", spec.Command[0], err)
		}
		defer func() {
			if err != nil {
				group.remove()
			}
		}()
		confine = confine.beside()
	}
	if confine != nil {
		if command, err = confined(command, confine); err != nil {
			return nil, fmt.Errorf("start %s: %w", spec.Command[0], err)
		}
	}
	cmd := s.command(command, look)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = spec.Env, spec.Dir, attributes()
	if group != nil {
		entered, err := group.enter(cmd.SysProcAttr)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", spec.Command[0], err)
		}
		defer entered()
	}

	p = &Process{cmd: cmd, cgroup: group, exited: make(chan struct{})}
	theirs, err := p.connect()
	defer closeAll(theirs[:]) // the child has its own copies
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("start %s: %w", spec.Command[0], err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	p.begun = time.Now()
	err = s.onThread(cmd)
	if err != nil {
		p.Close()
		return nil, group.explain(explain(spec, err))
	}
	p.watched.Go(func() {
		p.watch()
		close(p.exited)
	})
	return p, nil
}

// connect makes the pipes, and returns the other ends of those that it could make.
func (p *Process) connect() (theirs [3]*os.File, err error) {
	if theirs[0], p.Stdin, err = pipe(true); err == nil {
		theirs[1], p.Stdout, err = output()
	}
	if err == nil {
		theirs[2], p.Stderr, err = pipe(false)
	}
	return theirs, err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Rest reads a pipe; after its deadline, what is there and no more. A pipe that was closed has ended.
type Rest struct{ File *os.File }

func (r Rest) Read(b []byte) (int, error) {
	n, err := r.File.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		n, err = ReadNow(r.File, b)
	}
	if errors.Is(err, os.ErrClosed) {
		return n, io.EOF
	}
	return n, err
}

// PID is the number of the process, which is also that of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended. What it wrote is still in its pipes.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Signal sends a signal to the whole group. A group that has gone is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reaped:
		return nil
	case sig == syscall.SIGKILL:
		return p.kill()
	}
	return p.signalGroup(sig)
}

// kill needs p.mu. It ends the process group, and all that is in the control group, sessions of its own included.
func (p *Process) kill() error {
	err := p.signalGroup(syscall.SIGKILL)
	if p.cgroup != nil {
		p.cgroup.kill()
	}
	return err
}

// Kill ends the whole group, and all that is in its Cgroup, at once.
func (p *Process) Kill() { _ = p.Signal(syscall.SIGKILL) }

// Close closes our ends of the pipes of a process that is not waited for any more.
func (p *Process) Close() {
	closeAll([]*os.File{p.Stdin, p.Stderr})
	if p.Stdout != nil {
		_ = p.Stdout.Close()
	}
	if p.widened.Swap(false) {
		widePipes.Add(-2)
	}
}

// Exit is what the system knows of a process that has ended.
type Exit struct {
	Code   int           // the exit code; -1 when a signal ended it
	Signal int           // the signal that ended it; 0 when it exited
	Name   string        // the signal's name, "SIGSEGV"
	Core   bool          // the system says that it wrote a core file
	OOM    bool          // the system ended it, or one that it had started, because its Cgroup's memory was used up
	MaxRSS int64         // peak memory in bytes; 0 where unknown
	CPU    time.Duration // user and system time
	Uptime time.Duration // from its start to now
}

// Reap waits until the process has ended, kills what is left of its group and its Cgroup, takes its exit status and closes
// our ends of its pipes.
func (p *Process) Reap() Exit {
	<-p.exited
	p.watched.Wait()
	p.mu.Lock()
	_ = p.kill()
	p.reaped = true
	err := p.waitErr
	if p.cmd.ProcessState == nil {
		err = waitAccounted(p.PID(), p.cmd.Wait)
	}
	p.mu.Unlock()
	p.Close()
	exit := Exit{Code: -1, Uptime: time.Since(p.begun)}
	if p.cgroup != nil {
		exit.OOM = p.cgroup.oom()
		p.cgroup.remove()
	}
	state := p.cmd.ProcessState
	if state == nil { // the wait itself failed: somebody else has reaped it
		exit.Name = fmt.Sprint(err)
		return exit
	}
	exit.Code = state.ExitCode()
	exit.CPU = state.UserTime() + state.SystemTime()
	exit.describe(state)
	return exit
}
