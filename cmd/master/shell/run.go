package shell

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fandango/ipc"
)

const runText = `Each line is a task, told apart by its first character:

  add 2 3                          target and words; the key is the line itself
  k1: add 2 3                      key, colon, blank; then target and words
  ["k1", "read", ["x", 5]]         key, target, args; also ["k1", "read"], ["read"]
  {"key": "k1", "target": "read", "args": {"name": "x"}, "timeout": "5s"}
  # …                              a comment

A word that is a JSON number, true, false, null, an array or an object is that; any other word is a string. Words with
blanks stand in quotes. Blank lines are skipped. A bad line fails, the others run.

Tasks run on worker processes: on the built-in evaluator of Python-like expressions, or on the command after --.
Each result is a line on stdout, as soon as it is there; failures, progress and the summary go to stderr. Tasks with
the same key run one after another.

  master run tasks.txt
  ls *.h5 | master run -t checksum -j 4 -- python3 worker.py
  seq 10 | master run -t 'lambda n: int(n) * int(n)'
  master run --csv -e -t 'temp_max - temp_min' weather.csv

With -x the command after -- is no worker: it is started once for each line, never by a shell. {} in its words is the
line, {/} the last element of the path that it is, {.} the line without its extension; without any of them the line is
added as the last word. What it prints is the value (-o raw: as it is); an exit code other than 0 is a failure, told with
the last line of stderr, or else of stdout. The rest of stderr is shown with -v.

  master run -x -j 8 urls.txt -- curl -sfLo out/{/} {}

With --all each line goes to every worker; there is a result from each, and its name behind the value.

Exit: 0 all done, 1 some tasks failed, 2 wrong usage, 3 no worker could be started, 130 Ctrl-C, 141 the reader of the
output has gone, 143 TERM. Ctrl-C once lets running tasks finish; twice kills them. USR1 shows a line of progress.`

func newRun() *builder {
	b, r := newBuilder(), &Run{Grace: 10 * time.Second, Halt: HaltNever}
	f := b.flags
	var csv, tsv bool
	var retryOn string
	f.StringVarP(&r.Form.Target, "target", "t", "", "run `TARGET` for each line; the line, uncut, is its argument")
	f.BoolVarP(&r.Form.Expression, "expression", "e", false,
		"each line is an expression; with --csv, -t is one over the columns")
	f.BoolVarP(&r.Form.Null, "null", "0", false, "lines end with NUL")
	f.BoolVar(&csv, "csv", false, "a table with a header: columns key, target, timeout are those, the others are args")
	f.BoolVar(&tsv, "tsv", false, "the same, with tabs")
	f.BoolVar(&r.Form.Named, "named", false, "the args of a row are named by their columns")
	f.BoolVarP(&r.Form.Strings, "strings", "R", false, "words and fields are strings, also those that are numbers")
	f.BoolVarP(&r.Exec, "exec", "x", false, "start the command after -- once for each line")
	r.Group.flags(f)
	f.Var((*Duration)(&r.Grace), "grace", "how long running tasks may go on at TERM")
	f.IntVar(&r.Retries, "retries", 0, "run a task up to `N` times more when its worker dies or its time is over")
	f.Var(choice{&retryOn, []string{"task"}}, "retry-on", "with --retries: also when the worker says that it failed")
	f.BoolVar(&r.Idempotent, "idempotent", false, "a task may run again when its worker dies, so answers may share a write")
	f.Var(choice{(*string)(&r.Halt), []string{"never", "soon", "now"}}, "halt",
		"after the first failure. soon: start nothing new; now: also end what runs")
	f.Var(bindFlag{&r.Bind}, "bind", "have each worker first construct a class, with ARGS as JSON")
	f.BoolVar(&r.All, "all", false, "give each line to every worker")
	f.BoolVarP(&r.Ordered, "keep-order", "k", false, "print results in the order of the input")
	r.Output.flags(f)
	f.Var(choice{&r.Progress, []string{"auto", "plain", "none"}}, "progress",
		"auto: on a terminal; plain: a line every 10 s")
	b.finish = func(words, after []string) (Command, error) {
		if r.Exec {
			if err := withoutWorker(f, after); err != nil {
				return nil, err
			}
			csv, tsv, r.All, r.Idempotent, r.Bind = false, false, false, false, nil // also when the environment has them
			r.Form = Form{Exec: true, Null: r.Form.Null}
		}
		switch {
		case csv:
			r.Form.Comma = ','
		case tsv:
			r.Form.Comma = '\t'
		}
		if err := r.check(f, words); err != nil {
			return nil, err
		}
		if csv && tsv {
			return nil, errors.New("--csv and --tsv exclude each other")
		}
		r.RetryFailures = retryOn != ""
		if r.File = "-"; len(words) > 0 {
			r.File = words[0]
		}
		if r.File != "-" {
			r.Form.Name = Safe(r.File)
		}
		return r, r.Group.check(f, after)
	}
	return b
}

// check refuses options that contradict each other.
func (r *Run) check(f *pflag.FlagSet, files []string) error {
	table, target := r.Form.Comma != 0, f.Changed("target") || r.Form.Target != ""
	switch {
	case len(files) > 1:
		return fmt.Errorf("one input file at most, not also %q; the worker's command stands after --", files[1])
	case target && strings.TrimSpace(r.Form.Target) == "":
		return errors.New("-t needs the name of a target, or an expression")
	case r.Form.Expression && target && !table:
		return errors.New("with -e each line is the expression, so -t has no place; over the columns of a table: --csv -e -t EXPRESSION")
	case r.Form.Expression && !target && table:
		return errors.New("which expression? write --csv -e -t EXPRESSION")
	case r.Form.Null && table:
		return errors.New("-0 does not go with a table")
	case r.Form.Named && !table:
		return errors.New("--named is for --csv and --tsv")
	case r.Retries < 0:
		return fmt.Errorf("--retries %d: it is 0 or more", r.Retries)
	case f.Changed("retry-on") && r.Retries == 0:
		return errors.New("--retry-on goes with --retries N")
	case f.Changed("idempotent") && r.All:
		return errors.New("--idempotent does not go with --all: each worker runs a line once")
	case f.Changed("retries") && r.All:
		return errors.New("--retries does not go with --all: what one worker fails at, the others have done")
	}
	return nil
}

// withoutWorker refuses options that mean nothing when there is no worker, but a process for each line.
func withoutWorker(f *pflag.FlagSet, after []string) error {
	if len(after) == 0 {
		return errors.New("-x needs the command that it runs: master run -x FILE -- gzip -k {}")
	}
	var err error
	f.Visit(func(o *pflag.Flag) {
		switch {
		case !o.Changed: // the environment has it
		case slices.Contains([]string{"csv", "tsv", "target", "expression", "named", "strings"}, o.Name):
			err = fmt.Errorf("%s does not go with -x: each line, uncut, stands for {} in the command", optionName(o))
		case slices.Contains([]string{"wire", "bind", "all", "start-timeout", "window", "idempotent"}, o.Name):
			err = fmt.Errorf("%s does not go with -x: there is no worker, but a process for each line", optionName(o))
		}
	})
	return err
}

// bindFlag is a class that workers construct, as CLASS or CLASS=ARGS.
type bindFlag struct{ task **ipc.Task }

func (b bindFlag) Set(s string) error {
	class, args, given := strings.Cut(s, "=")
	if class == "" {
		return errors.New("it is CLASS, or CLASS=ARGS with ARGS as JSON")
	}
	if *b.task != nil {
		return errors.New("workers hold one object; the class is given already")
	}
	t := ipc.Task{Key: ipc.KeyBind}
	var err error
	if t.Target, err = ipc.Encode(text(class)); err != nil {
		return err
	}
	if given {
		if t.Args, err = ipc.ParseJSON([]byte(args)); err != nil {
			return fmt.Errorf("the arguments of %s: %w", Safe(class), err)
		}
	}
	*b.task = &t
	return nil
}

func (b bindFlag) String() string { return "" }

func (b bindFlag) Type() string { return "CLASS[=ARGS]" }
