package main

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"fandango/cmd/master/shell"
)

// TestNoProgressRunsOverWhatIsTyped: five times a second it was written over a line of tasks that was being typed.
func TestNoProgressRunsOverWhatIsTyped(t *testing.T) {
	tty := terminal(t)
	typist := &console{in: tty, out: tty, err: tty}
	piped := &console{in: os.Stdin, out: tty, err: tty} // of a test: no terminal
	for _, c := range []struct {
		*console
		file, asked, want string
	}{
		{typist, "-", "auto", "none"},
		{typist, "-", "plain", "plain"}, // as asked
		{typist, "tasks.txt", "auto", "auto"},
		{piped, "-", "auto", "auto"},
	} {
		r := &shell.Run{File: c.file, Output: shell.Output{Progress: c.asked}}
		if c.yield(r); r.Progress != c.want {
			t.Errorf("tasks from %s, progress %s: it is %s, want %s", c.file, c.asked, r.Progress, c.want)
		}
	}
}

// terminal opens a new one.
func terminal(t *testing.T) *os.File {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return tty
}
