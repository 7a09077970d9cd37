package pool

import (
	"errors"
	"os"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// head needs pool.mu. It is the call that the worker runs, or will run first; nil: it has none.
func (w *worker) head() *call {
	if w.flight.n == 0 {
		return nil
	}
	return w.flight.at(0)
}

// assign needs pool.mu; the caller then wakes the worker.
func (w *worker) assign(c *call) {
	if w.flight.n == 0 {
		w.since = time.Now()
	}
	w.flight.pushBack(c)
	w.ahead += c.size()
	c.state, c.on, c.written, c.begun = callRunning, w, false, 0
	if w.resting {
		w.resting, c.reads = false, c.here && w.flight.n == 1
		if !c.reads {
			w.recall()
		}
	}
}

// beginHead needs pool.mu. The clock of a call starts when it has been given to the writer and all before it have been
// answered.
func (w *worker) beginHead() {
	c := w.head()
	if c == nil || !c.written || c.begun != 0 {
		return
	}
	if c.state != callFinished {
		c.begin(w)
		if c.fate() != nil { // cancelled before it was written
			w.poke()
		}
		return
	}
	// It was withdrawn while it waited behind another one: it must not run, if that can be helped.
	c.begun = w.pool.now()
	c.more().fate = ipc.Errorf(ipc.KindCancelled, "cancelled")
	w.poke()
}

// A worker that claims `ordered` is fed ahead, so that it need not wait for its master between two tasks.
const (
	feedTime  = time.Millisecond // about so much work, by its pace, may be with a worker
	feedAfter = 16               // answers, one at a time, until a pace is known
	feedMost  = 4096
	feedBytes = 64 << 10 // a pipe's worth, when it is not widened
)

// window needs pool.mu. It is how many calls the worker may have. Of tasks that take less than feedTime it is two at
// least, so that the one's value is written while the other runs.
func (w *worker) window() int {
	most := w.pool.cfg.Window
	if !w.claims.Ordered || most == 1 || w.served < feedAfter {
		return 1
	}
	if most == 0 {
		most = feedMost
	}
	return max(1, min(most, int((feedTime+w.pace-1)/max(w.pace, 1))))
}

// fill needs pool.mu. It begins to give the worker as many of the calls that wait as it may have: its share, and nothing more
// once the call that it runs has taken longer than feedTime.
func (w *worker) fill() {
	w.due = 0
	room := w.window() - w.flight.n
	if c := w.head(); c != nil && room > 0 && c.begun != 0 && w.pool.now().since(c.begun) > feedTime {
		return
	}
	w.due = min(room, 1+w.pool.waiting/max(1, len(w.pool.slots)))
	w.give()
}

// give needs pool.mu. It gives the worker a handful of the calls that are due to it: who encodes them asks for the next.
func (w *worker) give() {
	for range min(w.due, handful) {
		var c *call
		if !w.full() {
			c = w.take()
		}
		if c == nil {
			w.due = 0
			return
		}
		w.due--
		w.assign(c)
	}
}

// full needs pool.mu. It says that the worker has as many bytes ahead as it may have.
func (w *worker) full() bool {
	if w.ahead <= int(w.mostAhead.Load()) {
		return false
	}
	w.bulky.Store(true)
	return w.flight.n > 1
}

// wake tells the writer that there is something for it. It needs no lock and does not block.
func (w *worker) wake() {
	select {
	case w.feed <- struct{}{}:
	default:
	}
}

// hold needs pool.mu. It makes an open worker that has nothing to do wait for a call.
func (w *worker) hold() {
	if w.flight.n > 0 {
		return
	}
	w.since = time.Now()
	if w.open && !w.slot.canary {
		w.pool.idle = append(w.pool.idle, w)
	}
}

// drop needs pool.mu. The call that the worker ran is over.
func (w *worker) drop(c *call) {
	w.flight.popFront()
	w.ahead -= c.size()
	w.handed = max(0, w.handed-1)
	if !w.ready {
		return
	}
	w.served++
	if w.served == w.limit {
		w.slot.ask("tasks")
	}
}

// release needs pool.mu. Calls of the worker are over: once a quarter of its window is, more follow. It says whether there
// is something to write.
func (w *worker) release() (write bool) {
	if w.flight.n <= w.window()*3/4 {
		w.fill()
		w.hold()
	}
	if !w.open || w.pool.phase >= drains {
		w.poke()
	}
	return w.handed < w.flight.n
}

// write writes the tuples, as many as there are at a time.
func (w *worker) write() {
	for {
		select {
		case <-w.gone:
			return
		case <-w.feed:
		}
		for more := true; more; {
			w.writing.Lock()
			more = w.writeSome(false)
			w.writing.Unlock()
		}
	}
}

// smallTask is the size up to which a task is written by who has given it to the worker: its submitter, when the worker
// is idle, or the reader. Where the pipes are wide that is so of any, for each thread more that takes part has to be woken.
const smallTask = 4 << 10

// send writes by itself what waits for the writer, as far as that needs no waiting; the rest it leaves to the writer. It
// says false when that is all.
func (w *worker) send() bool {
	if w.out == nil || !w.writing.TryLock() {
		w.wake()
		return false
	}
	defer w.writing.Unlock()
	w.writeSome(true)
	return true
}

// writeSome hands what waits for the writer to the process, in one write; at once, or not at all: then what is left is
// the writer's. It says whether there may be more. It needs w.writing.
func (w *worker) writeSome(atOnce bool) (more bool) {
	if isClosed(w.gone) {
		return false // what was sent has been counted
	}
	var err error
	if w.out.Buffered() > 0 { // what was left goes first: what is behind it has not begun
		err = w.flush(atOnce)
	}
	if err == nil {
		more = w.encodeAll(atOnce)
		err = w.flush(atOnce)
	}
	switch {
	case err == nil:
		return more
	case atOnce && errors.Is(err, os.ErrDeadlineExceeded):
		w.wake()
	case !isClosed(w.gone):
		w.fail(&writeError{err})
	}
	return false
}

// encodeAll gives the encoder what waits for the writer, and says whether that is anything. It needs w.writing.
func (w *worker) encodeAll(atOnce bool) (anything bool) {
	w.encoding.Lock()
	defer w.encoding.Unlock()
	if !atOnce {
		w.refill()
	}
	for more := true; more; {
		calls, cancel := w.nextCalls(atOnce)
		if cancel != nil {
			_ = w.out.Request(ipc.KeyCancel, cancelTarget, mustEncode(*cancel)) // it fits: the task has fitted
		}
		w.encode(calls)
		anything = anything || len(calls) > 0
		more = len(calls) == handful
	}
	if !w.lender {
		w.out.Keep()
	}
	return anything
}

// encode gives the encoder some calls.
func (w *worker) encode(calls []*call) {
	w.widen()
	for _, c := range calls {
		mark := w.sent.n + int64(w.out.Buffered())
		var options ipc.Raw
		switch {
		case c.own && w.claims.Options:
			options = givenToAll
		case c.batch:
			options = mayShare
		}
		var err error
		if w.slot.canary {
			err = w.pool.asideNow(c.key)
		}
		if err == nil {
			err = w.out.RequestWith(c.key, c.target, c.args, options)
		}
		if err != nil {
			w.refuse(c, err)
			continue
		}
		c.mark = mark
	}
	bundles(calls, func(b *bundle, n int) { b.release(w.pool, n) })
}

// encoded waits until the encoder has, of all calls that were taken by now, the bytes that are not lent to it.
func (w *worker) encoded() {
	w.encoding.Lock()
	defer w.encoding.Unlock()
}

// unreadTime is how often a write that waits is looked at.
const unreadTime = time.Second

// flush writes what the encoder has. Large values are written from where they are: so whoever has submitted them is told
// nothing before that is over, and may then do with them as he likes. A worker that answers what is being written to it and
// does not read it would hold up the task behind that for ever, whose time has not begun: it is to be ended. It needs
// w.writing.
func (w *worker) flush(atOnce bool) error {
	w.sent.atOnce = atOnce
	if atOnce {
		err := w.out.Flush()
		if !errors.Is(err, os.ErrDeadlineExceeded) { // else the rest is written from where it is, too
			w.handBack()
		}
		return err
	}
	defer w.handBack()
	for {
		w.lookIn(unreadTime)
		if isClosed(w.gone) { // or that deadline took the place of the one that is to end this
			return os.ErrDeadlineExceeded
		}
		before := w.sent.n
		err := w.out.Flush()
		if !errors.Is(err, os.ErrDeadlineExceeded) || isClosed(w.gone) {
			return err
		}
		w.out.Keep() // somebody may wait to be told, and the worker may not be reading
		w.handBack()
		if w.sent.n == before && w.answersAhead() {
			w.fail(ipc.Errorf(ipc.KindProtocol, "it has answered what it has not read, and reads nothing more"))
			return err
		}
	}
}

// lookIn calls the writer away from a write that waits so long; at once, when somebody waits to be told.
func (w *worker) lookIn(d time.Duration) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	for _, c := range w.lent {
		if c.rare != nil && c.rare.owed != nil {
			d = 0
		}
	}
	_ = w.process.Stdin.SetWriteDeadline(time.Now().Add(d))
}

// answersAhead says that the worker has answered all that has been written to it whole.
func (w *worker) answersAhead() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	c := w.head()
	return c != nil && !c.written
}

// owe needs pool.mu. The writer tells o once it has handed back the bytes that c has lent to it, which is soon: it is called
// away from a write that waits.
func (w *worker) owe(c *call, o ipc.Outcome) {
	c.more().owed = func() { c.finish(o) }
	_ = w.process.Stdin.SetWriteDeadline(time.Unix(1, 0))
}

// handBack says that the writer needs no bytes of its calls any more, and tells those that have waited for that. It needs
// w.writing.
func (w *worker) handBack() {
	if len(w.lent) == 0 {
		return
	}
	w.pool.mu.Lock()
	var owed []func()
	for _, c := range w.lent {
		if c.lent = false; c.rare != nil && c.rare.owed != nil {
			owed = append(owed, c.rare.owed)
		}
	}
	w.pool.mu.Unlock()
	for _, tell := range owed {
		tell()
	}
	bundles(w.lent, func(b *bundle, n int) { b.release(w.pool, n) })
	clear(w.lent)
	w.lent = w.lent[:0]
}

// widen widens the pipes of a worker whose traffic is large. It needs w.writing.
func (w *worker) widen() {
	if w.widened || !w.bulky.Load() {
		return
	}
	w.widened = true // or as wide as it gets
	if bytes, ok := w.process.Widen(); ok {
		w.mostAhead.Store(int64(bytes))
	}
}

// givenToAll is the options of a request that every worker is given: it may change what the worker holds.
var givenToAll = mustEncode(ipc.RequestOptions{All: true})

// mayShare is the options of a request whose answer may share a write with others.
var mayShare = mustEncode(ipc.RequestOptions{Batch: true})

// refill gives the worker what it may have.
func (w *worker) refill() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.open {
		w.fill()
	}
}

// nextCalls takes a handful of the calls that wait for the writer, or that the worker is to be given besides; at once, only
// those in front that may be written so. The key of a call that is to be cancelled goes before them: that one has been written,
// and those that were not, may have its key.
func (w *worker) nextCalls(atOnce bool) (calls []*call, cancel *string) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	cancel, w.cancel = w.cancel, nil
	w.forget()
	calls = w.few[:0]
	for ; len(calls) < handful; w.handed++ {
		if w.handed == w.flight.n {
			w.give()
		}
		if w.handed == w.flight.n {
			break
		}
		c := w.flight.at(w.handed)
		if atOnce && c.size() > smallTask && w.mostAhead.Load() == feedBytes {
			w.wake()
			break
		}
		c.written = true
		if c.lent = w.lender && c.size() > ipc.LargeValue; c.lent {
			w.lent = append(w.lent, c)
			c.bundle.hold(1)
		}
		c.batch = c.shares && !c.own && w.claims.Batch && w.claims.Options && !w.slot.canary
		calls = append(calls, c)
	}
	w.few = calls
	bundles(calls, func(b *bundle, n int) { b.hold(n) })
	w.beginHead()
	return calls, cancel
}

// forget needs pool.mu. It takes out the calls that were withdrawn before they were written: their bytes are their callers'
// again.
func (w *worker) forget() {
	if !w.stale {
		return
	}
	w.stale = false
	for i := w.handed; i < w.flight.n; i++ {
		if c := w.flight.at(i); c.state == callFinished {
			w.ahead -= c.size()
		}
	}
	w.flight.keep(func(c *call) bool { return c.written || c.state != callFinished })
	if w.flight.n == 0 {
		w.fill()
		w.hold()
		w.poke()
	}
}

// refuse finishes a call that does not fit the wire, or may not run; the worker never saw it.
func (w *worker) refuse(c *call, err error) {
	p := w.pool
	p.mu.Lock()
	withdrawn := c.state == callFinished
	c.state = callFinished
	if c.begun != 0 {
		c.attempts-- // it never ran
	}
	w.flight.remove(c)
	w.ahead -= c.size()
	w.handed--
	w.beginHead()
	if w.flight.n == 0 {
		w.fill()
		w.hold()
	}
	w.wake()
	p.mu.Unlock()
	if !withdrawn {
		c.finish(ipc.Outcome{Err: err, Attempts: int(c.attempts), Queued: c.waited()})
	}
}

// writeError tells the writer's errors from the reader's.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// counter counts the bytes that it writes to a pipe. Who writes holds worker.writing.
type counter struct {
	file   *os.File
	n      int64
	atOnce bool // write what the pipe takes now; the rest is os.ErrDeadlineExceeded
}

func (c *counter) Write(b []byte) (n int, err error) {
	if c.atOnce {
		n, err = proc.WriteNow(c.file, b)
	} else {
		n, err = c.file.Write(b)
	}
	c.n += int64(n)
	return n, err
}
