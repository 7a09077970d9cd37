//go:build unix

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"fandango/ipc"
	"fandango/pool"
)

func startExec(t *testing.T, cfg pool.Config) *pool.Pool {
	t.Helper()
	p, _ := startNew(t, pool.NewExec, cfg)
	return p
}

func TestExecFillsPlaceholders(t *testing.T) {
	for _, c := range []struct {
		command []string
		want    string
	}{
		{[]string{"/bin/echo", "{}"}, `"a/b c.txt\n"`},
		{[]string{"/bin/echo", "-n", "{/}:{.}:{}"}, `"b c.txt:a/b c:a/b c.txt"`},
		{[]string{"/bin/echo", "-n"}, `"a/b c.txt"`},
		{[]string{"/bin/sh", "-c", `printf '%s' "$1"`, "sh", "{}"}, `"a/b c.txt"`},
		{[]string{"/usr/bin/printf", `\377%s`, "{.}"}, `{"$bytes":"/2EvYiBj"}`},
	} {
		p := startExec(t, pool.Config{Command: c.command, Workers: 1})
		if o := run(t, p, task(t, "k", "a/b c.txt")); o.Err != nil || o.Value.String() != c.want {
			t.Errorf("%q: outcome = %v, %v; want %s", c.command, o.Value, o.Err, c.want)
		}
	}
}

func TestExecTellsHowItEnded(t *testing.T) {
	p := startExec(t, pool.Config{Command: []string{"/bin/sh", "-c", "{}"}, Workers: 2, Limits: ipc.Limits{Size: 1 << 16}})
	for _, c := range []struct {
		script string
		kind   ipc.Kind
		says   string
	}{
		{"echo oh dear >&2; exit 3", ipc.KindTask, "exit code 3: oh dear"},
		{"echo said elsewhere; echo >&2; echo oh dear >&2; exit 3", ipc.KindTask, "exit code 3: oh dear"},
		{"echo 1 run; echo 1 failed; echo; exit 3", ipc.KindTask, "exit code 3: 1 failed"}, // as test programs do
		{"seq 1000 9999; exit 3", ipc.KindTask, "exit code 3: 9999"},
		{"kill -9 $$", ipc.KindCrash, "signal 9, SIGKILL"},
		{"trap '' TERM; sleep 300", ipc.KindTimeout, "no answer after 1s"},
		{"sleep 300 & echo child left behind", "", "child left behind"},
		{"head -c 100000 /dev/zero; sleep 300", ipc.KindProtocol, "more than 65536 bytes"},
		{"cat", "", ""}, // its stdin is empty
	} {
		one := task(t, "k", c.script)
		if c.kind == ipc.KindTimeout {
			one.Timeout = time.Second
		}
		o := run(t, p, one)
		said := o.Value.String()
		if o.Err != nil {
			said = o.Err.Error()
		}
		if ipc.KindOf(o.Err) != c.kind || !strings.Contains(said, c.says) {
			t.Errorf("%s: %v, %q; want %q, %q", c.script, ipc.KindOf(o.Err), said, c.kind, c.says)
		}
	}
}

func TestExecCancelDrainAndQueue(t *testing.T) {
	p := startExec(t, pool.Config{Command: []string{"/bin/sleep", "{}"}, Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan ipc.Outcome, 1)
	if err := p.Submit(ctx, task(t, "long", "300"), func(o ipc.Outcome) { running <- o }); err != nil {
		t.Fatal(err)
	}
	waitState(t, p, pool.StateBusy)
	waiting := submit(t, p, task(t, "waiting", "0.01"))
	cancel()
	if o := <-running; !errors.Is(o.Err, ipc.ErrCancelled) {
		t.Errorf("outcome = %+v, want cancelled", o)
	}
	if o := <-waiting; o.Err != nil {
		t.Error(o.Err)
	}
	stuck := submit(t, p, task(t, "stuck", "300"))
	waitState(t, p, pool.StateBusy)
	p.Drain(10 * time.Millisecond)
	if o := <-stuck; !errors.Is(o.Err, ipc.ErrClosed) {
		t.Errorf("outcome = %+v, want closed", o)
	}
}

func TestExecRetriesACrash(t *testing.T) {
	p := startExec(t, pool.Config{Command: []string{"/bin/sh", "-c", "kill -9 $$"}, Workers: 1})
	again := task(t, "k", "x")
	again.Retries = 2
	if o := run(t, p, again); !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 3 {
		t.Errorf("outcome = %+v, want a crash after 3 attempts", o)
	}
}

func BenchmarkExec(b *testing.B) {
	p, err := pool.NewExec(pool.Config{Command: []string{"/bin/true"}, Workers: 2})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	room := make(chan struct{}, 1000)
	t := task(b, "k", "x")
	for b.Loop() {
		room <- struct{}{}
		if err := p.Submit(ctx, t, func(ipc.Outcome) { <-room }); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-ended
}

func TestConfinedWorkerSeesItsLimits(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits are set on Linux only")
	}
	p := startExec(t, pool.Config{Command: []string{"/bin/sh", "-c", "ulimit -n; ulimit -c"}, Workers: 1, Confine: &pool.Confine{Files: 50}})
	if o := run(t, p, task(t, "k", "x")); o.Err != nil || o.Value.String() != `"50\n0\n"` {
		t.Errorf("outcome = %v, %v", o.Value, o.Err)
	}
}

// TestExecWaitsForRoom: when there were too many open files, all that was still to be started failed at once.
func TestExecWaitsForRoom(t *testing.T) {
	dir, waits := t.TempDir(), make(chan bool, 1)
	p := startExec(t, pool.Config{
		Command: []string{"/bin/sh", "-c", "read line <{}; echo $line"}, Workers: 12,
		Log: hclog.New(&hclog.LoggerOptions{Output: writer(func(line []byte) {
			if strings.Contains(string(line), "no room for a process") {
				select {
				case waits <- true:
				default:
				}
			}
		})}),
	})
	var running []<-chan ipc.Outcome
	var gates []*os.File
	for i := range 8 {
		name := filepath.Join(dir, fmt.Sprint("gate", i))
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
		running = append(running, submit(t, p, task(t, fmt.Sprint("first ", i), name)))
		gate, err := os.OpenFile(name, os.O_WRONLY, 0) // when there is a process that reads it
		if err != nil {
			t.Fatal(err)
		}
		gates = append(gates, gate)
	}

	fillDescriptors(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan ipc.Outcome, 1)
	if err := p.Submit(ctx, task(t, "cancelled", "/dev/null"), func(o ipc.Outcome) { cancelled <- o }); err != nil {
		t.Fatal(err)
	}
	<-waits
	cancel()
	if o := <-cancelled; !errors.Is(o.Err, ipc.ErrCancelled) || o.Attempts != 0 {
		t.Errorf("outcome = %+v, want it cancelled before it began", o)
	}
	var late []<-chan ipc.Outcome
	for i := range 8 {
		late = append(late, submit(t, p, task(t, fmt.Sprint("late ", i), "/dev/null")))
	}
	<-waits
	for _, gate := range gates {
		if _, err := gate.WriteString("done\n"); err != nil {
			t.Error(err)
		}
		_ = gate.Close()
	}
	for _, outcome := range append(running, late...) {
		if o := <-outcome; o.Err != nil || o.Attempts != 1 {
			t.Errorf("outcome = %+v, want it done", o)
		}
	}
}

type writer func(line []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// fillDescriptors leaves no descriptor free, until the end of the test.
func fillDescriptors(t *testing.T) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	top, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	fill := []*os.File{top}
	narrow := before
	narrow.Cur = uint64(top.Fd()) + 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &narrow); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
		for _, f := range fill {
			_ = f.Close()
		}
	})
}
