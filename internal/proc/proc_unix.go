//go:build unix

package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// signalGroup needs p.mu.
func (p *Process) signalGroup(sig syscall.Signal) error {
	err := syscall.Kill(-p.PID(), sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// The signals that a worker gets.
const (
	Stop      = syscall.SIGSTOP
	Continue  = syscall.SIGCONT
	Terminate = syscall.SIGTERM
)

// Dump sends the process, and nobody else of its group, a signal that makes it print its stacks, and lets the group go on
// so that it can. It does nothing and says false for a name that is no such signal.
func (p *Process) Dump(name string) bool {
	switch name {
	case "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2":
	default:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped || p.cmd.Process.Signal(unix.SignalNum(name)) != nil {
		return false
	}
	return p.signalGroup(Continue) == nil
}

func (exit *Exit) describe(state *os.ProcessState) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		exit.Signal, exit.Name, exit.Core = int(status.Signal()), unix.SignalName(status.Signal()), status.CoreDump()
	}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		exit.MaxRSS = int64(usage.Maxrss) * maxRSSUnit //nolint:unconvert // it has 32 bits on some systems
	}
}

// ReadNow reads what is in a pipe at this moment. It returns os.ErrDeadlineExceeded when that is nothing, and io.EOF at
// the end. Unlike File.Read it still reads when the file's deadline has passed.
func ReadNow(f *os.File, b []byte) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := conn.Control(func(fd uintptr) {
		for {
			n, err = syscall.Read(int(fd), b)
			if !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	switch {
	case cerr != nil:
		return 0, cerr
	case errors.Is(err, syscall.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// WriteNow writes as much as a pipe takes at this moment. When that is not all, the error is os.ErrDeadlineExceeded.
func WriteNow(f *os.File, b []byte) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := conn.Control(func(fd uintptr) {
		for n < len(b) {
			var wrote int
			wrote, err = syscall.Write(int(fd), b[n:])
			if wrote > 0 {
				n += wrote
			}
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	switch {
	case cerr != nil:
		return n, cerr
	case errors.Is(err, syscall.EAGAIN):
		return n, os.ErrDeadlineExceeded
	case err != nil:
		return n, os.NewSyscallError("write", err)
	}
	return n, nil
}

// explain says what a start's error hides: that a program is there, but its working directory or its interpreter is not.
func explain(spec Spec, err error) error {
	name := spec.Command[0]
	if spec.Dir != "" {
		if info, dirErr := os.Stat(spec.Dir); dirErr != nil {
			return fmt.Errorf("start %s: its working directory: %w", name, dirErr)
		} else if !info.IsDir() {
			return fmt.Errorf("start %s: its working directory %s is none: %w", name, spec.Dir, err)
		}
	}
	if errors.Is(err, syscall.ENOEXEC) {
		return fmt.Errorf("start %s: it is no program for this machine, or a script without a first line like #!/bin/sh: %w", name, err)
	}
	path, lookErr := exec.LookPath(name)
	if !errors.Is(err, syscall.ENOENT) || lookErr != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	f, openErr := os.Open(path) //nolint:gosec // the command is the caller's own
	if openErr != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	interpreter, script := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "#!")
	if !script {
		return fmt.Errorf("start %s: %w", name, err)
	}
	if strings.HasSuffix(interpreter, "\r") {
		return fmt.Errorf("start %s: its first line ends in a carriage return, so that no interpreter %q is found: "+
			"save it with Unix line ends: %w", name, interpreter, err)
	}
	program, _, _ := strings.Cut(strings.TrimSpace(interpreter), " ")
	if _, statErr := os.Stat(program); statErr == nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return fmt.Errorf("start %s: its interpreter %q is not there: %w", name, strings.TrimSpace(interpreter), err)
}
