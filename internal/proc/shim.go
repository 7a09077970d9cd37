package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// Confine bounds what one process, and each that it starts, may take. A zero field sets no bound. Any Confine also means:
// no core files, the default handling of all signals, and first in line when the system runs out of memory.
type Confine struct {
	// Memory is bytes of address space, of which programs in Go and Node reserve a lot; in a cgroup, bytes in use by the
	// process and all that it starts together.
	Memory int64 `json:"memory,omitempty"`
	// Processes counts all of the same user, and does not bind root; in a cgroup, it counts those in it and binds all.
	Processes int           `json:"processes,omitempty"`
	Files     int           `json:"files,omitempty"`     // open descriptors
	CPU       time.Duration `json:"cpu,omitempty"`       // processor time in whole seconds, at least 1; then SIGXCPU
	FileSize  int64         `json:"file_size,omitempty"` // bytes of a file that it writes
}

// beside is what is left for the shim to bound where a cgroup bounds memory and processes.
func (c *Confine) beside() *Confine {
	if c == nil {
		return nil
	}
	rest := *c
	rest.Memory, rest.Processes = 0, 0
	return &rest
}

// shimVerb is the first argument that makes Shim act.
const shimVerb = "__shim"

var shimmed bool

// ErrNoShim is why a confined process cannot be started: its bounds are set by this very program, started in between.
var ErrNoShim = errors.New("a confined worker needs a call of Shim at the top of main")

// Shim belongs at the very top of a main that starts confined processes. In such a process, before it becomes the program
// that was asked for, it sets the bounds and does not return; otherwise it only notes that it is there.
func Shim() {
	if len(os.Args) < 4 || os.Args[1] != shimVerb {
		shimmed = true
		return
	}
	var c Confine
	err := json.Unmarshal([]byte(os.Args[2]), &c)
	if err == nil {
		err = become(c, os.Args[3:])
	}
	fmt.Fprintf(os.Stderr, "cannot start %s with its limits: %v\n", os.Args[3], err)
	os.Exit(126) //nolint:forbidigo // there is no main to return to: this was to be another program
}

// confined is the command line that starts command with bounds.
func confined(command []string, c *Confine) ([]string, error) {
	if !shimmed {
		return nil, ErrNoShim
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bounds, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append([]string{self, shimVerb, string(bounds)}, command...), nil
}
