package executor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fandango/ipc"
)

// A master may cancel the task that runs, by a request of its own: so somebody must read while a task runs. For short
// tasks nobody does: the loop reads, runs and answers. A task that has run for a while gets a reader beside the loop,
// which keeps the requests that it reads for the loop, and hands the stream back with the first one that comes when
// nothing runs.

// asideAfter is how long a task runs before somebody reads beside it, up to twice as long.
const asideAfter = 10 * time.Millisecond

// asideBytes is how much is read ahead: more than a master sends ahead of a task that takes so long.
const asideBytes = 1 << 20

var errNotBegun = &ipc.Error{Kind: ipc.KindTask, Type: "cancelled", Message: "it was cancelled before it began"}

// intake is the stream of requests.
type intake struct {
	dec *ipc.Decoder // the reader's while there is one, else the loop's

	// turn is a task's number, and what is going on. The loop writes it, but for turnRunning to turnAside, which the
	// watch does. While there is a reader, the number goes on with the end of a task, too.
	turn    atomic.Uint64
	own     request      // what the loop has read itself
	forgets bool         // who runs tasks keeps no context beyond its call: there is one for all,
	only    runContext   // this one
	fresh   []runContext // for the requests to come
	now     *request     // what runs; guarded by mu while there is a reader
	aside   bool         // the loop's: there was a reader when it looked last
	watched atomic.Bool
	watch   *time.Timer // looks whether a task has been running for a while; nil: there has been no task
	seen    uint64      // the turn at its last look

	mu      sync.Mutex // guards what follows
	news    sync.Cond
	reading bool
	ahead   []*request // read while a task ran
	bytes   int        // of ahead
	err     error      // why the reader has ended, when it has not handed over
}

// The low bits of turn.
const (
	turnIdle    = iota // nothing runs, and the loop reads
	turnRunning        // a task runs, and nobody reads
	turnAside          // there is a reader
	turnNext    = 1 << 2
)

// request is one on its way through the loop.
type request struct {
	ipc.Request

	told   *ipc.RequestOptions // what its options tell
	unread error               // why they tell nothing

	// Guarded by intake.mu while there is a reader.
	ctx *runContext // nil until it begins
	off bool        // it was cancelled before it began
}

// noOptions is what is told by none.
var noOptions ipc.RequestOptions

// batch says that the answer may be held.
func (r *request) batch() bool { return r.told.Batch }

func newIntake(dec *ipc.Decoder) *intake {
	in := &intake{dec: dec}
	in.news.L = &in.mu
	return in
}

// next waits for a request to run.
func (in *intake) next() (*request, error) {
	in.own = request{} // it may hold a large buffer
	for {
		if in.aside {
			if r, err, ok := in.fromReader(); ok {
				return r, err
			}
		}
		r, err := in.dec.Request()
		if err != nil {
			return nil, err
		}
		if r.Key != ipc.KeyCancel { // of a task that has ended
			in.own = request{Request: r}
			return &in.own, nil
		}
	}
}

// nextNow is next for what has been read already: without a request and an error, that is none, or there is a reader,
// which has the stream.
func (in *intake) nextNow() (*request, error) {
	for !in.aside {
		ok, err := in.dec.RequestNow(&in.own.Request)
		if !ok {
			return nil, err
		}
		if in.own.Key != ipc.KeyCancel {
			in.own.ctx, in.own.off = nil, false
			return &in.own, nil
		}
	}
	return nil, nil //nolint:nilnil // as it says
}

// fromReader waits for what the reader reads; ok is false when that is nothing more, and the stream is the loop's again.
func (in *intake) fromReader() (r *request, err error, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.ahead) == 0 && in.reading {
		in.news.Wait()
	}
	if len(in.ahead) > 0 {
		r, in.ahead = in.ahead[0], in.ahead[1:]
		in.bytes -= r.size()
		in.now = r // from now on a cancel is for it
	}
	if len(in.ahead) == 0 && !in.reading && in.err == nil { // it has handed over, with this one
		in.aside = false
		in.turn.Store(in.turn.Load()&^(turnNext-1) + turnIdle)
	}
	if r == nil {
		return nil, in.err, in.err != nil
	}
	return r, nil, true
}

// begin says that r runs from now on.
func (in *intake) begin(ctx context.Context, r *request) {
	if in.aside {
		in.mu.Lock()
		defer in.mu.Unlock()
		r.ctx = in.newContext(ctx, r.told)
		in.turn.Add(turnNext)
		if r.off {
			r.ctx.cancel()
		}
		return
	}
	r.ctx = in.newContext(ctx, r.told)
	in.now = r
	in.turn.Store(in.turn.Load()&^(turnNext-1) + turnNext + turnRunning)
	if !in.watched.Load() && in.watched.CompareAndSwap(false, true) {
		in.arm()
	}
}

// newContext makes the context of a run, which begins with the next turn. They are allocated by the dozen: who keeps one
// keeps little with it.
func (in *intake) newContext(ctx context.Context, told *ipc.RequestOptions) *runContext {
	c := &in.only
	if in.forgets {
		if c.inner.Load() != nil { // a look costs less than a store
			c.inner.Store(nil)
		}
	} else {
		if len(in.fresh) == 0 {
			in.fresh = make([]runContext, 24)
		}
		c = &in.fresh[0]
		in.fresh = in.fresh[1:]
	}
	c.Context, c.told, c.in, c.turn = ctx, told, in, in.turn.Load()/turnNext+1
	return c
}

// end says that what ran runs no more.
func (in *intake) end() {
	if t := in.turn.Load(); !in.aside && t%turnNext == turnRunning && in.turn.CompareAndSwap(t, t-turnRunning+turnIdle) {
		return
	}
	in.aside = true
	in.mu.Lock()
	defer in.mu.Unlock()
	in.now = nil
	in.turn.Add(turnNext)
}

// arm needs watched to be its caller's. In a while somebody looks whether still the same runs.
func (in *intake) arm() {
	in.seen = in.turn.Load()
	if in.watch == nil {
		in.watch = time.AfterFunc(asideAfter, in.look)
	} else {
		in.watch.Reset(asideAfter)
	}
}

// look starts the reader when the same task runs as when it was armed.
func (in *intake) look() {
	switch t := in.turn.Load(); {
	case t%turnNext != turnRunning:
		in.watched.Store(false)
		// A task may have begun since, and have seen that it is watched.
		if in.turn.Load()%turnNext != turnRunning || !in.watched.CompareAndSwap(false, true) {
			return
		}
	case t == in.seen:
		in.mu.Lock()
		in.reading = in.turn.CompareAndSwap(t, t-turnRunning+turnAside)
		reading := in.reading
		in.mu.Unlock()
		if reading {
			in.watched.Store(false)
			in.readAside()
			return
		}
	}
	in.arm()
}

// readAside is the reader.
func (in *intake) readAside() {
	in.dec.Keep() // the task's args are in its buffer
	for more := true; more; {
		r, err := in.dec.Request()
		in.mu.Lock()
		switch {
		case err != nil:
			in.err, in.reading = err, false
		case r.Key == ipc.KeyCancel:
			in.cancel(r)
		default:
			next := &request{Request: r} // as it stands in the decoder's buffer, when nobody reads before it has run
			if in.now != nil || len(in.ahead) > 0 {
				next.Target, next.Args, next.Options = slices.Clone(r.Target), slices.Clone(r.Args), slices.Clone(r.Options)
			}
			in.ahead = append(in.ahead, next)
			in.bytes += next.size()
			in.reading = in.now != nil && in.bytes < asideBytes
		}
		more = in.reading
		in.news.Signal()
		in.mu.Unlock()
	}
}

// cancel needs in.mu. What runs is told; what is still to run will not.
func (in *intake) cancel(r ipc.Request) {
	key, ok := r.Args.Text()
	switch {
	case !ok:
	case in.now != nil && in.now.Key == key && in.now.ctx != nil:
		in.now.ctx.cancel()
	case in.now != nil && in.now.Key == key:
		in.now.off = true
	default:
		for _, waiting := range in.ahead {
			if waiting.Key == key {
				waiting.off = true
				return
			}
		}
	}
}

// join waits for a reader that is still there.
func (in *intake) join() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.reading {
		in.news.Wait()
	}
}

func (r *request) size() int { return len(r.Key) + len(r.Target) + len(r.Args) + len(r.Options) }

// runContext is the context of one run. It is cancelled when the run is, and at its end. A context proper, which costs
// more than a small task, is made only for who waits for that.
type runContext struct {
	context.Context //nolint:containedctx // the stream's: this is a context itself

	told  *ipc.RequestOptions
	in    *intake
	turn  uint64 // the number of the run
	inner atomic.Pointer[cancellable]
}

type cancellable struct {
	context.Context //nolint:containedctx // a part of one

	stop context.CancelFunc
}

// over says that the run has ended. Its turn has then, and what is seen of that is enough: to tell each context costs more.
func (c *runContext) over() bool {
	t := c.in.turn.Load()
	return t/turnNext != c.turn || t%turnNext == turnIdle
}

// proper makes the context that can be cancelled, if there is none yet.
func (c *runContext) proper() *cancellable {
	inner := c.inner.Load()
	if inner == nil {
		inner = &cancellable{}
		inner.Context, inner.stop = context.WithCancel(c.Context)
		if !c.inner.CompareAndSwap(nil, inner) { // somebody else was first
			inner.stop()
			inner = c.inner.Load()
		}
	}
	if c.over() {
		inner.stop()
	}
	return inner
}

func (c *runContext) cancel() { c.proper().stop() }

// end is called when the turn has ended.
func (c *runContext) end() {
	if inner := c.inner.Load(); inner != nil {
		inner.stop()
	}
}

// Done is closed when the run is cancelled, and at its end.
func (c *runContext) Done() <-chan struct{} { return c.proper().Done() }

// Err is not nil when the run has been cancelled or has ended.
func (c *runContext) Err() error {
	switch inner := c.inner.Load(); {
	case inner != nil:
		return inner.Err()
	case c.over():
		return context.Canceled
	}
	return c.Context.Err()
}

// Value returns what the stream's context has, and lets package context find the part that can be cancelled.
func (c *runContext) Value(key any) any {
	if key == (optionsKey{}) {
		return *c.told
	}
	if inner := c.inner.Load(); inner != nil {
		return inner.Value(key)
	}
	return c.Context.Value(key)
}
