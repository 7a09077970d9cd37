package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Missing lists the mechanisms that this system lacks, for a person to read.
func Missing() []string {
	return []string{
		"no process groups: what a worker starts is not ended with it",
		"no parent-death signal: a worker whose master is killed ends when it reads the end of its stdin",
		"no SIGSTOP and no SIGTERM: a worker is asked by the end of its stdin, and then killed",
		"no way to ask what a worker has left unread: a task that was written counts as started",
		"no limits and no cgroups for workers: one that is to have any does not start",
		"no sweeper and no adoption of orphans: what a worker's child starts outside its group may be left behind",
		"no look at a worker's memory: recycling by memory does nothing",
		"no reading without waiting: what a worker wrote just before its end may be lost",
	}
}

// The signals that a worker gets. Only a kill does anything here.
const (
	Stop      = syscall.Signal(-1)
	Continue  = syscall.Signal(-1)
	Terminate = syscall.SIGTERM
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// SealDescriptors has nothing to call here: what this process has inherited may reach the processes that it starts.
func SealDescriptors() error { return nil }

// watch waits and reaps at once.
func (p *Process) watch() { p.waitErr = p.cmd.Wait() }

// signalGroup needs p.mu. There is no group: only the process is killed.
func (p *Process) signalGroup(sig syscall.Signal) error {
	if sig != syscall.SIGKILL {
		return errors.ErrUnsupported
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// AwaitStop cannot tell here.
func (p *Process) AwaitStop(time.Duration) bool { return false }

// Widen has nothing to call here: pipes stay as they are.
func (p *Process) Widen() (bytes int, ok bool) { return 0, false }

// Unread is not known here.
func (p *Process) Unread() (n int, ok bool) { return 0, false }

func (*Exit) describe(*os.ProcessState) {}

// ReadNow cannot read without waiting here, and so reads nothing.
func ReadNow(*os.File, []byte) (n int, err error) { return 0, os.ErrDeadlineExceeded }

// WriteNow cannot write without waiting here, and so writes nothing.
func WriteNow(*os.File, []byte) (n int, err error) { return 0, os.ErrDeadlineExceeded }

func explain(spec Spec, err error) error { return fmt.Errorf("start %s: %w", spec.Command[0], err) }

// RSS is not known here.
func (p *Process) RSS() (bytes int64, ok bool) { return 0, false }

// PeakRSS is not known here.
func PeakRSS() (bytes int64, ok bool) { return 0, false }

// View has nothing to tell here.
func (p *Process) View() string { return "" }

// Dump has no signal to send here.
func (p *Process) Dump(string) bool { return false }
