//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fandango/internal/evilworker"
)

// book compares the three records. A task's key is its number.
type book struct {
	retries int

	mu        sync.Mutex // guards what follows
	tasks     []entry
	evil      map[int]string // the targets of misdeeds; the others are plain work
	rage      int            // misdeeds without an outcome
	kinds     map[string]int // outcomes by kind; "": done
	calmKinds map[string]int // those of plain work of quiet phases that failed
	foreign   int            // outcomes and runs of keys that nobody submitted
	wrong     int            // plain work that answered another one's value, or failed by its own word
	unasked   int            // cancelled, and nobody had cancelled it
	hurt      int            // plain work of quiet phases that failed, not by its timeout, and nobody had cancelled it
	behind    int            // beside these, those that had begun behind one that was cancelled, and were told so: that may be
	asked     map[int]time.Time
	regret    []time.Duration // from a cancel to the outcome, where that says cancelled
	strange   []string        // the first of what is wrong, for a person
}

// entry is what is known of one task.
type entry struct {
	outcomes uint8
	runs     uint8
	done     bool
	calm     bool // plain work of a quiet phase
}

// behindText is the error of a task that had begun when its worker was killed for the one before it.
const behindText = "because the task before it was to be ended"

func newBook(retries int) *book {
	return &book{retries: retries, evil: map[int]string{}, kinds: map[string]int{}, calmKinds: map[string]int{}, asked: map[int]time.Time{}}
}

// submit enters a task and returns its key.
func (b *book) submit(target string, calm bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.tasks)
	b.tasks = append(b.tasks, entry{calm: calm && target == plain})
	if target != plain {
		b.evil[n] = target
		b.rage++
	}
	return strconv.Itoa(n)
}

// plain is the target of all tasks that mean no harm; it answers its key.
const plain = "work"

// cancel notes that a task is about to be cancelled.
func (b *book) cancel(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.number(key); n >= 0 {
		b.asked[n] = time.Now()
	}
}

// outcome enters what the master says: kind is "" for done, and said the value in JSON, else the error.
func (b *book) outcome(key, kind, said string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kinds[kind]++
	n := b.number(key)
	if n < 0 {
		b.note("an outcome of key %q, which nobody submitted", key)
		return
	}
	t := &b.tasks[n]
	if t.outcomes == 0 && b.evil[n] != "" {
		b.rage--
	}
	asked, regretted := b.asked[n]
	switch {
	case kind == "cancelled" && !regretted:
		b.unasked++
		b.note("key %s is cancelled, and nobody has cancelled it: %s", key, said)
	case kind == "cancelled":
		b.regret = append(b.regret, time.Since(asked))
	case kind == "task" && b.evil[n] == "":
		b.wrong++
		b.note("key %s failed by its own word: %s", key, said)
	}
	if t.calm && kind != "" && !regretted {
		b.calmKinds[kind]++
		switch {
		case strings.Contains(said, behindText):
			b.behind++
		case kind == "timeout": // or the machine was busy
		default:
			b.hurt++
		}
		b.note("key %s failed in a quiet phase: %s", key, said)
	}
	t.outcomes = saturate(t.outcomes)
	t.done = t.done || kind == ""
	if kind == "" && b.evil[n] == "" && said != strconv.Quote(key) {
		b.wrong++
		b.note("key %s has the value %.60s, which is not its own", key, said)
	}
}

// cancelKey is no task, but what tells a worker to end one.
const cancelKey = "__CANCEL"

// run enters what a worker says that it began.
func (b *book) run(e evilworker.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Key == cancelKey {
		return
	}
	if n := b.number(e.Key); n < 0 {
		b.note("a run of key %q, which nobody submitted", e.Key)
	} else {
		b.tasks[n].runs = saturate(b.tasks[n].runs)
	}
}

func saturate(n uint8) uint8 { return min(n, 254) + 1 }

// number needs b.mu. It is below 0 for a key that nobody submitted, and then counts it.
func (b *book) number(key string) int {
	n, err := strconv.Atoi(key)
	if err != nil || n < 0 || n >= len(b.tasks) {
		b.foreign++
		return -1
	}
	return n
}

// note needs b.mu.
func (b *book) note(format string, args ...any) {
	if len(b.strange) < 20 {
		b.strange = append(b.strange, fmt.Sprintf(format, args...))
	}
}

// raging is how many misdeeds are on their way.
func (b *book) raging() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rage
}

// submitted is how many tasks there are.
func (b *book) submitted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.tasks)
}

// zeros are what must not be.
type zeros struct {
	lost, duplicate, unrun, often int // the four of every ledger
	foreign, wrong, unasked       int
	hurt                          int
}

func (z zeros) ok() bool { return z == zeros{} }

// zeros compares the records. Every outcome and every run has been entered.
func (b *book) zeros() zeros {
	b.mu.Lock()
	defer b.mu.Unlock()
	z := zeros{foreign: b.foreign, wrong: b.wrong, unasked: b.unasked, hurt: b.hurt}
	for n := range b.tasks {
		t := &b.tasks[n]
		var what string
		switch {
		case t.outcomes == 0:
			z.lost++
			what = "was lost silently"
		case t.outcomes > 1:
			z.duplicate++
			what = "has more than one outcome"
		case t.done && t.runs == 0:
			z.unrun++
			what = "is done, and no worker began it"
		}
		if int(t.runs) > b.retries+1 {
			z.often++
			what += " was run too often"
		}
		if what != "" {
			b.note("key %d (%s): %d outcomes, done %v, %d runs: it %s", n, b.target(n), t.outcomes, t.done, t.runs, strings.TrimSpace(what))
		}
	}
	return z
}

// target needs b.mu.
func (b *book) target(n int) string {
	if target, evil := b.evil[n]; evil {
		return target
	}
	return plain
}

// totals are the outcomes.
func (b *book) totals() (done, failed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, n := range b.kinds {
		if kind == "" {
			done += n
		} else {
			failed += n
		}
	}
	return done, failed
}

// print prints the sum of the outcomes and the zeros.
func (b *book) print(out io.Writer, z zeros) {
	b.mu.Lock()
	defer b.mu.Unlock()
	calm := 0
	for i := range b.tasks {
		if b.tasks[i].calm {
			calm++
		}
	}
	fmt.Fprintf(out, "accepted %s = %s\n", grouped(len(b.tasks)), list(b.kinds))
	fmt.Fprintf(out, "lost silently %d · duplicate outcomes %d · done without a run %d · run more often than allowed %d · foreign %d · wrong values %d · cancelled unasked %d\n",
		z.lost, z.duplicate, z.unrun, z.often, z.foreign, z.wrong, z.unasked)
	if len(b.asked) > 0 {
		slices.Sort(b.regret)
		fmt.Fprintf(out, "cancels %s, %s of them in time · told after p50 %v p99 %v max %v\n",
			grouped(len(b.asked)), grouped(len(b.regret)), ms(at(b.regret, 0.5)), ms(at(b.regret, 0.99)), ms(at(b.regret, 1)))
	}
	fmt.Fprintf(out, "quiet phases: %s plain tasks, failed: %s (%d behind a cancelled one)\n", grouped(calm), list(b.calmKinds), b.behind)
	for _, s := range b.strange {
		fmt.Fprintf(out, "  %s\n", s)
	}
}

// list is outcomes by kind.
func list(kinds map[string]int) string {
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		name := kind
		if kind == "" {
			name = "done"
		}
		words = append(words, name+" "+grouped(kinds[kind]))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " + ")
}

// grouped writes a count with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// death is a worker that was killed from outside.
type death struct {
	worker string
	pid    int
	at     time.Time
	served time.Time // when the next process of that name began a task; zero: never
}

// recoveries finds, for each death, the next beginning of a task by another process of the same name.
func recoveries(deaths []*death, runs func(func(evilworker.Entry)) error) ([]time.Duration, error) {
	open := map[string][]*death{}
	for _, d := range deaths {
		open[d.worker] = append(open[d.worker], d)
	}
	err := runs(func(e evilworker.Entry) {
		open[e.Worker] = slices.DeleteFunc(open[e.Worker], func(d *death) bool {
			served := e.PID != d.pid && e.At.After(d.at)
			if served {
				d.served = e.At
			}
			return served
		})
	})
	var times []time.Duration
	for _, d := range deaths {
		if !d.served.IsZero() {
			times = append(times, d.served.Sub(d.at))
		}
	}
	slices.Sort(times)
	return times, err
}

// at is the duration that the given part of sorted times stays within.
func at(times []time.Duration, part float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[min(len(times)-1, int(part*float64(len(times))))]
}
