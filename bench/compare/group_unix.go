//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// inOwnGroup has the end of a command take along what it has started.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
