package schedule

import (
	"context"
	"math"
	"sync"
	"time"
)

// Loop waits for what is due: any number of items, one goroutine, one timer, and no wake-up while nothing is due. Times
// are compared on the monotonic clock, so that a step of the wall clock moves nothing. What follows the wall clock asks
// to be looked at again after a while that it can afford to be late.
//
// Its methods may be called from many goroutines, before, while and after it runs.
type Loop[T any] struct {
	ring func(items []T, now time.Time)
	due  []T       // what rings now; its capacity is how many may do so at a time
	base time.Time // times are kept as nanoseconds since then

	mu    sync.Mutex // guards what follows
	alarm *Alarm     // that of Run
	heap  heap
	pages []*items[T] // of the slots of heap
	free  int         // how many slots have no item
	until int64       // alarm is set to then
}

// items is what a loop knows of the slots of a page.
type items[T any] struct {
	item  [pageLength]T
	issue [pageLength]uint32 // which ID is its owner; odd while it has one
	free  [pageLength]uint32 // over all pages: the slots that are free, in no order
}

// ID names an item of a Loop. The zero ID names none.
type ID struct{ slot, issue uint32 }

// awake is the until of a loop that does not sleep.
const awake = math.MinInt64

// nap is how long a loop sleeps at least after several items were due together. So with 70,000 a second it wakes up for
// fifty at a time, and to wake up does not cost more than to ring.
const nap = time.Millisecond

// NewLoop makes a loop that calls ring for each item that is due, on the goroutine of Run, one after another and never
// early. An item rings once for each time that it was set to; ring may call Set for the next one. It must not block. An
// item that is moved or removed in the very moment when it is due may still ring.
func NewLoop[T any](ring func(item T, now time.Time)) *Loop[T] {
	return newLoop(1, func(items []T, now time.Time) { ring(items[0], now) })
}

// NewBatchLoop is NewLoop for many items: ring is called for up to BatchSize of those that are due, the earliest first.
// The slice is ring's until it returns. An item that is moved or removed by the ringing of one before it in the batch
// rings all the same.
func NewBatchLoop[T any](ring func(items []T, now time.Time)) *Loop[T] {
	return newLoop(BatchSize, ring)
}

// BatchSize is how many items ring at a time in a Loop that NewBatchLoop made.
const BatchSize = 64

func newLoop[T any](batch int, ring func(items []T, now time.Time)) *Loop[T] {
	return &Loop[T]{ring: ring, due: make([]T, 0, batch), base: time.Now(), until: awake}
}

// Add puts an item in, due at at. The zero time: not yet; Set says when.
func (l *Loop[T]) Add(item T, at time.Time) ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := l.vacant()
	p, i := l.page(slot)
	p.item[i] = item
	p.issue[i]++
	l.set(slot, at)
	return ID{slot, p.issue[i]}
}

// vacant takes a slot that is free.
func (l *Loop[T]) vacant() uint32 {
	if l.free > 0 {
		l.free--
		p, i := l.page(uint32(l.free)) //nolint:gosec // see heap.grow
		return p.free[i]
	}
	slot := l.heap.grow()
	if slot%pageLength == 0 {
		l.pages = append(l.pages, &items[T]{})
	}
	return slot
}

// page is where a slot's item is.
func (l *Loop[T]) page(slot uint32) (p *items[T], i uint32) {
	return l.pages[slot/pageLength], slot % pageLength
}

// Set says when an item is due, in place of what was said before. The zero time: not until it is set again. It returns
// false when the item was removed.
func (l *Loop[T]) Set(id ID, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.owns(id) {
		return false
	}
	l.set(id.slot, at)
	return true
}

// Remove takes an item out. It returns false when that was done before.
func (l *Loop[T]) Remove(id ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.owns(id) {
		return false
	}
	l.heap.remove(id.slot)
	p, i := l.page(id.slot)
	var none T
	p.item[i] = none
	p.issue[i]++
	p, i = l.page(uint32(l.free)) //nolint:gosec // see heap.grow
	p.free[i] = id.slot
	l.free++
	return true
}

// Run waits and rings until ctx ends. What is due later stays in the loop.
func (l *Loop[T]) Run(ctx context.Context) {
	alarm := l.open()
	defer l.close()
	defer context.AfterFunc(ctx, alarm.Wake)()
	now, rung := time.Now(), 0
	for ctx.Err() == nil {
		wait := l.next(now)
		if len(l.due) > 0 {
			rung += len(l.due)
			l.ring(l.due, now)
			clear(l.due)
			continue
		}
		wait -= time.Since(now) // ringing may have taken a while
		if rung > 1 {
			wait = max(wait, nap)
		}
		alarm.Wait(wait)
		now, rung = time.Now(), 0
	}
}

func (l *Loop[T]) open() *Alarm {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarm = NewAlarm()
	return l.alarm
}

func (l *Loop[T]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = awake // nobody is to wake it
	l.alarm.Stop()
}

// next takes out what is due at now, or says how long to sleep when nothing is.
func (l *Loop[T]) next(now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = l.due[:0]
	for since := int64(now.Sub(l.base)); len(l.due) < cap(l.due); {
		wait, l.until = math.MaxInt64, math.MaxInt64
		if l.heap.n > 0 {
			l.until = *l.heap.at(root)
			wait = time.Duration(l.until - since)
		}
		if wait > 0 {
			break
		}
		slot := *l.heap.slot(root)
		l.heap.remove(slot)
		p, i := l.page(slot)
		l.due = append(l.due, p.item[i])
	}
	if len(l.due) > 0 {
		l.until = awake
	}
	return wait
}

func (l *Loop[T]) owns(id ID) bool {
	if id.issue%2 == 0 || int(id.slot) >= l.heap.slots {
		return false
	}
	p, i := l.page(id.slot)
	return p.issue[i] == id.issue
}

func (l *Loop[T]) set(slot uint32, at time.Time) {
	if at.IsZero() {
		l.heap.remove(slot)
		return
	}
	since := int64(at.Sub(l.base))
	l.heap.set(slot, since)
	if since < l.until {
		l.until = awake // one wake-up is enough
		l.alarm.Wake()
	}
}
