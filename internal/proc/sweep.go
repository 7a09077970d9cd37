package proc

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// markName is the environment variable that every process of a master carries, and those that they start.
const markName = "MASTER_MARK"

// SweepVerb is the first argument that makes a program call Sweep.
const SweepVerb = "__sweep"

// StartSweeper starts self, a program that calls Sweep when its first argument is SweepVerb, as the sweeper of this
// process: from now on what this process starts carries a mark, and when this process ends, however it ends, the sweeper
// ends every process with the mark. It belongs to a whole program, and so is for a main to call, before it starts
// anything. stop lets the sweeper do its work now, and does not wait for it.
func StartSweeper(self string) (stop func(), err error) {
	mark := fmt.Sprintf("%d-%s", os.Getpid(), rand.Text())
	cmd := exec.Command(self, SweepVerb, mark)
	cmd.Env = []string{} // it carries no mark itself
	cmd.Dir = "/"
	cmd.SysProcAttr = sweeperAttributes()
	line, err := cmd.StdinPipe() // its end is the sign
	if err != nil {
		return nil, fmt.Errorf("start the sweeper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sweeper: %w", err)
	}
	if err := os.Setenv(markName, mark); err != nil {
		return nil, fmt.Errorf("start the sweeper: %w", err)
	}
	return func() { _ = line.Close() }, nil
}

// Sweep waits for the end of in, and then ends every process that carries the mark, until two looks in a row find none.
func Sweep(in io.Reader, mark string) {
	_, _ = io.Copy(io.Discard, in) // an error is an end, too
	sweep(markName + "=" + mark)
}
