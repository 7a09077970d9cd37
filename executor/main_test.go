package executor_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"fandango/executor"
	"fandango/executor/evalx"
	"fandango/internal/proctest"
	"fandango/ipc"
)

func TestMain(m *testing.M) {
	proctest.Main(m, map[string]func([]string){
		"worker":    func([]string) { executor.Main(executor.Object(&printer{})) },
		"registry":  func([]string) { executor.Main(registry()) },
		"evaluator": func([]string) { executor.Main(evalx.New(evalx.Config{Executor: registry()})) },
	})
}

// registry are the names and classes of the roles that are bound.
func registry() *executor.Registry {
	var r executor.Registry
	executor.Handle(&r, "unbound", func(context.Context, struct{}) (string, error) { return "here", nil })
	executor.Class(&r, "Device", func(_ context.Context, args struct{ Name, Unit string }) (*device, error) {
		if args.Name == "" {
			return nil, &ipc.Error{Kind: ipc.KindTask, Type: "DeviceError", Message: "no name"}
		}
		return &device{Unit: args.Name + " in " + args.Unit}, nil
	})
	return &r
}

// printer is an object that prints where it should not.
type printer struct{}

func (printer) Print(s string) string {
	fmt.Println(s)
	_, _ = os.NewFile(1, "descriptor 1").WriteString("to descriptor 1\n")
	return "printed"
}

func (printer) Panic() { panic("boom") }

// Wait ends when its context does.
func (printer) Wait(ctx context.Context) string {
	fmt.Fprintln(os.Stderr, "waiting")
	<-ctx.Done()
	return "told"
}

// worker makes a command that plays the worker, with only these settings of a master.
func worker(stdin io.Reader, env ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	args := proctest.Command("worker")
	cmd = exec.Command(args[0], args[1:]...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MASTER_WIRE=") && !strings.HasPrefix(v, "MASTER_WORKER=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	return cmd, stdout, stderr
}

func TestMainServesUntilStdinEnds(t *testing.T) {
	for _, tt := range []struct {
		name, stdin    string
		env            []string
		stdout, stderr string
		code           int
	}{
		{"by hand, JSON", `["k","print",["x"]]` + "\n" + `["l","nope"]`, nil, `["k","printed"]` + "\n" + `["l",null,{"message":"name \"nope\" is not defined`, "x\nto descriptor 1\n", 0},
		{"by hand, msgpack", "\x93\xa1k\xa5print\x91\xa1x", nil, "\x92\xa1k\xa7printed", "x\nto descriptor 1\n", 0},
		{"by hand, nothing", "", nil, "", "", 0},
		{"of a master, msgpack", "\x93\xa1k\xa5print\x91\xa1x", []string{"MASTER_WIRE=msgpack", "MASTER_WORKER=main/1"}, "\x92\xa1k\xa7printed", "x\n", 0},
		{"of a master, JSON", `["k","print","x"]` + "\n", []string{"MASTER_WIRE=json"}, `["k","printed"]` + "\n", "x\n", 0},
		{"panic", `["k","panic"]` + "\n" + `["l","print","x"]`, nil, `["k",null,{"message":"boom","trace":`, "panic: boom\n\ngoroutine", 0},
		{"garbage", "garbage", []string{"MASTER_WIRE=msgpack"}, "", "worker: ", 1},
		{"unknown wire", "", []string{"MASTER_WIRE=xml"}, "", `worker: MASTER_WIRE is "xml"; there are msgpack and json`, 78},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, stdout, stderr := worker(strings.NewReader(tt.stdin), tt.env...)
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.HasPrefix(stdout.String(), tt.stdout) || tt.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout %q, want %q", stdout, tt.stdout)
			}
			if !strings.HasPrefix(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr %q, want %q", stderr, tt.stderr)
			}
		})
	}
}

// process is a running worker of a master's.
type process struct {
	cmd    *exec.Cmd
	enc    *ipc.Encoder
	dec    *ipc.Decoder
	stderr *bufio.Scanner
}

func start(t *testing.T) *process {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	cmd, _, _ := worker(nil, "MASTER_WIRE=msgpack", "MASTER_WORKER=main/1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, nil, nil
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	return &process{
		cmd:    cmd,
		enc:    ipc.NewEncoder(in, ipc.Msgpack, ipc.Limits{}),
		dec:    ipc.NewDecoder(out, ipc.DecoderConfig{}),
		stderr: bufio.NewScanner(stderr),
	}
}

func (p *process) send(t *testing.T, key string, target any) {
	t.Helper()
	if err := p.enc.Request(key, encoded(t, target), nil); err != nil {
		t.Fatal(err)
	}
	if err := p.enc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func (p *process) answer(t *testing.T) string {
	t.Helper()
	a, err := p.dec.Answer()
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return a.Value.String()
}

// says waits for a line on stderr.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	for p.stderr.Scan() {
		if strings.Contains(p.stderr.Text(), text) {
			return
		}
	}
	t.Fatalf("stderr ended without %q: %v", text, p.stderr.Err())
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
}

func TestMainIdleEndsAtTerm(t *testing.T) {
	p := start(t)
	p.send(t, ipc.KeyHello, ipc.KeyHello)
	p.answer(t)
	p.signal(t, os.Interrupt) // is the master's to heed
	p.signal(t, syscall.SIGQUIT)
	p.says(t, "goroutine ")
	p.send(t, ipc.KeyHello, ipc.KeyHello)
	p.answer(t)
	p.signal(t, syscall.SIGTERM)
	p.wait(t)
}

func TestMainBusyAnswersAndEndsAtTerm(t *testing.T) {
	p := start(t)
	p.send(t, "k", "wait")
	p.says(t, "waiting")
	p.signal(t, syscall.SIGTERM)
	if got := p.answer(t); got != `"told"` {
		t.Errorf("answer %s", got)
	}
	p.wait(t)
}
