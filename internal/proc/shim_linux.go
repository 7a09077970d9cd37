package proc

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"

	"golang.org/x/sys/unix"
)

// become sets the bounds and turns this process into the command. It returns only with an error.
func become(c Confine, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	seconds := int64(math.Ceil(c.CPU.Seconds()))
	for _, limit := range []struct {
		name     string
		resource int
		value    int64
		set      bool
	}{
		{"core", unix.RLIMIT_CORE, 0, true},
		{"processes", unix.RLIMIT_NPROC, int64(c.Processes), c.Processes > 0},
		{"files", unix.RLIMIT_NOFILE, int64(c.Files), c.Files > 0},
		{"CPU", unix.RLIMIT_CPU, max(1, seconds), c.CPU > 0},
		{"file size", unix.RLIMIT_FSIZE, c.FileSize, c.FileSize > 0},
		{"memory", unix.RLIMIT_AS, c.Memory, c.Memory > 0}, // last: this program needs some itself
	} {
		if !limit.set {
			continue
		}
		value := uint64(limit.value) //nolint:gosec // above zero
		if err := unix.Setrlimit(limit.resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("limit of %s to %d: %w", limit.name, value, err)
		}
	}
	// Being killed first, when memory runs out, is a favour to the master and not needed to run.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	signal.Notify(make(chan os.Signal, 1)) // a signal that was ignored is ignored by the next program; a handled one is not
	return fmt.Errorf("exec %s: %w", path, unix.Exec(path, command, os.Environ()))
}
