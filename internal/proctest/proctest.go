// Package proctest lets a test binary play the worker processes of its own tests, and fails a test that leaves a
// process, a descriptor or a goroutine behind.
package proctest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fandango/internal/proc"
)

const (
	playPrefix = "proctest:"
	mark       = "MASTER_TEST_ID"
)

// Main is a package's TestMain. When the binary was started by a command line of Command, it plays that role instead of
// running tests, and exits 0 when the role returns.
func Main(m *testing.M, roles map[string]func(args []string)) {
	proc.Shim()
	if len(os.Args) > 1 {
		if name, ok := strings.CutPrefix(os.Args[1], playPrefix); ok {
			role, known := roles[name]
			if !known {
				fmt.Fprintf(os.Stderr, "proctest: no role %q\n", name)
				os.Exit(2)
			}
			role(os.Args[2:])
			os.Exit(0)
		}
	}
	if err := os.Setenv(mark, fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())); err != nil {
		panic(err)
	}
	if os.Getenv("GORACE") == "" { // else each role lingers for a second at its exit
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			panic(err)
		}
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if left := Leftover(); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "proctest: processes left behind:\n%s\n", strings.Join(left, "\n"))
			code = 1
		}
		if after := descriptors(); after > before {
			fmt.Fprintf(os.Stderr, "proctest: %d descriptors before the tests, %d after\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

// Command is the command line that plays a role.
func Command(role string, args ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{exe, playPrefix + role}, args...)
}

// NoLeftovers fails tb when a process that the tests started is still there at its end.
func NoLeftovers(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		if left := Leftover(); len(left) > 0 {
			tb.Errorf("processes left behind:\n%s", strings.Join(left, "\n"))
		}
	})
}

// patience is how long what was killed may take to go, on a machine that others use too. Its own turn on a processor is
// what it needs.
const patience = 20 * time.Second

// Leftover lists the processes that carry the mark of these tests, and the zombies among our children. What was just
// killed gets some time to go.
func Leftover() []string {
	if runtime.GOOS != "linux" {
		return nil
	}
	var left []string
	for end := time.Now().Add(patience); ; {
		if left = Look(); len(left) == 0 || time.Now().After(end) {
			return left
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Look lists, at this moment, the processes that carry the mark of these tests, and the zombies among our children.
func Look() []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	want := mark + "=" + os.Getenv(mark)
	self, parent := strconv.Itoa(os.Getpid()), fmt.Sprintf("PPid:\t%d\n", os.Getpid())
	var left []string
	for _, e := range entries {
		pid := e.Name()
		if pid[0] < '0' || pid[0] > '9' || pid == self {
			continue
		}
		environ, _ := os.ReadFile("/proc/" + pid + "/environ") //nolint:gosec // a number in /proc
		status, _ := os.ReadFile("/proc/" + pid + "/status")   //nolint:gosec // the same
		zombie := strings.Contains(string(status), parent) && strings.Contains(string(status), "State:\tZ")
		if zombie || slices.Contains(strings.Split(string(environ), "\x00"), want) {
			cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline") //nolint:gosec // the same
			left = append(left, fmt.Sprintf("%s zombie=%v %q", pid, zombie, cmdline))
		}
	}
	return left
}

// descriptors counts the open descriptors of this process but for the poller's; 0 where that cannot be seen.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			n++
		}
	}
	return n
}
