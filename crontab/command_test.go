//go:build unix

package crontab_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fandango/crontab"
	"fandango/internal/proctest"
	"fandango/ipc"
)

// do runs a command once, and tells how long it took.
func do(t *testing.T, ctx context.Context, c crontab.Command) (crontab.Output, *ipc.Error, time.Duration) { //nolint:revive // t comes first
	t.Helper()
	proctest.NoLeftovers(t)
	begun := time.Now()
	value, err := c.Task()(ctx)
	out, ok := value.(crontab.Output)
	if !ok {
		t.Fatalf("the value is a %T", value)
	}
	failure, _ := errors.AsType[*ipc.Error](err)
	if err != nil && failure == nil {
		t.Fatalf("an error without a kind: %v", err)
	}
	return out, failure, time.Since(begun)
}

func TestRow94ExitCodeStdoutAndStderrAreKept(t *testing.T) {
	out, err, _ := do(t, t.Context(), crontab.Command{Args: proctest.Command("say", "a", "b c"), Stdin: "in\n"})
	if want := (crontab.Output{Stdout: "in\na b c", Stderr: "mind the gap\nand the step"}); out != want || err != nil {
		t.Errorf("%+v, %v", out, err)
	}
	out, err, _ = do(t, t.Context(), crontab.Command{Args: proctest.Command("say")})
	if out.Code != 3 || out.Stderr != "mind the gap\nand the step" || err == nil || err.Kind != ipc.KindTask ||
		err.Error() != "exit code 3: and the step" || err.Exit.Code != 3 || len(err.Exit.Stderr) != 2 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestASignalIsACrash(t *testing.T) {
	out, err, _ := do(t, t.Context(), crontab.Command{Args: []string{"/bin/sh", "-c", "kill -SEGV $$"}})
	if out.Code != -1 || out.Signal != "SIGSEGV" || err == nil || err.Kind != ipc.KindCrash || !strings.Contains(err.Error(), "it died (signal 11, SIGSEGV)") {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestACommandThatIsNotThere(t *testing.T) {
	for _, args := range [][]string{{"/no/such/program"}, nil, {""}} {
		out, err, _ := do(t, t.Context(), crontab.Command{Args: args})
		if err == nil || out.Code != -1 || args != nil && args[0] != "" && (err.Kind != ipc.KindNoWorker || !strings.Contains(err.Error(), "/no/such/program")) {
			t.Errorf("%q: %+v, %v", args, out, err)
		}
	}
}

func TestTheEndOfAFloodIsKept(t *testing.T) {
	out, err, _ := do(t, t.Context(), crontab.Command{Args: proctest.Command("flood"), Keep: 1000})
	if err != nil || len(out.Stdout) != 1000 || !out.Cut || !strings.HasSuffix(out.Stdout, "xend") {
		t.Errorf("%d bytes, cut: %v, %v", len(out.Stdout), out.Cut, err)
	}
	if out, _, _ = do(t, t.Context(), crontab.Command{Args: proctest.Command("flood")}); len(out.Stdout) != 1<<20 {
		t.Errorf("%d bytes are kept", len(out.Stdout))
	}
}

// whenReady runs a command whose timeout is to end it after it has said that it is ready. What was ended before that, on a
// busy machine, tells nothing: it has more time then.
func whenReady(t *testing.T, c crontab.Command) (out crontab.Output, err *ipc.Error, took time.Duration) {
	t.Helper()
	for ; c.Timeout < time.Minute; c.Timeout *= 2 {
		if out, err, took = do(t, t.Context(), c); out.Stdout != "" {
			break
		}
	}
	return out, err, took
}

func TestATimeoutAsksAndThenKills(t *testing.T) {
	polite := crontab.Command{Args: proctest.Command("polite"), Timeout: time.Second, Grace: time.Minute}
	out, err, took := whenReady(t, polite)
	if err == nil || err.Kind != ipc.KindTimeout || out.Stdout != "ready\nbye\n" || out.Code != 0 || took > 50*time.Second {
		t.Errorf("%+v, %v after %v", out, err, took)
	}
	deaf := crontab.Command{Args: proctest.Command("deaf"), Timeout: time.Second, Grace: 200 * time.Millisecond}
	out, err, _ = whenReady(t, deaf)
	if err == nil || err.Kind != ipc.KindTimeout || out.Signal != "SIGKILL" || out.Stdout != "ready\n" {
		t.Errorf("%+v, %v", out, err)
	}
	deaf.Grace = -1
	if out, err, _ = do(t, t.Context(), deaf); err == nil || out.Signal != "SIGKILL" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestTheEndOfTheContextEndsTheWholeGroup(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("enough"))
	defer cancel()
	_, err, took := do(t, ctx, crontab.Command{Args: []string{"/bin/sh", "-c", "sleep 1000 & sleep 1000"}})
	if err == nil || err.Kind != ipc.KindCancelled || !strings.Contains(err.Error(), "enough") || took > 30*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

// A child that stays behind with the pipes, in the group or outside of it, holds up nobody.
func TestWhatStaysBehindIsNotWaitedFor(t *testing.T) {
	out, err, took := do(t, t.Context(), crontab.Command{Args: []string{"/bin/sh", "-c", "sleep 1000 & echo done"}})
	if err != nil || out.Stdout != "done\n" || took > 30*time.Second {
		t.Errorf("%+v, %v after %v", out, err, took)
	}
}

func TestACommandThatDoesNotReadItsStdin(t *testing.T) {
	out, err, _ := do(t, t.Context(), crontab.Command{Args: []string{"/bin/sh", "-c", "echo done"}, Stdin: strings.Repeat("x", 1<<20)})
	if err != nil || out.Stdout != "done\n" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestACrontabFileForReal(t *testing.T) {
	proctest.NoLeftovers(t)
	lines, err := crontab.Parse(strings.NewReader(`# how it greets
GREETING = "good morning"
HOME=/
@reboot  echo "$GREETING from $(pwd)"; exit 4 # a shell's comment
@reboot  cat%two lines%and 50\% more
`), "tab", nil)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan crontab.Result, 2)
	tab := crontab.New(crontab.Config{Result: func(r crontab.Result) { results <- r }})
	for _, line := range lines {
		if _, err := tab.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tab.Run(ctx) }()
	said := map[string]string{}
	for range lines {
		r := <-results
		out, _ := r.Value.(crontab.Output)
		said[strings.Fields(r.Job)[0]] = out.Stdout
		if (r.Err != nil) != (out.Code == 4) {
			t.Errorf("%+v", r)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if said["echo"] != "good morning from /\n" || said["cat"] != "two lines\nand 50% more\n" {
		t.Errorf("%q", said)
	}
}
