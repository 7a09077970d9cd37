//go:build linux

package proc_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proc"
	"fandango/internal/proctest"
)

// begin starts a shell in a group of its own. Its child, which is in another session by now and keeps its stdout, has told
// its number and its group.
func begin(t *testing.T, s *proc.Spawner, dir, then string) (p *proc.Process, out *bufio.Reader, group string, grandchild int) {
	t.Helper()
	p, err := s.Start(proc.Spec{
		Command: []string{"/bin/sh", "-c", "setsid sh -c 'echo $$; grep ^0:: /proc/self/cgroup; exec sleep 300' & " + then},
		Env:     os.Environ(), Cgroup: dir, Name: "lab/1",
	})
	if err != nil {
		t.Fatal(err)
	}
	out = bufio.NewReader(p.Stdout)
	number, err1 := out.ReadString('\n')
	line, err2 := out.ReadString('\n')
	grandchild, err3 := strconv.Atoi(strings.TrimSpace(number))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return p, out, filepath.Base(strings.TrimSpace(line)), grandchild
}

// TestO21AProcessEndsWithAllOfItsCgroup holds O21 and O27: nobody here adopts orphans, and the child is in no group of
// processes that is killed.
func TestO21AProcessEndsWithAllOfItsCgroup(t *testing.T) {
	for name, then := range map[string]string{"exits": "exit 3", "is killed": "exec sleep 300"} {
		t.Run(name, func(t *testing.T) {
			dir := proctest.Cgroup(t)
			p, out, group, grandchild := begin(t, spawner(t), dir, then)
			if !strings.HasPrefix(group, "lab-1-") || !slices.Contains(proctest.Groups(dir), group) {
				t.Errorf("its child is in %q, and the groups are %v", group, proctest.Groups(dir))
			}
			if name == "is killed" {
				where, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/cgroup")
				if err != nil || !strings.Contains(string(where), "/"+group+"\n") {
					t.Errorf("it is in %q, %v, and its child in %s", where, err, group)
				}
			} else {
				<-p.Exited()
				if err := syscall.Kill(grandchild, 0); err != nil {
					t.Errorf("its child has gone before: %v", err)
				}
			}
			p.Kill()
			defer time.AfterFunc(10*time.Second, func() { p.Stdout.Hurry(true) }).Stop()
			if _, err := io.Copy(io.Discard, out); err != nil { // its child had it open
				t.Error(err)
			}
			exit := p.Reap()
			if want := name == "exits"; exit.OOM || (exit.Code == 3) != want {
				t.Errorf("exit = %+v", exit)
			}
			if left := proctest.Groups(dir); len(left) > 0 {
				t.Errorf("groups %v are left", left)
			}
		})
	}
}

// TestO21ReapAloneEndsTheCgroup: also what the owner has not killed, with groups that the process has made in its own.
func TestO21ReapAloneEndsTheCgroup(t *testing.T) {
	dir := proctest.Cgroup(t)
	p, _, group, grandchild := begin(t, spawner(t), dir, "read line")
	inner := filepath.Join(dir, group, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(grandchild)), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = p.Stdin.Close()
	p.Reap() // the cleanups look at what is left
}

func TestCgroupThatCannotBe(t *testing.T) {
	dir, s := proctest.Cgroup(t), spawner(t)
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(full)
	if err := os.WriteFile(filepath.Join(full, "cgroup.max.descendants"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	controllers, err := os.ReadFile(filepath.Join(full, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		dir     string
		confine *proc.Confine
		want    string
		skip    bool
	}{
		{dir: t.TempDir(), want: "no directory of cgroup v2"},
		{dir: filepath.Join(dir, "nosuch"), want: "no such file or directory"},
		{dir: full, want: "no group can be made in it"},
		{dir: dir, confine: &proc.Confine{Memory: 1 << 30}, want: "the controller memory", skip: strings.Contains(string(controllers), "memory")},
		{dir: dir, confine: &proc.Confine{Processes: 50}, want: "the controller pids", skip: strings.Contains(string(controllers), "pids")},
	} {
		if one.skip {
			t.Logf("%s is there", one.want)
			continue
		}
		if err := proc.CheckCgroup(one.dir, one.confine); err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("check of %s: %v, want %q", one.dir, err, one.want)
		}
		p, err := s.Start(proc.Spec{Command: []string{"true"}, Cgroup: one.dir, Name: "w", Confine: one.confine})
		if err == nil {
			p.Reap()
		}
		if err == nil || !strings.Contains(err.Error(), one.want) || !strings.HasPrefix(err.Error(), "start true: cgroup ") {
			t.Errorf("start in %s: %v, want %q", one.dir, err, one.want)
		}
	}
	if err := proc.CheckCgroup(dir, &proc.Confine{Files: 50}); err != nil {
		t.Error(err)
	}
	if _, err := s.Start(proc.Spec{Command: []string{"/no/such/program"}, Cgroup: dir, Name: "w"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start = %v, want that the program is not there", err)
	}
	if left := proctest.Groups(dir); !slices.Equal(left, []string{"full"}) { // those of the failures are gone
		t.Errorf("groups = %v", left)
	}
}
