//go:build unix

package tasklet_test

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fandango/executor"
	"fandango/internal/evilworker"
	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/tasklet"
)

func TestMain(m *testing.M) {
	proctest.Main(m, map[string]func([]string){
		"worker": func([]string) { evilworker.Serve() },
		"cat":    func([]string) { _, _ = io.Copy(os.Stdout, os.Stdin) },
		"mute":   func([]string) { _, _ = io.Copy(io.Discard, os.Stdin) },
		"true":   func([]string) {},
		"newer":  func([]string) { greet(ipc.Hello{Protocol: 99}); <-time.After(time.Hour) },
		"deaf":   func([]string) { greet(ipc.Hello{}); <-time.After(time.Hour) },
		"go": func([]string) {
			reg := &executor.Registry{}
			executor.Handle(reg, "sum", func(_ context.Context, n []int) (int, error) { return n[0] + n[1], nil })
			executor.Main(reg)
		},
	})
}

// greet reads the greeting, closes stdin, and only then answers.
func greet(claims ipc.Hello) {
	_, _ = ipc.NewDecoder(os.Stdin, ipc.DecoderConfig{}).Request()
	_ = os.Stdin.Close()
	value, _ := ipc.Encode(claims)
	e := ipc.NewEncoder(os.Stdout, ipc.Msgpack, ipc.Limits{})
	_, _ = e.Answer(ipc.KeyHello, value), e.Flush()
}

func worker(role string) tasklet.Worker {
	return tasklet.Worker{Command: proctest.Command(role), Timeout: 20 * time.Second}
}

// run makes one call of a deed of evilworker's, and tells how long it took.
func run(t *testing.T, w tasklet.Worker, target string, args any) (any, time.Duration, error) {
	t.Helper()
	proctest.NoLeftovers(t)
	begun := time.Now()
	v, err := tasklet.Subprocess(t.Context(), w, ipc.NewTarget[any, any](target), args, tasklet.Config[any]{}).Wait(t.Context())
	return v, time.Since(begun), err
}

func TestSubprocessOverBothWires(t *testing.T) {
	for _, wire := range []ipc.Wire{"", ipc.Msgpack, ipc.JSON} {
		w := worker("go")
		w.Wire = wire
		sum := ipc.NewTarget[[]int, int]("sum")
		if n, err := tasklet.Subprocess(t.Context(), w, sum, []int{2, 3}, tasklet.Config[int]{}).Wait(t.Context()); n != 5 || err != nil {
			t.Errorf("wire %q: %v, %v", wire, n, err)
		}
	}
}

func TestSubprocessTellsWhatWentWrong(t *testing.T) {
	quick := func(w tasklet.Worker) tasklet.Worker { w.Timeout = 300 * time.Millisecond; return w }
	small := worker("worker")
	small.Limits.Size = 1 << 10
	for _, c := range []struct {
		name   string
		w      tasklet.Worker
		target string
		args   any
		kind   ipc.Kind
		says   string
	}{
		{"a task's error", worker("worker"), "nothing", nil, ipc.KindTask, "no such target: nothing"},
		{"exit 0", worker("worker"), "x:exit", nil, ipc.KindCrash, "its worker died (exit code 0)"},
		{"exit 3", worker("worker"), "x:exit3", nil, ipc.KindCrash, "its worker died (exit code 3)"},
		{"no worker", worker("true"), "echo", nil, ipc.KindCrash, "its worker died (exit code 0)"},
		{"an echo", worker("cat"), "echo", 1, ipc.KindProtocol, "is it cat?"},
		{"silence", quick(worker("mute")), "echo", 1, ipc.KindTimeout, "no answer after 300ms"},
		{"a hang", quick(worker("worker")), "x:hang", nil, ipc.KindTimeout, "no answer after 300ms"},
		{"half an answer", worker("worker"), "x:trunc", nil, ipc.KindCrash, "its worker died (exit code 0)"},
		{"half an answer, and lives on", worker("worker"), "x:truncout", nil, ipc.KindProtocol, "ended inside a message"},
		{"stdout closed", worker("worker"), "x:closeout", nil, ipc.KindProtocol, "it closed its stdout"},
		{"stdin closed", worker("deaf"), "echo", 1, ipc.KindProtocol, "it closed its stdin"},
		{"another protocol", worker("newer"), "echo", 1, ipc.KindProtocol, "it speaks protocol 99"},
		{"a key of nobody's", worker("worker"), "x:unknown", nil, ipc.KindProtocol, `"nobody asked"`},
		{"a bomb", worker("worker"), "x:lenbomb", nil, ipc.KindProtocol, "its worker was ended: "},
		{"another type", worker("worker"), "echo", []any{func() {}}, ipc.KindInput, "args"},
		{"beyond the limits", small, "echo", strings.Repeat("x", 2<<10), ipc.KindInput, "the limit is 1024"},
		{"no command", tasklet.Worker{}, "echo", nil, ipc.KindInput, "no worker command"},
		{"no program", tasklet.Worker{Command: []string{"/nowhere/worker"}}, "echo", nil, ipc.KindNoWorker, "/nowhere/worker"},
	} {
		_, took, err := run(t, c.w, c.target, c.args)
		if err == nil || ipc.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: kind %q, %v; want %q, %q", c.name, ipc.KindOf(err), err, c.kind, c.says)
		}
		if took > 10*time.Second {
			t.Errorf("%s: told after %v", c.name, took)
		}
	}
}

func TestSubprocessResultOfAnotherType(t *testing.T) {
	echo := ipc.NewTarget[string, int]("echo")
	_, err := tasklet.Subprocess(t.Context(), worker("worker"), echo, "text", tasklet.Config[int]{}).Wait(t.Context())
	if !errors.Is(err, ipc.ErrInput) {
		t.Errorf("error %v, want one of kind input", err)
	}
}

func TestSubprocessKeepsTheLastWords(t *testing.T) {
	_, _, err := run(t, worker("worker"), "x:exit3", nil)
	e, ok := errors.AsType[*ipc.Error](err)
	if !ok || e.Exit == nil || e.Exit.Code != 3 || !slices.Equal(e.Exit.Stderr, []string{"last words"}) {
		t.Errorf("error %+v, exit %+v", err, e.Exit)
	}
}

func TestSubprocessCountsAnAnswerThatWasWritten(t *testing.T) {
	for target, want := range map[string]any{"x:replyexit": "done", "x:text": "after text", "x:stderr": "flooded", "x:closein": "closed"} {
		if v, _, err := run(t, worker("worker"), target, nil); v != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", target, v, err, want)
		}
	}
}

// Both pipes are full before the worker has read all that it is sent.
func TestSubprocessCarriesMuch(t *testing.T) {
	long := strings.Repeat("x", 8<<20)
	if v, _, err := run(t, worker("worker"), "echo", long); v != long || err != nil {
		t.Errorf("error %v", err)
	}
}

func TestSubprocessEndsTheWholeGroup(t *testing.T) {
	if _, _, err := run(t, worker("worker"), "x:kids", []int{3}); err != nil { // run looks for what is left
		t.Error(err)
	}
}

// A child outside the group has the worker's stdout, and nothing waits for it.
func TestSubprocessDoesNotWaitForAStranger(t *testing.T) {
	v, took, err := run(t, worker("worker"), "x:grand", nil)
	pid, ok := v.(int64)
	if !ok || err != nil || took > 10*time.Second {
		t.Fatalf("after %v: %v, %v", took, v, err)
	}
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestSubprocessEndsAWorkerThatLivesOnAfterItsAnswer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	proctest.NoLeftovers(t)
	hang := ipc.NewTarget[any, string]("x:answerhang")
	if v, err := tasklet.Subprocess(ctx, worker("worker"), hang, nil, tasklet.Config[string]{}).Wait(t.Context()); v != "answered" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestSubprocessCancel(t *testing.T) {
	proctest.NoLeftovers(t)
	file := t.TempDir() + "/never"
	until := ipc.NewTarget[[]string, any]("until")
	begun := time.Now()
	c := tasklet.Subprocess(t.Context(), worker("worker"), until, []string{file}, tasklet.Config[any]{})
	time.AfterFunc(200*time.Millisecond, c.Cancel)
	if _, err := c.Wait(t.Context()); !errors.Is(err, ipc.ErrCancelled) || time.Since(begun) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
}

// A worker dies with the thread that started it: each call must keep its own until the end.
func TestManySubprocessesAtOnce(t *testing.T) {
	proctest.NoLeftovers(t)
	work := ipc.NewTarget[[]int, string]("work")
	var calling sync.WaitGroup
	for range 10 {
		calling.Go(func() {
			for range 2 {
				c := tasklet.Subprocess(t.Context(), worker("worker"), work, []int{50}, tasklet.Config[string]{})
				runtime.Gosched()
				if _, err := c.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	calling.Wait()
}

// SubprocessMethod's documented form, (obj, 'name', args…), does not work.
func TestTheDocumentedFormWorks(t *testing.T) {
	if v, _, err := run(t, worker("worker"), "echo", []any{"a", int64(1)}); err != nil || !slices.Equal(v.([]any), []any{"a", int64(1)}) {
		t.Errorf("%v, %v", v, err)
	}
}

// SubprocessMethod hands errors to the callback as if they were results, and returns them too.
func TestTheCallbackAndTheResultSayTheSame(t *testing.T) {
	proctest.NoLeftovers(t)
	for target, want := range map[string]ipc.Kind{"x:exit": ipc.KindCrash, "pid": ""} {
		var value int
		var told error
		c := tasklet.Subprocess(t.Context(), worker("worker"), ipc.NewTarget[any, int](target), nil, tasklet.Config[int]{
			Then: func(v int, err error) { value, told = v, err },
		})
		v, err := c.Wait(t.Context())
		if ipc.KindOf(err) != want || !errors.Is(told, err) || v != value || (err == nil) != (v != 0) {
			t.Errorf("%s: result %v, %v; callback %v, %v", target, v, err, value, told)
		}
	}
}

// SubprocessMethod notices a child that was killed only at its timeout.
func TestAKilledChildIsNoticedAtOnceAndNotAtTheTimeout(t *testing.T) {
	w := worker("worker")
	w.Timeout = time.Hour
	_, took, err := run(t, w, "x:kill9", nil)
	e, ok := errors.AsType[*ipc.Error](err)
	if !ok || e.Kind != ipc.KindCrash || e.Exit == nil || e.Exit.Signal != int(syscall.SIGKILL) || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}

// SubprocessMethod waits for a child that ignores SIGTERM: 4 s for a timeout of 0.5 s.
func TestAChildThatIgnoresTermIsKilledAtItsTimeout(t *testing.T) {
	w := worker("worker")
	w.Timeout = 500 * time.Millisecond
	_, took, err := run(t, w, "x:ign", nil)
	if !errors.Is(err, ipc.ErrTimeout) || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}
