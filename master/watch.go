package master

import (
	"context"
	"iter"
	"maps"
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

	unsure map[string]struct{} // keys that changed before they were enrolled; nil: all are
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
	timer  schedule.ID // none until it is needed
	at     instant     // when the timer rings; 0: it is not set
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
		defer m.dismiss(context.WithoutCancel(ctx), v)
		m.enrol(ctx, v)
		for over, n := false, 0; ctx.Err() == nil; n++ {
			if n%partLength == 0 {
				giveWay()
			}
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

// enrol begins a view with what is in the table. It goes through a large table part by part, so that nobody waits for
// long; what changes before its turn comes, or is new, is looked at in the end.
func (m *Master) enrol(ctx context.Context, v *view) {
	if v.keys != nil {
		m.eachOf(ctx.Done(), v.keys, func(c *core, key string, now time.Time, _ *effects) {
			c.viewKey[key] = append(c.viewKey[key], v)
			c.show(v, key, now)
		})
		return
	}
	m.mu.Lock()
	m.core.viewAll = append(m.core.viewAll, v)
	v.unsure = map[string]struct{}{}
	m.mu.Unlock()
	show := func(c *core, key string, now time.Time, _ *effects) { c.show(v, key, now) }
	keys := m.keys(ctx)
	marks := make(map[string]*mark, len(keys)) // it takes long to grow
	m.mu.Lock()
	v.marks = marks
	m.mu.Unlock()
	m.eachOf(ctx.Done(), keys, show)
	m.mu.Lock()
	left := v.unsure
	v.unsure = nil // from now on, what changes is told
	m.mu.Unlock()
	m.eachOf(ctx.Done(), slices.Sorted(maps.Keys(left)), show)
}

// keys are those of the data table, sorted: each that is there from the beginning to the end.
func (m *Master) keys(ctx context.Context) (keys []string) {
	for part := range gather(m, appendKey) {
		if keys = append(keys, part...); ctx.Err() != nil {
			break
		}
	}
	slices.Sort(keys)
	return keys
}

func appendKey(_ *core, keys []string, row *row, _ time.Time) []string {
	if row.kept() {
		keys = append(keys, row.key)
	}
	return keys
}

// show tells a view of a key, if it is in the table.
func (c *core) show(v *view, key string, now time.Time) {
	row := c.kept(key)
	if row == nil {
		return
	}
	if row.eye == nil {
		c.eyeOn(row, now)
	}
	v.mark(row.key)
}

// eyeOn notes the state of a row that is watched, as those who watch it are told now.
func (c *core) eyeOn(row *row, now time.Time) {
	if row.eye == nil {
		row.eye = &eye{row: row}
	}
	row.eye.state, row.eye.paused = c.state(row, now)
	c.await(row, now)
}

// dismiss ends a view, part by part, too.
func (m *Master) dismiss(ctx context.Context, v *view) {
	m.mu.Lock()
	m.core.viewAll = slices.DeleteFunc(m.core.viewAll, func(x *view) bool { return x == v })
	m.mu.Unlock()
	overlook := func(c *core, key string, _ time.Time, _ *effects) { c.overlook(v, key) }
	if v.keys != nil {
		m.eachOf(ctx.Done(), v.keys, overlook)
		return
	}
	m.eachOf(ctx.Done(), slices.Collect(maps.Keys(v.marks)), overlook) // nobody else has v now
	m.eachOf(ctx.Done(), slices.Collect(maps.Keys(v.unsure)), overlook)
}

// overlook ends a view of a key.
func (c *core) overlook(v *view, key string) {
	if views := c.viewKey[key]; len(views) > 1 {
		c.viewKey[key] = slices.DeleteFunc(views, func(x *view) bool { return x == v })
	} else if len(views) == 1 && views[0] == v {
		delete(c.viewKey, key)
	}
	if row := c.rows.get(key); row != nil && !c.viewed(key) {
		c.blind(row)
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
		if !c.alarm.Set(eye.timer, next) {
			eye.timer = c.alarm.Add(eye, next)
		}
	}
}

func (eye *eye) ring(c *core, now time.Time, _ *effects) {
	if eye.row.eye == eye {
		eye.at = 0
		c.notice(eye.row, now)
	}
}

// tell puts a key that has changed in line for a view's reader; one that was not enrolled yet has its turn to come.
func (v *view) tell(key string) {
	if v.unsure != nil && v.marks[key] == nil {
		v.unsure[key] = struct{}{}
		return
	}
	v.mark(key)
}

// mark puts a key in line for a view's reader, where it stands only once.
func (v *view) mark(key string) {
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
