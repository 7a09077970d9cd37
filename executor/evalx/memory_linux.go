package evalx

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const canLimitMemory = true

// limitMemory lets the process grow by so many bytes, and no more: then the Go runtime ends it with "out of memory". The
// limit is on the address space, from what it is now: a Starlark process has reserved gigabytes of it that it does not
// use. RLIMIT_DATA is no alternative, the kernel does not hold to it.
func limitMemory(memory int64) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("read the size of the process: %w", err)
	}
	pages, _, _ := strings.Cut(string(statm), " ")
	n, err := strconv.ParseUint(pages, 10, 64)
	if err != nil {
		return fmt.Errorf("read the size of the process: %w", err)
	}
	limit := unix.Rlimit{Max: unix.RLIM_INFINITY}
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil {
		return fmt.Errorf("get RLIMIT_AS: %w", err)
	}
	limit.Cur = min(n*uint64(os.Getpagesize())+uint64(memory), limit.Max) //nolint:gosec // neither is negative
	limit.Max = limit.Cur
	if err := unix.Setrlimit(unix.RLIMIT_AS, &limit); err != nil {
		return fmt.Errorf("set RLIMIT_AS: %w", err)
	}
	debug.SetMemoryLimit(memory / 4 * 3) // collect harder before it comes to that
	return nil
}
