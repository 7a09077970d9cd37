package proc

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipe makes a pipe to or from a process that is to be started. Our end is in the runtime's poller. Theirs is not: it is
// handed over as it is and closed, and so many calls are saved for each process.
func pipe(in bool) (theirs, ours *os.File, err error) {
	theirs, our, err := ends(in)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(our, true); err != nil {
		_, _ = unix.Close(our), theirs.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return theirs, os.NewFile(uintptr(our), "|"), nil
}

// output makes a pipe that a process is to write to.
func output() (theirs *os.File, ours *Output, err error) {
	theirs, our, err := ends(false)
	if err != nil {
		return nil, nil, err
	}
	if ours, err = newOutput(our); err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return theirs, ours, nil
}

// ends makes the two ends of a pipe, which both block.
func ends(in bool) (theirs *os.File, ours int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, 0, os.NewSyscallError("pipe2", err)
	}
	our, their := 0, 1
	if in {
		our, their = 1, 0
	}
	return os.NewFile(uintptr(p[their]), "|"), p[our], nil
}
