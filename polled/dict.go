package polled

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"sync"
	"time"

	"fandango/schedule"
)

// What errors.Is finds in the errors of a Dict, beside those of the source.
var (
	ErrNoKey    = errors.New("no such key")
	ErrUnread   = errors.New("it has not been read yet")
	ErrNoReader = errors.New("there is no func to read it")
	ErrNotTold  = errors.New("the batch that read it told no outcome")
)

// Config says where values come from. The zero value is a dictionary that stores what is set.
type Config[K comparable, V any] struct {
	// Read reads a key from the source. Its context ends when Run ends, the key is popped, or Timeout is over.
	Read func(ctx context.Context, key K) (V, error)
	// ReadMany reads all keys that are due, in one call, instead of Read, which then serves Dict.Read alone. It calls
	// told once for each key, as soon as it knows; a key that it has not told when it returns has failed. While a key of
	// a batch has not been told, it is not in another one. nil: keys are read one by one.
	ReadMany func(ctx context.Context, keys []K, told func(key K, value V, err error))
	// Gather is how long a key that is due waits for others, to be read together. 0: 1 ms.
	Gather time.Duration
	// Together: keys that were appended together are due together, each time. If not, each is read at once, and from then
	// on they are spread over their period, so that ten thousand keys do not want their source at one moment. With
	// ReadMany they always are together.
	Together bool
	// Write writes a value to the source; what it returns is stored. There is one write of a key at a time. nil: what is
	// set is stored.
	Write func(ctx context.Context, key K, value V) (V, error)
	// Default makes the value of a key that is missing, for Get, which stores it. nil: a missing key is an error.
	Default func(ctx context.Context, key K) (V, error)
	// Period is that of an Append without one. 0: 1 s.
	Period time.Duration
	// Timeout is how long a read may take before its context ends. 0: no limit.
	Timeout time.Duration
	// Unthreaded: nothing is read in the background; each Get reads from the source.
	Unthreaded bool
	// Grace is how long Run, when its context has ended, waits for reads to return. 0: 10 s; below 0: not at all.
	Grace time.Duration
}

// Value is what a dictionary knows of a key.
type Value[K comparable, V any] struct {
	Key    K
	Value  V             // the last good one; the zero V when there was none
	OK     bool          // there was one
	At     time.Time     // when it was read or set
	Err    error         // why the last read failed; nil: it did not
	Gone   bool          // the key was popped: only Watch tells it
	Period time.Duration // 0: it is not polled
	Next   time.Time     // when it is due; zero: it is not polled
	Reads  int           // that returned
	Errors int           // how many of them failed
	Missed int           // reads that another one stands for, because it began late
	Took   time.Duration // how long the last read took
	Delay  time.Duration // how late the last polling read was due
}

// Age returns how old the value is; 0 when there is none.
func (v Value[K, V]) Age() time.Duration {
	if !v.OK {
		return 0
	}
	return time.Since(v.At)
}

// Stats is how a dictionary does.
type Stats struct {
	Keys    int           // in it
	Polled  int           // of which so many are polled
	Reading int           // reads that run now
	Reads   int           // that returned
	Errors  int           // how many of them failed
	Missed  int           // as in Value, of all keys
	AvgTook time.Duration // how long a read takes, on average
	Updated time.Time     // when a value was last stored
}

// Dict is a dictionary over a source. New makes one. Its methods may be called from many goroutines, before, while and
// after Run runs, and in the funcs of its Config.
type Dict[K comparable, V any] struct {
	cfg   Config[K, V]
	every schedule.Every
	loop  *schedule.Loop[*entry[K, V]] // nil: the batch has been gathered

	mu      sync.Mutex // guards what follows
	launch  func(func(context.Context))
	stopped bool
	last    uint64 // number of an entry
	entries map[K]*entry[K, V]
	gates   map[K]*gate
	views   map[*view[K]]struct{}
	batch   []*entry[K, V] // due, and waiting for others
	flush   schedule.ID
	stats   Stats
	took    time.Duration // of all reads
}

// entry is a key in the dictionary.
type entry[K comparable, V any] struct {
	value   Value[K, V]
	number  uint64 // in the order in which they came
	sets    uint64 // how often it was set
	gone    bool
	every   schedule.Every // zero: it is not polled
	id      schedule.ID
	due     time.Time
	lead    time.Duration  // how long after the first read the second one is due; 0: a period
	polling bool           // the loop has rung, and the next time is set when the read has returned
	held    bool           // the loop has rung while polling was stopped
	why     string         // value.Err in words
	read    *reading[K, V] // the one that others may join
}

// New makes a dictionary. Polling begins with Run; all the rest works at once.
func New[K comparable, V any](cfg Config[K, V]) (*Dict[K, V], error) {
	cfg.Period = cmp.Or(cfg.Period, time.Second)
	cfg.Gather = cmp.Or(cfg.Gather, time.Millisecond)
	cfg.Grace = cmp.Or(cfg.Grace, 10*time.Second)
	every, err := schedule.NewEvery(cfg.Period)
	if err != nil {
		return nil, err
	}
	if cfg.Gather < 0 || cfg.Timeout < 0 {
		return nil, fmt.Errorf("gather and timeout must not be negative, they are %v and %v", cfg.Gather, cfg.Timeout)
	}
	d := &Dict[K, V]{
		cfg:     cfg,
		every:   every,
		entries: map[K]*entry[K, V]{},
		gates:   map[K]*gate{},
		views:   map[*view[K]]struct{}{},
	}
	d.loop = schedule.NewLoop(d.ring)
	d.flush = d.loop.Add(nil, time.Time{})
	return d, nil
}

// Run reads the keys that are due until ctx ends. Then it waits for the reads that run; its error names the keys whose
// reads have not returned after Config.Grace. It runs once.
func (d *Dict[K, V]) Run(ctx context.Context) error {
	var reads sync.WaitGroup
	d.mu.Lock()
	if d.launch != nil {
		d.mu.Unlock()
		return errors.New("a polled dictionary runs once")
	}
	d.launch = func(read func(context.Context)) { reads.Go(func() { read(ctx) }) }
	d.mu.Unlock()

	d.loop.Run(ctx)
	ended := make(chan struct{})
	go func() {
		reads.Wait()
		close(ended)
	}()
	grace := time.NewTimer(max(d.cfg.Grace, 0))
	defer grace.Stop()
	select {
	case <-ended:
		return nil
	case <-grace.C:
	}
	return fmt.Errorf("reads have not returned %v after their context ended, of %s", max(d.cfg.Grace, 0), d.hung())
}

// hung names the keys that are being read.
func (d *Dict[K, V]) hung() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys []K
	for _, e := range d.sorted() {
		if e.read != nil && e.read.poll {
			keys = append(keys, e.value.Key)
		}
	}
	const some = 5
	switch {
	case len(keys) == 0:
		return "keys that were popped"
	case len(keys) > some:
		return fmt.Sprintf("%d keys, such as %v", len(keys), keys[:some])
	}
	return fmt.Sprint(keys)
}

// Stop pauses the polling. Reads that run go on. It returns at once.
func (d *Dict[K, V]) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
}

// Start ends a pause: what became due in it is read now, each key once. It returns at once.
func (d *Dict[K, V]) Start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = false
	for _, e := range d.entries {
		if e.held {
			e.held = false
			d.loop.Set(e.id, e.due)
		}
	}
}

// Append adds a key, and has it read now and every period. 0: Config.Period. When there are others, its second read comes
// earlier than that, see Config.Together. For a key that is polled already Append changes the period, from the last read
// on, and then the read after the next one comes earlier; one that was only set is polled from now on.
func (d *Dict[K, V]) Append(key K, period time.Duration) error {
	every := d.every
	if period != 0 {
		var err error
		if every, err = schedule.NewEvery(period); err != nil {
			return fmt.Errorf("key %v: %w", key, err)
		}
	}
	if err := check(key); err != nil {
		return err
	}
	if d.cfg.Read == nil && d.cfg.ReadMany == nil {
		return fmt.Errorf("key %v: %w", key, ErrNoReader)
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	e, fresh := d.entry(key)
	if fresh {
		d.tell(key)
	}
	if d.cfg.Unthreaded {
		return nil
	}
	if was := e.every.Period(); was != 0 {
		if e.due.After(now) {
			e.due = e.due.Add(every.Period() - was)
			if e.due.Before(now) {
				e.due = now
			}
		}
	} else {
		e.due = now
		e.id = d.loop.Add(e, time.Time{})
	}
	if e.due.Equal(now) || e.every != every {
		e.lead = d.lead(e, every.Period())
	}
	e.every = every
	if !e.polling && !e.held {
		d.loop.Set(e.id, e.due)
	}
	return nil
}

// lead spreads keys evenly over a period, however many there are: each falls into one of the widest gaps, as the golden
// ratio has it. The first key of all has the whole period.
func (d *Dict[K, V]) lead(e *entry[K, V], period time.Duration) time.Duration {
	if d.cfg.Together || d.cfg.ReadMany != nil {
		return 0
	}
	const golden = 0x9e3779b97f4a7c15                           // its fraction, in 64 bits
	share, _ := bits.Mul64((e.number-1)*golden, uint64(period)) //nolint:gosec // above 0
	return time.Duration(share)                                 //nolint:gosec // less than the period
}

// Pop takes a key out, and ends its polling: a polling read that runs is cancelled, and what it brings is dropped. It
// returns the last value and error, as Get would from the cache; ErrNoKey when there is no such key.
func (d *Dict[K, V]) Pop(key K) (V, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[key]
	if e == nil {
		var none V
		return none, fmt.Errorf("key %v: %w", key, ErrNoKey)
	}
	d.remove(e)
	return e.get()
}

// Clear takes out all keys.
func (d *Dict[K, V]) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		d.remove(e)
	}
}

// Get returns the last value of a key, without waiting. When its last read failed, the error says why, and the value is
// the last good one. ErrUnread: there has been none yet. ErrNoKey: there is no such key, and no Config.Default.
//
// In an unthreaded dictionary it is Read, if there is a func to read.
func (d *Dict[K, V]) Get(ctx context.Context, key K) (V, error) {
	if d.cfg.Unthreaded && (d.cfg.Read != nil || d.cfg.ReadMany != nil) {
		return d.Read(ctx, key)
	}
	if v, ok := d.Value(key); ok {
		return v.get()
	}
	var none V
	if d.cfg.Default == nil {
		return none, fmt.Errorf("key %v: %w", key, ErrNoKey)
	}
	if err := check(key); err != nil {
		return none, err
	}
	value, err := guard(func() (V, error) { return d.cfg.Default(ctx, key) })
	if err != nil {
		return none, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, fresh := d.entry(key)
	if fresh { // else somebody was faster
		d.store(e, value, nil, "", time.Now())
	}
	return e.get()
}

// Set writes a value to the source and stores what the writer returns; it does not start polling. When the write fails,
// what is stored stays as it is.
func (d *Dict[K, V]) Set(ctx context.Context, key K, value V) error {
	if err := check(key); err != nil {
		return err
	}
	g, err := d.enter(ctx, key)
	if err != nil {
		return err
	}
	defer d.leave(key, g)
	if d.cfg.Write != nil {
		if value, err = guard(func() (V, error) { return d.cfg.Write(ctx, key, value) }); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, _ := d.entry(key)
	e.sets++
	d.store(e, value, nil, "", time.Now())
	return nil
}

// Value returns all that is known of a key; false: there is no such key.
func (d *Dict[K, V]) Value(key K) (Value[K, V], bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[key]
	if e == nil {
		return Value[K, V]{Key: key}, false
	}
	return e.look(), true
}

// Values returns all that is known of each key, in the order in which they came.
func (d *Dict[K, V]) Values() []Value[K, V] {
	d.mu.Lock()
	defer d.mu.Unlock()
	values := make([]Value[K, V], 0, len(d.entries))
	for _, e := range d.sorted() {
		values = append(values, e.look())
	}
	return values
}

// All ranges over the keys that have a value, in the order in which they came, as they are when it begins. The loop may
// change the dictionary.
func (d *Dict[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, v := range d.Values() {
			if v.OK && !yield(v.Key, v.Value) {
				return
			}
		}
	}
}

// Keys returns the keys, in the order in which they came.
func (d *Dict[K, V]) Keys() []K {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := make([]K, 0, len(d.entries))
	for _, e := range d.sorted() {
		keys = append(keys, e.value.Key)
	}
	return keys
}

// Len returns how many keys there are.
func (d *Dict[K, V]) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries)
}

// Stats returns how the dictionary does now.
func (d *Dict[K, V]) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Keys = len(d.entries)
	for _, e := range d.entries {
		if e.every.Period() != 0 {
			s.Polled++
		}
	}
	if s.Reads > 0 {
		s.AvgTook = d.took / time.Duration(s.Reads)
	}
	return s
}

// entry returns that of a key, which is made if there is none.
func (d *Dict[K, V]) entry(key K) (e *entry[K, V], fresh bool) {
	if e = d.entries[key]; e != nil {
		return e, false
	}
	d.last++
	e = &entry[K, V]{number: d.last, value: Value[K, V]{Key: key}}
	d.entries[key] = e
	return e, true
}

// remove takes an entry out.
func (d *Dict[K, V]) remove(e *entry[K, V]) {
	e.gone = true
	delete(d.entries, e.value.Key)
	d.loop.Remove(e.id)
	if e.read != nil && e.read.cancel != nil {
		e.read.cancel()
	}
	d.tell(e.value.Key)
}

// store keeps an outcome, and tells it when it is another one than before. why is err in words: finding them may call
// a method of somebody else's, so it was done without the mutex.
func (d *Dict[K, V]) store(e *entry[K, V], value V, err error, why string, now time.Time) {
	v := &e.value
	changed := (v.Err == nil) != (err == nil) || e.why != why
	v.Err, e.why = err, why
	if err != nil {
		v.Errors++
		d.stats.Errors++
	} else {
		changed = changed || !v.OK || !equal(v.Value, value)
		v.Value, v.OK, v.At = value, true, now
		d.stats.Updated = now
	}
	if changed {
		d.tell(v.Key)
	}
}

func (d *Dict[K, V]) sorted() []*entry[K, V] {
	list := make([]*entry[K, V], 0, len(d.entries))
	for _, e := range d.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry[K, V]) int { return cmp.Compare(a.number, b.number) })
	return list
}

// look returns the value of an entry, as it is told.
func (e *entry[K, V]) look() Value[K, V] {
	v := e.value
	if v.Period = e.every.Period(); v.Period != 0 {
		v.Next = e.due
	}
	return v
}

func (e *entry[K, V]) get() (V, error) { return e.value.get() }

func (v Value[K, V]) get() (V, error) {
	if !v.OK && v.Err == nil {
		return v.Value, fmt.Errorf("key %v: %w", v.Key, ErrUnread)
	}
	return v.Value, v.Err
}

// check refuses a key that is not equal to itself, such as NaN: it could not be found again.
func check[K comparable](key K) error {
	if _, found := map[K]bool{key: true}[key]; !found {
		return fmt.Errorf("key %v: it is not equal to itself", key)
	}
	return nil
}

// gate lets one write of a key pass at a time.
type gate struct {
	turn  chan struct{} // 1-buffered: full while one writes
	users int
}

// enter waits for the other writes of a key.
func (d *Dict[K, V]) enter(ctx context.Context, key K) (*gate, error) {
	d.mu.Lock()
	g := d.gates[key]
	if g == nil {
		g = &gate{turn: make(chan struct{}, 1)}
		d.gates[key] = g
	}
	g.users++
	d.mu.Unlock()
	select {
	case g.turn <- struct{}{}:
		return g, nil
	case <-ctx.Done():
		d.drop(key, g)
		return nil, fmt.Errorf("key %v: another write goes on: %w", key, context.Cause(ctx))
	}
}

func (d *Dict[K, V]) leave(key K, g *gate) {
	<-g.turn
	d.drop(key, g)
}

func (d *Dict[K, V]) drop(key K, g *gate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(d.gates, key)
	}
}
