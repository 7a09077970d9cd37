package proc

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// markName is the environment variable that every process of a master carries, and those that they start.
const markName = "MASTER_MARK"

// SweepVerb is the first argument that makes a program call Sweep.
const SweepVerb = "__sweep"

// StartSweeper starts self, a program that calls Sweep when its first argument is SweepVerb, as the sweeper of this
// process: from now on what this process starts carries a mark, and when this process ends, however it ends, the sweeper
// ends every process with the mark, and all that is in a Cgroup that was made here, and removes those groups. It belongs
// to a whole program, and so is for a main to call, before it starts anything. stop lets the sweeper do its work now, and
// does not wait for it.
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
	sweeping.Lock()
	defer sweeping.Unlock()
	sweeping.line, sweeping.mark, sweeping.told = line, mark, map[string]bool{}
	return func() { _ = line.Close() }, nil
}

// sweeping is the sweeper of this process.
var sweeping struct {
	sync.Mutex
	line io.Writer // to it; nil: there is none
	mark string
	told map[string]bool // the directories that it knows of
}

// tellSweeper tells the sweeper of a directory where this process makes groups, and returns what the names of these have
// to end with so that it finds them; "" when there is none.
func tellSweeper(dir string) (ending string) {
	sweeping.Lock()
	defer sweeping.Unlock()
	full, err := filepath.Abs(dir) // it is somewhere else
	if sweeping.line == nil || err != nil || strings.ContainsRune(full, '\n') {
		return ""
	}
	if !sweeping.told[full] {
		sweeping.told[full] = true
		_, _ = fmt.Fprintln(sweeping.line, full) // a sweeper that is gone sweeps nothing
	}
	return "-" + sweeping.mark
}

// Sweep waits for the end of in, whose lines are directories of control groups. Then it ends and removes the groups there
// whose names end with the mark, and ends every process that carries the mark, until two looks in a row find none.
func Sweep(in io.Reader, mark string) {
	var dirs []string
	for lines := bufio.NewScanner(in); lines.Scan(); { // an error is an end, too
		dirs = append(dirs, lines.Text())
	}
	for _, dir := range dirs {
		sweepCgroups(dir, "-"+mark)
	}
	sweep(markName + "=" + mark)
}
