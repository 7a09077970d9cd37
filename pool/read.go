package pool

import (
	"bytes"
	"errors"
	"os"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// read takes answers from the worker until its stdout ends or breaks the protocol.
func (w *worker) read() {
	w.source.out = w.process.Stdout
	w.in = ipc.NewDecoder(&w.source, ipc.DecoderConfig{
		Wire:   w.pool.cfg.Wire,
		Limits: w.pool.cfg.Limits,
		Oldest: w.oldest,
		Text:   w.wrote,
	})
	for w.listenOnce() && (!w.calm || w.rest()) {
		w.nap()
	}
}

// A worker that answers each task by itself wakes its reader for each answer, when the reader is the faster one, and that
// costs both more than the task. So while much is under way, the reader naps after a read that has brought little.
const (
	napTime = 50 * time.Microsecond
	napHear = 64            // answers: a read that brings so many is worth itself
	napLeft = 32            // calls: with fewer under way somebody may wait for the next answer
	napRead = feedBytes / 2 // bytes: likewise, as more is there already
	napRoom = 128           // answers that the pipe must have room for: a worker may write so many meanwhile
)

// deep needs pool.mu. It says that what is under way, after a read that brought so many answers of so many bytes, is worth
// a nap: the worker has to do until long after it, and room in the pipe for what it writes meanwhile.
func (w *worker) deep(heard, bytes int) bool {
	return heard < napHear && bytes < napRead && napRoom*bytes <= heard*int(w.mostAhead.Load()) &&
		w.flight.n >= napLeft && time.Duration(w.flight.n)*w.pace > 4*napTime
}

// sizeOf is about how many bytes the answers were.
func sizeOf(answers []heard) (bytes int) {
	for i := range answers {
		bytes += len(answers[i].answer.Value)
	}
	return bytes
}

// nap lets answers gather. One reader of a pool naps at a time, as it may take a processor from the runtime meanwhile.
func (w *worker) nap() {
	if w.sleepy && w.pool.napping.CompareAndSwap(false, true) {
		proc.Nap(napTime)
		w.pool.napping.Store(false)
	}
}

// listenOnce waits for answers and takes them. It says false when there is nothing more to read.
func (w *worker) listenOnce() bool {
	err := w.hear()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		select {
		case w.empty <- struct{}{}:
		case <-w.gone:
			return false
		}
		return <-w.onward
	}
	if err != nil {
		w.fail(err)
		return false
	}
	return true
}

// heard is an answer, and what becomes of its call.
type heard struct {
	answer    ipc.Answer
	call      *call
	ran       time.Duration
	withdrawn bool // the call has an outcome already
	asked     bool // the worker had been asked to end it: whatever it says, it may be half of a value
	lent      bool // the writer still needs the call's bytes
}

// hear waits for an answer, and takes all those that have come with it.
func (w *worker) hear() error {
	defer func() {
		clear(w.answers)
		w.answers = w.answers[:0]
	}()
	a, err := w.in.Answer()
	if err != nil {
		return err
	}
	w.answers = append(w.answers, heard{answer: a})
	for more := true; more; {
		n := len(w.answers)
		w.answers = append(w.answers, heard{})[:n] // room for one that is not heard yet: see oldest
		if more, err = w.in.AnswerNow(&w.answers[:n+1][n].answer); more {
			w.answers = w.answers[:n+1]
		}
	}
	if wrong := w.answer(); wrong != nil {
		return wrong
	}
	return err
}

// oldest is the key of the oldest task in flight whose answer has not been heard.
func (w *worker) oldest() (string, bool) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	i := len(w.answers)
	if i >= w.flight.n {
		return "", false
	}
	return w.flight.at(i).key, true
}

// wrote is told what the worker wrote to stdout that is no answer.
func (w *worker) wrote(text []byte) {
	allowed, lost := w.text.allow(len(text))
	if !allowed {
		return
	}
	w.pool.cfg.Log.Warn("worker wrote text to stdout", "worker", w.slot.name, "text", quote(text), "lost", lost)
	w.pool.cfg.Event(Text{Worker: w.slot.name, Text: bytes.Clone(text), Lost: lost})
}

// handful is how many tasks are dealt with at a time: so many are still in the nearest cache when they are told, or encoded.
const handful = 64

// answer takes the answers that have come.
func (w *worker) answer() error {
	now := w.pool.now()
	for rest := w.answers; len(rest) > 0; {
		some := rest[:min(handful, len(rest))]
		if err := w.answerSome(some, len(rest), now); err != nil {
			return err
		}
		rest = rest[len(some):]
	}
	return nil
}

// answerSome matches answers to the calls that the worker runs, in order, gives the worker more, and tells the outcomes. They
// are the first of so many that had come by now.
func (w *worker) answerSome(answers []heard, all int, now instant) (err error) {
	p := w.pool
	p.mu.Lock()
	n := w.match(answers, all, now)
	if n < len(answers) {
		err = ipc.Errorf(ipc.KindProtocol, "it answered key %s, which is not in flight on it", quote(answers[n].answer.Key))
	}
	write := n > 0 && w.release()
	w.calm = n > 0 && w.flight.n == 0 && w.open && answers[n-1].call.outcome() != nil
	w.sleepy = p.naps && n == len(w.answers) && w.deep(n, sizeOf(answers)) // more than a handful is worth no nap
	sick := n > 0 && p.sickSince != nil && w.ready
	p.mu.Unlock()

	if write {
		w.send()
	}
	w.tell(answers[:n])
	if sick {
		p.recovered()
	}
	return err
}

// tell tells the outcomes of calls that have been answered, and says that nobody has them any more.
func (w *worker) tell(answers []heard) {
	var b *bundle
	letGo := 0 // of b
	o := ipc.Outcome{Worker: w.slot.name}
	for i := range answers {
		h := &answers[i]
		c := h.call
		if c.bundle != b {
			b.release(w.pool, letGo)
			b, letGo = c.bundle, 0
		}
		if h.withdrawn {
			continue
		}
		w.outcome(h, &o)
		switch {
		case !h.lent:
			c.tell(&o)
		case w.owes(c, o):
			continue
		default:
			c.finish(o)
		}
		if b == nil {
			continue
		}
		w.in.Reuse(&h.answer) // it was lent until that was told
		if c.fate() == nil {
			letGo++
		}
	}
	b.release(w.pool, letGo)
}

// outcome is what an answer means for its call.
func (w *worker) outcome(h *heard, o *ipc.Outcome) {
	c := h.call
	o.Value, o.Err = nil, nil
	o.Attempts, o.Queued, o.Ran = int(c.attempts), c.begun.since(c.queued), h.ran
	switch {
	case h.asked:
		o.Err = c.fate()
	case h.answer.Err != nil:
		o.Err = h.answer.Err
	case h.answer.Given, c.bundle != nil && !h.lent:
		o.Value = h.answer.Value // of a bundle, it is lent until it is told, which is at once
	default:
		o.Value = bytes.Clone(h.answer.Value) // the decoder's buffer is used again
	}
	if len(h.answer.Value) > feedBytes {
		w.bulky.Store(true)
	}
}

// owes leaves an outcome to the writer, when that still needs the call's bytes: the worker has answered before it has read
// them all.
func (w *worker) owes(c *call, o ipc.Outcome) bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if c.lent {
		w.owe(c, o)
	}
	return c.lent
}

// match needs pool.mu. It takes the calls of answers out of flight, and says how many have been in flight. The time since the
// first of them began is divided among all that had come by now: the reader does not see when each was written.
func (w *worker) match(answers []heard, all int, now instant) (n int) {
	told := 0
	for n < len(answers) {
		c := w.head()
		if c == nil || !c.written || string(answers[n].answer.Key) != c.key {
			break
		}
		h := &answers[n]
		h.call, h.withdrawn, h.lent = c, c.state == callFinished, c.lent
		if !h.withdrawn && !h.lent && !c.own {
			told++
		}
		c.state = callFinished
		c.stopClock()
		w.pool.cleared(c.key)
		h.ran = max(0, now.since(c.begun)) / time.Duration(all-n)
		if h.asked = w.asked == c; h.asked {
			w.asked = nil
		}
		w.pace += (h.ran - w.pace) / 8
		n++
		w.drop(c)
		if next := w.head(); n < all && next != nil && next.written {
			if next.state != callFinished {
				next.attempts++
			}
			next.begun = max(c.begun+instant(h.ran), next.queued)
		}
	}
	w.pool.pending.Add(int64(-told))
	w.beginHead()
	return n
}

// source is what a worker writes.
type source struct {
	out  *proc.Output
	now  bool // read what is there, and do not wait;
	left int  // so many bytes at most
}

func (s *source) Read(b []byte) (int, error) {
	if !s.now {
		return s.out.Read(b)
	}
	if b = b[:min(len(b), s.left)]; len(b) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := s.out.ReadNow(b)
	s.left -= n
	return n, err
}
