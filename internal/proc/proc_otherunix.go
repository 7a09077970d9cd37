//go:build unix && !linux

package proc

import (
	"runtime"
	"syscall"
	"time"
)

// maxRSSUnit is the unit of ru_maxrss in bytes: macOS counts bytes, the BSDs KiB.
var maxRSSUnit = map[bool]int64{true: 1, false: 1024}[runtime.GOOS == "darwin"]

// Missing lists the mechanisms that this system lacks, for a person to read.
func Missing() []string {
	return []string{
		"no parent-death signal: a worker whose master is killed ends when it reads the end of its stdin",
		"no way to ask what a worker has left unread: a task that was written counts as started",
		"the group is killed after its leader is reaped",
		"no limits and no cgroups for workers: one that is to have any does not start",
		"no sweeper and no adoption of orphans: what a worker's child starts outside its group may be left behind",
		"no look at a worker's memory: recycling by memory does nothing",
	}
}

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// SealDescriptors has nothing to call here: what this process has inherited may reach the processes that it starts.
func SealDescriptors() error { return nil }

// watch waits and reaps at once.
func (p *Process) watch() { p.waitErr = p.cmd.Wait() }

// AwaitStop cannot tell here.
func (p *Process) AwaitStop(time.Duration) bool { return false }

// Widen has nothing to call here: pipes stay as they are.
func (p *Process) Widen() (bytes int, ok bool) { return 0, false }

// Unread is not known here.
func (p *Process) Unread() (n int, ok bool) { return 0, false }

// RSS is not known here.
func (p *Process) RSS() (bytes int64, ok bool) { return 0, false }

// PeakRSS returns how many bytes this very process has had resident at most; ok is false where the system does not tell.
func PeakRSS() (bytes int64, ok bool) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return int64(usage.Maxrss) * maxRSSUnit, err == nil //nolint:unconvert // it has 32 bits on some systems
}

// View has nothing to tell here.
func (p *Process) View() string { return "" }
