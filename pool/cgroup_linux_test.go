package pool_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// TestO21WorkersLiveInCgroups: each has its own, all in it end with it, and none is left at the end.
func TestO21WorkersLiveInCgroups(t *testing.T) {
	dir := proctest.Cgroup(t)
	p, _ := start(t, pool.Config{Name: "lab", Workers: 2, Cgroup: dir, Confine: &pool.Confine{Files: 1000}}) // by way of the shim
	waitReady(t, p, 2)
	before := proctest.Groups(dir)
	if len(before) != 2 || !strings.HasPrefix(before[0], "lab-1-") || !strings.HasPrefix(before[1], "lab-2-") {
		t.Errorf("groups = %v, want one for each worker", before)
	}
	for _, w := range p.Workers() {
		if in, _ := os.ReadFile("/proc/" + strconv.Itoa(w.PID) + "/cgroup"); !strings.Contains(string(in), "/lab-") {
			t.Errorf("worker %s is in %q", w.Name, in)
		}
	}
	if o := run(t, p, task(t, "k", "x:kill9")); !errors.Is(o.Err, ipc.ErrCrash) || strings.Contains(o.Err.Error(), "out of memory") {
		t.Errorf("outcome = %+v, want a crash", o)
	}
	waitReady(t, p, 2)
	after := proctest.Groups(dir)
	if len(after) != 2 || after[0] == before[0] && after[1] == before[1] {
		t.Errorf("groups = %v, after %v: want a new one in place of that of the dead", after, before)
	}
}

// TestO21ProcessesOfTasksLiveInCgroups: what one has left behind ends with it.
func TestO21ProcessesOfTasksLiveInCgroups(t *testing.T) {
	dir := proctest.Cgroup(t)
	p := startExec(t, pool.Config{
		Workers: 1, Cgroup: dir,
		Command: []string{"/bin/sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & sed -n s,^0::.*/,,p /proc/self/cgroup", "sh"},
	})
	if o := run(t, p, task(t, "k", "x")); o.Err != nil || !strings.Contains(o.Value.String(), "main-1-") {
		t.Errorf("outcome = %v, %v", o.Value, o.Err)
	}
	if left := proctest.Groups(dir); len(left) > 0 {
		t.Errorf("groups %v are left", left)
	}
}

func TestCgroupIsCheckedBeforeAnythingStarts(t *testing.T) {
	for dir, want := range map[string]string{
		t.TempDir():                          "no directory of cgroup v2",
		filepath.Join(t.TempDir(), "nosuch"): "no such file or directory",
	} {
		_, err := pool.New(pool.Config{Command: []string{"true"}, Cgroup: dir})
		if ipc.KindOf(err) != ipc.KindInput || !strings.Contains(err.Error(), want) {
			t.Errorf("cgroup %s: %v, want %q", dir, err, want)
		}
	}
}
