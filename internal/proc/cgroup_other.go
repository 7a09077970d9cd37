//go:build !linux

package proc

import (
	"fmt"
	"runtime"
	"syscall"
)

// CheckCgroup says that there are none here.
func CheckCgroup(dir string, _ *Confine) error {
	return fmt.Errorf("cgroup %s: there are none on %s, only on Linux", dir, runtime.GOOS)
}

// cgroup cannot be made here.
type cgroup struct{}

func makeCgroup(dir, _ string, c *Confine) (*cgroup, error) { return nil, CheckCgroup(dir, c) }

func (*cgroup) enter(*syscall.SysProcAttr) (entered func(), err error) { return func() {}, nil }
func (*cgroup) explain(err error) error                                { return err }
func (*cgroup) kill()                                                  {}
func (*cgroup) oom() bool                                              { return false }
func (*cgroup) remove()                                                {}

func sweepCgroups(_, _ string) {}
