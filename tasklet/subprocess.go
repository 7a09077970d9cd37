package tasklet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// Worker is the command of a worker, in any language: it speaks the protocol of PROTOCOL.md on its stdin and stdout, as a
// program whose main is executor.Main does.
type Worker struct {
	Command []string // the program and its arguments; never given to a shell
	Env     []string // its environment, to which the names of the protocol are added; nil: the caller's
	Dir     string   // its working directory; "": the caller's
	Wire    ipc.Wire // "": msgpack
	Limits  ipc.Limits
	Timeout time.Duration // from the start of the process to its answer; 0: 30 s; below 0: none
}

// The bounds of what a worker may take besides its answer.
const (
	defaultTimeout = 30 * time.Second
	closeGrace     = 500 * time.Millisecond // to exit, after it has closed its stdin or stdout
	stdinGrace     = 2 * time.Second        // to exit at the end of its stdin, after its answer
	termGrace      = time.Second            // to exit at SIGTERM, after that
	drainGrace     = time.Second            // for what is in its pipes when it has ended
	lastLines      = 200                    // of its stderr, for an error
	lastBytes      = 64 << 10
)

// Subprocess starts w for one call of target with args, and returns at once. When the call has ended, so has the process,
// and whatever it started in its group. When ctx ends, Cancel is called or the timeout passes, the whole group is killed.
// An answer that was written by then counts.
//
// Its errors have a kind: task when the worker answered with an error; crash, at once, when it died before it answered;
// timeout, cancelled; protocol when it is no worker; no-worker when it could not be started; input for args or a result
// that do not fit. Where there was a process, its end and its last lines on stderr are in the error's Exit.
//
// A worker that has answered is asked to exit by the end of its stdin, then by SIGTERM, and is killed if it does not; that
// takes 3 s at most.
func Subprocess[A, R any](ctx context.Context, w Worker, target ipc.Target[A, R], args A, cfg Config[R]) *Call[R] {
	return Go(ctx, func(ctx context.Context) (R, error) {
		var result R
		task, err := target.Task("call", args)
		if err != nil {
			return result, err
		}
		value, err := w.call(ctx, task)
		if err != nil {
			return result, err
		}
		if err := value.Decode(&result); err != nil {
			return result, ipc.Errorf(ipc.KindInput, "result: %w", err)
		}
		return result, nil
	}, cfg)
}

// call is the whole life of one process.
func (w Worker) call(ctx context.Context, task ipc.Task) (ipc.Raw, error) {
	if len(w.Command) == 0 || w.Command[0] == "" {
		return nil, ipc.Errorf(ipc.KindInput, "tasklet: no worker command")
	}
	if w.Wire == "" {
		w.Wire = ipc.Msgpack
	}
	hello, request, err := w.messages(task)
	if err != nil {
		return nil, err
	}

	// The system kills a worker when the thread that started it ends, so the spawner outlives it; and no longer, so that
	// nothing of a call stays behind.
	spawner, stop := proc.NewSpawner(1), make(chan struct{})
	var spawning sync.WaitGroup
	spawning.Go(func() { spawner.Run(stop) })
	defer spawning.Wait()
	defer close(stop)
	process, err := spawner.Start(proc.Spec{Command: w.Command, Env: w.environment(), Dir: w.Dir})
	if err != nil {
		return nil, ipc.Errorf(ipc.KindNoWorker, "%w", err)
	}

	t := &talk{
		process: process, key: task.Key,
		greeted: make(chan struct{}), over: make(chan struct{}), gone: make(chan struct{}),
		unwritten: make(chan error, 1),
	}
	var talking, writing sync.WaitGroup
	talking.Go(func() { t.read(w) })
	talking.Go(func() { _, _ = io.Copy(&t.stderr, proc.Rest{File: process.Stderr}) })
	writing.Go(func() { t.write(hello, request) })
	why := t.await(ctx, w.timeout())

	polite := why == nil && t.answered()
	if !polite {
		process.Kill()
	}
	close(t.gone)
	_ = process.Stdin.SetWriteDeadline(time.Now())
	writing.Wait()
	if polite {
		t.retire(ctx)
	}
	process.Kill() // what is left of the group, so that the end of its output comes
	<-process.Exited()
	t.drain(&talking)
	exit := t.exitOf(process.Reap())
	return t.verdict(why, &exit)
}

func (w Worker) timeout() time.Duration {
	if w.Timeout == 0 {
		return defaultTimeout
	}
	return w.Timeout
}

func (w Worker) environment() []string {
	env := w.Env
	if env == nil {
		env = os.Environ()
	}
	return append(slices.Clone(env), // of two settings of a name the last one holds
		"MASTER_WORKER=tasklet/1",
		"MASTER_WIRE="+string(w.Wire),
		fmt.Sprintf("MASTER_PROTOCOL=%d", ipc.Protocol),
		"PYTHONUNBUFFERED=1",
	)
}

// messages are the two that the worker is sent.
func (w Worker) messages(task ipc.Task) (hello, request []byte, err error) {
	greeting, err := ipc.NewTask("greeting", ipc.KeyHello, ipc.Greeting{
		Protocol: ipc.Protocol, Wire: w.Wire, Group: "tasklet", Worker: 1, Of: 1,
	})
	if err != nil {
		return nil, nil, err
	}
	greeting.Key = ipc.KeyHello
	encode := func(t ipc.Task) ([]byte, error) {
		var b bytes.Buffer
		e := ipc.NewEncoder(&b, w.Wire, w.Limits)
		if err := e.Request(t.Key, t.Target, t.Args); err != nil {
			return nil, err
		}
		err := e.Flush()
		return b.Bytes(), err
	}
	if hello, err = encode(greeting); err != nil {
		return nil, nil, err
	}
	if request, err = encode(task); err != nil {
		return nil, nil, err
	}
	return hello, request, nil
}

// talk is what is said to one process, and what it says.
type talk struct {
	process   *proc.Process
	key       string
	greeted   chan struct{} // closed: it has answered the greeting
	over      chan struct{} // closed: there is an answer, or there will be none
	gone      chan struct{} // closed: nothing more is to be written
	unwritten chan error    // 1-buffered: it does not take what is written
	stderr    tail

	// Written by read before over is closed.
	answer *ipc.Answer
	err    error
}

// write is a goroutine of its own, because a worker may write much before it reads.
func (t *talk) write(hello, request []byte) {
	_, err := t.process.Stdin.Write(hello)
	if err == nil {
		select {
		case <-t.greeted:
		case <-t.gone:
			return
		}
		_, err = t.process.Stdin.Write(request)
	}
	if err != nil {
		t.unwritten <- err
	}
}

// read takes the answers, and then what else the worker writes, so that this does not hold it up.
func (t *talk) read(w Worker) {
	t.answer, t.err = t.listen(w)
	close(t.over)
	_, _ = io.Copy(io.Discard, t.process.Stdout)
}

func (t *talk) listen(w Worker) (*ipc.Answer, error) {
	expected := ipc.KeyHello
	d := ipc.NewDecoder(t.process.Stdout, ipc.DecoderConfig{
		Wire: w.Wire, Limits: w.Limits,
		Oldest: func() (string, bool) { return expected, true },
	})
	for {
		a, err := d.Answer()
		switch {
		case err != nil:
			return nil, err
		case string(a.Key) != expected:
			return nil, ipc.Errorf(ipc.KindProtocol, "it answered key %.40q, which was not asked", a.Key)
		case string(a.Key) != ipc.KeyHello:
			a.Value = slices.Clone(a.Value)
			return &a, nil
		}
		var claims ipc.Hello // a worker that treats every request alike claims nothing
		if a.Err == nil && a.Value.Decode(&claims) == nil && claims.Protocol != 0 && claims.Protocol != ipc.Protocol {
			return nil, ipc.Errorf(ipc.KindProtocol, "it speaks protocol %d, and this program speaks %d: "+
				"bring both to the same version", claims.Protocol, ipc.Protocol)
		}
		expected = t.key
		close(t.greeted)
	}
}

// await returns when the worker has answered or has ended (nil), or is to be ended (why).
func (t *talk) await(ctx context.Context, timeout time.Duration) (why *ipc.Error) {
	var late <-chan time.Time
	if timeout > 0 {
		clock := time.NewTimer(timeout)
		defer clock.Stop()
		late = clock.C
	}
	select {
	case <-t.over:
		return t.explain()
	case err := <-t.unwritten:
		return t.deaf(err)
	case <-t.process.Exited():
		return nil
	case <-late:
		why = ipc.Errorf(ipc.KindTimeout, "no answer after %v; its worker was killed", timeout)
		why.Trace = t.process.View()
		return why
	case <-ctx.Done():
		return ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))
	}
}

// deaf is explain for a worker that does not take what is written to it.
func (t *talk) deaf(unwritten error) *ipc.Error {
	wait := time.NewTimer(closeGrace)
	defer wait.Stop()
	select {
	case <-t.over: // it may have answered without reading all
		return t.explain()
	case <-t.process.Exited():
		return nil
	case <-wait.C:
		return ipc.Errorf(ipc.KindProtocol, "it closed its stdin and lives on: %w", unwritten)
	}
}

// explain says why a worker that has nothing more to say is to be ended; nil when it has answered or has ended.
func (t *talk) explain() *ipc.Error {
	if t.answered() {
		return nil
	}
	broken, ok := errors.AsType[*ipc.Error](t.err)
	if ok && !errors.Is(broken, io.ErrUnexpectedEOF) {
		return ended(broken)
	}
	wait := time.NewTimer(closeGrace)
	defer wait.Stop()
	select {
	case <-t.process.Exited():
		return nil
	case <-wait.C:
	}
	if ok { // its stdout ended inside a message, and it lives on
		return ended(broken)
	}
	return ipc.Errorf(ipc.KindProtocol, "it closed its stdout and lives on: answers go there")
}

func ended(broken *ipc.Error) *ipc.Error {
	return ipc.Errorf(broken.Kind, "its worker was ended: %w", broken)
}

// answered says that the answer is there.
func (t *talk) answered() bool {
	select {
	case <-t.over:
		return t.answer != nil
	default:
		return false
	}
}

// retire asks a worker that has answered to end, and is in a hurry when ctx ends.
func (t *talk) retire(ctx context.Context) {
	_ = t.process.Stdin.Close()
	for _, step := range []struct {
		grace time.Duration
		then  func()
	}{
		{stdinGrace, func() { _ = t.process.Signal(proc.Terminate) }},
		{termGrace, t.process.Kill},
	} {
		wait := time.NewTimer(step.grace)
		select {
		case <-t.process.Exited():
		case <-ctx.Done():
			t.process.Kill()
		case <-wait.C:
			step.then()
		}
		wait.Stop()
	}
}

// drain reads what the worker has written. A stranger outside its group may have its pipes and write on for ever.
func (t *talk) drain(talking *sync.WaitGroup) {
	now := time.Now()
	t.process.Stdout.Hurry(true)
	_ = t.process.Stderr.SetReadDeadline(now)
	enough := time.AfterFunc(drainGrace, func() {
		_ = t.process.Stdout.Close()
		_ = t.process.Stderr.Close()
	})
	talking.Wait()
	enough.Stop()
}

func (t *talk) exitOf(exit proc.Exit) ipc.Exit {
	return ipc.Exit{
		Code: exit.Code, Signal: exit.Signal, Name: exit.Name, Core: exit.Core,
		MaxRSS: exit.MaxRSS, CPU: exit.CPU, Uptime: exit.Uptime, Stderr: t.stderr.lines(),
	}
}

// verdict is the outcome, after the process has ended and all that it wrote was read.
func (t *talk) verdict(why *ipc.Error, exit *ipc.Exit) (ipc.Raw, error) {
	switch {
	case t.answer != nil && t.answer.Err != nil:
		return nil, t.answer.Err
	case t.answer != nil:
		return t.answer.Value, nil
	case why == nil:
		why = ipc.Errorf(ipc.KindCrash, "its worker died (%s)", exit)
	}
	why.Exit = exit
	return nil, why
}

// tail keeps the end of what is written to it.
type tail struct {
	b   []byte
	cut bool // and so b may begin inside a line
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - lastBytes; over > lastBytes {
		t.b = t.b[:copy(t.b, t.b[over:])]
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) lines() []string {
	text := strings.ToValidUTF8(string(t.b), "\uFFFD")
	if t.cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[max(0, len(lines)-lastLines):]
}
