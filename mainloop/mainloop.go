// Package mainloop hands funcs, one at a time, to a loop of the caller's own: the goroutine of a window toolkit that alone
// may touch its widgets, or any other. It is Fandango's QWorker.
//
// A [Queue] takes funcs from any goroutine and never makes them wait. Its Run gives the loop one, through the one func
// that every toolkit has for this (fyne.Do, glib.IdleAdd, a send to the channel that the loop reads), and the next when
// that has returned, so what else the loop has to do comes in between. [Deliver] and [Latest] make callbacks whose values
// arrive there; [Queue.Call] as the Deliver of a master's Config brings it all callbacks of that master.
package mainloop

import (
	"context"
	"errors"
	"sync"
)

// Queue holds funcs until the loop runs them. Make it with New, give it its life with Run.
type Queue struct {
	post func(func())
	cfg  Config
	wake chan struct{} // 1-buffered: there is something waiting
	over chan struct{} // closed: Run is over

	mu      sync.Mutex // guards what follows
	waiting []func()
	running bool // one has begun and not returned
	done    int  // how many of this busy time have returned
	busy    bool // the loop has been told so
	begun   bool // Run was called
	ended   bool // Run is over: nothing runs any more
}

// Config says who is told what. All its funcs run on the loop; the zero value tells nobody.
type Config struct {
	// Busy is told true before the first func after an idle time, and false after the last one, when none waits any more;
	// when Run ends before that, nothing more is told.
	Busy func(bool)
	// Progress is told, when a busy time begins and after each of its funcs, which part of those that it has met so far
	// is done: 0 to 1. It falls when more are put meanwhile, and is 1 only at the end.
	Progress func(done float64)
	// Panic is told what a func panicked with, while its stack is still there; then the next func follows. nil: the panic
	// goes on into the loop; should that recover, the next func follows all the same.
	Panic func(v any)
}

// ErrEnded is the error of a Put after the end of Run.
var ErrEnded = errors.New("mainloop: the queue has ended")

// New makes a Queue for the loop that runs what post is given. post is called on the goroutine of Run. It may return at
// once or only when the loop has taken or run the func; one that blocks must return when the loop has ended, or Run
// cannot.
func New(post func(func()), cfg Config) *Queue {
	if post == nil {
		panic("mainloop: New without a func that reaches the loop")
	}
	return &Queue{post: post, cfg: cfg, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// Put lets f run on the loop, after all that were put before it. It never waits, so it may be called from the loop, and
// from f itself; funcs that are put before Run begins wait for it. Where values come faster than the loop can show them,
// use [Latest].
func (q *Queue) Put(f func()) error {
	if f == nil {
		panic("mainloop: Put of a nil func")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return ErrEnded
	}
	q.waiting = append(q.waiting, f)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// Call is Put, and waits until f has returned; or until Run is over, and then f has not begun and never will. So it must
// not be called on the loop. It is what a master's Config.Deliver wants: then its callbacks run on the loop.
func (q *Queue) Call(f func()) {
	returned := make(chan struct{})
	err := q.Put(func() {
		defer close(returned) // also when f panics or ends the goroutine
		f()
	})
	if err != nil {
		return
	}
	select {
	case <-returned:
	case <-q.over:
	}
}

// Len is how many funcs wait. The one that runs is not counted.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Done is the part that is done of the funcs of this busy time, as Progress is told it; 1 when nothing waits or runs.
func (q *Queue) Done() float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.part()
}

// part needs q.mu.
func (q *Queue) part() float64 {
	left := len(q.waiting)
	if q.running {
		left++
	}
	if left == 0 {
		return 1
	}
	return float64(q.done) / float64(q.done+left)
}

// Run hands the funcs to the loop until ctx ends. A func that runs at that moment is waited for; what waits is dropped,
// and so is one that was posted and that the loop has not begun. It then returns nil. Call it once, and not on the loop.
func (q *Queue) Run(ctx context.Context) error {
	if !q.begin() {
		return errors.New("mainloop: Run was called twice")
	}
	defer q.end()
	for {
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
		for q.Len() > 0 && ctx.Err() == nil {
			t := &turn{queue: q, over: make(chan struct{})}
			q.post(t.take)
			select {
			case <-t.over:
			case <-ctx.Done():
				t.revoke()
				return nil
			}
		}
	}
}

func (q *Queue) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := !q.begun
	q.begun = true
	return first
}

func (q *Queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.over)
	q.ended, q.waiting, q.busy, q.done = true, nil, false, 0
}

// turn is one func's way over the loop.
type turn struct {
	queue *Queue
	over  chan struct{}
	mu    sync.Mutex // guards what follows
	begun bool
	void  bool // it came too late: Run is over
}

// revoke makes the turn run nothing; when it has begun, it waits for its end.
func (t *turn) revoke() {
	t.mu.Lock()
	t.void = true
	begun := t.begun
	t.mu.Unlock()
	if begun {
		<-t.over
	}
}

// take runs on the loop. A second call of it does nothing.
func (t *turn) take() {
	t.mu.Lock()
	skip := t.void || t.begun
	t.begun = true
	t.mu.Unlock()
	if skip {
		return
	}
	defer close(t.over)
	t.queue.next()
}

// next runs the first func that waits, with what is told before and after it.
func (q *Queue) next() {
	q.mu.Lock()
	f := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	begins := !q.busy
	q.busy, q.running = true, true
	q.mu.Unlock()

	defer q.finished() // also when f panics or ends the goroutine
	if begins {
		q.tellBusy(true)
		q.tellProgress(0)
	}
	if q.cfg.Panic != nil {
		defer func() {
			if v := recover(); v != nil {
				q.cfg.Panic(v)
			}
		}()
	}
	f()
}

// finished counts a func, and ends the busy time when it was the last.
func (q *Queue) finished() {
	q.mu.Lock()
	q.done++
	q.running = false
	part := q.part()
	idle := len(q.waiting) == 0
	if idle {
		q.busy, q.done = false, 0
		q.waiting = nil // a flood has passed: give its memory back
	}
	q.mu.Unlock()
	q.tellProgress(part)
	if idle {
		q.tellBusy(false)
	}
}

func (q *Queue) tellBusy(busy bool) {
	if q.cfg.Busy != nil {
		q.cfg.Busy(busy)
	}
}

func (q *Queue) tellProgress(part float64) {
	if q.cfg.Progress != nil {
		q.cfg.Progress(part)
	}
}

// Deliver makes a callback of then, for any goroutine: each value that it is called with goes to then on q's loop, in
// order. It never waits, so it may be what a runner or a master calls with a result. After the end of q it does nothing.
func Deliver[T any](q *Queue, then func(T)) func(T) {
	return func(v T) {
		_ = q.Put(func() { then(v) }) // the loop is gone: there is nobody to tell
	}
}

// Latest is Deliver for values that only the newest counts of, such as the reading of an instrument: a value that the
// loop has not seen when the next one comes is dropped, and skipped counts such values since the last call. So at most
// one value waits.
func Latest[T any](q *Queue, then func(v T, skipped int)) func(T) {
	var (
		mu      sync.Mutex
		newest  T
		waits   bool
		skipped int
	)
	show := func() {
		mu.Lock()
		v, n := newest, skipped
		var none T
		newest, waits, skipped = none, false, 0
		mu.Unlock()
		then(v, n)
	}
	return func(v T) {
		mu.Lock()
		newest = v
		put := !waits
		if waits {
			skipped++
		}
		waits = true
		mu.Unlock()
		if put {
			_ = q.Put(show) // as in Deliver
		}
	}
}
