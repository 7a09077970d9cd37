package proc

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Missing lists the mechanisms that this system lacks, for a person to read.
func Missing() []string { return nil }

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid:    true,            // a group of its own, and no Ctrl-C from our terminal
		Pdeathsig: syscall.SIGKILL, // the runtime also checks that the parent did not die before this took hold
	}
}

// SealDescriptors keeps the descriptors that this process has inherited, all but 0, 1 and 2, from the processes that it
// starts. It belongs to a whole program, and so is for a main to call.
func SealDescriptors() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("close_range", err)
	}
	return nil
}

// watch returns when the process has ended, and leaves it unreaped. It parks in the runtime's poller: no thread waits.
func (p *Process) watch() {
	waitable := func(idType, id, flags int) bool {
		for {
			var info unix.Siginfo
			err := unix.Waitid(idType, id, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
			if !errors.Is(err, unix.EINTR) {
				return err != nil || info.Signo != 0
			}
		}
	}
	fd, err := unix.PidfdOpen(p.PID(), unix.PIDFD_NONBLOCK)
	if err == nil {
		file := os.NewFile(uintptr(fd), "pidfd")
		defer file.Close()
		if conn, err := file.SyscallConn(); err == nil {
			// A pidfd reads as ready once its process has ended.
			err = conn.Read(func(fd uintptr) bool { return waitable(unix.P_PIDFD, int(fd), unix.WNOHANG) })
			if err == nil {
				return
			}
		}
	}
	waitable(unix.P_PID, p.PID(), 0) // no pidfd (kernel < 5.10, or no descriptor left): a thread waits
}

// AwaitStop waits until a Stop has taken effect, on all threads of the process: from then on it writes nothing more. It
// returns false when that, or the end of the process, does not come in time.
func (p *Process) AwaitStop(most time.Duration) bool {
	pause := 50 * time.Microsecond
	for begun := time.Now(); ; pause = min(2*pause, 2*time.Millisecond) {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.PID(), &info, unix.WSTOPPED|unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case err == nil && info.Signo != 0:
			return true
		case err != nil && !errors.Is(err, unix.EINTR), time.Since(begun) > most:
			return false
		}
		<-time.After(pause)
	}
}

// Unread returns how many bytes that were written to the process's stdin it has not read; ok is false where the
// system cannot tell.
func (p *Process) Unread() (n int, ok bool) {
	conn, err := p.Stdin.SyscallConn()
	if err != nil {
		return 0, false
	}
	cerr := conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD
	return n, err == nil && cerr == nil
}

// A pipe that is widened holds a value of 1 MiB. The system bounds what the pipes of a user may hold, and makes new ones
// tiny when it is used up: so only a part of that is ever taken, a quarter of the usual 64 MiB.
const (
	wideBytes = 1 << 20
	mostWide  = 16
)

// Widen makes the pipes to and from the process hold more, which large values need: each write and read then moves much,
// and neither side waits for the other after every 64 KiB. It says how much each holds, or false where they stay as they
// were, because the system, or many others, will not have it.
func (p *Process) Widen() (bytes int, ok bool) {
	if widePipes.Add(2) > mostWide {
		widePipes.Add(-2)
		return 0, false
	}
	for _, f := range []*os.File{p.Stdin, p.Stdout.pipe} {
		conn, err := f.SyscallConn()
		if err == nil {
			cerr := conn.Control(func(fd uintptr) { _, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, wideBytes) })
			err = errors.Join(err, cerr)
		}
		if err != nil {
			widePipes.Add(-2)
			return 0, false
		}
	}
	p.widened.Store(true)
	return wideBytes, true
}

// RSS returns the resident bytes of the process; ok is false where the system does not tell.
func (p *Process) RSS() (bytes int64, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		return 0, false
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		return 0, false
	}
	return pages * int64(os.Getpagesize()), true
}

// PeakRSS returns how many bytes this very process has had resident at most; ok is false where the system does not tell.
func PeakRSS() (bytes int64, ok bool) {
	status, err := os.ReadFile("/proc/self/status") // not getrusage: that counts what it was before exec, too
	if err != nil {
		return 0, false
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscanf(peak, "%d kB", &bytes)
	return bytes << 10, err == nil
}

// View is what the system says about the process at this moment, in lines for a person: its state, where in the kernel
// it waits, and its threads.
func (p *Process) View() string {
	var view strings.Builder
	read := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), name))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	for line := range strings.Lines(read("status")) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "State", "Threads", "VmRSS":
			fmt.Fprintf(&view, "%s: %s\n", name, strings.TrimSpace(value))
		}
	}
	if at := read("wchan"); at != "" && at != "0" {
		fmt.Fprintf(&view, "waits in: %s\n", at)
	}
	if stack := read("stack"); stack != "" {
		fmt.Fprintf(&view, "kernel stack:\n%s\n", stack)
	}
	return strings.TrimSuffix(view.String(), "\n")
}
