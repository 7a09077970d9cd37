package shell

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fandango/ipc"
)

// Batch sends each task of a Source and prints what becomes of it. Nothing is stored: a line holds its place among at
// most Window from the moment it is read until its result is written, so a slow reader of the output, a slow worker and
// a result that waits for its turn all slow the reading down.
type Batch struct {
	Source *Source
	// Send hands a task on. When it returns nil, then is called once, with the task's result; of a task that several
	// workers have run, with the result of each.
	Send    func(ctx context.Context, t ipc.Task, then func(Result, ...Result)) error
	Failed  func() // is told that something has failed, once and as soon as it is known; it must not block. nil: nobody
	Out     io.Writer
	Screen  *Screen
	Tally   *Tally
	Format  Format
	Columns bool // Out is a terminal
	Ordered bool // results in the order of the input
	Traces  bool // show the stack traces of failures
	Printed bool // values are what processes have printed
	All     bool // the results of a task come from several workers: text tells from which
}

// Window is how many lines may be on their way at once.
const Window = 10_000

// windowBytes bounds what those lines and the results that wait hold, but for a single one.
const windowBytes = 64 << 20

// OutputError says that results, or failures, could not be written. It wraps syscall.EPIPE when the reader has gone.
type OutputError struct{ Err error }

func (e *OutputError) Error() string { return "output: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OutputError) Unwrap() error { return e.Err }

// Run reads to the end of the input and returns when the last result is written. When ctx ends, it reads no further and
// returns when every task that was sent has its outcome; those that had not started are counted and not shown.
//
// The error is an *OutputError, or why the input could not be read further. A read that blocks cannot be taken back: when
// ctx ends during one, its goroutine lives on until the read returns, and does nothing more.
func (b *Batch) Run(ctx context.Context) error {
	l := b.lane(ctx)
	input := make(chan error, 1) // 1-buffered: the reader never waits for the lane
	go func() { input <- l.read(ctx) }()
	return l.run(input)
}

// Follow prints results that come by themselves, each handed to emit, until ctx ends; there is no Source and no Send.
// Emit waits when the output is slow. Begin is called once, with it.
func (b *Batch) Follow(ctx context.Context, begin func(emit func(Result))) error {
	l := b.lane(ctx)
	begin(func(r Result) {
		if size, ok := l.places.take(len(r.Value), false); ok {
			l.Tally.read.Add(1)
			l.results <- &numbered{size: size, Result: r}
		}
	})
	return l.run(make(chan error))
}

func (b *Batch) lane(ctx context.Context) *lane {
	b.Tally.begun = time.Now()
	l := &lane{Batch: b, ctx: ctx, results: make(chan *numbered, Window), places: newPlaces()}
	if b.Ordered {
		l.early = make([]*numbered, Window)
	}
	return l
}

// lane is the one goroutine that writes results, in the order in which they come or in that of the input.
type lane struct {
	*Batch
	ctx     context.Context // of the one call of Run
	results chan *numbered  // room for every line on its way: a callback never waits
	places  *places
	failed  atomic.Bool // Failed has been told

	early   []*numbered // by number modulo Window: results that wait for their turn
	next    uint64      // whose turn it is
	columns columns
	out     []byte
	err     []byte
	since   time.Time // when the oldest of what is buffered was met; zero: not yet looked at
}

type numbered struct {
	number uint64
	size   int
	Result
	more []Result // of the same task
}

// read sends the tasks of the input until it ends or places are no longer given.
func (l *lane) read(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // what was sent runs to its end
	for number := uint64(0); ; number++ {
		it, err := l.Source.Next()
		if errors.Is(err, io.EOF) {
			l.Tally.complete.Store(true)
			return nil
		}
		if err != nil {
			return err
		}
		n := &numbered{number: number}
		var ok bool
		if n.size, ok = l.places.take(it.Size, true); !ok {
			return nil
		}
		l.Tally.read.Add(1)
		if it.Err == nil {
			it.Err = l.Send(ctx, it.Task, func(r Result, more ...Result) {
				n.Result, n.more = r, more
				size := len(r.Value)
				for _, r := range more {
					size += len(r.Value)
				}
				n.size = l.places.settle(n.size, it.Size, size)
				l.arrive(n)
			})
		}
		if it.Err != nil {
			n.Result = Result{Key: it.Task.Key, Outcome: ipc.Outcome{Err: it.Err}, At: time.Now()}
			l.arrive(n)
		}
	}
}

// arrive hands the results of a task to the goroutine that writes them.
func (l *lane) arrive(n *numbered) {
	l.look(&n.Result)
	for i := range n.more {
		l.look(&n.more[i])
	}
	l.results <- n
}

// look tells the first failure of a batch that nobody has stopped.
func (l *lane) look(r *Result) {
	if l.Failed != nil && r.Err != nil && l.ctx.Err() == nil && l.failed.CompareAndSwap(false, true) {
		l.Failed()
	}
}

// run writes results until the input has ended and every place is free again.
func (l *lane) run(input <-chan error) error {
	defer l.places.close()
	if l.Format == CSV {
		l.out = append(l.out, csvHeader...)
	}
	stopped := l.ctx.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var inputErr error
	for input != nil || l.places.held() > 0 {
		select {
		case n := <-l.results:
			l.take(n)
			if len(l.out) < 64<<10 && len(l.err) < 64<<10 && len(l.columns.rows) < 1000 {
				continue
			}
		default:
			if wait := l.pending(); wait > 0 {
				timer.Reset(wait)
			}
			select {
			case n := <-l.results:
				l.take(n)
				continue
			case inputErr = <-input:
				input = nil
				continue
			case <-stopped:
				l.places.close()
				stopped, input = nil, nil
				continue
			case <-timer.C:
			}
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	return inputErr
}

// pause is how long the first result of a trickle waits for company: a flood does not become a write for each result,
// and on a terminal rows that come together line up.
func (l *lane) pause() time.Duration {
	if l.Columns {
		return 40 * time.Millisecond
	}
	return time.Millisecond
}

// pending returns how long what is buffered may still wait; 0 when nothing is.
func (l *lane) pending() time.Duration {
	if len(l.out) == 0 && len(l.err) == 0 && len(l.columns.rows) == 0 {
		return 0
	}
	if l.since.IsZero() {
		l.since = time.Now()
	}
	return max(1, l.pause()-time.Since(l.since))
}

// take writes a result, or lets it wait for its turn.
func (l *lane) take(n *numbered) {
	if !l.Ordered {
		l.write(n)
		return
	}
	l.early[n.number%Window] = n
	for at := l.next % Window; l.early[at] != nil; at = l.next % Window {
		l.write(l.early[at])
		l.early[at] = nil
		l.next++
	}
}

// write formats the results of a task and frees its place.
func (l *lane) write(n *numbered) {
	l.format(&n.Result)
	for i := range n.more {
		l.Tally.read.Add(1)
		l.format(&n.more[i])
	}
	l.places.free(n.size)
}

func (l *lane) format(r *Result) {
	if l.Printed && (l.Format == Text || l.Format == CSV) {
		r.Value = withoutNewline(r.Value)
	}
	switch {
	case r.Err != nil && l.ctx.Err() != nil && notStarted(r):
		l.Tally.notStarted.Add(1)
		return
	case r.Err != nil && !l.Format.inStream():
		l.err = failureLine(l.err, r, l.All, l.Screen.color)
		if l.Traces {
			l.err = appendTrace(l.err, r.Err)
		}
	case l.Columns && l.Format == Text:
		l.columns.add(r, l.All)
	case l.All && l.Format == Text:
		l.out = appendWhose(l.out, r)
	case l.Printed && l.Format == Bare:
		l.out = appendBare(l.out, r.Value)
	default:
		l.out = l.Format.append(l.out, r)
	}
	l.Tally.count(r)
}

// notStarted reports whether a task found its end before it began.
func notStarted(r *Result) bool {
	switch ipc.KindOf(r.Err) {
	case ipc.KindClosed, ipc.KindCancelled, ipc.KindNoWorker:
		return r.Attempts == 0
	default:
		return false
	}
}

// flush writes what is buffered.
func (l *lane) flush() error {
	l.out = l.columns.flush(l.out)
	var err error
	if len(l.out) > 0 {
		if l.Columns {
			err = l.Screen.Write(true, l.out)
		} else {
			_, err = l.Out.Write(l.out)
		}
		if l.out = l.out[:0]; cap(l.out) > 1<<20 {
			l.out = nil
		}
	}
	if len(l.err) > 0 {
		errOut := l.Screen.Write(false, l.err)
		if err == nil && errors.Is(errOut, syscall.EPIPE) { // nobody reads the failures; a closed stderr is as wanted
			err = errOut
		}
		l.err = l.err[:0]
	}
	l.since = time.Time{}
	if err != nil {
		return &OutputError{err}
	}
	return nil
}

// places are the lines that may be on their way, and the bytes that they may hold. How large a result will be is not
// known when its line is read; it is taken to be like the last ones.
type places struct {
	mu     sync.Mutex
	change sync.Cond
	lines  int
	bytes  int
	result int // what a result is expected to hold
	closed bool
}

func newPlaces() *places {
	p := &places{result: 256 << 10} // at first: a few hundred places, enough to keep workers busy
	p.change.L = &p.mu
	return p
}

// take waits for a place for a line of so many bytes, and for a result still to come. It returns what the place may
// hold, or false when there will be none.
func (p *places) take(line int, result bool) (size int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed {
		size = line
		if result {
			size += p.result
		}
		if p.lines == 0 || p.lines < Window && p.bytes+size <= windowBytes {
			p.lines++
			p.bytes += size
			return size, true
		}
		p.change.Wait()
	}
	return 0, false
}

// settle tells what a place that was taken for size bytes holds now: its line and its result.
func (p *places) settle(size, line, result int) int {
	p.mu.Lock()
	p.bytes += line + result - size
	p.result += (result - p.result) / 8
	p.mu.Unlock()
	p.change.Signal()
	return line + result
}

// free gives a place back.
func (p *places) free(size int) {
	p.mu.Lock()
	p.lines--
	p.bytes -= size
	p.mu.Unlock()
	p.change.Signal()
}

// close gives no more places.
func (p *places) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.change.Signal()
}

func (p *places) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines
}
