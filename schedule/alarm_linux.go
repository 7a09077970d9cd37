package schedule

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// atMost is how many alarms may have a timer of the system's at a time. It is a file, of which a process has not that many.
const atMost = 100

// timers is how many have one.
var timers atomic.Int32

// fileSleeper waits with a timer that is a file.
type fileSleeper struct {
	file  *os.File
	conn  syscall.RawConn // of file
	rings time.Time       // when it is to
	woken atomic.Bool
}

// systemSleeper returns nil when there are too many, and in a bubble of testing/synctest: time there is not the system's.
func systemSleeper() sleeper {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_REALTIME, &now)
	if err != nil || time.Since(time.Unix(now.Unix())).Abs() > time.Second {
		return nil
	}
	if timers.Add(1) > atMost {
		timers.Add(-1)
		return nil
	}
	s, err := openTimer()
	if err != nil {
		timers.Add(-1)
		return nil
	}
	return s
}

func openTimer() (*fileSleeper, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "timer")
	conn, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // which a file has that the runtime's poller has taken: else nothing wakes its reader
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &fileSleeper{file: file, conn: conn}, nil
}

// early is how long before its time a timer rings, when that is longer from now: it may have to wake up a processor that
// sleeps deeply, which takes some tenths of a millisecond. The rest is slept.
const early = nap

func (s *fileSleeper) wait(d time.Duration) {
	until := time.Now().Add(d)
	s.rings = until
	if d > early {
		d -= early
		s.rings = until.Add(-early)
	}
	if d > 0 {
		_ = s.conn.Read(s.rung) // which reads nothing: the next set takes away what there would be
	}
	if !s.woken.Swap(false) {
		sleepUntil(until)
	}
}

// rung reports whether the wait is over. If not, the timer is set to its end: for the first time, or once more, as it has
// rung for the wait before, or for a wake that this wait or the one before has seen already.
func (s *fileSleeper) rung(uintptr) bool {
	left := time.Until(s.rings)
	if left <= 0 || s.woken.Load() {
		return true
	}
	s.set(left)
	return s.woken.Load() // a wake may have come before the set, which has then taken its ring away
}

// set lets the timer ring after d, in place of what it was set to. When it is closed, nothing happens.
func (s *fileSleeper) set(d time.Duration) {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_ = s.conn.Control(func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), 0, &at, nil) })
}

func (s *fileSleeper) wake() {
	if !s.woken.Swap(true) {
		s.set(1)
	}
}

func (s *fileSleeper) stop() {
	if s.file.Close() == nil {
		timers.Add(-1)
	}
}

// sleepUntil sleeps in the system.
func sleepUntil(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		span := unix.NsecToTimespec(int64(left))
		if err := unix.Nanosleep(&span, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}
