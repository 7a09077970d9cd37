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
