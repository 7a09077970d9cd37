package proc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCgroupBounds is about the files that are written and read, in a directory that stands in for a group.
func TestCgroupBounds(t *testing.T) { // O19
	g := &cgroup{filepath.Join(t.TempDir(), "w-1")}
	if err := os.Mkdir(g.path, 0o700); err != nil {
		t.Fatal(err)
	}
	parent := filepath.Dir(g.path)
	file := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file(filepath.Join(parent, "cgroup.controllers"), "cpu memory pids\n")
	file(filepath.Join(parent, "cgroup.subtree_control"), "")
	for name, text := range map[string]string{"memory.max": "max\n", "pids.max": "max\n"} {
		file(filepath.Join(g.path, name), text)
	}
	if err := g.bound(&Confine{Processes: 7}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(parent, "cgroup.subtree_control"): "+pids",
		filepath.Join(g.path, "pids.max"):               "7",
		filepath.Join(g.path, "memory.max"):             "max\n", // was not asked for
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v, want %q", path, got, err, want)
		}
	}
	if err := g.bound(&Confine{Memory: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(g.path, "memory.max")); string(got) != "1048576" {
		t.Errorf("memory.max has %q", got)
	}
	file(filepath.Join(parent, "cgroup.controllers"), "cpu pids\n")
	err := g.bound(&Confine{Memory: 1})
	if err == nil || !strings.Contains(err.Error(), "controller memory") || !strings.Contains(err.Error(), `"cpu pids"`) {
		t.Errorf("error = %v, want which controller is missing, and what is there", err)
	}

	for events, want := range map[string]bool{
		"low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n": true,
		"low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\noom_group_kill 0\n": false,
		"": false,
	} {
		file(filepath.Join(g.path, "memory.events"), events)
		if g.oom() != want {
			t.Errorf("%q: out of memory = %v", events, !want)
		}
	}
}
