package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this binary play master, and the workers that master has to cope with.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"master": main, "oddworker": oddWorker})
}

// TestScripts runs testdata/script/*.txtar: what a person types, and what is printed.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			data, err := os.ReadFile("../../testdata/seattle-weather.csv")
			if err != nil {
				return err
			}
			env.Setenv("MASTER_WORKERS", "2")
			return os.WriteFile(env.WorkDir+"/weather.csv", data, 0o600)
		},
	})
}

// exits is the script command "exits CODE PROGRAM ARG...": the program ends with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// oddWorker is a worker over JSON lines that does what its targets, or its first argument, say.
func oddWorker() {
	mode := strings.Join(os.Args[1:], " ")
	switch mode {
	case "quits":
		fmt.Fprintln(os.Stderr, "no \x1b[31mdevice\x1b[0m here")
		os.Exit(7)
	case "misconfigured":
		os.Exit(78)
	}
	var bound []any
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var request []any
		if err := json.Unmarshal(line, &request); err != nil || len(request) != 3 {
			fmt.Fprintf(os.Stderr, "oddworker: %v: %s\n", err, line)
			os.Exit(1)
		}
		if mode == "mute" {
			continue
		}
		switch {
		case request[0] == "__BIND" && request[1] == "Reader":
			bound = request[1:]
			request = []any{request[0], "args", nil}
		case request[0] == "__BIND":
			request[1] = fmt.Sprintf("no class %v", request[1])
		case request[1] == "bound":
			request[1], request[2] = "args", bound
		}
		answer(request[0], request[1], request[2])
	}
}

func answer(key, target, args any) {
	var value, failure any
	switch target {
	case "last": // the last of its args
		list, _ := args.([]any)
		value = list[len(list)-1]
	case "args":
		value = args
	case "say":
		fmt.Println("connected to device 12")
	case "die":
		fmt.Fprint(os.Stderr, "pyscopes: device 4 timeout\nFatal error: Segmentation fault\n")
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
	case "hang":
		fmt.Fprintln(os.Stderr, "hanging")
		never := make(chan os.Signal, 1)
		signal.Notify(never, os.Interrupt) // with a signal to wait for, the runtime sees no deadlock
		<-never
	case "read": // until somebody opens the FIFO for writing
		fmt.Fprintln(os.Stderr, "reading")
		list, _ := args.([]any)
		b, err := os.ReadFile(fmt.Sprint(list[0]))
		value = fmt.Sprint(string(b), err)
	default:
		failure = map[string]any{"type": "LookupError", "message": fmt.Sprintf("no such target: %v", target), "trace": "at the \x1b[7mtop"}
	}
	line := []any{key, value}
	if failure != nil {
		line = append(line, failure)
	}
	b, err := json.Marshal(line)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s\n", b)
}
