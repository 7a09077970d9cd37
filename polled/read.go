package polled

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// reading is one read of a key.
type reading[K comparable, V any] struct {
	entry  *entry[K, V]
	sets   uint64 // of the entry, when it began
	begun  time.Time
	poll   bool // the polling waits for it
	own    bool // the polling began it, and popping the key cancels it
	cancel context.CancelFunc
	done   chan struct{} // closed when it has returned; what follows is set before that
	over   bool
	value  V
	err    error
	left   bool // it failed because whoever began it wants it no longer
}

// ring is called by the loop with a key that is due, or nil: the batch has been gathered.
func (d *Dict[K, V]) ring(e *entry[K, V], now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case e == nil:
		d.readBatch(now)
		return
	case e.gone || e.polling || e.due.After(now): // it was popped or moved just now
		return
	case d.stopped:
		e.held = true
		return
	}
	e.value.Delay = now.Sub(e.due)
	anchor, first := e.due, e.lead > 0
	if first {
		anchor, e.lead = anchor.Add(e.lead-e.every.Period()), 0
	}
	due, missed := e.every.Next(anchor, now)
	if first && missed > 0 {
		missed-- // a second read that is due before the first one begins is that one
	}
	e.due = due
	e.value.Missed += missed
	d.stats.Missed += missed
	e.polling = true
	switch {
	case d.joins(e):
	case d.cfg.ReadMany != nil:
		if len(d.batch) == 0 {
			d.loop.Set(d.flush, now.Add(d.cfg.Gather))
		}
		d.batch = append(d.batch, e)
	default:
		r := d.begin(e, now)
		r.poll, r.own = true, true
		d.launch(func(ctx context.Context) { d.source(ctx, r) })
	}
}

// readBatch reads what was gathered.
func (d *Dict[K, V]) readBatch(now time.Time) {
	var keys []K
	reads := map[K]*reading[K, V]{}
	for _, e := range d.batch {
		if e.gone || d.joins(e) {
			continue
		}
		r := d.begin(e, now)
		r.poll = true
		keys = append(keys, e.value.Key)
		reads[e.value.Key] = r
	}
	d.batch = nil
	if len(keys) > 0 {
		d.launch(func(ctx context.Context) { d.sourceMany(ctx, keys, reads) })
	}
}

// joins makes the polling wait for a read of the key that somebody asked for, if there is one.
func (d *Dict[K, V]) joins(e *entry[K, V]) bool {
	if e.read == nil || e.read.sets != e.sets {
		return false
	}
	e.read.poll = true
	return true
}

// begin notes a read that is about to be made.
func (d *Dict[K, V]) begin(e *entry[K, V], now time.Time) *reading[K, V] {
	r := &reading[K, V]{entry: e, sets: e.sets, begun: now, done: make(chan struct{})}
	e.read = r
	d.stats.Reading++
	return r
}

// Read reads a key from the source, now, whether it is in the dictionary or not. If it is, what was read is stored; and
// if it is being read just then, that read's outcome is returned. The error is that of the source, or of ctx.
func (d *Dict[K, V]) Read(ctx context.Context, key K) (V, error) {
	var none V
	if d.cfg.Read == nil && d.cfg.ReadMany == nil {
		return none, fmt.Errorf("key %v: %w", key, ErrNoReader)
	}
	for {
		if ctx.Err() != nil {
			return none, context.Cause(ctx)
		}
		d.mu.Lock()
		e := d.entries[key]
		if e == nil {
			e = &entry[K, V]{value: Value[K, V]{Key: key}, gone: true} // nobody else sees it
		}
		r := e.read
		if r == nil || r.sets != e.sets { // what began before a Set is not what its caller wants to see
			r = d.begin(e, time.Now())
			d.mu.Unlock()
			d.source(ctx, r)
			return r.value, r.err
		}
		d.mu.Unlock()
		select {
		case <-r.done:
			if !r.left {
				return r.value, r.err
			}
		case <-ctx.Done():
			return none, context.Cause(ctx)
		}
	}
}

// source makes a read.
func (d *Dict[K, V]) source(parent context.Context, r *reading[K, V]) {
	ctx, cancel := d.limit(parent)
	defer cancel()
	key := r.entry.value.Key
	if r.own {
		d.mu.Lock()
		if r.cancel = cancel; r.entry.gone {
			cancel()
		}
		d.mu.Unlock()
	}
	if d.cfg.Read == nil {
		d.sourceMany(parent, []K{key}, map[K]*reading[K, V]{key: r})
		return
	}
	var value V
	err := errExited
	defer func() { d.finish(parent, r, value, err) }()
	value, err = guard(func() (V, error) { return d.cfg.Read(ctx, key) })
}

// errExited stays the error of a read that did not return and did not panic.
var errExited = errors.New("the read ended its goroutine")

// sourceMany makes the reads of a batch.
func (d *Dict[K, V]) sourceMany(parent context.Context, keys []K, reads map[K]*reading[K, V]) {
	ctx, cancel := d.limit(parent)
	defer cancel()
	var none V
	err := errExited
	defer func() {
		for key, r := range reads {
			why := err
			if why == nil {
				why = fmt.Errorf("key %v: %w", key, ErrNotTold)
			}
			d.finish(parent, r, none, why)
		}
	}()
	_, err = guard(func() (V, error) {
		d.cfg.ReadMany(ctx, keys, func(key K, value V, err error) {
			if r := reads[key]; r != nil {
				d.finish(parent, r, value, err)
			}
		})
		return none, nil
	})
}

func (d *Dict[K, V]) limit(parent context.Context) (context.Context, context.CancelFunc) {
	if d.cfg.Timeout > 0 {
		return context.WithTimeout(parent, d.cfg.Timeout)
	}
	return context.WithCancel(parent)
}

// finish takes the outcome of a read, whose context came from parent. Only the first one counts.
func (d *Dict[K, V]) finish(parent context.Context, r *reading[K, V], value V, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.over {
		return
	}
	now := time.Now()
	e := r.entry
	r.over, r.value, r.err = true, value, err
	r.left = err != nil && (parent.Err() != nil || r.own && e.gone)
	close(r.done)
	if e.read == r {
		e.read = nil
	}
	took := now.Sub(r.begun)
	d.stats.Reading--
	d.stats.Reads++
	d.took += took
	if e.gone {
		return
	}
	e.value.Reads++
	e.value.Took = took
	if !r.left && r.sets == e.sets {
		d.store(e, value, err, why, now)
	}
	if r.poll {
		e.polling = false
		if r.left {
			e.due = e.due.Add(-e.every.Period()) // it is still due
		}
		d.loop.Set(e.id, e.due)
	}
}

// PanicError is a panic of a func of a Config.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // where, as debug.Stack tells it
}

// Error returns one line. The stack is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the error that panic was called with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// guard calls f, and makes an error of its panic.
func guard[V any](f func() (V, error)) (value V, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}
