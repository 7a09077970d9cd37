package proc

import (
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Output is our end of a pipe that a process writes to. It is for one reader at a time.
//
// The runtime's poller is woken by each write to a pipe that it knows, also while nobody waits for it, and who writes pays
// for that: as much as for the write itself. So a read waits in the system first, for a moment, and then for the bell: an
// epoll of the pipe's own, which is in the poller, and which is on only then. A process that is silent costs no thread.
type Output struct {
	pipe, bell *os.File
	fd         int                     // the pipe's
	wait       syscall.RawConn         // the bell's: while one of its calls is under way nothing is closed
	try        func(bell uintptr) bool // look, and what else they call, made once
	take, hush func(bell uintptr)

	// The reader's.
	on   bool // the bell is
	into []byte
	n    int
	err  error
}

// moment is how many milliseconds a read waits in the system.
const moment = 1

// newOutput takes over a descriptor, which blocks as yet: that keeps it out of the poller.
func newOutput(fd int) (*Output, error) {
	o := &Output{pipe: os.NewFile(uintptr(fd), "|"), fd: fd}
	o.try, o.take, o.hush = o.look, func(uintptr) { o.read() }, func(bell uintptr) { _ = o.ring(bell, false) }
	if err := o.hang(); err != nil {
		_ = o.Close()
		return nil, err
	}
	return o, nil
}

// hang hangs up the bell.
func (o *Output) hang() error {
	bell, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	err = errors.Join(
		os.NewSyscallError("fcntl", unix.SetNonblock(o.fd, true)),
		os.NewSyscallError("fcntl", unix.SetNonblock(bell, true)),
		os.NewSyscallError("epoll_ctl", unix.EpollCtl(bell, unix.EPOLL_CTL_ADD, o.fd, &unix.EpollEvent{})),
	)
	o.bell = os.NewFile(uintptr(bell), "bell")
	if err == nil {
		err = o.bell.SetReadDeadline(time.Time{}) // which it has when the runtime's poller has taken it: else nobody hears it
	}
	if err == nil {
		o.wait, err = o.bell.SyscallConn()
	}
	return err
}

// Read reads what is in the pipe, and waits while that is nothing; in a hurry it returns os.ErrDeadlineExceeded instead.
// At the end, and once it is closed, it returns io.EOF.
func (o *Output) Read(b []byte) (int, error) {
	o.into = b
	hurry := o.wait.Read(o.try)
	if o.on {
		_ = o.wait.Control(o.hush)
	}
	if hurry != nil {
		return o.ReadNow(b)
	}
	o.into = nil // it may be somebody's for long
	return o.n, o.err
}

// look reads, and says whether there is anything to tell; when there is not, the bell is on.
func (o *Output) look(bell uintptr) bool {
	switch {
	case o.read():
		return true
	case o.on: // it rang for nothing
		return false
	}
	// While this thread waits, it may keep one of the runtime's processors: what others have to do on it goes first.
	runtime.Gosched()
	here := [...]unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	if _, _ = unix.Poll(here[:], moment); o.read() {
		return true
	}
	if o.err = o.ring(bell, true); o.err != nil {
		return true
	}
	return o.read()
}

// read says false when there is nothing to read.
func (o *Output) read() bool {
	for o.err = unix.EINTR; errors.Is(o.err, unix.EINTR); {
		o.n, o.err = syscall.Read(o.fd, o.into) // not unix.Read: the race detector knows that it follows a write
	}
	switch {
	case errors.Is(o.err, unix.EAGAIN):
		o.n, o.err = 0, os.ErrDeadlineExceeded
		return false
	case o.err != nil:
		o.n, o.err = 0, os.NewSyscallError("read", o.err)
	case o.n == 0 && len(o.into) > 0:
		o.err = io.EOF
	}
	return true
}

// ring turns the bell on or off.
func (o *Output) ring(bell uintptr, on bool) error {
	event := unix.EpollEvent{}
	if on {
		event.Events = unix.EPOLLIN
	}
	o.on = on
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(int(bell), unix.EPOLL_CTL_MOD, o.fd, &event))
}

// ReadNow is Read in a hurry.
func (o *Output) ReadNow(b []byte) (int, error) {
	o.into = b
	if closed := o.wait.Control(o.take); closed != nil {
		return 0, io.EOF
	}
	o.into = nil
	return o.n, o.err
}

// Hurry says whether there is time to wait. It also ends a wait, within a moment.
func (o *Output) Hurry(on bool) {
	var deadline time.Time
	if on {
		deadline = time.Unix(1, 0)
	}
	_ = o.bell.SetReadDeadline(deadline)
}

// Close ends a Read that waits, too.
func (o *Output) Close() error {
	return errors.Join(o.bell.Close(), o.pipe.Close()) // in this order: the bell is closed when nobody reads any more
}
