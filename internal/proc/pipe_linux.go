package proc

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipe makes a pipe to or from a process that is to be started. Our end is in the runtime's poller. Theirs is not: it is
// handed over as it is and closed, and so many calls are saved for each process.
func pipe(in bool) (theirs, ours *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	our, their := 0, 1
	if in {
		our, their = 1, 0
	}
	theirs = os.NewFile(uintptr(p[their]), "|")
	if err := unix.SetNonblock(p[our], true); err != nil {
		_, _ = unix.Close(p[our]), theirs.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return theirs, os.NewFile(uintptr(p[our]), "|"), nil
}
