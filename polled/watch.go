package polled

import (
	"context"
	"iter"
	"reflect"
)

// view is one Watch at work: the keys of which its reader has not seen the newest.
type view[K comparable] struct {
	keys  map[K]bool // nil: all
	order []K        // the oldest change first
	dirty map[K]bool // what is in order
	wake  chan struct{}
}

// Watch ranges over the dictionary, or over some keys of it: first the present values, in the order in which they came,
// then each key that changes, when it changes. A change is another value (one that Go cannot compare always counts as
// another one), an error that comes or goes or says something else, an Append and a Pop; that is told with Gone.
//
// A slow reader misses what is overtaken: of each key it gets the newest. The loop may call any method. It ends when ctx
// does.
func (d *Dict[K, V]) Watch(ctx context.Context, keys ...K) iter.Seq[Value[K, V]] {
	return func(yield func(Value[K, V]) bool) {
		v := &view[K]{dirty: map[K]bool{}, wake: make(chan struct{}, 1)}
		if len(keys) > 0 {
			v.keys = map[K]bool{}
			for _, key := range keys {
				v.keys[key] = true
			}
		}
		d.mu.Lock()
		d.views[v] = struct{}{}
		for _, e := range d.sorted() {
			v.tell(e.value.Key)
		}
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			delete(d.views, v)
		}()
		for ctx.Err() == nil {
			if value, ok := d.see(v); ok {
				if !yield(value) {
					return
				}
				continue
			}
			select {
			case <-v.wake:
			case <-ctx.Done():
			}
		}
	}
}

// see takes what a view tells next.
func (d *Dict[K, V]) see(v *view[K]) (value Value[K, V], ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(v.order) == 0 {
		return value, false
	}
	key := v.order[0]
	v.order = v.order[1:]
	delete(v.dirty, key)
	if e := d.entries[key]; e != nil {
		return e.look(), true
	}
	return Value[K, V]{Key: key, Gone: true}, true
}

// tell tells all views of a key that has changed.
func (d *Dict[K, V]) tell(key K) {
	for v := range d.views {
		v.tell(key)
	}
}

func (v *view[K]) tell(key K) {
	if v.dirty[key] || v.keys != nil && !v.keys[key] {
		return
	}
	v.dirty[key] = true
	v.order = append(v.order, key)
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// equal reports whether two values are the same, as == sees it. What it cannot compare is not.
func equal[V any](a, b V) bool {
	x, y := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
	return x.Comparable() && y.Comparable() && x.Equal(y)
}
