package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func sweeperAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// The sweeper looks this often, and at most so many times.
const (
	sweepPause = 50 * time.Millisecond
	sweepLooks = 200
)

func sweep(variable string) {
	for quiet, looks := 0, 0; quiet < 2 && looks < sweepLooks; looks++ {
		if killMarked(variable) == 0 {
			quiet++
		} else {
			quiet = 0
		}
		<-time.After(sweepPause)
	}
}

// killMarked kills every process whose environment has the variable, but for this one, and says how many it found.
func killMarked(variable string) (found int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// The descriptor is opened first: what it names cannot become another process between the look and the signal.
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if marked(pid, variable) {
			found++
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
	return found
}

func marked(pid int, variable string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for one := range bytes.SplitSeq(environ, []byte{0}) {
		if string(one) == variable {
			return true
		}
	}
	return false
}

// orphans are to be ended as they come: only in a program whose main has asked for it.
var orphans account

// account knows our own processes, so that a look at the children never takes one of ours for an orphan. A start takes
// long, for the child has to become another program, and the lock is not held meanwhile: a child that may be that of a
// start under way is only suspected, until all the starts are over that had begun when it was first seen.
type account struct {
	sync.Mutex
	adopted  bool
	stuck    map[int]struct{} // orphans that a kill has not ended
	ours     map[int]struct{} // processes that were started here and are not reaped yet
	begun    int              // how many starts have begun
	starting map[int]struct{} // the numbers of those that are not over
	suspects map[int]int      // children that nobody has started, as far as is known, and the starts that had begun
}

// begin needs the lock. A start begins, which is called number.
func (a *account) begin() (number int) {
	if a.starting == nil {
		a.starting = map[int]struct{}{}
	}
	a.begun++
	a.starting[a.begun] = struct{}{}
	return a.begun
}

// over needs the lock. A start has brought a process, or has failed.
func (a *account) over(number, pid int, err error) {
	delete(a.starting, number)
	switch {
	case !a.adopted:
	case err != nil:
		clear(a.suspects) // its child, if it came to that, was reaped, and the number is free
	default:
		a.ours[pid] = struct{}{}
		delete(a.suspects, pid)
	}
}

// strangers needs the lock. Of our children it returns those that no start has brought, and suspects those of which that is
// not certain.
func (a *account) strangers(children []int) (strangers []int) {
	suspects := map[int]int{}
	for _, pid := range children {
		if _, ours := a.ours[pid]; ours {
			continue
		}
		begun, known := a.suspects[pid]
		if !known {
			begun = a.begun
		}
		if a.underWay(begun) {
			suspects[pid] = begun
		} else {
			strangers = append(strangers, pid)
		}
	}
	a.suspects = suspects
	return strangers
}

// underWay needs the lock. It says whether one of the first so many starts is not over.
func (a *account) underWay(first int) bool {
	for number := range a.starting {
		if number <= first {
			return true
		}
	}
	return false
}

// AdoptOrphans makes this process the parent of what its workers leave behind when they end, wherever it has put itself,
// and each Reap ends such strangers. It belongs to a whole program, and so is for a main to call: every child that was
// not started by a Spawner is taken for an orphan, but for those that exist now.
func AdoptOrphans() error {
	orphans.Lock()
	defer orphans.Unlock()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	orphans.adopted, orphans.ours, orphans.stuck = true, map[int]struct{}{}, map[int]struct{}{}
	for _, pid := range children() {
		orphans.ours[pid] = struct{}{}
	}
	return nil
}

// startAccounted and waitAccounted keep the account. A wait and its removal happen under one lock.
func startAccounted(start func() (pid int, err error)) error {
	orphans.Lock()
	number := orphans.begin()
	orphans.Unlock()
	pid, err := start()
	orphans.Lock()
	defer orphans.Unlock()
	orphans.over(number, pid, err)
	if len(orphans.suspects) > 0 { // the reap that saw them left them to us
		endOrphans()
	}
	return err
}

func waitAccounted(pid int, wait func() error) error {
	orphans.Lock()
	defer orphans.Unlock()
	err := wait()
	if orphans.adopted {
		delete(orphans.ours, pid)
		endOrphans()
	}
	return err
}

// endOrphans needs the lock. It kills and reaps children that nobody here has started, and their children in turn.
func endOrphans() {
	for range 100 { // an orphan may have children of its own, which come to us when it ends
		strangers := 0
		for _, pid := range orphans.strangers(adopted()) {
			strangers++
			_ = unix.Kill(pid, unix.SIGKILL) // it is our child and not reaped: the number is its own
			if !reaped(pid) {
				strangers-- // the kernel holds it: the next look finds it again
			}
		}
		if strangers == 0 {
			return
		}
	}
}

// adopted lists the children of our first thread: the system gives orphans to it, as long as it lives, and Go's lives as
// long as the process. It is asked after every reap, and with a process per task that is often: not for all threads, and
// not through os.ReadFile, which also tries whether the file is one for the poller.
func adopted() []int {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return children() // a /proc of other numbers
	}
	defer unix.Close(fd)
	var list []byte
	for part := make([]byte, 1024); ; {
		n, err := unix.Read(fd, part)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return children()
		case n == 0:
			return numbers(list)
		default:
			list = append(list, part[:n]...)
		}
	}
}

// orphanTime is how long a killed orphan may take to end. The kernel may hold it for ever, and nobody is to wait for that.
const orphanTime = 50 * time.Millisecond

// reaped needs the lock.
func reaped(pid int) bool {
	_, stuck := orphans.stuck[pid]
	for begun := time.Now(); ; {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if got == pid || err != nil && !errors.Is(err, unix.EINTR) {
			delete(orphans.stuck, pid)
			return true
		}
		if stuck || time.Since(begun) > orphanTime {
			orphans.stuck[pid] = struct{}{}
			return false
		}
		<-time.After(200 * time.Microsecond)
	}
}

// children lists the children of all our threads.
func children() (pids []int) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		list, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		pids = append(pids, numbers(list)...)
	}
	return pids
}

func numbers(list []byte) (pids []int) {
	for field := range strings.FieldsSeq(string(list)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
