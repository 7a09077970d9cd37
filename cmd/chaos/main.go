//go:build linux

// Command chaos makes the life of a real master as hard as it can, by a seed, and then compares three independent
// records: what was submitted, what the master says became of it, and what the workers noted that they began. It exits 0
// only when nothing is missing, double, or run more often than allowed, and nobody is left behind.
//
//	go run ./cmd/chaos -duration 60s          faults from outside and inside, and the ledger
//	go run ./cmd/chaos -mode cancels          the same for a program that embeds a master, and tasks are taken back
//	go run ./cmd/chaos -mode orphans -n 50    SIGKILL 50 masters, and look for what they leave
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fandango/internal/evilworker"
)

// cancels is the mode in which tasks are taken back. The command line of a master has no way to do so: the master is in a
// program that embeds it.
const cancels = "cancels"

// workerVerb is the first argument that makes this program a worker.
const workerVerb = "worker"

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerVerb {
		playWorker()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		os.Exit(1)
	}
}

// playWorker is the evil worker. Every second one claims to answer in order, and is fed ahead; two of four claim to know
// how a task is cancelled.
func playWorker() {
	_, number, _ := strings.Cut(os.Getenv("MASTER_WORKER"), "/")
	if n, err := strconv.Atoi(number); err == nil {
		_ = os.Setenv("EVIL_CLAIM", []string{"ordered,cancel", "", "ordered", "cancel"}[n%4])
	}
	evilworker.Serve()
}

// config is what the flags say.
type config struct {
	mode     string
	seed     uint64
	duration time.Duration
	workers  int
	rate     float64
	retries  int
	timeout  time.Duration
	kills    int
	master   string
	verbose  bool
}

func (c *config) parse(args []string, out io.Writer) error {
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&c.mode, "mode", "storm", "`storm`: faults of all kinds; cancels: these, and tasks are cancelled; orphans: kill masters, look for what they leave")
	f.Uint64Var(&c.seed, "seed", 0, "where the random numbers begin; 0: anywhere")
	f.DurationVar(&c.duration, "duration", time.Minute, "of a storm")
	f.IntVar(&c.workers, "workers", 4, "of the master")
	f.Float64Var(&c.rate, "rate", 10, "faults a second in a storm, 1 to 50")
	f.IntVar(&c.retries, "retries", 0, "of each task")
	f.DurationVar(&c.timeout, "timeout", 500*time.Millisecond, "of each task")
	f.IntVar(&c.kills, "n", 50, "how many masters are killed in orphans")
	f.StringVar(&c.master, "master", "", "the `path` of the master, or of the embedder; without it, it is built")
	f.BoolVar(&c.verbose, "v", false, "show what the master says, and each fault")
	if err := f.Parse(args); err != nil {
		return err
	}
	if c.seed == 0 {
		c.seed = uint64(time.Now().UnixNano()) % 1_000_000 // short enough to type again
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("%q is no flag", f.Arg(0))
	case c.mode != "storm" && c.mode != cancels && c.mode != "orphans":
		return fmt.Errorf("-mode %s: it is storm, cancels or orphans", c.mode)
	case c.rate < 1 || c.rate > 50:
		return fmt.Errorf("-rate %v: it is 1 to 50 a second", c.rate)
	case c.workers < 1 || c.retries < 0 || c.kills < 1 || c.timeout <= 0 || c.duration < time.Second:
		return errors.New("-workers, -n and -timeout are above 0, -retries is not below 0, and -duration is 1 s or more")
	}
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var c config
	if err := c.parse(args, os.Stderr); err != nil {
		return err
	}
	fmt.Fprintf(out, "seed %d\n", c.seed)
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	if c.master == "" {
		c.master = filepath.Join(dir, "master")
		what := "fandango/cmd/master"
		if c.mode == cancels {
			what = "fandango/cmd/chaos/embedder"
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", c.master, what)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build the master: %w", err)
		}
	}
	if c.mode == "orphans" {
		err = orphans(ctx, &c, out)
	} else {
		err = storm(ctx, &c, dir, out)
	}
	if err != nil {
		return fmt.Errorf("%w (seed %d; what there is to see is in %s)", err, c.seed, dir)
	}
	return os.RemoveAll(dir)
}
