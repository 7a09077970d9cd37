//go:build !linux

package proc

import (
	"os"
	"time"
)

// Output is our end of a pipe that a process writes to; one at a time may read it.
type Output struct{ pipe *os.File }

// Read reads what is in the pipe, and waits while that is nothing; in a hurry it returns os.ErrDeadlineExceeded instead.
// At the end, and once it is closed, it returns io.EOF.
func (o *Output) Read(b []byte) (int, error) { return Rest{o.pipe}.Read(b) }

// ReadNow is Read in a hurry.
func (o *Output) ReadNow(b []byte) (int, error) { return ReadNow(o.pipe, b) }

// Hurry says whether there is time to wait. It also ends a wait.
func (o *Output) Hurry(on bool) {
	var deadline time.Time
	if on {
		deadline = time.Unix(1, 0)
	}
	_ = o.pipe.SetReadDeadline(deadline)
}

// Close ends a Read that waits, too.
func (o *Output) Close() error { return o.pipe.Close() }
