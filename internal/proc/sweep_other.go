//go:build !linux

package proc

import "syscall"

func sweeperAttributes() *syscall.SysProcAttr { return nil }

// sweep cannot look into the environment of other processes here.
func sweep(string) {}

// AdoptOrphans has no way to become the parent of orphans here.
func AdoptOrphans() error { return nil }

func startAccounted(start func() (pid int, err error)) error {
	_, err := start()
	return err
}

func waitAccounted(_ int, wait func() error) error { return wait() }
