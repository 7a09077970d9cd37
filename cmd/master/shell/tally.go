package shell

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"fandango/internal/latency"
	"fandango/ipc"
)

// Tally counts a batch. The counters may be read at any time; the rest belongs to the lane that writes the results.
type Tally struct {
	begun      time.Time
	read       atomic.Int64 // lines that are tasks, or should be
	done       atomic.Int64
	failed     atomic.Int64
	notStarted atomic.Int64
	complete   atomic.Bool // the input has been read to its end

	times   latency.Histogram
	slowest Result
}

// count takes in one result.
func (t *Tally) count(r *Result) {
	if r.Err == nil {
		t.done.Add(1)
	} else {
		t.failed.Add(1)
	}
	if r.Attempts > 0 {
		t.times.Add(r.Ran)
		if r.Ran > t.slowest.Ran {
			t.slowest = Result{Key: r.Key, Outcome: ipc.Outcome{Ran: r.Ran}}
		}
	}
}

// Runs returns how many tasks have ended, done or failed.
func (t *Tally) Runs() int64 { return t.done.Load() + t.failed.Load() }

// Failed returns how many tasks have failed.
func (t *Tally) Failed() int64 { return t.failed.Load() }

// few is up to how many runs a summary gives no rate and no percentiles: they would say nothing.
const few = 20

// Summary says in one line how the batch went; "" when there was nothing to do.
func (t *Tally) Summary(workers int) string {
	read, done, failed, rest := t.read.Load(), t.done.Load(), t.failed.Load(), t.notStarted.Load()
	if read == 0 {
		return ""
	}
	took := time.Since(t.begun)
	var parts []string
	for _, p := range []struct {
		n    int64
		word string
	}{{done, "done"}, {failed, "failed"}, {rest, "not started"}} {
		if p.n > 0 {
			parts = append(parts, grouped(p.n)+" "+p.word)
		}
	}
	s := fmt.Sprintf("master: %s: %s in %s · %s", Plural(read, "task"), strings.Join(parts, ", "), seconds(took),
		Plural(int64(workers), "worker"))
	if t.times.N() > few {
		s += fmt.Sprintf(" · %s/s · median %s · p95 %s · slowest %s %s", twoDigits(float64(t.times.N())/took.Seconds()),
			Human(t.times.At(0.5)), Human(t.times.At(0.95)), cutShown(t.slowest.Key), Human(t.slowest.Ran))
	}
	if !t.complete.Load() {
		s += " · the input was not read to its end"
	}
	return s + "\n"
}

// cutShown shows a key in a line of prose.
func cutShown(key string) string {
	if short := cut(key, 40); short != key {
		key = short + "…"
	}
	return string(appendKey(nil, key))
}

// Progress says in one line how far the batch is: "  132/500   3 failed   8 running   41/s   9 s left".
func (t *Tally) Progress(running int) string {
	read, done, failed := t.read.Load(), t.done.Load(), t.failed.Load()
	ended := done + failed
	rate := float64(ended) / max(time.Since(t.begun).Seconds(), 0.001)
	known := t.complete.Load()
	s := "  " + grouped(ended)
	if known {
		s += "/" + grouped(read)
	} else {
		s += " done"
	}
	if failed > 0 {
		s += fmt.Sprintf("   %s failed", grouped(failed))
	}
	s += fmt.Sprintf("   %d running   %s/s", running, twoDigits(rate))
	if known && ended > 0 && read > ended {
		s += fmt.Sprintf("   %s left", Human(max(time.Second, time.Duration(float64(read-ended)/rate*float64(time.Second)))))
	}
	return s
}
