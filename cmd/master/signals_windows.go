package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notify delivers Ctrl-C, and the closing of the console, until ignore is called. There is no HUP.
func notify(bool) (signals <-chan os.Signal, ignore func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}

// meaning says what a signal asks for.
func meaning(s os.Signal) wish {
	if s == os.Interrupt {
		return interrupt
	}
	return terminate
}
