//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What /proc says. A process that goes while it is looked at is as one that was not there.

func children(pid int) (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list) //nolint:gosec // in /proc
		for field := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

func words(pid int, file string) []string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// isWorker says that the process is one of the master's workers, and which.
func isWorker(pid int) (name string, ok bool) {
	if command := words(pid, "cmdline"); len(command) != 2 || command[1] != workerVerb {
		return "", false
	}
	for _, setting := range words(pid, "environ") {
		if name, ok := strings.CutPrefix(setting, "MASTER_WORKER="); ok {
			return name, true
		}
	}
	return "", false
}

// everyone lists the processes that match.
func everyone(match func(pid int) bool) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() && match(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// carries says whether the process carries a mark in its environment.
func carries(pid int, mark string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(b, []byte(mark))
}

// zombies counts the children of pid that nobody has waited for.
func zombies(pid int) (n int) {
	for _, child := range children(pid) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if _, after, found := strings.Cut(string(b), ") "); found && strings.HasPrefix(after, "Z") {
			n++
		}
	}
	return n
}

// size is what a process has at a moment.
type size struct {
	rss     int64 // MiB
	fds     int
	threads int
}

func sizeOf(pid int) (s size) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var total, pages int64
	_, _ = fmt.Sscan(string(b), &total, &pages)
	s.rss = pages * int64(os.Getpagesize()) >> 20
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	s.fds, s.threads = len(fds), len(threads)
	return s
}

// until looks again and again until there is nothing to see, or the time is over, and returns what was seen last.
func until(most time.Duration, look func() int) (left int) {
	begun := time.Now()
	for {
		if left = look(); left == 0 || time.Since(begun) > most {
			return left
		}
		<-time.After(10 * time.Millisecond)
	}
}
