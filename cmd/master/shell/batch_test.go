package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fandango/ipc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a batch over fakes: a Send of the test's own, and streams that can be looked at.
type bench struct {
	Batch
	out, err lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the batch over in, and a screen; wait returns the batch's error.
func (b *bench) start(t *testing.T, ctx context.Context, in io.Reader) (wait func() error) { //nolint:revive // t comes first
	t.Helper()
	source, err := NewSource(in, Form{Target: "f"})
	if err != nil {
		t.Fatal(err)
	}
	b.Source, b.Tally = source, &Tally{}
	if b.Out == nil {
		b.Out = &b.out
	}
	b.Screen = NewScreen(b.Out, &b.err, false, NoProgress, nil)
	showing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var screen sync.WaitGroup
	screen.Go(func() { b.Screen.Run(showing) })
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	return func() error {
		err := <-done
		stop()
		screen.Wait()
		return err
	}
}

// answer is a Send whose every task is done at once, elsewhere, with its key as the value.
func answer(_ context.Context, t ipc.Task, then func(Result, ...Result)) error {
	v, err := ipc.Encode("v" + t.Key)
	go then(Result{Key: t.Key, Outcome: ipc.Outcome{Value: v, Err: err, Attempts: 1, Worker: "main/1"}, At: time.Now()})
	return nil
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strconv.Itoa(i) + "\n")
	}
	return b.String()
}

func TestEveryLineHasItsResult(t *testing.T) {
	const n = 3*Window + 5
	b := &bench{Batch: Batch{Send: answer, Format: Text}}
	if err := b.start(t, t.Context(), strings.NewReader(numbers(n)))(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(b.out.String()) {
		seen[line] = true
	}
	if len(seen) != n || b.Tally.done.Load() != n {
		t.Errorf("%d results, %d done, of %d", len(seen), b.Tally.done.Load(), n)
	}
}

func TestKeepOrder(t *testing.T) {
	var held []func()
	var mu sync.Mutex
	// Tasks end in groups of ten, each group backwards.
	send := func(ctx context.Context, task ipc.Task, then func(Result, ...Result)) error {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, func() { _ = answer(ctx, task, then) })
		if len(held) == 10 {
			for i := range held {
				held[9-i]()
			}
			held = nil
		}
		return nil
	}
	b := &bench{Batch: Batch{Send: send, Format: Text, Ordered: true}}
	if err := b.start(t, t.Context(), strings.NewReader(numbers(2*Window)))(); err != nil {
		t.Fatal(err)
	}
	next := 0
	for line := range strings.Lines(b.out.String()) {
		if want := fmt.Sprintf("%d\tv%d\n", next, next); line != want {
			t.Fatalf("line %d is %q", next, line)
		}
		next++
	}
	if next != 2*Window {
		t.Errorf("%d lines", next)
	}
}

func TestWithKeepOrderReadingStopsAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		first := make(chan struct{})
		send := func(ctx context.Context, task ipc.Task, then func(Result, ...Result)) error {
			if sent.Add(1) == 1 {
				go func() { <-first; _ = answer(ctx, task, then) }()
				return nil
			}
			return answer(ctx, task, then)
		}
		b := &bench{Batch: Batch{Send: send, Format: Text, Ordered: true}}
		wait := b.start(t, t.Context(), strings.NewReader(numbers(2*Window)))
		synctest.Wait()
		if n := sent.Load(); n != Window || b.out.String() != "" {
			t.Errorf("%d tasks sent behind one that takes long, want %d", n, Window)
		}
		close(first)
		if err := wait(); err != nil || sent.Load() != 2*Window {
			t.Errorf("%v, %d tasks sent", err, sent.Load())
		}
	})
}

func TestATrickleAppearsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, feed := io.Pipe()
		b := &bench{Batch: Batch{Send: answer, Format: Text}}
		wait := b.start(t, t.Context(), in)
		for i := range 3 {
			fmt.Fprintf(feed, "%d\n", i)
			time.Sleep(2 * time.Millisecond) // of the bubble's time
			if got := strings.Count(b.out.String(), "\n"); got != i+1 {
				t.Errorf("%d results 2 ms after line %d", got, i+1)
			}
		}
		feed.Close()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestFailuresOfLinesAndTasks(t *testing.T) {
	send := func(ctx context.Context, task ipc.Task, then func(Result, ...Result)) error {
		switch task.Key {
		case "1":
			go then(Result{Key: "1", Outcome: ipc.Outcome{Err: &ipc.Error{Kind: ipc.KindTask, Message: "no", Trace: "at x\nat \x1by\n"}, Attempts: 1}})
			return nil
		case "2":
			return ipc.Errorf(ipc.KindInput, "key 2: too large")
		}
		return answer(ctx, task, then)
	}
	b := &bench{Batch: Batch{Send: send, Format: Text, Ordered: true, Traces: true}}
	if err := b.start(t, t.Context(), strings.NewReader(numbers(4)))(); err != nil {
		t.Fatal(err)
	}
	if got := b.out.String(); got != "0\tv0\n3\tv3\n" {
		t.Errorf("stdout %q", got)
	}
	want := "master: FAILED 1: no\n          | at x\n          | at \\x1by\nmaster: FAILED key 2: too large\n"
	if got := b.err.String(); got != want || b.Tally.Failed() != 2 {
		t.Errorf("stderr %q, want %q; %d failed", got, want, b.Tally.Failed())
	}
	j := &bench{Batch: Batch{Send: send, Format: JSON, Ordered: true}}
	if err := j.start(t, t.Context(), strings.NewReader(numbers(4)))(); err != nil {
		t.Fatal(err)
	}
	if got := j.out.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, `{"key":"2","error":"key 2: too large","kind":"input",`) ||
		j.err.String() != "" {
		t.Errorf("stdout %s stderr %s", got, j.err.String())
	}
}

func TestWhatProcessesPrint(t *testing.T) {
	send := func(_ context.Context, task ipc.Task, then func(Result, ...Result)) error {
		v, err := ipc.Encode(task.Key + "\n")
		then(Result{Key: task.Key, Outcome: ipc.Outcome{Value: v, Err: err, Attempts: 1}})
		return nil
	}
	for format, want := range map[Format]string{
		Text: "0\t\"0\"\n1\t\"1\"\n", Bare: "0\n1\n", CSV: csvHeader + "0,0,,,0,,1,", JSON: `{"key":"0","value":"0\n",`,
	} {
		b := &bench{Batch: Batch{Send: send, Format: format, Ordered: true, Printed: true}}
		if err := b.start(t, t.Context(), strings.NewReader(numbers(2)))(); err != nil {
			t.Fatal(err)
		}
		if got := b.out.String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

func TestEachWorkerHasItsResult(t *testing.T) {
	send := func(_ context.Context, task ipc.Task, then func(Result, ...Result)) error {
		v, err := ipc.Encode(5)
		one := Result{Key: task.Key, Outcome: ipc.Outcome{Value: v, Err: err, Attempts: 1, Worker: "main/1"}}
		two := Result{Key: task.Key, Outcome: ipc.Outcome{Err: ipc.ErrTask, Attempts: 1, Worker: "main/2"}}
		then(one, two)
		return nil
	}
	failed := 0
	b := &bench{Batch: Batch{Send: send, Format: Text, Ordered: true, All: true, Failed: func() { failed++ }}}
	if err := b.start(t, t.Context(), strings.NewReader(numbers(2)))(); err != nil {
		t.Fatal(err)
	}
	if got := b.out.String(); got != "0\t5\tmain/1\n1\t5\tmain/1\n" {
		t.Errorf("stdout %q", got)
	}
	if got := b.err.String(); got != "master: FAILED 0 on main/2: task\nmaster: FAILED 1 on main/2: task\n" {
		t.Errorf("stderr %q", got)
	}
	if b.Tally.done.Load() != 2 || b.Tally.Failed() != 2 || b.Tally.read.Load() != 4 || failed != 1 {
		t.Errorf("%d done, %d failed of %d; Failed was told %d times", b.Tally.done.Load(), b.Tally.Failed(), b.Tally.read.Load(), failed)
	}
}

func TestAStopReadsNoFurtherAndCountsTheRest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var waiting []func()
	send := func(ctx context.Context, task ipc.Task, then func(Result, ...Result)) error {
		if ctx.Done() != nil {
			t.Error("the end of the batch would cancel its tasks")
		}
		waiting = append(waiting, func() {
			go then(Result{Key: task.Key, Outcome: ipc.Outcome{Err: ipc.ErrClosed}})
		})
		if len(waiting) == 3 {
			cancel()
			_ = answer(ctx, task, then)
			waiting[0]()
			waiting[1]()
		}
		return nil
	}
	in, feed := io.Pipe()
	b := &bench{Batch: Batch{Send: send, Format: Text}}
	wait := b.start(t, ctx, in)
	fmt.Fprint(feed, "a\nb\nc\n")
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if b.out.String() != "c\tvc\n" || b.err.String() != "" || b.Tally.notStarted.Load() != 2 || b.Tally.Failed() != 0 {
		t.Errorf("stdout %q, stderr %q, %d not started", b.out.String(), b.err.String(), b.Tally.notStarted.Load())
	}
}

func TestWhenTheReaderOfTheOutputHasGone(t *testing.T) {
	in, feed := io.Pipe()
	b := &bench{Batch: Batch{Send: answer, Format: Text, Out: brokenPipe{}}}
	wait := b.start(t, t.Context(), in)
	go func() {
		for _, err := feed.Write([]byte("x\n")); err == nil; {
			_, err = feed.Write([]byte("x\n"))
		}
	}()
	if err := wait(); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Run = %v, want EPIPE", err)
	}
	in.Close()
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestScreenKeepsProgressAndMessagesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		s := NewScreen(&out, &out, false, LineProgress, func() int { return 20 })
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { s.Run(ctx) })
		n := 0
		s.Watch(func() string { n++; return fmt.Sprintf("  %d/9   and what does not fit", n) })
		time.Sleep(500 * time.Millisecond)
		s.Notef("hello %d", 1)
		synctest.Wait()
		if err := s.Write(true, []byte("k\tv\n")); err != nil {
			t.Error(err)
		}
		s.Ask()
		synctest.Wait()
		s.Watch(nil)
		stop()
		run.Wait()
		line := func(n int) string { return fmt.Sprintf("  %d/9   and what do", n) }
		want := "\r" + line(1) + "\x1b[K" + "\r" + line(2) + "\x1b[K" +
			"\r\x1b[Kmaster: hello 1\n" + line(2) +
			"\r\x1b[Kk\tv\n" + line(2) +
			"\r\x1b[Kmaster:  3/9   and what does not fit\n" + line(2) + "\r\x1b[K"
		if got := out.String(); got != want {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	})
}

func TestASlowTerminalCostsMessagesAndNotTime(t *testing.T) {
	gate := make(chan struct{})
	var out lockedBuffer
	s := NewScreen(nil, gated{gate, &out}, false, NoProgress, nil)
	log := s.Log()
	for range notesKept + 7 {
		fmt.Fprint(log, "worker \x1b[31mred\n")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	close(gate)
	s.Run(ctx)
	if got := out.String(); !strings.Contains(got, "master: 7 messages left out: the terminal was too slow\n") ||
		strings.Count(got, "worker \\x1b[31mred\n") != notesKept {
		t.Errorf("%d lines, the last ones %q", strings.Count(got, "\n"), got[max(0, len(got)-100):])
	}
}

type gated struct {
	gate chan struct{}
	w    io.Writer
}

func (g gated) Write(p []byte) (int, error) {
	<-g.gate
	return g.w.Write(p)
}

func TestLargeResultsLeaveFewTasksOnTheirWay(t *testing.T) {
	var onTheirWay, most atomic.Int64
	value, err := ipc.Encode(strings.Repeat("x", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	send := func(_ context.Context, task ipc.Task, then func(Result, ...Result)) error {
		most.Store(max(most.Load(), onTheirWay.Add(1)))
		go func() {
			then(Result{Key: task.Key, Outcome: ipc.Outcome{Value: value, Attempts: 1}})
			onTheirWay.Add(-1)
		}()
		return nil
	}
	b := &bench{Batch: Batch{Send: send, Format: Bare, Out: io.Discard, Ordered: true}}
	if err := b.start(t, t.Context(), strings.NewReader(numbers(1000)))(); err != nil {
		t.Fatal(err)
	}
	if most.Load() > windowBytes/(256<<10) || b.Tally.done.Load() != 1000 {
		t.Errorf("%d tasks with results of 1 MiB on their way at once, %d done", most.Load(), b.Tally.done.Load())
	}
}
