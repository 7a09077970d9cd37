package executor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"fandango/ipc"
)

// Exit codes of a worker.
const (
	exitFailed = 1  // it could not go on
	exitUsage  = 2  // it was started in a way that makes no sense
	exitConfig = 78 // its configuration is wrong; a master does not start it again
)

// Main makes a worker of the process: it serves e over stdin and stdout and exits when stdin ends. It does not return.
//
//	func main() { executor.Main(executor.Object(&Devices{})) }
//
// What the program itself prints on stdout goes to stderr, where it does no harm. On a terminal Main only says what the
// program is and how to run it; requests that are piped in by hand are answered.
func Main(e Executor) { os.Exit(Run(e)) }

// Run is Main for a program that has something to do before it exits: it returns the exit code.
func Run(e Executor) int {
	if isTerminal(os.Stdin) {
		fmt.Fprint(os.Stderr, about(os.Args[0]))
		return exitUsage
	}
	var in io.Reader = os.Stdin
	wire, byHand := ipc.Wire(os.Getenv("MASTER_WIRE")), false
	switch wire {
	case ipc.Msgpack, ipc.JSON:
	case "":
		byHand = os.Getenv("MASTER_WORKER") == ""
		if byHand {
			wire, in = guess(os.Stdin)
		}
	default:
		fmt.Fprintf(os.Stderr, "worker: MASTER_WIRE is %q; there are %s and %s\n", wire, ipc.Msgpack, ipc.JSON)
		return exitConfig
	}
	out, err := takeStdout()
	if err != nil {
		fmt.Fprintf(os.Stderr, "worker: take stdout: %v\n", err)
		return exitFailed
	}
	return run(newServer(e, in, out, wire), byHand)
}

// run serves until the input ends, or until TERM comes and nothing is running.
func run(s *server, byHand bool) int {
	if !byHand {
		defer heed()()
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	defer signal.Stop(term)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1) // 1-buffered: nobody may be left to read it
	go func() { served <- s.serve(ctx) }()
	select {
	case err := <-served:
		return exitCode(err)
	case <-term:
	}
	cancel()
	if !s.busy.Load() {
		return 0 // a Read of stdin may wait for ever
	}
	return exitCode(<-served)
}

// heed does with signals what a master expects: Ctrl-C reaches the whole terminal, and what it means is the master's to
// decide; QUIT asks what we are doing.
func heed() (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGQUIT)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGQUIT {
					stacks := make([]byte, 1<<20)
					_, _ = os.Stderr.Write(stacks[:runtime.Stack(stacks, true)])
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "worker: %v\n", err)
	return exitFailed
}

// guess tells the wire of requests that a person pipes in: a request in JSON begins with a bracket, which none in
// msgpack does.
func guess(r io.Reader) (ipc.Wire, io.Reader) {
	in := bufio.NewReader(r)
	first, err := in.Peek(1)
	if err == nil && (first[0] == '[' || first[0] <= ' ') {
		return ipc.JSON, in
	}
	return ipc.Msgpack, in
}

func about(program string) string {
	return fmt.Sprintf(`%s is a worker: a master starts it, writes requests to its stdin and reads answers from its stdout.

  use it:  master run -t TARGET FILE -- %s
  try it:  echo '["k", "TARGET", ["ARG"]]' | %s
`, filepath.Base(program), program, program)
}
