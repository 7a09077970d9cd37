//go:build unix

package pool_test

import (
	"fmt"
	"io"
	"maps"
	"os"
	"testing"

	"fandango/executor"
	"fandango/executor/evalx"
	"fandango/internal/evilworker"
	"fandango/internal/proctest"
	"fandango/internal/runnertest"
)

func TestMain(m *testing.M) {
	roles := map[string]func([]string){
		"worker": func([]string) { evilworker.Serve() },
		"cat":    func([]string) { _, _ = io.Copy(os.Stdout, os.Stdin) },
		"exit":   func(args []string) { exitWith(args[0]) },
		"half": func([]string) { // every second worker never answers
			if os.Getenv("MASTER_WORKER") == "main/2" {
				_ = os.Setenv("EVIL_START", "hang")
			}
			evilworker.Serve()
		},
		"echoer":    playEchoer,
		"mortal":    playMortal,
		"reluctant": playReluctant,
		"mute":      func([]string) { _, _ = io.Copy(io.Discard, os.Stdin) },
		"names":     func([]string) { executor.Main(runnertest.Names()) },
		"whole":     func([]string) { executor.Main(runnertest.Whole()) },
		"handlers":  playHandlers,
		"evaluator": func([]string) { os.Exit(evalx.Main(nil)) },
	}
	maps.Copy(roles, systemRoles)
	proctest.Main(m, roles)
}

// systemRoles are those that only some systems have.
var systemRoles = map[string]func([]string){}

func exitWith(code string) {
	var n int
	_, _ = fmt.Sscan(code, &n)
	fmt.Fprintf(os.Stderr, "exiting with %d\n", n)
	os.Exit(n)
}

// with is the environment of workers that are told something.
func with(settings ...string) []string { return append(os.Environ(), settings...) }
