package shell

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fandango/cmd/master/load"
	"fandango/ipc"
)

// Bench measures how many tasks go through workers.
type Bench struct {
	Mode    load.Mode
	Tasks   int
	Payload Size
	Target  string
	// Idempotent lets a task run again, and so answers share a write.
	Idempotent bool
	Grace      time.Duration // how long running tasks may go on at TERM
	Output
	Group
}

func (*Bench) command() {}

const benchText = `Each task is an echo of --payload bytes, which no two tasks share; --target names another function of one argument.
What is measured is the whole road: the task is handed over, written, run by a worker, its answer read, and told. Workers
are started, and a tenth as many tasks run, before that.

  sync       one caller, who waits for each answer: p50, p90, p99, max
  pipelined  all tasks are handed over, up to 8 192 or 64 MiB at once, and all answers awaited; times are those of each
             16th task, its wait for a worker included

  master bench
  master bench --mode sync -n 10000
  master bench --payload 1MiB -j 1 --json
  master bench -t area -- python3 worker.py

Without -n there are 1 000 000 tasks, 100 000 of sync, or as many as carry 1 GiB; without -j a worker for each CPU, one for
sync. Ctrl-C prints what was measured so far. MB/s is payload, one way; memory is the master's, at most.

Exit: 0 all done, 1 some tasks failed, 2 wrong usage, 3 no worker could be started, 130 Ctrl-C, 143 TERM.`

// mostPayload leaves room for the rest of a task in the largest message.
const mostPayload = 64<<20 - 4<<10

func newBench() *builder {
	b, n := newBuilder(), &Bench{Mode: load.Pipelined, Payload: 64, Grace: 10 * time.Second}
	f := b.flags
	f.Var(choice{(*string)(&n.Mode), []string{string(load.Sync), string(load.Pipelined)}}, "mode", "how many tasks are under way at once")
	f.VarP((*count)(&n.Tasks), "tasks", "n", "how many tasks are measured")
	f.Var(&n.Payload, "payload", "how large the argument of each task is")
	f.StringVarP(&n.Target, "target", "t", "echo", "what each task runs")
	f.BoolVar(&n.Idempotent, "idempotent", false, "a task may run again when its worker dies, so answers may share a write")
	n.Group.flags(f)
	n.flagsFor(f, Text, JSON)
	f.Var(choice{&n.Progress, []string{"auto", "plain", "none"}}, "progress", "auto: on a terminal; plain: a line every 10 s")
	b.finish = func(words, after []string) (Command, error) {
		switch {
		case len(words) > 0:
			return nil, fmt.Errorf("takes no words, not %q; the worker's command stands after --", words[0])
		case strings.TrimSpace(n.Target) == "":
			return nil, errors.New("-t needs the name of a target, or an expression")
		case n.Payload > mostPayload:
			return nil, fmt.Errorf("--payload %s is more than a message may carry: at most 65532KiB", &n.Payload)
		}
		if n.Tasks == 0 {
			n.Tasks = max(100, min(1_000_000, 1<<30/int(n.Payload)))
			if n.Mode == load.Sync {
				n.Tasks = min(n.Tasks, 100_000)
			}
		}
		if n.Workers == 0 && n.Mode == load.Sync {
			n.Workers, n.MaxWorkers = 1, 1
		}
		return n, n.check(f, after)
	}
	return b
}

// count is a number of at least 1.
type count int

func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number of tasks: 1 or more, in digits", Safe(s))
	}
	*c = count(n)
	return nil
}

func (c *count) String() string { return "" }

func (c *count) Type() string { return "N" }

// Load is what the workers are driven with.
func (n *Bench) Load() (*load.Load, error) {
	target, err := ipc.Encode(n.Target)
	return &load.Load{
		Mode: n.Mode, Tasks: n.Tasks, Payload: int(n.Payload), Target: target, Echo: n.Target == "echo",
		Options: ipc.Options{Idempotent: n.Idempotent},
	}, err
}

// BenchProgress says in one line how far a measurement is: "  132 000/1 000 000   410 000/s   2.1 s left".
func BenchProgress(ended int64, all int, since time.Time) string {
	if since.IsZero() {
		return "  starting"
	}
	took := time.Since(since)
	s := fmt.Sprintf("  %s/%s", grouped(ended), grouped(int64(all)))
	if ended == 0 {
		return s
	}
	rate := float64(ended) / took.Seconds()
	left := time.Duration(float64(int64(all)-ended) / rate * float64(time.Second))
	return s + fmt.Sprintf("   %s/s   %s left", twoDigits(rate), Human(left))
}

// AppendReport shows a measurement to a person: a table, and how the times are spread. With columns it is aligned.
func AppendReport(dst []byte, r *load.Report, columns bool) []byte {
	type row struct{ name, value, bar string }
	rows := []row{
		{"mode", string(r.Mode), ""},
		{"workers", strconv.Itoa(r.Workers), ""},
		{"idempotent", strconv.FormatBool(r.Idempotent), ""},
		{"payload", grouped(int64(r.Payload)) + " B", ""},
		{"tasks", grouped(r.Tasks) + " in " + seconds(time.Duration(r.Seconds*float64(time.Second))), ""},
		{"failed", grouped(r.Failed), ""},
		{"rate", twoDigits(r.TasksPerS) + "/s", ""},
		{"volume", twoDigits(r.MBPerS) + " MB/s", ""},
		{"p50", shownMicros(r.P50), ""},
		{"p90", shownMicros(r.P90), ""},
		{"p99", shownMicros(r.P99), ""},
		{"max", shownMicros(r.Max), ""},
		{"memory", twoDigits(float64(r.RSS)/1e6) + " MB", ""},
	}
	var most int64
	for _, n := range r.Times.Octaves() {
		most = max(most, n)
	}
	for below, n := range r.Times.Octaves() {
		rows = append(rows, row{"< " + shownMicros(load.MicrosOf(below)), grouped(n), strings.Repeat("█", int(40*n/most))})
	}
	for _, w := range rows {
		switch {
		case columns:
			dst = fmt.Appendf(dst, "%-12s %14s", w.name, w.value)
		default:
			dst = fmt.Appendf(dst, "%s\t%s", w.name, w.value)
		}
		if w.bar != "" {
			dst = fmt.Appendf(dst, "\t%s", w.bar)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// shownMicros writes microseconds for a person: "8.1 µs", "250 µs", "1.2 ms".
func shownMicros(us load.Micros) string {
	if us < 999.5 {
		return twoDigits(float64(us)) + " µs"
	}
	return Human(time.Duration(float64(us) * 1e3))
}
