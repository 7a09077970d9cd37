// Package load drives a Runner with equal tasks, as fast as it takes them, and measures what becomes of them: the whole
// road from Submit to the outcome.
package load

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fandango/internal/latency"
	"fandango/ipc"
)

// Mode is how many tasks are under way at once.
type Mode string

// The modes.
const (
	Sync      Mode = "sync"      // one: its outcome is awaited before the next one is submitted
	Pipelined Mode = "pipelined" // as many as the bounds below allow
)

// What is under way at once, at most, when tasks are pipelined: many tasks, unless they are large. More bytes than a cache
// holds would measure the memory.
const (
	mostTasks = 1 << 13
	mostBytes = 8 << 20 // of arguments
	leastMost = 16      // tasks, however large
	together  = 256     // tasks that are submitted in one go
)

// timedEvery is how many pipelined tasks there are to one whose time is taken: two looks at the clock are a good part of
// what a task costs.
const timedEvery = 16

// Load is what a Runner is driven with, and what came of it. Fill in the exported fields, then call Drive, once.
type Load struct {
	Mode    Mode
	Tasks   int     // that are measured, at least 1
	Payload int     // bytes of each task's argument, at least 1
	Target  ipc.Raw // what each task runs
	Echo    bool    // Target answers its argument: it is looked at whether it does
	Options ipc.Options

	giveUp func() // of a warm-up: it ends with the first failure
	begun  atomic.Pointer[time.Time]
	took   time.Duration

	mu     sync.Mutex // guards what follows
	groups []*group
	free   []*group // of them
	await  int      // how many free groups are waited for, if any
	freed  *sync.Cond
	times  latency.Histogram
	failed int64
	first  error
}

// Drive runs the tasks until all have had their outcome, or until ctx has ended and those under way have had theirs. A
// warm-up, a tenth as many, goes before; it is not measured, and the first failure in it ends it and is the error. Besides,
// Drive's error is the runner's refusal of a task.
func (l *Load) Drive(ctx context.Context, r ipc.Runner) error {
	warm := &Load{
		Mode: l.Mode, Tasks: min(max(20, l.Tasks/10), 20_000), Payload: l.Payload, Target: l.Target, Echo: l.Echo, Options: l.Options,
	}
	if ctx.Err() != nil {
		return nil
	}
	warming, giveUp := context.WithCancel(ctx)
	under, takeBack := context.WithCancel(context.WithoutCancel(ctx))
	warm.giveUp = func() { giveUp(); takeBack() }
	defer warm.giveUp()
	refusal := warm.drive(warming, under, r)
	if err := cmp.Or(warm.first, refusal); err != nil || ctx.Err() != nil {
		return err
	}
	return l.drive(ctx, context.WithoutCancel(ctx), r)
}

// drive hands over tasks until ctx ends; under is the context of those under way.
func (l *Load) drive(ctx, under context.Context, r ipc.Runner) error {
	begun := time.Now()
	l.begun.Store(&begun)
	defer func() { l.took = time.Since(begun) }()
	if l.Mode == Sync {
		return l.sync(ctx, under, r)
	}
	return l.pipelined(ctx, under, r)
}

func (l *Load) sync(ctx, under context.Context, r ipc.Runner) error {
	g := l.newGroup(1)
	for i := 0; i < l.Tasks && ctx.Err() == nil; i++ {
		g.fill(i, 1)
		value, err := ipc.Do(under, r, g.tasks[0])
		g.done(0, value, err)
	}
	return nil
}

func (l *Load) pipelined(ctx, under context.Context, r ipc.Runner) error {
	places := min(mostTasks, max(leastMost, mostBytes/l.Payload), l.Tasks)
	size := max(1, min(together, places/4))
	l.freed = sync.NewCond(&l.mu)
	groups := places / size
	for range groups {
		l.put(l.newGroup(size))
	}
	few := max(1, groups/4) // to wait for less would wake this goroutine for each group
	var mine []*group
	var refusal error
	for i := 0; i < l.Tasks && refusal == nil && ctx.Err() == nil; {
		if len(mine) == 0 {
			mine = l.take(few)
		}
		g := mine[len(mine)-1]
		mine = mine[:len(mine)-1]
		n := min(size, l.Tasks-i)
		g.fill(i, n)
		var accepted int
		accepted, refusal = ipc.SubmitAll(under, r, g.tasks[:n], g.tell)
		g.refused(n - accepted)
		i += accepted
	}
	l.take(groups - len(mine))
	if ctx.Err() != nil && ipc.KindOf(refusal) == ipc.KindClosed {
		return nil
	}
	return refusal
}

// take waits until at least n groups are free, and takes all that are.
func (l *Load) take(n int) []*group {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.await = n; len(l.free) < n; {
		l.freed.Wait()
	}
	free := l.free
	l.free = nil
	return free
}

// put gives back a group whose tasks have had their outcomes.
func (l *Load) put(g *group) {
	if l.Mode == Sync {
		return // it was not taken
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free = append(l.free, g); len(l.free) == l.await {
		l.freed.Signal()
	}
}

// count takes in how long a task took, or why it failed.
func (l *Load) count(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.times.Add(took)
		return
	}
	if l.failed++; l.first == nil {
		l.first = err
		if l.giveUp != nil {
			l.giveUp()
		}
	}
}

// Progress returns how many of the tasks have ended, and since when they do; a zero time: the warm-up goes on.
func (l *Load) Progress() (ended int64, since time.Time) {
	if begun := l.begun.Load(); begun != nil {
		since = *begun
	}
	return l.ended(), since
}

// ended is how many tasks have had their outcomes.
func (l *Load) ended() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.groups {
		n += g.ended.Load() - g.void.Load()
	}
	return n
}
