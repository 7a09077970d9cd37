package master

import (
	"bytes"
	"context"
	"time"
	"unique"

	"fandango/ipc"
	"fandango/schedule"
)

// laneLength is how many outcomes of a key may wait for their callbacks before its next task has to wait.
const laneLength = 64

// core is the state of a master. Its methods are called with the time and under the mutex of a Master; they call
// nothing outside but the alarms. What is to be done outside they leave in start, speak and effects.
type core struct {
	limit   int           // Config.Queue
	options *ipc.Options  // of the last send
	kind    *kind         // of the last entry
	lane    int           // laneLength
	slow    time.Duration // Config.Slow
	alarm   alarms

	base       time.Time // see instant
	rows       index
	worker     unique.Handle[string]      // of the last outcome that was kept
	watches    map[<-chan struct{}]*watch // the contexts of the waiters
	viewKey    map[string][]*view         // who watches a key
	viewAll    []*view                    // who watches all
	gated      map[*row]struct{}          // rows whose next task waits for callbacks
	start      list[*run]                 // runs to give to the runner
	speak      list[*row]                 // rows with outcomes to deliver, and nobody at it
	hands      list[*hand]                // the goroutines that do both
	seeking    int                        // hands that are not in a callback
	spare      *hand                      // one that stays for what comes next
	staying    bool                       // one may
	waiting    int                        // waiters without an outcome
	oldest     *epoch                     // of the sends that have no outcome
	newest     *epoch                     // of a send that comes now
	orders     int                        // Commands that wait
	commands   int                        // Commands that run
	broadcasts list[*broadcast]           // with the runner
	pause      pause                      // of all entries
	resumed    time.Time                  // when they last went on
	slowID     schedule.ID                // rings when a callback may have become slow
	slowSet    bool                       // and is set
	spares     []*traffic                 // for what comes
	stacks     int                        // callbacks that panicked
	stacksFrom time.Time                  // in the second since then
	closed     bool                       // nothing new is accepted, nothing begins
	stats      Stats
}

// alarms is what core needs of a schedule.Loop.
type alarms interface {
	Add(item alarm, at time.Time) schedule.ID
	Set(id schedule.ID, at time.Time) bool
	Remove(id schedule.ID) bool
}

// alarm is something that a time was set for.
type alarm interface {
	ring(c *core, now time.Time, fx *effects)
}

// effects is what is to be done when the mutex is free.
type effects struct {
	events   []Event
	cancel   []context.CancelFunc // of runs that nobody waits for
	unwatch  []func() bool        // of contexts that nobody waits with
	released []*order             // Commands that may begin, or never will
	told     *waiter              // the caller of a Submit who is to be told by this goroutine; nil: nobody is
	outcome  ipc.Outcome          // for him
}

// run is one task on its way to its outcome, and those who wait for it.
type run struct {
	row     *row
	target  ipc.Raw
	args    ipc.Raw
	options *ipc.Options
	waiters list[*waiter]
	place   node[*run] // in row.wait or core.start
	leash   *leash
	since   instant       // since then it waits behind another one
	queued  time.Duration // how long it waited behind others
	result  *result       // nil: it has none, or nobody is to be called

	issue     uint32 // counts the runs that had this memory
	gen       uint32 // of the row, when it was accepted
	keep      bool
	cancelled bool // nobody waits for it any more
	over      bool // it has its outcome

	first waiter // most runs have only one
}

// ticket is a run as its runner knows it: who may come with an outcome when the run is over, and its memory another's.
type ticket struct {
	run   *run // nil: there is none
	issue uint32
}

func (r *run) ticket() ticket { return ticket{r, r.issue} }

// over reports whether the run has its outcome.
func (t ticket) over() bool { return t.run.issue != t.issue || t.run.over }

// leash is what may end a run early.
type leash struct {
	run      *run
	ctx      context.Context    //nolint:containedctx // of the one run
	cancel   context.CancelFunc // nil: it cannot be cancelled
	deadline schedule.ID        // rings when it has waited too long
}

// loose is the leash of all runs that nothing ends early.
var loose = &leash{ctx: background}

// result is an outcome that somebody is to be told.
type result struct {
	ipc.Outcome
	at time.Time
}

// waiter is someone who is owed an outcome: the caller of a Send, or an entry.
type waiter struct {
	place   node[*waiter] // in run.waiters until the outcome, in row.out after it
	run     *run
	then    func(Value)       // may be nil
	done    func(ipc.Outcome) // of a Submit, in place of then
	entry   *entry            // nil: a send
	epoch   *epoch            // of a send
	skipped int32             // see Value.Skipped
	shared  share

	watching *watching // nil: its context never ends
}

// watching is a waiter's place in a watch.
type watching struct {
	watch *watch
	place node[*waiter]
}

// watch waits for the end of one context on behalf of all who sent with it.
type watch struct {
	done    <-chan struct{}
	waiters list[*waiter]
	stop    func() bool // nil: not set up yet
	over    bool        // nobody waits with it any more
}

func newCore(cfg Config, alarm alarms, now time.Time) core {
	e := &epoch{}
	c := core{
		options: &ipc.Options{}, kind: &kind{}, limit: cfg.Queue, lane: laneLength, slow: cfg.Slow, alarm: alarm,
		base:    now.Add(-1), // so that no instant is 0
		worker:  unique.Make(""),
		watches: map[<-chan struct{}]*watch{}, viewKey: map[string][]*view{}, gated: map[*row]struct{}{},
		oldest: e, newest: e,
	}
	c.slowID = alarm.Add(watchman{}, time.Time{})
	return c
}

// ask is a task that comes in, checked.
type ask struct {
	task    ipc.Task
	then    func(Value)
	told    func(ipc.Outcome) // of a Submit, in place of then
	options *ipc.Options      // shared already; nil: those of task
	ctx     context.Context
	cancel  context.CancelFunc // nil: ctx never ends
	done    <-chan struct{}    // of the caller's context; nil: it never ends
}

// send accepts a task or says why not. A run that is to begin now is returned, for the caller to give to the runner. A
// watch that is new is returned too; the caller sets it up. The time is asked for by a task that has to wait.
func (c *core) send(a *ask, now func() time.Time) (t ticket, fresh *watch, err error) {
	if err := c.admit(a.task.Key); err != nil {
		c.stats.Refused++
		return t, nil, err
	}
	row := c.row(a.task.Key)
	r, w, begin := c.enqueue(row, a, nil, now)
	if w == nil {
		c.stats.Refused++
		return t, nil, &ipc.Error{
			Kind: ipc.KindInput, Message: "key " + quote(row.key) + " is pending, and the task's policy is reject", Cause: ErrPending,
		}
	}
	c.stats.Accepted++
	c.stats.Pending++
	c.stats.Held++
	w.epoch = c.newest
	w.epoch.pending++
	fresh = c.watch(w, a)
	if begin {
		t = r.ticket()
	}
	return t, fresh, nil
}

func (c *core) admit(key string) error {
	switch {
	case c.closed:
		return closed("key " + quote(key))
	case c.stats.Held >= c.limit:
		return ipc.Errorf(ipc.KindQueueFull, "key %s: the queue is full: %d tasks wait for their outcomes or callbacks",
			quote(key), c.stats.Held)
	}
	return nil
}

// enqueue finds or makes the run for a task, and puts a waiter there. It returns no waiter when the policy refuses.
// With begin, the run is row.run and must be given to the runner.
func (c *core) enqueue(row *row, a *ask, e *entry, now func() time.Time) (r *run, w *waiter, begin bool) {
	pending := row.newest()
	policy := a.task.Policy
	if pending != nil && policy != ipc.PolicyEach {
		oldest := row.run
		switch {
		case pending.joinable() && pending.equal(a.task):
			return pending, c.join(pending, a, e), false
		case policy == ipc.PolicyReject:
			return nil, nil, false
		case policy == ipc.PolicyFirst && oldest != nil && oldest.joinable():
			return oldest, c.join(oldest, a, e), false
		case policy == ipc.PolicyFirst && pending.joinable():
			return pending, c.join(pending, a, e), false
		}
	}
	r = c.begin(row, a)
	w = &r.first
	w.then, w.done, w.entry = a.then, a.told, e
	c.attach(w, r, alone)
	c.waiting++
	if pending == nil && !c.full(row) {
		row.run = r
		return r, w, true
	}
	if policy == ipc.PolicyLatest {
		c.overtake(row, r)
	}
	since := now()
	r.since = c.instant(since)
	row.wait.push(&r.place)
	if row.run == nil {
		c.gated[row] = struct{}{}
	}
	if d := r.options.Deadline; d > 0 {
		r.leash = &leash{run: r, ctx: r.leash.ctx, cancel: r.leash.cancel}
		r.leash.deadline = c.alarm.Add(r.leash, since.Add(d))
	}
	return r, w, false
}

// begin makes a run.
func (c *core) begin(row *row, a *ask) *run {
	c.busy(row)
	r := &row.room
	if row.lent {
		r = &run{}
	}
	row.lent = true
	r.row, r.target, r.args, r.options = row, a.task.Target, a.task.Args, a.options
	r.gen, r.keep, r.place.it = row.gen, a.task.Keep, r
	if r.options == nil {
		r.options = c.share(&a.task.Options)
	}
	if r.leash = loose; a.ctx != background || a.cancel != nil {
		r.leash = &leash{run: r, ctx: a.ctx, cancel: a.cancel}
	}
	return r
}

// share keeps options once that are those of the last task, too: mostly they are.
func (c *core) share(o *ipc.Options) *ipc.Options {
	if *c.options != *o {
		options := *o
		c.options = &options
	}
	return c.options
}

// task is what the runner is given.
func (r *run) task() ipc.Task {
	return ipc.Task{Key: r.row.key, Target: r.target, Args: r.args, Options: *r.options}
}

// join adds a waiter to a pending run.
func (c *core) join(r *run, a *ask, e *entry) *waiter {
	w := &waiter{then: a.then, done: a.told, entry: e}
	c.attach(w, r, joined)
	c.waiting++
	r.keep = r.keep || a.task.Keep
	return w
}

func (c *core) attach(w *waiter, r *run, shared share) {
	w.place.it, w.run, w.shared = w, r, shared
	r.waiters.push(&w.place)
}

// overtake hands to r the waiters of runs that have not begun and may be overtaken.
func (c *core) overtake(row *row, r *run) {
	for old := range row.wait.all {
		if old.options.Policy != ipc.PolicyLatest || old.gen != r.gen {
			continue
		}
		for w := range old.waiters.all {
			old.waiters.drop(&w.place)
			c.attach(w, r, overtaken)
		}
		r.keep = r.keep || old.keep
		c.drop(old)
	}
}

// watch notes that a waiter leaves when its context ends.
func (c *core) watch(w *waiter, a *ask) (fresh *watch) {
	if a.done == nil {
		return nil
	}
	g := c.watches[a.done]
	if g == nil {
		g = &watch{done: a.done}
		c.watches[a.done], fresh = g, g
	}
	w.watching = &watching{watch: g}
	w.watching.place.it = w
	g.waiters.push(&w.watching.place)
	return fresh
}

// retract takes back a run that the runner refused before its Send had returned. It reports whether Send has to say so:
// unless its caller was told already. All others who wait for the run are told by their callbacks.
func (c *core) retract(t ticket, err error, now time.Time, fx *effects) bool {
	r := t.run
	w := &r.first
	tell := !t.over() && w.run == r
	if tell {
		r.waiters.drop(&w.place)
		c.settle(w, fx)
		c.waiting--
		c.stats.Accepted--
		c.stats.Refused++
		c.stats.Held--
	}
	c.done(t, ipc.Outcome{Err: err}, now, fx)
	return tell
}

// done takes the outcome of a run. One that comes after the first is ignored.
func (c *core) done(t ticket, o ipc.Outcome, now time.Time, fx *effects) {
	if t.over() {
		return
	}
	r := t.run
	row := r.row
	if row.run == r {
		row.run = nil
	}
	c.conclude(r, o, now, fx)
	c.advance(row, now, fx)
	c.tidy(row)
}

// conclude gives a run its outcome, which goes to the data table and to all who wait.
func (c *core) conclude(r *run, o ipc.Outcome, now time.Time, fx *effects) {
	o.Queued += r.queued
	r.over = true
	c.store(r, &o, now)
	var e *entry
	for w := range r.waiters.all {
		if w.entry != nil {
			e = w.entry
		}
		r.waiters.drop(&w.place)
		c.end(w, &o, now, fx)
	}
	if e != nil && r.row.entry == e {
		c.again(r.row, now, fx)
	}
	r.target, r.args, r.leash = nil, nil, loose // its outcome may wait for a callback; this need not
}

// end puts a waiter, whose run has its outcome, in line for its callback. The caller of a Submit is told at once, when
// nobody is before him in line.
func (c *core) end(w *waiter, o *ipc.Outcome, now time.Time, fx *effects) {
	c.waiting--
	if w.entry == nil {
		c.settle(w, fx)
		c.stats.count(o.Err)
	} else {
		c.skip(w)
	}
	switch {
	case w.then == nil && w.done == nil:
		c.forget(w)
	case w.done != nil && fx.told == nil && w.run.row.undelivered == 0:
		c.owe(w).held = true // others of the row wait until told is called
		fx.told, fx.outcome = w, w.share(o)
	default:
		if w.run.result == nil {
			w.run.result = &result{*o, now}
		}
		c.deliver(w)
	}
}

// deliver puts a waiter in line for its callback.
func (c *core) deliver(w *waiter) {
	c.owe(w).out.push(&w.place)
	c.queue(w.run.row)
}

// share is the outcome of a run for one of those who share it.
func (w *waiter) share(o *ipc.Outcome) ipc.Outcome {
	own := *o
	if w.shared != alone {
		own.Shared = w.shared.word()
	}
	return own
}

// owe notes that a waiter is to be called.
func (c *core) owe(w *waiter) *row {
	row := w.run.row
	c.busy(row)
	row.undelivered++
	c.stats.Undelivered++
	return row
}

// told notes that a waiter was called: his row goes on.
func (c *core) told(w *waiter, row *row, now func() time.Time, fx *effects) {
	c.forget(w)
	row.undelivered--
	c.stats.Undelivered--
	row.held = false
	if !row.out.empty() {
		c.queue(row)
	}
	if row.run == nil && !row.wait.empty() {
		c.advance(row, now(), fx)
	}
	c.tidy(row)
}

// settle is the part of an end that only sends have: Commands and contexts wait no longer for this one.
func (c *core) settle(w *waiter, fx *effects) {
	c.stats.Pending--
	w.epoch.pending--
	c.turn(fx)
	if w.watching == nil {
		return
	}
	g := w.watching.watch
	g.waiters.drop(&w.watching.place)
	if !g.waiters.empty() {
		return
	}
	g.over = true
	if c.watches[g.done] == g {
		delete(c.watches, g.done)
	}
	if g.stop != nil {
		fx.unwatch = append(fx.unwatch, g.stop)
	}
}

// forget gives the place in the queue of a send or a broadcast back.
func (c *core) forget(w *waiter) {
	if w.entry == nil {
		c.stats.Held--
	}
}

// leave ends a waiter with an error of its own. A run that nobody waits for now does not begin; with cancel, one that
// has begun is cancelled.
func (c *core) leave(w *waiter, err error, cancel bool, now time.Time, fx *effects) {
	r := w.run
	row := r.row
	r.waiters.drop(&w.place)
	w.run, w.shared = &run{row: row, leash: loose, over: true}, alone
	c.end(w, &ipc.Outcome{Err: err}, now, fx)
	switch {
	case !r.waiters.empty():
	case r.place.stands():
		c.drop(r)
		if row.run == r {
			row.run = nil
			c.advance(row, now, fx)
		}
		c.tidy(row)
	case cancel && r.leash.cancel != nil:
		r.cancelled = true
		fx.cancel = append(fx.cancel, r.leash.cancel)
	}
}

// withdraw lets all leave whose context has ended. It is not done in parts: of those who wait behind each other for one
// key, no run may begin because the one before it was cancelled.
func (c *core) withdraw(g *watch, cause error, now time.Time, fx *effects) {
	for w := range g.waiters.all {
		c.leave(w, ipc.Errorf(ipc.KindCancelled, "key %s: %w", quote(w.run.row.key), cause), true, now, fx)
	}
}

// drop takes out a run that has not begun.
func (c *core) drop(r *run) {
	if r.row.run == r {
		c.start.drop(&r.place)
	} else {
		r.row.wait.drop(&r.place)
	}
	c.alarm.Remove(r.leash.deadline)
	if len(c.gated) > 0 && r.row.wait.empty() {
		delete(c.gated, r.row)
	}
}

// advance begins the next run of a row, when it may.
func (c *core) advance(row *row, now time.Time, fx *effects) {
	if len(c.gated) > 0 {
		delete(c.gated, row)
	}
	for row.run == nil && !row.wait.empty() && !c.closed {
		if c.full(row) {
			c.gated[row] = struct{}{}
			return
		}
		r := row.wait.first()
		c.drop(r)
		r.queued = now.Sub(c.time(r.since))
		if r.options.Deadline > 0 {
			left := *r.options
			if left.Deadline -= r.queued; left.Deadline <= 0 {
				c.conclude(r, ipc.Outcome{Err: late(r)}, now, fx)
				continue
			}
			r.options = &left
		}
		row.run = r
		c.start.push(&r.place)
	}
}

// ring ends a run that has waited for too long behind others.
func (l *leash) ring(c *core, now time.Time, fx *effects) {
	r := l.run
	if r.leash != l || !r.place.stands() || r.row.run == r {
		return // it is over, or has begun, or everybody has left
	}
	c.drop(r)
	r.queued = now.Sub(c.time(r.since))
	c.conclude(r, ipc.Outcome{Err: late(r)}, now, fx)
	c.tidy(r.row)
}

// open begins the time in which a hand stays. It ends with close, so that none outlives Run.
func (c *core) open(time.Time, *effects) { c.staying = true }

// close ends all that has not begun, and all that would begin later.
func (c *core) close(now time.Time, fx *effects) {
	c.closed, c.staying = true, false
	for r := range c.start.all {
		c.drop(r)
		r.row.run = nil
		c.conclude(r, ipc.Outcome{Err: closed("key " + quote(r.row.key))}, now, fx)
	}
	for row := range c.rows.all {
		for r := range row.wait.all {
			c.drop(r)
			c.conclude(r, ipc.Outcome{Err: closed("key " + quote(row.key))}, now, fx)
		}
		c.tidy(row)
	}
	for e := c.oldest; e != nil; e = e.younger {
		c.release(e, closed("the command"), fx)
	}
}

// abandon ends what the runner has not ended.
func (c *core) abandon(now time.Time, fx *effects) {
	for row := range c.rows.all {
		r := row.run
		if r == nil {
			continue
		}
		if r.leash.cancel != nil {
			fx.cancel = append(fx.cancel, r.leash.cancel)
		}
		row.run = nil
		c.conclude(r, ipc.Outcome{Err: ipc.Errorf(ipc.KindClosed, "key %s: the master ended while it ran", quote(row.key))}, now, fx)
		c.tidy(row)
	}
	for b := range c.broadcasts.all {
		c.answered(b, []ipc.Outcome{{Err: closed("key " + quote(b.key))}}, now)
	}
}

// quiet reports that the master has ended, everybody has an outcome, and each callback has returned.
func (c *core) quiet() bool {
	return c.closed && c.waiting == 0 && c.commands == 0 && c.broadcasts.empty() && c.stats.Undelivered == 0 && c.hands.empty()
}

// full reports whether a row has so many undelivered outcomes that its next run must wait for its callbacks. While a
// Command waits for outcomes, nothing does: the callback that holds up its key may be the one that called Command.
func (c *core) full(row *row) bool { return int(row.undelivered) >= c.lane && c.orders == 0 }

// joinable reports whether someone who comes now may have this run's outcome. After an add or a pop only the runs of
// the new time count.
func (r *run) joinable() bool { return !r.cancelled && r.gen == r.row.gen }

// equal compares canonical bytes: see prepare.
func (r *run) equal(t ipc.Task) bool {
	return bytes.Equal(r.target, t.Target) && bytes.Equal(r.args, t.Args)
}

func late(r *run) error {
	return ipc.Errorf(ipc.KindExpired, "key %s: had not begun %v after it was sent: others of its key came first",
		quote(r.row.key), r.queued.Round(time.Millisecond))
}

func closed(what string) error {
	return &ipc.Error{Kind: ipc.KindClosed, Message: what + ": the master has ended"}
}
