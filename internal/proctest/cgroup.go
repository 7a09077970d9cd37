package proctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Cgroup makes a group of cgroup v2 for the time of a test, and skips the test where this user may make none. At its end
// the group is to be empty.
func Cgroup(tb testing.TB) (dir string) {
	tb.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		tb.Skipf("there are no cgroups here: %v", err)
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	_, own2, _ := strings.Cut("\n"+string(own), "\n0::")
	below, _, _ := strings.Cut(own2, "\n")
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup2" {
			continue
		}
		for _, parent := range []string{filepath.Join(fields[1], below), fields[1]} {
			dir, err = os.MkdirTemp(parent, "fandango") //nolint:usetesting // it is a control group
			if err == nil {
				tb.Cleanup(func() { removeCgroup(tb, dir) })
				return dir
			}
		}
	}
	tb.Skipf("no group of cgroup v2 can be made here: %v", err)
	return ""
}

func removeCgroup(tb testing.TB, dir string) {
	tb.Helper()
	for _, left := range Groups(dir) {
		tb.Errorf("cgroup %s is left behind", left)
		_ = os.WriteFile(filepath.Join(dir, left, "cgroup.kill"), []byte("1"), 0)
		_ = os.Remove(filepath.Join(dir, left))
	}
	if err := os.Remove(dir); err != nil {
		tb.Error(err)
	}
}

// Groups are the names of the groups in one of Cgroup.
func Groups(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
