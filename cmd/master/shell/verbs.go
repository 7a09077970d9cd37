package shell

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fandango/ipc"
	"fandango/schedule"
)

// verbs are the commands there are, in the order of the help text.
var verbs []verb

func init() { // not a variable's value: help is one of the verbs and reads them
	verbs = []verb{
		{
			"run", InShell, "run a batch: a task for each line of a file, or of standard input",
			"[FILE|-] [OPTION]... [-- WORKER ARG...]", runText, newRun,
		},
		{
			"serve", InShell, "run the periodic tasks of a file, in the foreground",
			"FILE [OPTION]...", serveText, newServe,
		},
		{
			"bench", InShell, "measure how many tasks go through workers, and how fast each one does",
			"[OPTION]... [-- WORKER ARG...]", benchText, newBench,
		},
		{
			"cron", InShell, "put a cron line into words, and tell when it comes next",
			"--check LINE [OPTION]...", checkCronText, newCheckCron,
		},
		{"help", InShell, "this text, or all about one command", "[COMMAND]", "", newHelp},
		{"version", InShell, "which program this is", "", "", newVersion},
		{
			"worker", InFile, "declare a group of workers",
			"NAME [OPTION]... [-- COMMAND ARG...]", workerText, newWorker,
		},
		{
			"add", InFile, "run a task every so often, and keep its value under a key",
			"KEY [TARGET [ARG...]] [OPTION]...", addText, newAdd,
		},
		{
			"cron", InFile, "run a task when a cron line says so, and keep its value under a key",
			"NAME LINE [TARGET [ARG...]] [OPTION]...", cronText, newCron,
		},
		{
			"pause", InFile, "stop periodic runs for a time, of all keys or of some",
			"DURATION [KEY...]", "", newPause,
		},
	}
}

// choice is an option with a few possible values.
type choice struct {
	value *string
	of    []string
}

func (c choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("%q is none of %s%s", Safe(s), strings.Join(c.of, ", "), didYouMean(s, c.of))
	}
	*c.value = s
	return nil
}

func (c choice) String() string { return *c.value }

func (c choice) Type() string { return strings.Join(c.of, "|") }

// asJSON is --json, another way to write -o json.
type asJSON struct{ format *Format }

func (j asJSON) Set(s string) error {
	if s != "true" {
		return errors.New("--json has no value; say -o FORMAT")
	}
	*j.format = JSON
	return nil
}

func (j asJSON) String() string { return "" }

func (j asJSON) Type() string { return "bool" }

// flags adds the options of every command that prints values.
func (o *Output) flags(f *pflag.FlagSet) { o.flagsFor(f, Text, JSON, CSV, Bare) }

// flagsFor is flags for a command that has these formats.
func (o *Output) flagsFor(f *pflag.FlagSet, formats ...Format) {
	*o = Output{Format: Text, Color: "auto", Progress: "auto"}
	var names []string
	for _, format := range formats {
		names = append(names, string(format))
	}
	f.VarP(choice{(*string)(&o.Format), names}, "output", "o", "how results are printed")
	f.VarPF(asJSON{&o.Format}, "json", "", "the same as -o json").NoOptDefVal = "true"
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "no progress, no summary: only values and failures")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "tell what happens, and show the stack traces of failures")
	f.Var(choice{&o.Color, []string{"auto", "always", "never"}}, "color", "colours")
}

// flags adds the options of a group of workers.
func (g *Group) flags(f *pflag.FlagSet) {
	*g = builtIn()
	f.VarP(crew{g}, "workers", "j", "how many workers, or from..to by the work there is (default: the number of CPUs)")
	f.Var((*Duration)(&g.Timeout), "timeout", "end a task that runs longer, and its worker (default: none)")
	f.Var(&g.Memory, "memory", "the memory of a built-in worker; with --cgroup a bound on your own, too")
	f.Var(choice{(*string)(&g.Wire), []string{"msgpack", "json"}}, "wire", "what the worker speaks")
	f.IntVar(&g.Window, "window", 0,
		"let a worker that answers in order have up to `N` tasks at once (default: a millisecond's work)")
	f.Var((*Duration)(&g.StartTimeout), "start-timeout", "how long a worker may take to its first answer")
	f.StringVar(&g.Cgroup, "cgroup", "", "give each worker a cgroup of its own in `DIR`, which is delegated to you")
	f.BoolVar(&g.CleanEnv, "clean-env", false,
		"of the environment workers see only PATH, HOME, LANG, LC_*, TZ, TMPDIR and MASTER_*")
}

// crew is how many workers a group has: "4", or "2..8".
type crew struct{ *Group }

func (c crew) Set(s string) error {
	from, to, elastic := strings.Cut(s, "..")
	if !elastic {
		to = from
	}
	least, errLeast := strconv.Atoi(from)
	most, errMost := strconv.Atoi(to)
	if errLeast != nil || errMost != nil || least < 1 || most < least || most > 10_000 {
		return fmt.Errorf("%q is no number of workers: write 4, or 2..8; at most 10000", Safe(s))
	}
	c.Workers, c.MaxWorkers = least, most
	return nil
}

func (c crew) String() string { return "" }

func (c crew) Type() string { return "N" }

// check completes a group with the words after --.
func (g *Group) check(f *pflag.FlagSet, after []string) error {
	switch {
	case g.Window < 0, g.Recycle.Tasks < 0:
		return errors.New("--window and --recycle-tasks cannot be below 0")
	case after != nil && len(after) == 0:
		return errors.New("no command after --; write -- python3 worker.py, or leave -- out for the built-in worker")
	case g.StartTimeout == 0:
		return errors.New("--start-timeout must be above 0")
	case after != nil && f.Changed("memory") && g.Cgroup == "":
		return errors.New("--memory is for the built-in worker; a command of your own needs --cgroup DIR to be bounded")
	case f.Changed("cgroup") && g.Cgroup == "":
		return errors.New("--cgroup needs a directory; leave it out for none")
	}
	if after != nil && !f.Changed("memory") {
		g.Memory = 0
	}
	g.Command = after
	return nil
}

const serveText = `Each line of the file is a command; a line that begins with # is a comment:

  worker devices -j 2 -- python3 devices.py
  add  pressure  read sr/vc/ipct-01/pressure --every 3s --expire 10s
  add  current   read sr/di/dcct/current --every 1s
  cron nightly   '0 3 * * *' clean_tmp /var/spool/archiving --days 7
  pause 30s

Without a worker line the built-in evaluator serves. The first group runs the keys that name none with --worker. Each
new value is a line on stdout; failures and messages go to stderr. So does, once, that a value has expired, or that it has
not come for 10 s though it was due: a device may hang.

Commands of the file: worker, add, cron, pause (master help add). All lines are checked before anything starts.

HUP: the file is read again, and what runs becomes what it says now, under nohup too. New workers serve before those go
that they replace; what has not changed goes on, also a worker whose program alone has. If a line is wrong, or new workers
do not start, nothing changes.

Exit: 0 after Ctrl-C or TERM, which let running tasks finish within --grace; 130 after Ctrl-C twice, which kills
them; 2 when a line is wrong; 3 when no worker could be started. USR1 shows the state on stderr.`

func newServe() *builder {
	b, s := newBuilder(), &Serve{Grace: 10 * time.Second}
	s.flags(b.flags)
	b.flags.Var((*Duration)(&s.Grace), "grace", "how long running tasks may go on at the end")
	b.finish = func(words, after []string) (Command, error) {
		switch {
		case after != nil:
			return nil, errors.New("the worker's command stands in the file: worker NAME -- COMMAND")
		case len(words) != 1:
			return nil, fmt.Errorf("needs one file, not %d", len(words))
		}
		s.File = words[0]
		return s, nil
	}
	return b
}

func newHelp() *builder {
	b := newBuilder()
	b.finish = func(words, _ []string) (Command, error) {
		if len(words) == 0 {
			return &Help{}, nil
		}
		for _, place := range []Place{InShell, InFile} {
			if _, err := find(words[0], place); err == nil {
				return &Help{Topic: words[0]}, nil
			}
		}
		_, err := find(words[0], InShell)
		return nil, err
	}
	return b
}

func newVersion() *builder {
	b := newBuilder()
	b.finish = func(words, _ []string) (Command, error) {
		if len(words) > 0 {
			return nil, errors.New("takes no words")
		}
		return &Version{}, nil
	}
	return b
}

const workerText = `Without -- and a command it is a group of built-in workers. A file may have several groups; the first one runs
what names none.

With -j 2..8 there are two workers, and up to eight while tasks wait; those go again after a minute without work. A
worker that is recycled finishes what it runs, and its successor is ready before it goes. A key whose tasks kill three
workers in a row is set aside for a while; the others are not held up by it.

With --cgroup DIR, a directory of cgroup v2 that is yours to write, all that a worker has started ends with it, wherever
it has put itself. --memory then bounds workers of your own as well: DIR needs the controller memory for that (systemd:
Delegate=memory), and no processes of its own. Linux only.`

func newWorker() *builder {
	b, w := newBuilder(), &Worker{}
	f := b.flags
	w.flags(f)
	f.IntVar(&w.Recycle.Tasks, "recycle-tasks", 0, "replace a worker after about `N` tasks (default: never)")
	f.Var((*Duration)(&w.Recycle.Age), "recycle-age", "replace a worker about that old (default: never)")
	f.Var(&w.Recycle.Memory, "recycle-memory", "replace a worker that has grown beyond it (default: never)")
	f.Var((*Duration)(&w.CoolDown), "poison-cooldown", "how long a key is set aside that keeps killing workers; 0: never")
	b.finish = func(words, after []string) (Command, error) {
		switch {
		case len(words) == 0:
			return nil, errors.New("needs a name: worker NAME -j 2 -- COMMAND")
		case len(words) > 1:
			return nil, fmt.Errorf("one name at most, not also %q; the worker's command stands after --", words[1])
		case strings.ContainsAny(words[0], "/ \t\n") || !printable(words[0]) || words[0] == "":
			return nil, fmt.Errorf("%q is no name for a group: no blank, no slash", words[0])
		}
		w.Name = words[0]
		return w, w.check(b.flags, after)
	}
	return b
}

const addText = `The task runs at once, and then every so often, counted from its first run; without --every it runs once. Without a
TARGET the key is the target. Words are typed as in master run.`

func newAdd() *builder {
	b, a := newBuilder(), &Add{}
	f := b.flags
	f.Var((*Duration)(&a.Every), "every", "the time from one run to the next")
	f.Var((*Duration)(&a.Stagger.Phase), "phase", "when the first run is due, counted from the start")
	f.Var((*Duration)(&a.Stagger.Spread), "spread", "up to how much later that is, so that keys do not run together; of each key the same")
	f.Var((*Duration)(&a.Stagger.Jitter), "jitter", "up to how much later than due a run begins, each time another")
	strs := a.flags(f)
	b.finish = func(words, after []string) (Command, error) {
		switch {
		case after != nil:
			return nil, errors.New("nothing may follow --")
		case len(words) == 0:
			return nil, errors.New("needs a key: add KEY TARGET WORDS… --every 3s")
		case a.Every == 0 && a.Stagger != (schedule.Stagger{}):
			return nil, errors.New("--phase, --spread and --jitter go with --every")
		case len(words) == 1:
			words = append(words, words[0])
		}
		return a, a.task(words[0], words[1:], *strs, nil)
	}
	return b
}

// flags adds the options of whatever runs under a key.
func (a *Add) flags(f *pflag.FlagSet) (strs *bool) {
	f.Var((*Duration)(&a.Expire), "expire", "how long a value is good for (default: for ever)")
	f.Var((*Duration)(&a.Task.Timeout), "timeout", "end a run that takes longer, and its worker")
	f.BoolVar(&a.Once, "once", false, "a value can be read once")
	f.StringVarP(&a.Group, "worker", "w", "", "the `GROUP` of workers that runs it (default: the first)")
	return f.BoolP("strings", "R", false, "words are strings, also those that are numbers")
}

// task completes the task with its key, its target and typed words, and its named arguments.
func (a *Add) task(key string, words []string, strs bool, named map[string]string) error {
	value := typed
	if strs {
		value = text
	}
	object := map[string]any{}
	for name, w := range named {
		object[name] = value(w)
	}
	var list []any
	for _, w := range words[1:] {
		list = append(list, value(w))
	}
	if len(list) > 0 && len(object) > 0 {
		list = append(list, object)
	}
	var args any
	switch {
	case len(list) > 0:
		args = list
	case len(object) > 0:
		args = object
	}
	task, err := ipc.NewTask(key, text(words[0]), args)
	task.Options = a.Task.Options
	a.Task = task
	return err
}

func newPause() *builder {
	b, p := newBuilder(), &Pause{}
	b.finish = func(words, after []string) (Command, error) {
		if len(words) == 0 || after != nil {
			return nil, errors.New("needs a duration: pause 30s, or pause 30s KEY…")
		}
		var err error
		p.For, err = ParseDuration(words[0])
		p.Keys = words[1:]
		return p, err
	}
	return b
}
