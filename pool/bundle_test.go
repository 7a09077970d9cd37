package pool

import (
	"reflect"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
)

// TestLookAtATimeoutMeetsACallThatIsUsedAgain: a look begins in the moment in which the answer comes, and finds that the
// call is nobody's any more. The race detector sees it where the call is read before it is known whose it is.
func TestLookAtATimeoutMeetsACallThatIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pool{made: time.Now(), cfg: Config{Event: func(Event) {}}}
		w := &worker{pool: p, slot: &slot{pool: p}}
		b := &bundle{n: 1, pool: p, limits: limits{timeout: lookTime}, done: func(int, ipc.Outcome) {}}
		b.held.Store(1)
		c := &b.few[0]
		c.bundle, c.key = b, "k"
		p.mu.Lock()
		w.assign(c)
		c.written = true
		w.beginHead()
		time.Sleep(lookTime) // in the bubble: the look is on its way, or waits for the mutex
		w.match([]heard{{answer: ipc.Answer{Key: []byte("k")}}}, 1, p.now())
		p.mu.Unlock()
		c.finish(ipc.Outcome{})
		b.release(p, 1)
		synctest.Wait()
		if c.fate() != nil {
			t.Errorf("the call that nobody has was to end: %v", c.fate())
		}
	})
}

// TestWithdrawnCallIsTheNextOfItsWorker: who has withdrawn it tells its outcome, while the worker gets as far and the call
// is given a fate. The race detector sees it.
func TestWithdrawnCallIsTheNextOfItsWorker(t *testing.T) {
	p := &Pool{made: time.Now(), cfg: Config{Event: func(Event) {}}}
	w := &worker{pool: p, slot: &slot{pool: p}, poked: make(chan struct{}, 1)}
	b := &bundle{n: 2, pool: p, done: func(int, ipc.Outcome) {}}
	b.held.Store(10)
	for i := range b.few[:2] {
		c := &b.few[i]
		c.bundle, c.key = b, "k"
		w.assign(c)
		c.written = true
	}
	w.beginHead()
	c := &b.few[1]
	var withdrawing sync.WaitGroup
	withdrawing.Go(func() { c.withdraw(ipc.Errorf(ipc.KindCancelled, "cancelled"), true) })
	for over := false; !over; { // but its outcome may not be told yet
		p.mu.Lock()
		if over = c.state == callFinished; over {
			w.match([]heard{{answer: ipc.Answer{Key: []byte("k")}}}, 1, p.now())
		}
		p.mu.Unlock()
	}
	withdrawing.Wait()
	if c.fate() == nil {
		t.Error("it runs, though nobody wants it any more")
	}
}

func TestWhatChangesOfACallHasALineOfTheCache(t *testing.T) {
	if strconv.IntSize < 64 {
		t.Skip("pointers are short")
	}
	const line = 64
	of := reflect.TypeFor[call]()
	if changing, _ := of.FieldByName("bundle"); changing.Offset != line || of.Size() != 2*line {
		t.Errorf("a call has %d bytes, and what changes begins at %d", of.Size(), changing.Offset)
	}
}
