//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notify delivers the signals that mean something to this program, until ignore is called. Those that were ignored when
// it began, as under nohup, stay ignored; but HUP does not when it ends nothing, as it is for a daemon: nohup is there for
// what would end. With SIGPIPE among them, a write to a pipe that nobody reads is an error and not the end.
func notify(hangUpEnds bool) (signals <-chan os.Signal, ignore func()) {
	c := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE} {
		if !signal.Ignored(s) || s == syscall.SIGHUP && !hangUpEnds {
			signal.Notify(c, s)
		}
	}
	return c, func() { signal.Stop(c) }
}

// meaning says what a signal asks for.
func meaning(s os.Signal) wish {
	switch s {
	case os.Interrupt:
		return interrupt
	case syscall.SIGTERM:
		return terminate
	case syscall.SIGHUP:
		return hangUp
	case syscall.SIGUSR1:
		return inform
	}
	return nothing
}
