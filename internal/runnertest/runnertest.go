// Package runnertest holds a runner to what [ipc.Runner] promises: one suite for all of them, so that a pool of processes,
// an executor in this process, a master over either and a fake can stand in for one another.
package runnertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fandango/ipc"
)

// Running is a runner with its life.
type Running interface {
	ipc.Runner
	// Run is the whole life; it returns when nothing that the runner started is left.
	Run(ctx context.Context) error
}

// Deed is what a task of the suite does.
type Deed string

// The deeds.
const (
	Echo Deed = "echo" // its value is the text that it was made with
	Fail Deed = "fail" // it says that it has failed
	Hang Deed = "hang" // it runs until somebody ends it
)

// Kit says how to make the runners of one kind, and what they can do beside running tasks.
type Kit struct {
	// New makes a runner with so many workers, which starts nothing. A task that its end finds running must be over soon
	// after: where there is a grace, it is short.
	New func(t *testing.T, workers int) Running
	// Task makes a task that does a deed. nil: the worker is Names.
	Task func(t *testing.T, key string, deed Deed, text string) ipc.Task
	// NewWhole makes a runner as New does, whose worker is Whole. nil: the worker is no executor of this project.
	NewWhole func(t *testing.T, workers int) Running

	Queue     int  // how many tasks may wait before one more is refused; 0: there is no limit that a test can reach
	Slack     int  // how many tasks more than Queue and one for each worker may be accepted, because workers are fed ahead
	Boundless bool // tasks do not wait for each other: there are as many workers as tasks
	Unordered bool // one worker does not give outcomes in the order of Submit
	Options   bool // it obeys a task's Timeout, Deadline and Retries
	Dies      bool // a worker that dies is replaced
}

// Test runs the suite.
func Test(t *testing.T, k Kit) {
	t.Helper()
	if k.Task == nil {
		k.Task = k.names
		t.Run("Tuples", k.tuples)
		t.Run("PanicAndGoexit", k.panics)
	}
	for _, claim := range []struct {
		name  string
		holds bool
		test  func(*testing.T, *scene)
	}{
		{"AnOutcomeTellsItsRun", true, answers},
		{"OneWorkerKeepsTheOrder", !k.Unordered && !k.Boundless, keepsOrder},
		{"ManyAtOnce", true, takesMany},
		{"AFailureIsOfKindTask", true, fails},
		{"ATaskMayComeBeforeRun", true, waitsForRun},
		{"AnEndedContextIsRefused", true, refusesAnEndedContext},
		{"KeysThatNobodyMayUseAreRefused", true, refusesKeys},
		{"CancelledWhileItRuns", true, cancelsRunning},
		{"CancelledWhileItWaits", !k.Boundless, cancelsWaiting},
		{"PendingIsWhatHasNoOutcome", true, counts},
		{"DoneMaySubmit", true, submitsInDone},
		{"AFullQueueIsRefused", k.Queue > 0, fillsTheQueue},
		{"TheEndIsToldToEach", true, ends},
		{"TheEndBeforeTheBeginning", true, endsAtOnce},
		{"SubmitRacesTheEnd", true, racesTheEnd},
		{"AThousandSubmitters", true, thousand},
		{"CancelRacesTheAnswer", true, racesCancel},
		{"Timeout", k.Options, timesOut},
		{"TimeoutIsTriedAgain", k.Options, retries},
		{"Deadline", k.Options, expires},
		{"AWorkerDies", k.Dies, dies},
	} {
		if claim.holds {
			t.Run(claim.name, func(t *testing.T) { k.play(t, claim.test) })
		}
	}
}

// scene is one runner at work, and what was asked of it.
type scene struct {
	Kit
	t      *testing.T
	runner Running
	stop   context.CancelFunc
	ended  chan error // 1-buffered; nil: Run was not called

	mu      sync.Mutex
	tickets []*ticket
}

// ticket is one Submit.
type ticket struct {
	outcome chan ipc.Outcome // 1-buffered
	times   atomic.Int64     // how often done was called
	refused error
	during  atomic.Bool // done was called on the goroutine of Submit
}

// patience is how long the suite waits for what must come. It is that long because a machine may be busy.
const patience = time.Minute

// play gives a claim a runner of one worker, and sees to the rest: every accepted task had its one outcome, refused ones
// had none, and nothing is left.
func (k Kit) play(t *testing.T, claim func(*testing.T, *scene)) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	s := &scene{Kit: k, t: t, runner: k.New(t, 1)}
	defer func() { // also when the claim has given up
		s.end()
		s.account()
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	}()
	claim(t, s)
}

// account sees to it that every accepted task had its one outcome, and refused ones had none.
func (s *scene) account() {
	s.t.Helper()
	for i, ticket := range s.tickets {
		switch n := ticket.times.Load(); {
		case ticket.refused != nil && n != 0:
			s.t.Errorf("task %d was refused, and has %d outcomes: %v", i, n, ticket.refused)
		case ticket.refused == nil && n != 1:
			s.t.Errorf("task %d was accepted, and has %d outcomes", i, n)
		case ticket.during.Load():
			s.t.Errorf("task %d: done was called within Submit", i)
		}
	}
}

// run starts the runner's life.
func (s *scene) run() *scene {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	s.stop, s.ended = stop, make(chan error, 1)
	go func() { s.ended <- s.runner.Run(ctx) }()
	return s
}

// end ends the runner and waits until it has.
func (s *scene) end() {
	s.t.Helper()
	if s.ended == nil {
		s.run()
	}
	s.stop()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("Run: %v", err)
		}
		s.ended <- nil
	case <-time.After(patience):
		panic("runnertest: Run has not returned") // whatever runs next would be told of what is left
	}
}

// submit submits, and keeps the ticket.
func (s *scene) submit(ctx context.Context, task ipc.Task) *ticket {
	t := &ticket{outcome: make(chan ipc.Outcome, 1)}
	s.mu.Lock()
	s.tickets = append(s.tickets, t)
	s.mu.Unlock()
	caller := goroutine()
	t.refused = s.runner.Submit(ctx, task, func(o ipc.Outcome) {
		if t.times.Add(1) > 1 {
			return
		}
		t.during.Store(goroutine() == caller)
		t.outcome <- o
	})
	return t
}

// accept submits a task that must be accepted.
func (s *scene) accept(ctx context.Context, task ipc.Task) *ticket {
	s.t.Helper()
	t := s.submit(ctx, task)
	if t.refused != nil {
		s.t.Fatalf("%s was refused: %v", task.Key, t.refused)
	}
	return t
}

// wait waits for the outcome of a ticket.
func (s *scene) wait(t *ticket) ipc.Outcome {
	s.t.Helper()
	o, err := s.outcome(t)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

var errNoOutcome = errors.New("a task has no outcome")

// outcome waits for the outcome of a ticket, on any goroutine. The error is a refusal, or that it does not come.
func (*scene) outcome(t *ticket) (o ipc.Outcome, err error) {
	if t.refused != nil {
		return o, t.refused
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case o = <-t.outcome:
		return o, nil
	case <-late.C:
		return o, errNoOutcome
	}
}

// want waits for the outcome of a ticket, which must be of a kind.
func (s *scene) want(t *ticket, kinds ...ipc.Kind) ipc.Outcome {
	s.t.Helper()
	o := s.wait(t)
	for _, kind := range kinds {
		if ipc.KindOf(o.Err) == kind && (kind != "" || o.Err == nil) {
			return o
		}
	}
	s.t.Errorf("an outcome is %v, of kind %q; want %q", o.Err, ipc.KindOf(o.Err), kinds)
	return o
}

// echo is the task of a number, whose value is that number in words.
func (s *scene) echo(n int) ipc.Task { return s.Task(s.t, key(Echo, n), Echo, strconv.Itoa(n)) }

func (s *scene) do(deed Deed, n int) ipc.Task { return s.Task(s.t, key(deed, n), deed, "") }

func key(deed Deed, n int) string { return fmt.Sprintf("%s %d", deed, n) }

// serves fails unless the runner still runs tasks.
func (s *scene) serves() {
	s.t.Helper()
	o := s.want(s.accept(s.t.Context(), s.Task(s.t, "still there", Echo, "here")), "")
	if got, _ := o.Value.Text(); got != "here" {
		s.t.Errorf("the value is %s, want here", o.Value)
	}
}

// goroutine is the name of the one that it is called on.
func goroutine() string {
	b := make([]byte, 64)
	name, _, _ := bytes.Cut(b[:runtime.Stack(b, false)], []byte(" ["))
	return string(name)
}
