package master

import (
	"context"
	"iter"
	"slices"
	"time"

	"fandango/schedule"
)

// view is one Watch at work: the keys whose newest value its reader has not seen. It is bounded by the keys that its
// reader knows of and those that are in the table.
type view struct {
	keys  []string // sorted, each once; nil: all
	marks map[string]*mark
	fresh list[*mark]   // not seen yet, the oldest change first
	wake  chan struct{} // 1-buffered: there is something in fresh
}

// mark is what a view knows of a key.
type mark struct {
	key   string
	known bool        // its reader has seen it in the table
	place node[*mark] // in view.fresh
}

// eye looks after a row of the data table for those who watch it, because some changes come with the time alone.
type eye struct {
	row    *row
	state  State // as it was told
	paused bool
	timer  schedule.ID
	at     instant // when the timer rings; 0: it is not set
}

// Watch ranges over the data table, or over some keys of it: first the present values, sorted by key, then each value
// that changes, when it changes. A change is a new outcome, one of state or of Paused, and an Add or a Pop; what becomes
// stale or expires is told at that moment, while Run runs. A key that is popped is told once more, with the State Gone
// and an Err that is ErrNoKey. A key that is not in the table is told when it comes.
//
// A slow reader misses what is overtaken: of each key it gets the newest value, and never the same one twice. Looking
// does not use up a value that is to be read once. The loop may call any method of the master.
//
// It ends when ctx does, or when Run returns; then what has not been told is told first. It can be ranged over more than
// once, also at the same time.
func (m *Master) Watch(ctx context.Context, keys ...string) iter.Seq[Value] {
	var wanted []string
	if len(keys) > 0 {
		wanted = slices.Compact(slices.Sorted(slices.Values(keys)))
	}
	return func(yield func(Value) bool) {
		v := &view{keys: wanted, marks: map[string]*mark{}, wake: make(chan struct{}, 1)}
		order := wanted
		if order == nil {
			order = m.Keys()
		}
		m.do(func(c *core, now time.Time, _ *effects) { c.enrol(v, order, now) })
		defer m.do(func(c *core, _ time.Time, _ *effects) { c.dismiss(v) })
		for over := false; ctx.Err() == nil; {
			now := m.lock()
			value, ok := m.core.see(v, now)
			m.mu.Unlock()
			switch {
			case ok && !yield(value), !ok && over:
				return
			case ok:
				continue
			}
			select {
			case <-v.wake:
			case <-ctx.Done():
			case <-m.gone:
				over = true
			}
		}
	}
}

// enrol begins a view with what is in the table, first what is named in order.
func (c *core) enrol(v *view, order []string, now time.Time) {
	if v.keys == nil {
		c.viewAll = append(c.viewAll, v)
	}
	for _, key := range v.keys {
		c.viewKey[key] = append(c.viewKey[key], v)
	}
	for _, key := range order {
		if row := c.kept(key); row != nil {
			c.show(v, row, now)
		}
	}
	if v.keys == nil && len(v.marks) < c.rows.len() { // some may have come since order was made
		for row := range c.rows.all {
			if row.kept() {
				c.show(v, row, now)
			}
		}
	}
}

// show tells a view of a row that it may not know.
func (c *core) show(v *view, row *row, now time.Time) {
	if row.eye == nil {
		c.eyeOn(row, now)
	}
	v.tell(row.key)
}

// eyeOn notes the state of a row that is watched, as those who watch it are told now.
func (c *core) eyeOn(row *row, now time.Time) {
	if row.eye == nil {
		row.eye = &eye{row: row}
		row.eye.timer = c.alarm.Add(row.eye, time.Time{})
	}
	row.eye.state, row.eye.paused = c.state(row, now)
	c.await(row, now)
}

// dismiss ends a view.
func (c *core) dismiss(v *view) {
	same := func(x *view) bool { return x == v }
	c.viewAll = slices.DeleteFunc(c.viewAll, same)
	for _, key := range v.keys {
		if c.viewKey[key] = slices.DeleteFunc(c.viewKey[key], same); len(c.viewKey[key]) == 0 {
			delete(c.viewKey, key)
		}
	}
	for key := range v.marks {
		if row := c.rows.get(key); row != nil && !c.viewed(key) {
			c.blind(row)
		}
	}
}

// viewed reports whether somebody watches a key.
func (c *core) viewed(key string) bool { return len(c.viewAll) > 0 || len(c.viewKey[key]) > 0 }

// blind ends the looking after a row.
func (c *core) blind(row *row) {
	if row.eye != nil {
		c.alarm.Remove(row.eye.timer)
		row.eye = nil
	}
}

// changed tells those who watch a row that it has changed: in the table, or out of it.
func (c *core) changed(row *row, now time.Time) {
	if !c.viewed(row.key) {
		return
	}
	tell := (*view).tell
	if row.kept() {
		c.eyeOn(row, now)
	} else {
		c.blind(row)
		tell = (*view).lose
	}
	for _, v := range c.viewAll {
		tell(v, row.key)
	}
	for _, v := range c.viewKey[row.key] {
		tell(v, row.key)
	}
}

// notice tells those who watch a row when its state is not what they were told.
func (c *core) notice(row *row, now time.Time) {
	if row.eye == nil {
		return
	}
	if state, paused := c.state(row, now); state != row.eye.state || paused != row.eye.paused {
		c.changed(row, now)
	} else {
		c.await(row, now)
	}
}

// await lets an eye ring at the next change that comes with the time alone. When it rings earlier already, that will do:
// a value that is renewed in time costs nothing.
func (c *core) await(row *row, now time.Time) {
	next, eye := c.next(row, now), row.eye
	if !next.IsZero() && (eye.at == 0 || c.instant(next) < eye.at) {
		eye.at = c.instant(next)
		c.alarm.Set(eye.timer, next)
	}
}

func (eye *eye) ring(c *core, now time.Time, _ *effects) {
	if eye.row.eye == eye {
		eye.at = 0
		c.notice(eye.row, now)
	}
}

// tell puts a key in line for a view's reader.
func (v *view) tell(key string) {
	k := v.marks[key]
	if k == nil {
		k = &mark{key: key}
		k.place.it = k
		v.marks[key] = k
	}
	if !k.place.stands() {
		v.fresh.push(&k.place)
	}
	select {
	case v.wake <- struct{}{}:
	default: // it is awake already
	}
}

// lose is tell for a key that has left the table. A reader who never saw it does not miss it.
func (v *view) lose(key string) {
	if k := v.marks[key]; k != nil && !k.known {
		v.fresh.drop(&k.place)
		delete(v.marks, key)
	} else if k != nil {
		v.tell(key)
	}
}

// see takes the next value for a view's reader.
func (c *core) see(v *view, now time.Time) (Value, bool) {
	k := v.fresh.first()
	if k == nil {
		return Value{}, false
	}
	row := c.kept(k.key)
	if row == nil {
		v.fresh.drop(&k.place)
		delete(v.marks, k.key)
		return Value{Key: k.key, State: Gone, Outcome: gone(k.key)}, true
	}
	c.notice(row, now) // it is looked at as it is now: what its eye would tell next is told by that
	v.fresh.drop(&k.place)
	k.known = true
	return c.look(row, now), true
}
