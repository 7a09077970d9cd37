package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"fandango/cmd/master/shell"
	"fandango/master"
	"fandango/pool"
)

// lookout looks at the values that a daemon keeps, and tells when one is no good any more: a run that hangs ends in no
// outcome, so nothing else would.
type lookout struct {
	running func() map[string]string // who runs which key
	tell    func(words string)

	bad map[string]*trouble
	sum atomic.Pointer[string] // how many values are no good, by the last look
}

// trouble is a key whose value is not what it should be.
type trouble struct {
	since   time.Time // when it was first seen without any value
	told    master.State
	current bool // it was in the last look
}

const (
	// late is how long a value is missed before that is told, however short its period is: a key that is slow now and then
	// is no news.
	late = 10 * time.Second
	// toldAtOnce bounds what is told after one look: when a device is gone, so are its thousand keys.
	toldAtOnce = 10
)

// run looks at values until ctx ends, every second, and less often where there is very much to look at.
func (l *lookout) run(ctx context.Context, values iter.Seq[master.Value]) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case began := <-timer.C:
			l.look(began, values)
			timer.Reset(max(time.Second, 20*time.Since(began)))
		}
	}
}

// look tells of each value that has expired, or is late, once until it is good again.
func (l *lookout) look(now time.Time, values iter.Seq[master.Value]) {
	var lines []string
	n := 0
	states := map[master.State]int{}
	var running map[string]string
	for v := range values {
		states[v.State]++
		words := l.judge(now, &v)
		if words == "" {
			continue
		}
		if n++; n > toldAtOnce {
			continue
		}
		if running == nil {
			running = l.running()
		}
		if who := running[v.Key]; who != "" {
			words += "; " + who + " is running it"
		}
		lines = append(lines, words)
	}
	for key, t := range l.bad {
		if !t.current {
			delete(l.bad, key)
		}
		t.current = false
	}
	var counts strings.Builder
	for _, s := range []master.State{master.Expired, master.Stale, master.Never} {
		if states[s] > 0 {
			fmt.Fprintf(&counts, "   %d %s", states[s], s)
		}
	}
	sum := counts.String()
	l.sum.Store(&sum)
	for _, words := range lines {
		l.tell(words)
	}
	if more := n - len(lines); more > 0 {
		l.tell("the same holds for " + shell.Plural(int64(more), "other key"))
	}
}

// summary is how many values were no good at the last look: "   2 expired   1 never"; "" when all were good.
func (l *lookout) summary() string {
	if s := l.sum.Load(); s != nil {
		return *s
	}
	return ""
}

// judge says in words what is wrong with a value; "" when nothing is, or it was told before.
func (l *lookout) judge(now time.Time, v *master.Value) (words string) {
	if v.State == master.Fresh || v.State == master.Failed { // a failure was told when it came
		return ""
	}
	t := l.bad[v.Key]
	if t == nil {
		if l.bad == nil {
			l.bad = map[string]*trouble{}
		}
		t = &trouble{since: now}
		l.bad[v.Key] = t
	}
	t.current = true
	waited := now.Sub(t.since)
	switch {
	case v.State == t.told:
		return ""
	case v.State == master.Expired:
		words = fmt.Sprintf("EXPIRED %s: its value is %s old, and good for %s", shell.Safe(v.Key), shell.Human(v.Age), shell.Human(v.Expire))
	case v.State == master.Stale && v.Age >= late && v.Every > 0:
		words = fmt.Sprintf("STALE %s: its value is %s old, and due every %s", shell.Safe(v.Key), shell.Human(v.Age), shell.Human(v.Every))
	case v.State == master.Stale && v.Age >= late:
		words = fmt.Sprintf("STALE %s: its value is %s old, and a newer one was due", shell.Safe(v.Key), shell.Human(v.Age))
	case v.State == master.Never && v.Every > 0 && !v.Paused && waited >= max(late, v.Every*3/2):
		words = fmt.Sprintf("STALE %s: there is no value yet, after %s", shell.Safe(v.Key), shell.Human(waited))
	default:
		return ""
	}
	t.told = v.State
	return words
}

// runners says which worker runs which key.
func (s *session) runners() map[string]string {
	runs := map[string]string{}
	for _, g := range s.all() {
		for _, w := range g.pool.Workers() {
			if w.State == pool.StateBusy {
				runs[w.Key] = w.Name
			}
		}
	}
	return runs
}
