package executor

import (
	"context"
	"iter"
	"slices"
	"sync"

	"fandango/ipc"
)

// Mailbox keeps the results of tasks until somebody asks for them: put, get, flush and done of Fandango's WorkerThread.
// With a [Local] below it the tasks run in this process, with a pool in others. Make it with [NewMailbox]; its methods
// may be called from many goroutines.
type Mailbox struct {
	// Room is how many tasks may be without a result, or with one that nobody has taken; one more is refused as
	// queue-full. NewMailbox sets it to 100,000; another number is to be set before the first Put.
	Room int

	runner ipc.Runner

	mu      sync.Mutex // guards what follows
	pending int
	results []Result      // the oldest first
	more    chan struct{} // closed when there is one more; nil: nobody waits
}

// Result is what became of a task.
type Result struct {
	Task ipc.Task
	ipc.Outcome
}

// NewMailbox makes a mailbox whose tasks r runs. It starts nothing.
func NewMailbox(r ipc.Runner) *Mailbox {
	return &Mailbox{Room: 100_000, runner: r}
}

// Put gives a task to the runner, and returns at once. Each task that it accepts has one result; so have two of the same
// key. When ctx ends first, that is an error of kind cancelled.
func (m *Mailbox) Put(ctx context.Context, t ipc.Task) error {
	m.mu.Lock()
	full := m.pending+len(m.results) >= m.Room
	if !full {
		m.pending++
	}
	m.mu.Unlock()
	if full {
		return ipc.Errorf(ipc.KindQueueFull, "%d tasks have no result yet, or one that was not taken, and no more may", m.Room)
	}
	err := m.runner.Submit(ctx, t, func(o ipc.Outcome) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.results = append(m.results, Result{t, o})
		m.less()
	})
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.less()
	}
	return err
}

// less needs m.mu. It counts a task that is not pending any more, and tells those who wait.
func (m *Mailbox) less() {
	m.pending--
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

// look returns how many results there are and how many are to come, and what is closed when that changes.
func (m *Mailbox) look() (there, pending int, more <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.more == nil {
		m.more = make(chan struct{})
	}
	return len(m.results), m.pending, m.more
}

// Get takes the oldest result; false: there is none now.
func (m *Mailbox) Get() (Result, bool) { return m.take(func(Result) bool { return true }) }

// Take takes the oldest result of a key; false: there is none now. Fandango's SingletonWorker has it as get(target).
func (m *Mailbox) Take(key string) (Result, bool) {
	return m.take(func(r Result) bool { return r.Task.Key == key })
}

func (m *Mailbox) take(which func(Result) bool) (Result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.results, which)
	if i < 0 {
		return Result{}, false
	}
	r := m.results[i]
	if i == 0 {
		m.results[0] = Result{}
		m.results = m.results[1:]
	} else {
		m.results = slices.Delete(m.results, i, i+1)
	}
	return r, true
}

// Flush takes all results that are there, the oldest first.
func (m *Mailbox) Flush() []Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.results
	m.results = nil
	return all
}

// Pending is how many tasks have no result yet.
func (m *Mailbox) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pending
}

// Done reports whether every task has its result, taken or not: none waits, and none runs.
func (m *Mailbox) Done() bool { return m.Pending() == 0 }

// Wait waits until Done. When ctx ends first, its error is of kind cancelled.
func (m *Mailbox) Wait(ctx context.Context) error {
	for {
		_, pending, more := m.look()
		if pending == 0 {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return cancelled(ctx)
		}
	}
}

// All takes results as they come, the oldest first, and ends when there is none left and none to come, or when ctx ends.
// The loop may put more.
func (m *Mailbox) All(ctx context.Context) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		for ctx.Err() == nil {
			there, pending, more := m.look()
			switch {
			case there > 0:
				if r, ok := m.Get(); ok && !yield(r) {
					return
				}
			case pending == 0:
				return
			default:
				select {
				case <-more:
				case <-ctx.Done():
				}
			}
		}
	}
}
