package runnertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fandango/ipc"
)

func answers(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	o := s.want(s.accept(t.Context(), s.echo(7)), "")
	if got, ok := o.Value.Text(); !ok || got != "7" {
		t.Errorf("the value is %s, want 7", o.Value)
	}
	if o.Worker == "" || o.Attempts != 1 || o.Queued < 0 || o.Ran < 0 || o.Shared != ipc.SharedNone {
		t.Errorf("the outcome tells %+v", o)
	}
}

func keepsOrder(t *testing.T, s *scene) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	const most = 200
	done := make(chan struct{})
	for i := range most {
		err := s.runner.Submit(t.Context(), s.echo(i), func(o ipc.Outcome) {
			text, _ := o.Value.Text()
			mu.Lock()
			defer mu.Unlock()
			if got = append(got, text); len(got) == most {
				close(done)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.run()
	<-done
	if !slices.IsSortedFunc(got, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	}) {
		t.Errorf("outcomes came in this order: %v", got)
	}
}

// takesMany: of tasks that are submitted together, those in front of the first that is refused have an outcome each.
func takesMany(t *testing.T, s *scene) {
	t.Helper()
	const good = 100
	var tasks []ipc.Task
	for i := range good {
		tasks = append(tasks, s.echo(i))
	}
	refused := s.echo(good)
	refused.Key = ipc.KeyHello
	tasks = append(tasks, refused, s.echo(good+1))
	outcomes := make(chan error, 2*len(tasks))
	accepted, err := ipc.SubmitAll(t.Context(), s.runner, tasks, func(i int, o ipc.Outcome) {
		if got, ok := o.Value.Text(); o.Err != nil || !ok || got != strconv.Itoa(i) {
			outcomes <- fmt.Errorf("outcome of %d: %s, %w", i, o.Value, o.Err)
			return
		}
		outcomes <- nil
	})
	if accepted != good || !errors.Is(err, ipc.ErrInput) {
		t.Errorf("accepted %d, %v; want %d, and the next to be refused as input", accepted, err, good)
	}
	s.run()
	late := time.After(patience)
	for range accepted {
		select {
		case err := <-outcomes:
			if err != nil {
				t.Error(err)
			}
		case <-late:
			t.Fatalf("not all have an outcome after %v", patience)
		}
	}
	s.end()
	if n := len(outcomes); n > 0 {
		t.Errorf("%d outcomes too many", n)
	}
}

func fails(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	task := s.do(Fail, 1)
	task.Retries = 3 // are for crashes and timeouts
	o := s.want(s.accept(t.Context(), task), ipc.KindTask)
	if o.Attempts != 1 || len(o.Value) != 0 {
		t.Errorf("the outcome tells %+v", o)
	}
	s.serves()
}

func waitsForRun(t *testing.T, s *scene) {
	t.Helper()
	ticket := s.accept(t.Context(), s.echo(1))
	s.run()
	s.want(ticket, "")
}

func refusesAnEndedContext(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	why := errors.New("no longer wanted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	ticket := s.submit(ctx, s.echo(1))
	if !errors.Is(ticket.refused, ipc.ErrCancelled) || !errors.Is(ticket.refused, why) {
		t.Errorf("the refusal is %v; want it cancelled, and why", ticket.refused)
	}
	s.serves()
}

func refusesKeys(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	for _, key := range []string{"\xff", ipc.KeyHello, ipc.KeyCancel, strings.Repeat("x", ipc.MaxKey+1)} {
		task := s.echo(1)
		task.Key = key
		if ticket := s.submit(t.Context(), task); !errors.Is(ticket.refused, ipc.ErrInput) {
			t.Errorf("key %.20q: %v, want it refused as input", key, ticket.refused)
		}
	}
	longest := s.echo(1)
	longest.Key = strings.Repeat("x", ipc.MaxKey)
	s.want(s.accept(t.Context(), longest), "")
}

func cancelsRunning(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	why := errors.New("no longer wanted")
	for i := range 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		ticket := s.accept(ctx, s.do(Hang, i))
		cancel(why)
		if o := s.want(ticket, ipc.KindCancelled); !errors.Is(o.Err, why) {
			t.Errorf("%v does not say why", o.Err)
		}
	}
	s.serves()
}

func cancelsWaiting(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	ctx, cancel := context.WithCancel(t.Context())
	first, end := context.WithCancel(t.Context())
	running := s.accept(first, s.do(Hang, 1))
	waiting := s.accept(ctx, s.do(Hang, 2))
	behind := s.accept(t.Context(), s.echo(3))
	cancel()
	if o := s.want(waiting, ipc.KindCancelled); o.Attempts != 0 {
		t.Errorf("a task that waited was started %d times", o.Attempts)
	}
	end()
	s.want(running, ipc.KindCancelled)
	s.want(behind, "")
}

func counts(t *testing.T, s *scene) {
	t.Helper()
	counter, ok := s.runner.(interface{ Pending() int })
	if !ok {
		t.Skip("it does not count")
	}
	s.run()
	ctx, cancel := context.WithCancel(t.Context())
	var tickets []*ticket
	for i := range 5 {
		tickets = append(tickets, s.accept(ctx, s.do(Hang, i)))
	}
	_ = s.submit(t.Context(), ipc.Task{Key: ipc.KeyHello}) // is refused
	if n := counter.Pending(); n != 5 {
		t.Errorf("%d tasks are pending, want 5", n)
	}
	cancel()
	for _, ticket := range tickets {
		s.want(ticket, ipc.KindCancelled)
	}
	if n := counter.Pending(); n != 0 {
		t.Errorf("%d tasks are pending, want none", n)
	}
}

// submitsInDone sends the next task from done, as a layer above does: a runner that holds its lock there hangs.
func submitsInDone(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	const most = 100
	last := make(chan error, 1)
	var next func(n int)
	next = func(n int) {
		err := s.runner.Submit(t.Context(), s.echo(n), func(o ipc.Outcome) {
			if o.Err != nil || n == most {
				last <- o.Err
				return
			}
			next(n + 1)
		})
		if err != nil {
			last <- err
		}
	}
	next(1)
	select {
	case err := <-last:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the chain has stopped")
	}
}

func fillsTheQueue(t *testing.T, s *scene) {
	t.Helper()
	s.run().serves() // until a worker is ready, the first task waits, too
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := s.accept(t.Context(), s.do(Hang, 0))
	most := s.Queue + s.Slack
	var waiting []*ticket
	full := false
	for i := 1; i <= most+1 && !full; i++ {
		ticket := s.submit(ctx, s.do(Hang, i))
		if full = ticket.refused != nil; full {
			if !errors.Is(ticket.refused, ipc.ErrQueueFull) {
				t.Fatalf("task %d was refused: %v", i, ticket.refused)
			}
			break
		}
		waiting = append(waiting, ticket)
	}
	if !full || 1+len(waiting) < s.Queue { // the first one may not have begun: then it waits, too
		t.Fatalf("%d tasks wait behind the first; want that %d do, at least, and that no more than %d may", len(waiting), s.Queue-1, most)
	}
	cancel() // those that were withdrawn take no room
	for _, ticket := range waiting {
		s.want(ticket, ipc.KindCancelled)
	}
	behind := s.accept(t.Context(), s.echo(most+2))
	s.end()
	s.want(running, ipc.KindCancelled, ipc.KindClosed)
	s.want(behind, ipc.KindClosed)
}

func ends(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	s.want(s.accept(t.Context(), s.echo(0)), "")
	running := s.accept(t.Context(), s.do(Hang, 1))
	waiting := s.accept(t.Context(), s.do(Hang, 2))
	s.end()
	s.want(running, ipc.KindCancelled, ipc.KindClosed)
	s.want(waiting, ipc.KindCancelled, ipc.KindClosed)
	if late := s.submit(t.Context(), s.echo(3)); !errors.Is(late.refused, ipc.ErrClosed) {
		t.Errorf("after the end: %v, want it refused as closed", late.refused)
	}
}

func endsAtOnce(t *testing.T, s *scene) {
	t.Helper()
	waiting := s.accept(t.Context(), s.do(Hang, 1))
	s.end()
	s.want(waiting, ipc.KindCancelled, ipc.KindClosed)
}

func racesTheEnd(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	var submitting sync.WaitGroup
	begun := make(chan struct{}, 20)
	for i := range cap(begun) {
		submitting.Go(func() {
			for n := range 100_000 {
				ticket := s.submit(t.Context(), s.echo(100_000*i+n))
				if n == 3 {
					begun <- struct{}{}
				}
				if errors.Is(ticket.refused, ipc.ErrClosed) {
					return
				}
				if ticket.refused != nil && !errors.Is(ticket.refused, ipc.ErrQueueFull) {
					t.Errorf("refused: %v", ticket.refused)
				}
				if _, err := s.outcome(ticket); errors.Is(err, errNoOutcome) {
					t.Error(err)
					return
				}
			}
		})
	}
	for range cap(begun) {
		<-begun
	}
	s.end()
	submitting.Wait()
}

func thousand(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	const most = 1000
	room := make(chan struct{}, most)
	if s.Queue > 0 && s.Queue < most {
		room = make(chan struct{}, s.Queue)
	}
	var submitting sync.WaitGroup
	for i := range most {
		submitting.Go(func() {
			task, want := s.echo(i), strconv.Itoa(i)
			if i%3 == 0 {
				task, want = s.do(Fail, i), string(ipc.KindTask)
			}
			room <- struct{}{}
			defer func() { <-room }()
			ticket := s.submit(t.Context(), task)
			for s.Queue > 0 && errors.Is(ticket.refused, ipc.ErrQueueFull) { // until the done that has given us room has returned
				runtime.Gosched()
				ticket = s.submit(t.Context(), task)
			}
			o, err := s.outcome(ticket)
			got, _ := o.Value.Text()
			if o.Err != nil {
				got = string(ipc.KindOf(o.Err))
			}
			if err != nil || got != want {
				t.Errorf("task %d: %s, %v; want %s", i, got, errors.Join(err, o.Err), want)
			}
		})
	}
	submitting.Wait()
}

func racesCancel(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	var submitting sync.WaitGroup
	for i := range 8 {
		submitting.Go(func() {
			for n := range 25 {
				ctx, cancel := context.WithCancel(t.Context())
				ticket := s.submit(ctx, s.echo(100_000*i+n))
				cancel()
				if o, err := s.outcome(ticket); ipc.KindOf(err) != ipc.KindCancelled && (err != nil || ipc.KindOf(o.Err) != ipc.KindCancelled && o.Err != nil) {
					t.Errorf("outcome %+v, %v", o, err)
				}
			}
		})
	}
	submitting.Wait()
	s.serves()
}

func timesOut(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	task := s.do(Hang, 1)
	task.Timeout = 50 * time.Millisecond
	o := s.want(s.accept(t.Context(), task), ipc.KindTimeout)
	if o.Attempts != 1 || o.Ran < task.Timeout {
		t.Errorf("the outcome tells %+v", o)
	}
	s.serves()
}

func retries(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	task := s.do(Hang, 1)
	task.Timeout, task.Retries = 20*time.Millisecond, 2
	if o := s.want(s.accept(t.Context(), task), ipc.KindTimeout); o.Attempts != 3 {
		t.Errorf("it was started %d times, want 3", o.Attempts)
	}
	s.serves()
}

func expires(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := s.accept(ctx, s.do(Hang, 1))
	late := s.echo(2)
	late.Deadline = 20 * time.Millisecond
	if o := s.want(s.accept(t.Context(), late), ipc.KindExpired); o.Attempts != 0 {
		t.Errorf("it was started %d times", o.Attempts)
	}
	early := s.echo(3)
	early.Deadline = patience
	in := s.accept(t.Context(), early)
	cancel()
	s.want(running, ipc.KindCancelled)
	s.want(in, "")
}

func dies(t *testing.T, s *scene) {
	t.Helper()
	s.run()
	for i := range 3 {
		task, err := ipc.NewTask(key("die", i), "die", []int{})
		if err != nil {
			t.Fatal(err)
		}
		o := s.want(s.accept(t.Context(), task), ipc.KindCrash)
		if e, ok := errors.AsType[*ipc.Error](o.Err); !ok || e.Exit == nil {
			t.Errorf("%v does not tell how it ended", o.Err)
		}
	}
	s.serves()
}

// Die ends its process. No runner in this process may be given it.
func (names) Die() { os.Exit(3) }

// panics: what a func does to its goroutine is its own failure, and nobody else's.
func (k Kit) panics(t *testing.T) {
	quiet(t)
	k.play(t, func(t *testing.T, s *scene) {
		t.Helper()
		s.run()
		for _, how := range []string{"panic", "goexit"} {
			task, err := ipc.NewTask(how, how, nil)
			if err != nil {
				t.Fatal(err)
			}
			o := s.want(s.accept(t.Context(), task), ipc.KindTask)
			if e, ok := errors.AsType[*ipc.Error](o.Err); !ok || e.Type != how {
				t.Errorf("%s: %+v", how, o.Err)
			}
			s.serves()
		}
	})
}

// quiet drops what is written to stderr: the stacks of the panics.
func quiet(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = null
	t.Cleanup(func() {
		os.Stderr = stderr
		if err := null.Close(); err != nil {
			t.Error(err)
		}
	})
}
