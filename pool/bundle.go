package pool

import (
	"context"
	"sync/atomic"

	"fandango/ipc"
)

// bundle is calls that are submitted together: under one lock, with one look at the clock, and in one piece of memory.
//
// That is used again when nobody has one of its calls any more: neither the submitter, nor a writer, nor the reader that
// was told of an answer; and the queues forget a call before it is answered. A call that ends in any other way, or that a
// deadline or a context may want to end, is never known to be let go: then the bundle is left to the garbage collector.
type bundle struct {
	few    [bundled]call
	n      int // how many of few there are
	pool   *Pool
	limits limits // of the first, and of all others without some of their own
	done   func(i int, o ipc.Outcome)
	held   atomic.Int32 // by the submitter, by the writers for each call they write, and for each call that is not answered
}

const bundled = handful

// SubmitAll gives many tasks to workers for less than one by one; see [ipc.SubmitAll].
func (p *Pool) SubmitAll(ctx context.Context, tasks []ipc.Task, done func(i int, o ipc.Outcome)) (accepted int, err error) {
	for accepted < len(tasks) && err == nil {
		var n int
		n, err = p.submitSome(ctx, tasks[accepted:min(len(tasks), accepted+bundled)], accepted, done)
		accepted += n
	}
	return accepted, err
}

// submitSome is submit for a few tasks, of which the first has that number, and says how many were accepted.
func (p *Pool) submitSome(ctx context.Context, tasks []ipc.Task, number int, done func(int, ipc.Outcome)) (accepted int, err error) {
	if ctx.Err() != nil {
		return 0, ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))
	}
	b, _ := p.bundles.Get().(*bundle)
	if b == nil {
		b = &bundle{}
	}
	now, watched := p.now(), 0
	for i := range tasks {
		t := &tasks[i]
		if err = p.check(t); err != nil {
			tasks = tasks[:i]
			break
		}
		c := &b.few[i]
		c.of(t)
		c.bundle, c.number, c.queued = b, int32(number+i), now //nolint:gosec // no more fit
		switch limits := limitsOf(t); {
		case i == 0:
			b.limits = limits
		case limits != b.limits:
			c.rare = limits.rare()
		}
		if t.Deadline > 0 || ctx.Done() != nil {
			watched++
		}
	}
	b.n, b.pool, b.done = len(tasks), p, done
	b.held.Store(int32(1 + len(tasks) + watched)) //nolint:gosec // a few
	calls := b.few[:len(tasks)]

	var awake []*worker
	p.mu.Lock()
	for i := range calls {
		if refusal := p.full(); refusal != nil {
			calls, err = calls[:i], refusal
			break
		}
		if w := p.place(&calls[i], false); w != nil {
			awake = append(awake, w)
		}
	}
	p.pending.Add(int64(len(calls)))
	for _, w := range awake {
		w.fill()
	}
	grow := len(awake) < len(calls) && p.wantsMore()
	p.mu.Unlock()

	if watched > 0 {
		for i := range calls {
			calls[i].watch(ctx, tasks[i].Deadline)
		}
	}
	for _, w := range awake {
		w.send()
	}
	if grow {
		p.grow()
	}
	accepted = len(calls)
	b.release(p, 1+len(tasks)-accepted)
	return accepted, err
}

// rare is that of a call with limits of its own.
func (l limits) rare() *rare { return &rare{limits: &l} }

// hold keeps b from being used again; nil: there is nothing to keep.
func (b *bundle) hold(n int) {
	if b != nil {
		b.held.Add(int32(n)) //nolint:gosec // a few
	}
}

// release says that so many holds on b are no more; nil: there are none.
func (b *bundle) release(p *Pool, n int) {
	if n > 0 && b.held.Add(int32(-n)) == 0 { //nolint:gosec // a few
		b.done = nil
		clear(b.few[:b.n]) // they may have large arguments
		p.bundles.Put(b)
	}
}

// bundles goes through those of calls: how many in a row are of which.
func bundles(calls []*call, each func(b *bundle, n int)) {
	for i := 0; i < len(calls); {
		b, n := calls[i].bundle, 1
		for i+n < len(calls) && calls[i+n].bundle == b {
			n++
		}
		i += n // before b may be used again
		if b != nil {
			each(b, n)
		}
	}
}
