package evalx

import (
	"context"
	"sync/atomic"
)

// turn lets in one at a time, as a mutex does, but a wait for it can be given up. Without waiters it costs two atomic
// operations; a channel with one token is a tenth of a small task.
type turn struct {
	taken   atomic.Bool
	waiting atomic.Int32
	given   chan struct{} // 1-buffered: it may be free
}

// take waits for the turn; false: ctx has ended first.
func (t *turn) take(ctx context.Context) bool {
	if t.taken.CompareAndSwap(false, true) {
		return true
	}
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	for !t.taken.CompareAndSwap(false, true) { // after waiting is told: whoever gives it up now, or later, sees it
		select {
		case <-t.given: // by the one before, or long ago
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// give must follow each take. Whoever waits tries again; at least one of them, if there are any.
func (t *turn) give() {
	t.taken.Store(false)
	if t.waiting.Load() == 0 {
		return
	}
	select {
	case t.given <- struct{}{}:
	default: // it is full: who waits has not seen yet that it is
	}
}
