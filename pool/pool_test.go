//go:build unix

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// events keeps what a pool reports, and lets a test wait for one.
type events struct {
	mu   sync.Mutex
	all  []pool.Event
	more chan struct{} // closed and replaced at each event
}

func (l *events) add(e pool.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
	close(l.more)
	l.more = make(chan struct{})
}

// waitFor returns the first event of type E that ok accepts.
func waitFor[E pool.Event](t *testing.T, l *events, ok func(E) bool) E {
	t.Helper()
	timeout := time.After(40 * time.Second)
	for seen := 0; ; {
		l.mu.Lock()
		all, more := l.all[seen:], l.more
		seen = len(l.all)
		l.mu.Unlock()
		for _, e := range all {
			if e, is := e.(E); is && ok(e) {
				return e
			}
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no such event; there were %v", all)
		}
	}
}

func of[E pool.Event](l *events) []E {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []E
	for _, e := range l.all {
		if e, is := e.(E); is {
			found = append(found, e)
		}
	}
	return found
}

// start runs a pool until the end of the test.
func start(t *testing.T, cfg pool.Config) (*pool.Pool, *events) {
	t.Helper()
	return startNew(t, pool.New, cfg)
}

// startNew is start for a pool of either kind.
func startNew(t *testing.T, makeNew func(pool.Config) (*pool.Pool, error), cfg pool.Config) (*pool.Pool, *events) {
	t.Helper()
	proctest.NoLeftovers(t)
	log := &events{more: make(chan struct{})}
	if cfg.Command == nil {
		cfg.Command = proctest.Command("worker")
	}
	cfg.Event = log.add
	p, err := makeNew(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Run did not return")
		}
	})
	return p, log
}

func task(tb testing.TB, key, target string, args ...any) ipc.Task {
	tb.Helper()
	var a any
	if len(args) > 0 {
		a = args
	}
	task, err := ipc.NewTask(key, target, a)
	if err != nil {
		tb.Fatal(err)
	}
	return task
}

// run submits a task and waits for its outcome.
func run(tb testing.TB, p *pool.Pool, task ipc.Task) ipc.Outcome {
	tb.Helper()
	outcome := submit(tb, p, task)
	select {
	case o := <-outcome:
		return o
	case <-time.After(30 * time.Second):
		tb.Fatalf("%s: no outcome; workers %+v", task.Key, p.Workers())
		panic("unreachable")
	}
}

func submit(tb testing.TB, p *pool.Pool, task ipc.Task) <-chan ipc.Outcome {
	tb.Helper()
	outcome := make(chan ipc.Outcome, 2) // room for a second one, which would be a fault
	if err := p.Submit(tb.Context(), task, func(o ipc.Outcome) { outcome <- o }); err != nil {
		tb.Fatalf("Submit %s: %v", task.Key, err)
	}
	return outcome
}

func TestEchoComesBack(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	o := run(t, p, task(t, "k", "echo", 1, "two", nil))
	if o.Err != nil || o.Value.String() != `[1,"two",null]` {
		t.Fatalf("outcome = %+v", o)
	}
	if !strings.HasPrefix(o.Worker, "main/") || o.Attempts != 1 {
		t.Errorf("worker %q, attempts %d; want main/…, 1", o.Worker, o.Attempts)
	}
}

func TestTasksSubmittedBeforeRunWaitForIt(t *testing.T) {
	p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	outcome := submit(t, p, task(t, "early", "echo"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if o := <-outcome; o.Err != nil {
		t.Error(o.Err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := p.Run(t.Context()); !errors.Is(err, ipc.ErrClosed) {
		t.Errorf("a second Run = %v, want closed", err)
	}
}

func TestManyTasksOnManyWorkers(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 4})
	const n = 5000
	var wrong, done atomic.Int64
	all := make(chan struct{})
	for i := range n {
		err := p.Submit(t.Context(), task(t, fmt.Sprint("k", i), "echo", i), func(o ipc.Outcome) {
			if o.Err != nil || o.Value.String() != fmt.Sprintf("[%d]", i) {
				wrong.Add(1)
			}
			if done.Add(1) == n {
				close(all)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	<-all
	if wrong.Load() != 0 {
		t.Errorf("%d of %d outcomes are wrong", wrong.Load(), n)
	}
}

// TestDeathOfAWorker holds rows O12, O13, O15, O23 and O24 of the catalogue: what the task's outcome says, and that the
// slot serves again.
func TestDeathOfAWorker(t *testing.T) {
	for _, c := range []struct {
		target string
		kind   ipc.Kind // "": done
		says   string
	}{
		{"x:exit", ipc.KindCrash, "its worker died (exit code 0)"},
		{"x:exit3", ipc.KindCrash, "its worker died (exit code 3)"},
		{"x:kill9", ipc.KindCrash, "its worker died (signal 9, SIGKILL)"},
		{"x:replyexit", "", `"done"`},
		{"x:dup", "", "1"},
		{"x:unknown", ipc.KindProtocol, `it answered key "nobody asked", which is not in flight on it`},
		{"x:trunc", ipc.KindCrash, "exit code 0"},
		{"x:zero", ipc.KindProtocol, "its worker was ended"},
		{"x:lenbomb", ipc.KindProtocol, "its worker was ended"},
		{"x:closein", "", `"closed"`},
		{"x:closeout", ipc.KindProtocol, "it closed its stdout and lives on"},
	} {
		t.Run(c.target, func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 1})
			o := run(t, p, task(t, "k", c.target))
			if got := ipc.KindOf(o.Err); got != c.kind {
				t.Fatalf("kind = %q (%v), want %q", got, o.Err, c.kind)
			}
			said := o.Value.String()
			if o.Err != nil {
				said = o.Err.Error()
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("it says %q, want %q in it", said, c.says)
			}
			next := run(t, p, task(t, "next", "echo", 7))
			if c.target == "x:dup" && errors.Is(next.Err, ipc.ErrProtocol) {
				next = run(t, p, task(t, "next", "echo", 7)) // the second answer came while the next task ran
			}
			if next.Err != nil || next.Attempts != 1 {
				t.Errorf("the next task: %+v", next)
			}
		})
	}
}

func TestCrashTellsExitAndLastWords(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 1})
	run(t, p, task(t, "first", "echo"))
	o := run(t, p, task(t, "b", "x:exit3"))
	e, ok := errors.AsType[*ipc.Error](o.Err)
	if !ok || e.Exit == nil {
		t.Fatalf("error = %#v, want an Exit in it", o.Err)
	}
	if e.Exit.Code != 3 || e.Exit.Served != 1 || !slices.Contains(e.Exit.Stderr, "last words") {
		t.Errorf("exit = %+v", e.Exit)
	}
	x := waitFor(t, log, func(pool.Exited) bool { return true })
	if x.Key != "b" || x.Exit.Code != 3 || x.Worker != "main/1" {
		t.Errorf("event = %+v", x)
	}
	if heard := waitFor(t, log, func(s pool.Stderr) bool { return s.Line == "last words" }); heard.Key != "b" {
		t.Errorf("the line is tied to key %q, want b", heard.Key)
	}
}

func TestReasonOfALongDumpIsKept(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	o := run(t, p, task(t, "k", "x:dump"))
	e, ok := errors.AsType[*ipc.Error](o.Err)
	if !ok || e.Exit == nil || len(e.Exit.Stderr) < 3 {
		t.Fatalf("outcome = %+v", o)
	}
	lines := e.Exit.Stderr
	if lines[0] != "fatal error: out of everything" || lines[len(lines)-1] != "goroutine 999" {
		t.Errorf("first line %q, last %q", lines[0], lines[len(lines)-1])
	}
}

func TestTimeoutKillsEveryKindOfHang(t *testing.T) { // O16, O17
	for _, target := range []string{"x:hang", "x:stop", "x:ign", "x:cpu"} {
		t.Run(target, func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 1})
			before := time.Now()
			one := task(t, "k", target)
			one.Timeout = 200 * time.Millisecond
			o := run(t, p, one)
			if !errors.Is(o.Err, ipc.ErrTimeout) {
				t.Fatalf("outcome = %+v, want a timeout", o)
			}
			if took := time.Since(before); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if next := run(t, p, task(t, "next", "echo")); next.Err != nil {
				t.Errorf("the next task: %v", next.Err)
			}
		})
	}
}

func TestTimeoutTellsWhatTheWorkerWasDoing(t *testing.T) {
	env := with("EVIL_CLAIM=SIGQUIT", "GOTRACEBACK=all")
	p, _ := start(t, pool.Config{Workers: 1, Env: env, Timeout: time.Second})
	o := run(t, p, task(t, "k", "x:hang"))
	e, ok := errors.AsType[*ipc.Error](o.Err)
	if !ok || e.Kind != ipc.KindTimeout || e.Exit == nil {
		t.Fatalf("outcome = %+v, want a timeout with an exit", o)
	}
	if dump := strings.Join(e.Exit.Stderr, "\n"); !strings.Contains(dump, "evilworker.hang(") {
		t.Errorf("the dump does not name the function that hangs:\n%s", dump)
	}
	if runtime.GOOS == "linux" && !strings.Contains(e.Trace, "State:") {
		t.Errorf("trace = %q, want the system's view", e.Trace)
	}
}

func TestTimeoutOfTheTaskBeatsThatOfThePool(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1, Timeout: 50 * time.Millisecond})
	slow := task(t, "slow", "x:late")
	slow.Timeout = -1
	if o := run(t, p, slow); o.Err != nil {
		t.Errorf("without a timeout: %v", o.Err)
	}
	hasty := task(t, "hasty", "x:late")
	hasty.Timeout = 20 * time.Millisecond
	if o := run(t, p, hasty); !errors.Is(o.Err, ipc.ErrTimeout) || !strings.Contains(o.Err.Error(), "20ms") {
		t.Errorf("outcome = %+v, want a timeout after 20ms", o)
	}
}

func TestRetriesRunACrashedTaskAgain(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	again := task(t, "k", "x:kill9")
	again.Retries = 2
	if o := run(t, p, again); !errors.Is(o.Err, ipc.ErrCrash) || o.Attempts != 3 {
		t.Errorf("outcome = %+v, want a crash after 3 attempts", o)
	}
}

// TestUnreadTaskIsNoCrash holds decision 4: the worker ends while the tuple lies unread in its stdin.
func TestUnreadTaskIsNoCrash(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	answered := submit(t, p, task(t, "first", "x:answerhang")) // answers, then reads no more
	if o := <-answered; o.Err != nil {
		t.Fatal(o.Err)
	}
	second := submit(t, p, task(t, "second", "echo", "unread"))
	pid := p.Workers()[0].PID
	killGroup(t, pid)
	o := <-second
	if o.Err != nil || o.Attempts != 1 {
		t.Errorf("outcome = %+v, want it done at its first attempt, elsewhere", o)
	}
}

func TestTextOnStdoutLosesNoAnswer(t *testing.T) { // W28
	p, log := start(t, pool.Config{Workers: 1})
	if o := run(t, p, task(t, "k", "x:text")); o.Err != nil || o.Value.String() != `"after text"` {
		t.Fatalf("outcome = %+v", o)
	}
	if e := waitFor(t, log, func(pool.Text) bool { return true }); string(e.Text) != "Hello from a lib\n" {
		t.Errorf("text = %q", e.Text)
	}
}

func TestStderrNeverBlocksAWorker(t *testing.T) { // O25
	p, log := start(t, pool.Config{Workers: 1})
	if o := run(t, p, task(t, "k", "x:stderr")); o.Err != nil {
		t.Fatal(o.Err)
	}
	reported := 0
	for _, e := range of[pool.Stderr](log) {
		reported += len(e.Line)
	}
	if reported > 4<<20 {
		t.Errorf("%d bytes of 20 MiB were reported", reported)
	}
}

func TestGrandchildCannotHoldAnOutcome(t *testing.T) { // O20
	p, _ := start(t, pool.Config{Workers: 1})
	before := time.Now()
	o := run(t, p, task(t, "k", "x:grand"))
	var grandchild int
	if err := o.Value.Decode(&grandchild); o.Err != nil || err != nil {
		t.Fatal(o.Err, err)
	}
	defer killGroup(t, grandchild)
	if o := run(t, p, task(t, "next", "echo")); o.Err != nil {
		t.Fatal(o.Err)
	}
	if took := time.Since(before); took > time.Minute { // it holds it for five
		t.Errorf("it took %v: the grandchild's stdout was waited for", took)
	}
}

func TestWorkersAreNone(t *testing.T) {
	for _, c := range []struct {
		role []string
		says string
	}{
		{[]string{"cat"}, "it echoes requests: is it cat?"},
		{[]string{"exit", "0"}, "exit code 0 before it answered"},
		{[]string{"exit", "9"}, "exit code 9 before it answered"},
	} {
		t.Run(strings.Join(c.role, " "), func(t *testing.T) {
			p, log := start(t, pool.Config{Workers: 1, Command: proctest.Command(c.role[0], c.role[1:]...)})
			waiting := submit(t, p, task(t, "k", "echo"))
			e := waitFor(t, log, func(pool.NeverReady) bool { return true })
			if e.Err == nil || !strings.Contains(e.Err.Error(), c.says) {
				t.Errorf("it says %v, want %q in it", e.Err, c.says)
			}
			if e.Starts < 5 {
				t.Errorf("given up after %d starts", e.Starts)
			}
			p.Drain(0)
			if o := <-waiting; !errors.Is(o.Err, ipc.ErrClosed) {
				t.Errorf("outcome = %+v, want closed", o)
			}
		})
	}
}

// TestKillsFromOutsideDoNotSilenceASlot: a slot whose workers were killed one after the other, before they had a task, was
// away for seconds.
func TestKillsFromOutsideDoNotSilenceASlot(t *testing.T) { // P3
	p, log := start(t, pool.Config{Workers: 1})
	for i := range 6 {
		waitReady(t, p, 1)
		killGroup(t, p.Workers()[0].PID)
		exits := 0
		e := waitFor(t, log, func(pool.Exited) bool { exits++; return exits == i+1 })
		if e.Next > 600*time.Millisecond {
			t.Errorf("after %d kills the next start is in %v", i+1, e.Next)
		}
	}
	nextIsServed(t, p)
}

func TestWorkerThatIsStoppedBeforeItsHello(t *testing.T) { // O11, O16
	p, log := start(t, pool.Config{Workers: 1, Env: with("EVIL_START=stop"), StartTimeout: 200 * time.Millisecond})
	e := waitFor(t, log, func(pool.StartFailed) bool { return true })
	if !errors.Is(e.Err, ipc.ErrTimeout) || !strings.Contains(e.Err.Error(), "did not answer its first request in 200ms") {
		t.Errorf("error = %v", e.Err)
	}
	starts := 0
	waitFor(t, log, func(pool.Started) bool { starts++; return starts == 2 })
	p.Abort()
}

func TestMuteWorkerIsNotReadyInTime(t *testing.T) { // O11
	p, log := start(t, pool.Config{Workers: 1, Command: proctest.Command("mute"), StartTimeout: 100 * time.Millisecond})
	e := waitFor(t, log, func(pool.StartFailed) bool { return true })
	if !strings.Contains(e.Err.Error(), "did not answer its first request in 100ms") {
		t.Errorf("error = %v", e.Err)
	}
	p.Abort()
}

func TestExit78IsFinal(t *testing.T) {
	p, log := start(t, pool.Config{Workers: 2, Command: proctest.Command("exit", "78")})
	waiting := submit(t, p, task(t, "k", "echo"))
	waitFor(t, log, func(pool.NeverReady) bool { return true })
	o := <-waiting
	if !errors.Is(o.Err, ipc.ErrNoWorker) || !strings.Contains(o.Err.Error(), "configuration is wrong") {
		t.Errorf("outcome = %+v", o)
	}
	if err := p.Submit(t.Context(), task(t, "late", "echo"), func(ipc.Outcome) {}); !errors.Is(err, ipc.ErrNoWorker) {
		t.Errorf("Submit = %v, want no-worker", err)
	}
	if n := len(of[pool.Started](log)); n != 2 {
		t.Errorf("%d starts, want one for each of 2 slots", n)
	}
}

func TestQueueFullIsSaid(t *testing.T) { // M26
	p, _ := start(t, pool.Config{Workers: 1, Queue: 2})
	running, let := untilLet(t)
	first := submit(t, p, running)
	waitState(t, p, pool.StateBusy)
	second, third := submit(t, p, task(t, "2", "echo")), submit(t, p, task(t, "3", "echo"))
	err := p.Submit(t.Context(), task(t, "4", "echo"), func(ipc.Outcome) { t.Error("a refused task has an outcome") })
	if !errors.Is(err, ipc.ErrQueueFull) {
		t.Errorf("Submit = %v, want queue-full", err)
	}
	let()
	for _, outcome := range []<-chan ipc.Outcome{first, second, third} {
		if o := <-outcome; o.Err != nil {
			t.Error(o.Err)
		}
	}
}

// untilLet is a task that runs until let is called, or the test ends.
func untilLet(t *testing.T) (running ipc.Task, let func()) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	return task(t, "running", "until", gate), func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

func waitState(t *testing.T, p *pool.Pool, want pool.State) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		for _, w := range p.Workers() {
			if w.State == want && (want != pool.StateBusy || w.Key != "") {
				return
			}
		}
	}
	t.Fatalf("workers are %+v, none ever %s", p.Workers(), want)
}

// What is withdrawn while no worker comes by must not stay: a queue could grow without end.
func TestWithdrawnTasksLeaveTheQueue(t *testing.T) {
	p, err := pool.New(pool.Config{Command: proctest.Command("worker"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	text := task(t, "k", strings.Repeat("x", 10_000))
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	for range 20_000 {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan ipc.Outcome, 1)
		one := text
		one.Target = slices.Clone(text.Target)
		if err := p.Submit(ctx, one, func(o ipc.Outcome) { told <- o }); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-told
	}
	if after := memory(); after > before+20<<20 {
		t.Errorf("20,000 withdrawn tasks of 10 KB keep %d MB", (after-before)>>20)
	}
	if n := p.Pending(); n != 0 {
		t.Errorf("%d tasks are pending", n)
	}
}

func TestCancel(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	outcomes := make(chan ipc.Outcome, 4)
	done := func(o ipc.Outcome) { outcomes <- o }
	if err := p.Submit(ctx, task(t, "running", "x:hang"), done); err != nil {
		t.Fatal(err)
	}
	waitState(t, p, pool.StateBusy)
	if err := p.Submit(ctx, task(t, "waiting", "echo"), done); err != nil {
		t.Fatal(err)
	}
	cancel(errors.New("the operator said no"))
	for range 2 {
		if o := <-outcomes; !errors.Is(o.Err, ipc.ErrCancelled) || !strings.Contains(o.Err.Error(), "the operator said no") {
			t.Errorf("outcome = %+v, want cancelled", o)
		}
	}
	if o := run(t, p, task(t, "next", "echo")); o.Err != nil {
		t.Error(o.Err)
	}
	if err := p.Submit(ctx, task(t, "late", "echo"), done); !errors.Is(err, ipc.ErrCancelled) {
		t.Errorf("Submit with a context that has ended = %v, want cancelled", err)
	}
}

func TestDeadlineExpiresInTheQueue(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	one, let := untilLet(t)
	running := submit(t, p, one)
	late := task(t, "late", "echo")
	late.Deadline = 20 * time.Millisecond
	if o := run(t, p, late); !errors.Is(o.Err, ipc.ErrExpired) || o.Attempts != 0 {
		t.Errorf("outcome = %+v, want expired", o)
	}
	let()
	<-running
}

func TestDrainLetsRunningTasksFinish(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	one, let := untilLet(t)
	running := submit(t, p, one)
	waitState(t, p, pool.StateBusy)
	waiting := submit(t, p, task(t, "waiting", "echo"))
	p.Drain(-1)
	if o := <-waiting; !errors.Is(o.Err, ipc.ErrClosed) {
		t.Errorf("waiting: %+v, want closed", o)
	}
	let()
	if o := <-running; o.Err != nil {
		t.Errorf("running: %v", o.Err)
	}
	if err := p.Submit(t.Context(), task(t, "late", "echo"), func(ipc.Outcome) {}); !errors.Is(err, ipc.ErrClosed) {
		t.Errorf("Submit after Drain = %v, want closed", err)
	}
}

func TestGraceEndsWhatDoesNotFinish(t *testing.T) {
	for name, end := range map[string]func(*pool.Pool){
		"drain": func(p *pool.Pool) { p.Drain(50 * time.Millisecond) },
		"abort": (*pool.Pool).Abort,
		"later": func(p *pool.Pool) { p.Drain(-1); p.Drain(time.Hour); p.Drain(10 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 2})
			stuck := submit(t, p, task(t, "stuck", "x:ign"))
			waitState(t, p, pool.StateBusy)
			end(p)
			if o := <-stuck; !errors.Is(o.Err, ipc.ErrClosed) {
				t.Errorf("outcome = %+v, want closed", o)
			}
		})
	}
}

func TestGroupGoesWithItsWorker(t *testing.T) { // O21
	p, _ := start(t, pool.Config{Workers: 1})
	if o := run(t, p, task(t, "k", "x:kids")); o.Err != nil {
		t.Fatal(o.Err)
	}
	run(t, p, task(t, "end", "x:kill9"))
	// start's clean-up fails the test when the child is left.
}

func TestWorkerThatIsKilledAgainAndAgain(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	for i := range 40 {
		if o := run(t, p, task(t, fmt.Sprint("k", i), "x:replyexit")); o.Err != nil { // O15
			t.Fatalf("task %d: %v", i, o.Err)
		}
	}
}

func TestMissingProgram(t *testing.T) {
	for _, c := range []struct {
		command, says string
		kind          ipc.Kind
	}{
		{"no-such-program-anywhere", "not found in PATH", ipc.KindNoWorker},
		{"./no/such/file", "no such file", ipc.KindNoWorker},
		{t.TempDir(), "is a directory", ipc.KindNoWorker},
		{"", "no worker command", ipc.KindInput},
	} {
		_, err := pool.New(pool.Config{Command: []string{c.command}})
		if ipc.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("New(%q) = %v, of kind %q; want %q in it, and %q", c.command, err, ipc.KindOf(err), c.says, c.kind)
		}
	}
}

func TestInputIsRefusedAtSubmit(t *testing.T) { // W30
	p, _ := start(t, pool.Config{Workers: 1, Limits: ipc.Limits{Size: 1 << 10}})
	for name, bad := range map[string]ipc.Task{
		"large":    task(t, "k", "echo", strings.Repeat("x", 1<<10)),
		"reserved": {Key: ipc.KeyAlive, Target: ipc.Raw{0xc0}},
		"long key": {Key: strings.Repeat("k", 513), Target: ipc.Raw{0xc0}},
		"targets":  {Key: "k"},
	} {
		err := p.Submit(t.Context(), bad, func(ipc.Outcome) { t.Error("a refused task has an outcome") })
		if !errors.Is(err, ipc.ErrInput) {
			t.Errorf("%s: Submit = %v, want input", name, err)
		}
	}
}
