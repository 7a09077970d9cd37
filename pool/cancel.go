package pool

import (
	"time"

	"fandango/ipc"
)

var cancelTarget = mustEncode(ipc.KeyCancel)

// ask says whether the worker's task was cancelled and the worker, which claims to know how to end one, has been asked
// to, and still has time. The watch calls it, when it is poked.
func (w *worker) ask() bool {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	c := w.head()
	switch {
	case c == nil || c.fate == nil || c.fate.Kind != ipc.KindCancelled || isClosed(p.graceOver):
		return false
	case w.claims.Cancel && c.begun.IsZero(): // it is about to be written, and a cancel must not come before it
		return true
	case w.asked == c:
		return time.Since(w.askedAt) < p.cfg.CancelGrace
	case !w.claims.Cancel || p.cfg.CancelGrace < 0 || w.hasTwin(c):
		return false
	}
	w.asked, w.askedAt = c, time.Now()
	if w.patience == nil {
		w.patience = time.AfterFunc(p.cfg.CancelGrace, w.poke)
	} else {
		w.patience.Reset(p.cfg.CancelGrace)
	}
	w.cancel.Store(&c.task.Key)
	w.wake()
	return true
}

// hasTwin needs pool.mu. It says whether another call behind c has its key: if c ended meanwhile, the cancel would be
// taken for that one's.
func (w *worker) hasTwin(c *call) bool {
	for i := 1; i < w.flight.n; i++ {
		if w.flight.at(i).task.Key == c.task.Key {
			return true
		}
	}
	return false
}

// writeCancel gives the encoder the cancel that waits for the writer, if there is one. It needs w.writing.
func (w *worker) writeCancel() {
	if w.cancel.Load() == nil {
		return
	}
	if key := w.cancel.Swap(nil); key != nil {
		_ = w.out.Request(ipc.KeyCancel, cancelTarget, mustEncode(*key)) // it fits: the task has fitted
	}
}
