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
	case c == nil || c.fate() == nil || c.fate().Kind != ipc.KindCancelled || isClosed(p.graceOver):
		return false
	case w.claims.Cancel && c.begun == 0: // it is about to be written, and a cancel must not come before it
		return true
	case w.asked == c:
		return w.await()
	case !w.claims.Cancel || p.cfg.CancelGrace < 0 || w.hasTwin(c):
		return false
	}
	w.asked, w.heed = c, newClock(time.Now(), p.cfg.CancelGrace)
	w.await()
	key := c.key
	w.cancel = &key
	w.wake()
	return true
}

// await needs pool.mu. It says whether the worker has time to heed a cancel, and sees to it that the watch asks again.
func (w *worker) await() bool {
	rest := w.heed.wait(time.Now())
	switch {
	case rest <= 0:
		return false
	case w.patience == nil:
		w.patience = time.AfterFunc(rest, w.poke)
	default:
		w.patience.Reset(rest)
	}
	return true
}

// hasTwin needs pool.mu. It says whether another call behind c has its key: if c ended meanwhile, the cancel would be
// taken for that one's.
func (w *worker) hasTwin(c *call) bool {
	for i := 1; i < w.flight.n; i++ {
		if w.flight.at(i).key == c.key {
			return true
		}
	}
	return false
}
