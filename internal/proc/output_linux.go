package proc

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Output is our end of a pipe that a process writes to. It is for one reader at a time.
//
// Who reads waits in the system himself. In the runtime's poller each write would wake a thread, also while nobody waits
// for it, and that costs the process that writes as much as the write itself.
type Output struct {
	pipe    *os.File
	alarm   *os.File // an eventfd, which is ready to be read once it has been rung
	hurried atomic.Bool
	closed  atomic.Bool

	reading   sync.Mutex // held while the descriptors are used: they are closed after that
	fd, rings int
}

// newOutput takes over a descriptor, which blocks as yet: that keeps it out of the poller.
func newOutput(fd int) (*Output, error) {
	pipe := os.NewFile(uintptr(fd), "|")
	rings, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = pipe.Close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	o := &Output{pipe: pipe, alarm: os.NewFile(uintptr(rings), "alarm"), fd: fd, rings: rings}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = o.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return o, nil
}

// Read reads what is in the pipe, and waits while that is nothing; in a hurry it returns os.ErrDeadlineExceeded instead.
// At the end, and once it is closed, it returns io.EOF.
func (o *Output) Read(b []byte) (int, error) {
	o.reading.Lock()
	defer o.reading.Unlock()
	for {
		hurried := o.hurried.Load() // before it looks: what was there by then is read
		n, err := o.look(b)
		if hurried || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		runtime.Gosched() // while this thread waits, it may keep one of the runtime's processors
		o.await()
	}
}

// await needs o.reading. It waits until there may be something to read, or a reason to stop waiting.
func (o *Output) await() {
	both := [...]unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLIN}, {Fd: int32(o.rings), Events: unix.POLLIN}} //nolint:gosec // descriptors
	_, _ = unix.Poll(both[:], -1)
}

// ReadNow is Read in a hurry.
func (o *Output) ReadNow(b []byte) (int, error) {
	o.reading.Lock()
	defer o.reading.Unlock()
	return o.look(b)
}

// look needs o.reading.
func (o *Output) look(b []byte) (n int, err error) {
	for err = unix.EINTR; errors.Is(err, unix.EINTR) && !o.closed.Load(); {
		n, err = unix.Read(o.fd, b)
	}
	switch {
	case o.closed.Load(), err == nil && n == 0 && len(b) > 0:
		return 0, io.EOF
	case errors.Is(err, unix.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	}
	return n, nil
}

// Hurry says whether there is time to wait. It also ends a wait.
func (o *Output) Hurry(on bool) {
	was := o.hurried.Swap(on)
	var one [8]byte
	switch {
	case on && !was:
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = o.alarm.Write(one[:])
	case !on && was:
		_, _ = o.alarm.Read(one[:])
	}
}

// Close ends a Read that waits, too.
func (o *Output) Close() error {
	if o.closed.Swap(true) {
		return os.ErrClosed
	}
	o.Hurry(true)
	o.reading.Lock()
	defer o.reading.Unlock()
	return errors.Join(o.pipe.Close(), o.alarm.Close())
}
