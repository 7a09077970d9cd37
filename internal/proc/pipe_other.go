//go:build !linux

package proc

import "os"

// pipe makes a pipe to or from a process that is to be started.
func pipe(in bool) (theirs, ours *os.File, err error) {
	r, w, err := os.Pipe()
	if in {
		return r, w, err
	}
	return w, r, err
}

// output makes a pipe that a process is to write to.
func output() (theirs *os.File, ours *Output, err error) {
	r, w, err := os.Pipe()
	return w, &Output{r}, err
}
