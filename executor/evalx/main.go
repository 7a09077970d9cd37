package evalx

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"fandango/executor"
)

// DefaultMemory is what a worker may use beyond its size when it is ready.
const DefaultMemory = 512 << 20

// LeastMemory is the least that a worker can be given: twice what the Go runtime takes from the system at a time.
const LeastMemory = 128 << 20

// Main is the default worker's main: it serves an Evaluator over stdin and stdout, and returns the exit code. args are
// its flags.
func Main(args []string) int {
	cfg, memory, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stderr, usage)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "worker: %v\n%s", err, usage)
		return 2
	}
	e := New(cfg)
	if memory > 0 {
		if err := limitMemory(memory); err != nil {
			fmt.Fprintf(os.Stderr, "worker: --memory: %v\n", err)
			return 2
		}
	}
	return executor.Run(e)
}

const usage = `usage: worker [--memory SIZE] [--timeout DURATION] [--steps N]

  --memory SIZE       memory that tasks may use, such as 512MiB (the default) or a number of bytes; 0: no limit
  --timeout DURATION  the longest evaluation, such as 5s; 0, the default: no limit
  --steps N           the most steps of an evaluation; 0, the default: 1000000000; -1: no limit
`

// parseFlags reads the flags. memory 0: no limit.
func parseFlags(args []string) (cfg Config, memory int64, err error) {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // Main tells the error
	size := memoryFlag(DefaultMemory)
	if !canLimitMemory {
		size = 0
	}
	flags.Var(&size, "memory", "")
	flags.DurationVar(&cfg.Timeout, "timeout", 0, "")
	flags.Int64Var(&cfg.Steps, "steps", 0, "")
	if err := flags.Parse(args); err != nil {
		return cfg, 0, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.Timeout < 0:
		err = fmt.Errorf("--timeout %v: want 0 or more", cfg.Timeout)
	case size > 0 && !canLimitMemory:
		err = errors.New("--memory is not available on this system")
	}
	return cfg, int64(size), err
}

// memoryFlag is a size: a number of bytes, or of KiB, MiB, GiB.
type memoryFlag int64

func (m *memoryFlag) String() string { return strconv.FormatInt(int64(*m), 10) }

// Set reads a size.
func (m *memoryFlag) Set(text string) error {
	number, unit := text, int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = n, bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return errors.New("want a size such as 512MiB, 2GiB, a number of bytes, or 0 for no limit")
	}
	if n *= unit; n > 0 && n < LeastMemory {
		return fmt.Errorf("want at least %dMiB: the runtime takes its memory in large pieces", LeastMemory>>20)
	}
	*m = memoryFlag(n)
	return nil
}
