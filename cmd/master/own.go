package main

import (
	"fmt"
	"os"

	"fandango/internal/proc"
)

// takeCharge sets what belongs to this whole process before it starts a worker: inherited descriptors stay here, what a
// worker leaves behind ends with the worker, and a sweeper ends what is left of it all when this process is gone, however
// it goes. release ends the sweeper. What could not be had is a matter for the log: the work goes on without.
func takeCharge(warn func(message string, facts ...any)) (release func()) {
	if err := proc.SealDescriptors(); err != nil {
		warn("inherited descriptors reach the workers", "err", err)
	}
	release = func() {}
	self, err := os.Executable()
	if err == nil {
		release, err = proc.StartSweeper(self)
	}
	if err != nil {
		warn("there is no sweeper", "err", err)
		release = func() {}
	}
	if err := proc.AdoptOrphans(); err != nil {
		warn("orphans are not adopted", "err", err)
	}
	for _, mechanism := range proc.Missing() {
		warn("missing on this system", "what", mechanism)
	}
	return release
}

// sweep is the hidden command that makes this program the sweeper of another one.
func sweep(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "master: this command is for a master's own use (master help)")
		return exitUsage
	}
	proc.Sweep(os.Stdin, args[0])
	return exitOK
}
