package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"fandango/cmd/master/shell"
	"fandango/executor/evalx"
	"fandango/internal/proc"
	"fandango/ipc"
)

// The exit codes.
const (
	exitOK        = 0
	exitFailed    = 1   // some tasks failed
	exitUsage     = 2   // wrong usage, or a file that does not open; nothing was run
	exitNoWorker  = 3   // workers could not be started
	exitInterrupt = 130 // Ctrl-C
	exitPipe      = 141 // the reader of the output has gone
	exitTerm      = 143 // TERM, HUP
)

// workerVerb is the hidden command that makes this program the built-in worker.
const workerVerb = "__worker"

// console is the three streams, and what is known of them.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// run is the whole program but its exit. The end of ctx is as a TERM.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &console{stdin, stdout, stderr}
	switch {
	case len(args) > 0 && args[0] == workerVerb:
		return evalx.Main(args[1:]) //nolint:contextcheck // a worker ends when its stdin does
	case len(args) > 0 && args[0] == proc.SweepVerb:
		return sweep(args[1:])
	case len(args) > 0 && (args[0] == "--help" || args[0] == "-h"):
		args = []string{"help"}
	case len(args) > 0 && args[0] == "--version":
		args = []string{"version"}
	case len(args) == 0 && isTerminal(stdin):
		fmt.Fprint(stderr, shell.HelpText(""))
		return exitUsage
	case len(args) == 0:
		args = []string{"run", "-"}
	}
	command, err := shell.Parse(args, shell.InShell, os.LookupEnv)
	if err != nil {
		return c.wrong(err)
	}
	switch command := command.(type) {
	case *shell.Run:
		return c.batch(ctx, command)
	case *shell.Serve:
		return c.serve(ctx, command)
	case *shell.Bench:
		return c.bench(ctx, command)
	case *shell.CheckCron:
		c.heedZone(command.Cron.Zone())
		return c.print(command.Answer(time.Now()))
	case *shell.Help:
		return c.print(shell.HelpText(command.Topic))
	case *shell.Version:
		return c.print(fmt.Sprintf("master %s, protocol %d, %s %s/%s\n", version(), ipc.Protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH))
	}
	return exitOK
}

// wrong says what is wrong with the command line, and where the right one is explained.
func (c *console) wrong(err error) int {
	topic := ""
	if e, ok := errors.AsType[*shell.UsageError](err); ok && e.Verb != "" {
		topic = " " + e.Verb
	}
	c.say("%v (master help%s)", err, topic)
	return exitUsage
}

// heedZone tells when TZ is no zone that Go knows: local times are then those of UTC, for it says nothing.
func (c *console) heedZone(zone *time.Location) {
	tz := os.Getenv("TZ")
	if name := strings.TrimPrefix(tz, ":"); zone == time.Local && time.Local.String() == "UTC" && name != "" && name != "UTC" {
		c.say("TZ is %q, which is no time zone that is known here: local times are UTC; set it to a name like Europe/Madrid", tz)
	}
}

// print writes what was asked for where there is no screen, and returns the exit code.
func (c *console) print(text string) int {
	_, err := io.WriteString(c.out, text)
	switch {
	case errors.Is(err, syscall.EPIPE):
		return exitPipe
	case err != nil:
		c.say("output: %v", err)
		return exitFailed
	}
	return exitOK
}

// say writes a message before there is a screen.
func (c *console) say(format string, args ...any) {
	fmt.Fprintf(c.err, "master: %s\n", shell.Safe(fmt.Sprintf(format, args...)))
}

// version is the module's, as it was built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// color reports whether a stream is shown in colour.
func color(setting string, stream any) bool {
	switch setting {
	case "always":
		return true
	case "never":
		return false
	}
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// screen makes the owner of the terminal for a command.
func (c *console) screen(o *shell.Output) *shell.Screen {
	mode := shell.NoProgress
	switch {
	case o.Quiet || o.Progress == "none":
	case o.Progress == "plain":
		mode = shell.PlainProgress
	case isTerminal(c.err) && os.Getenv("TERM") != "dumb":
		mode = shell.LineProgress
	}
	width := func() int {
		if f, ok := c.err.(*os.File); ok {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil {
				return w
			}
		}
		return 80
	}
	return shell.NewScreen(c.out, c.err, color(o.Color, c.err), mode, width)
}
