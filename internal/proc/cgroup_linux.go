package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CheckCgroup tells in words why no process can be given a group in dir with these bounds, before anything is started: it
// makes a group there and removes it. Nil is no promise that a process can enter.
func CheckCgroup(dir string, c *Confine) error {
	g, err := makeCgroup(dir, "check", c)
	if err != nil {
		return err
	}
	g.remove()
	return nil
}

// cgroup is a control group for one process and all that it starts.
type cgroup struct{ path string }

// cgroups counts those that were made here.
var cgroups atomic.Int64

// makeCgroup makes a group in dir, which is called as name and a number that is free.
func makeCgroup(dir, name string, c *Confine) (*cgroup, error) {
	var system unix.Statfs_t
	if err := unix.Statfs(dir, &system); err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", dir, err)
	}
	if system.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, fmt.Errorf("cgroup %s: it is no directory of cgroup v2 (those are mounted at /sys/fs/cgroup, "+
			"or at /sys/fs/cgroup/unified beside v1)", dir)
	}
	ending := tellSweeper(dir)
	for {
		g := &cgroup{filepath.Join(dir, fmt.Sprintf("%s-%d%s", strings.ReplaceAll(name, "/", "-"), cgroups.Add(1), ending))}
		err := os.Mkdir(g.path, 0o755)   //nolint:gosec // to be looked at by anyone, as all others there
		if errors.Is(err, fs.ErrExist) { // another program's, or one that was killed has left it
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cgroup %s: no group can be made in it; is it delegated to you, and writable? %w", dir, err)
		}
		if _, err = os.Stat(filepath.Join(g.path, "cgroup.kill")); err != nil {
			err = fmt.Errorf("cgroup %s: it has no cgroup.kill, which Linux has since 5.14: %w", dir, err)
		} else if c != nil {
			err = g.bound(c)
		}
		if err != nil {
			g.remove()
			return nil, err
		}
		return g, nil
	}
}

// bound sets the limits that a group can hold.
func (g *cgroup) bound(c *Confine) error {
	for _, limit := range []struct {
		controller string
		value      int64
	}{
		{"memory", c.Memory},
		{"pids", int64(c.Processes)},
	} {
		if limit.value <= 0 {
			continue
		}
		if err := enable(filepath.Dir(g.path), limit.controller); err != nil {
			return err
		}
		if err := g.write(limit.controller+".max", strconv.FormatInt(limit.value, 10)); err != nil {
			return fmt.Errorf("cgroup %s: limit of %s to %d: %w", g.path, limit.controller, limit.value, err)
		}
	}
	return nil
}

// enable gives the groups in dir a controller.
func enable(dir, controller string) error {
	has, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers")) //nolint:gosec // the directory is the caller's own
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", dir, err)
	}
	if !slices.Contains(strings.Fields(string(has)), controller) {
		return fmt.Errorf("cgroup %s: the controller %s, which the limit needs, is not in its cgroup.controllers (there: %q); "+
			"delegate it, as by systemd's Delegate=memory pids, or by writing +%s to cgroup.subtree_control of the directory above",
			dir, controller, strings.TrimSpace(string(has)), controller)
	}
	// Written also where it is on already: that changes nothing.
	err = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("cgroup %s: it has processes of its own, and so cannot give the groups in it the controller %s; "+
			"name an empty one: %w", dir, controller, err)
	}
	if err != nil {
		return fmt.Errorf("cgroup %s: give the groups in it the controller %s: %w", dir, controller, err)
	}
	return nil
}

func (g *cgroup) write(file, text string) error {
	return os.WriteFile(filepath.Join(g.path, file), []byte(text), 0)
}

// enter makes a process that is started with attr begin in the group. It is to be told when that has started.
func (g *cgroup) enter(attr *syscall.SysProcAttr) (entered func(), err error) {
	fd, err := unix.Open(g.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", g.path, err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return func() { _ = unix.Close(fd) }, nil
}

// explain adds to a start's error what may be wrong with the group.
func (g *cgroup) explain(err error) error {
	if g == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w (or it may not enter %s: unless you are root, this program has to run below the same delegated "+
		"cgroup itself)", err, g.path)
}

// kill ends all that is in the group, at once, also what forks meanwhile.
func (g *cgroup) kill() { _ = g.write("cgroup.kill", "1") }

// oom says that the system has killed somebody in the group for want of memory in it.
func (g *cgroup) oom() bool {
	events, err := os.ReadFile(filepath.Join(g.path, "memory.events"))
	if err != nil { // there is no memory controller
		return false
	}
	for line := range strings.Lines(string(events)) {
		if name, count, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			return count != "0"
		}
	}
	return false
}

// removeTime is how long those that were killed may take to leave the group, on a machine that is busy. One that the kernel
// holds does not leave it, and nobody is to wait for that: the empty group is left then.
const removeTime = 5 * time.Second

// remove removes the group, and those that a process in it has made.
func (g *cgroup) remove() {
	for begun := time.Now(); ; {
		err := removeTree(g.path)
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Since(begun) > removeTime {
			return
		}
		<-time.After(time.Millisecond)
	}
}

func removeTree(path string) error {
	err := unix.Rmdir(path)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		if e.IsDir() {
			_ = removeTree(filepath.Join(path, e.Name()))
		}
	}
	return unix.Rmdir(path)
}

// sweepCgroups ends and removes the groups in dir whose names have the ending.
func sweepCgroups(dir, ending string) {
	entries, _ := os.ReadDir(dir)
	var groups []*cgroup
	for _, e := range entries {
		if e.IsDir() && strings.HasSuffix(e.Name(), ending) {
			groups = append(groups, &cgroup{filepath.Join(dir, e.Name())})
		}
	}
	for _, g := range groups {
		g.kill()
	}
	for _, g := range groups {
		g.remove()
	}
}
