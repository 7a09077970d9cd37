package shell

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fandango/ipc"
	"fandango/schedule"
)

// Command is what a line asks for: exactly one of the types below.
type Command interface{ command() }

// Run is a batch.
type Run struct {
	File          string // "-": standard input
	Form          Form
	Ordered       bool
	Grace         time.Duration // how long running tasks may go on at TERM
	Retries       int
	RetryFailures bool // also what the worker says has failed
	Idempotent    bool // a task may run again, and answers share a write
	Halt          Halt
	Bind          *ipc.Task // what each worker does first; nil: nothing
	All           bool      // each line goes to every worker
	Output
	Group
}

// Halt says what the first failure means for the rest of a batch.
type Halt string

// The ways to go on after a failure.
const (
	HaltNever Halt = "never" // as if it were none
	HaltSoon  Halt = "soon"  // start nothing new
	HaltNow   Halt = "now"   // and end what runs
)

// Serve keeps the workers and the keys of a file alive.
type Serve struct {
	File  string
	Grace time.Duration
	Output
}

// Help explains a command, or all of them when Topic is empty.
type Help struct{ Topic string }

// Version says which program this is.
type Version struct{}

// Worker declares a group of workers.
type Worker struct{ Group }

// Add runs a task periodically, as a cron line says, or once, under a key.
type Add struct {
	Line   int // of the file
	Task   ipc.Task
	Group  string // who runs it; empty: the first group
	Every  time.Duration
	Expire time.Duration
	Once   bool

	Stagger schedule.Stagger
	Cron    *schedule.Cron // nil: it is no cron line
	When    string         // that of Cron, as it was written, with its zone
	Missed  schedule.Missed
}

// Verb is how its line begins.
func (a *Add) Verb() string {
	if a.Cron != nil {
		return "cron"
	}
	return "add"
}

// Pause stops periodic runs for a time, of all keys or of some.
type Pause struct {
	Line int // of the file
	For  time.Duration
	Keys []string
}

func (*Run) command()     {}
func (*Serve) command()   {}
func (*Help) command()    {}
func (*Version) command() {}
func (*Worker) command()  {}
func (*Add) command()     {}
func (*Pause) command()   {}

// Output is how a command speaks.
type Output struct {
	Format   Format
	Quiet    bool
	Verbose  bool
	Color    string // auto, always, never
	Progress string // auto, plain, none
}

// Group is what runs tasks: a number of equal worker processes.
type Group struct {
	Name         string
	Workers      int // 0: the number of CPUs
	MaxWorkers   int // as many as there is work for; 0: Workers
	Wire         ipc.Wire
	Window       int           // tasks that a worker may have at once; 0: as many as it has lately done in a millisecond
	Timeout      time.Duration // of a task; 0: none
	StartTimeout time.Duration // from a worker's start to its first answer
	Memory       Size          // of a built-in worker; of another one, a bound on its cgroup, and 0: none
	Cgroup       string        // a delegated cgroup v2 directory; each worker has a group in it. Empty: none
	CleanEnv     bool          // workers see little of the environment
	Recycle      Recycle
	CoolDown     time.Duration // how long a key is set aside that keeps killing workers; 0: never
	Command      []string      // nil: the built-in worker
	Exec         bool          // Command is no worker: it is started once for each task
}

// Recycle says when a worker that is well is replaced; each zero field: never.
type Recycle struct {
	Tasks  int
	Age    time.Duration
	Memory Size
}

// builtIn is the group of a serve file that declares none.
func builtIn() Group {
	return Group{
		Name: "main", Wire: ipc.Msgpack, Memory: DefaultMemory, StartTimeout: 30 * time.Second, CoolDown: time.Minute,
	}
}

// DefaultMemory is the memory of a built-in worker.
const DefaultMemory Size = 512 << 20

// Place is where a line stands.
type Place int

// The places.
const (
	InShell Place = iota // after "master"
	InFile               // in a serve file
)

// UsageError says what is wrong with a line, and what would be right.
type UsageError struct {
	Verb    string // empty: the command itself is not known
	Message string
}

func (e *UsageError) Error() string {
	if e.Verb == "" {
		return e.Message
	}
	return e.Verb + ": " + e.Message
}

// verb is one command of the grammar.
type verb struct {
	name    string
	place   Place
	summary string // half a line
	usage   string // what follows the name
	text    string // what there is to know beside the options
	build   func() *builder
}

// builder makes one Command: pflag fills it, finish takes the words that are no options.
type builder struct {
	flags  *pflag.FlagSet
	named  map[string]string                            // options of no flag, which are arguments by their names; nil: they are wrong
	finish func(words, after []string) (Command, error) // after: what follows --; nil without one
}

func newBuilder() *builder {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	return &builder{flags: f}
}

// Parse turns the words of a line into a command. Env, when it is not nil, is asked for options that the line does not
// give: --keep-order as MASTER_KEEP_ORDER. The error is a *UsageError.
func Parse(words []string, place Place, env func(string) (string, bool)) (Command, error) {
	if len(words) == 0 {
		return nil, &UsageError{Message: "no command"}
	}
	v, err := find(words[0], place)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.ContainsRune(w, 0) }) {
		return nil, &UsageError{v.name, "a NUL byte has no place in a line"}
	}
	b := v.build()
	words = words[1:]
	var after []string
	if dash := slices.Index(words, "--"); dash >= 0 {
		words, after = words[:dash], append([]string{}, words[dash+1:]...)
	}
	if b.named != nil {
		words = takeNamed(words, b)
	}
	words, numbers := hideNumbers(words, b.flags)
	if err := b.flags.Parse(words); errors.Is(err, pflag.ErrHelp) {
		return &Help{Topic: v.name}, nil
	} else if err != nil {
		return nil, &UsageError{v.name, flagMessage(err, b.flags)}
	}
	if err := settings(b.flags, env); err != nil {
		return nil, &UsageError{v.name, err.Error()}
	}
	words = b.flags.Args()
	for i, w := range words {
		if strings.HasPrefix(w, hidden) {
			words[i] = numbers[0]
			numbers = numbers[1:]
		}
	}
	c, err := b.finish(words, after)
	if err != nil {
		return nil, &UsageError{v.name, err.Error()}
	}
	return c, nil
}

// find returns the verb of that name that may stand in place.
func find(name string, place Place) (*verb, error) {
	var here []string
	for i := range verbs {
		v := &verbs[i]
		if v.place == place {
			here = append(here, v.name)
		}
		if v.name == name && v.place == place {
			return v, nil
		}
	}
	for _, v := range verbs {
		if v.name == name && place == InShell {
			return nil, &UsageError{Message: name + " stands in a file for master serve, and not here"}
		}
		if v.name == name {
			return nil, &UsageError{Message: name + " stands after master in a shell, and not in a file"}
		}
	}
	hint := didYouMean(name, here)
	if hint == "" {
		hint = "; there are: " + strings.Join(here, ", ")
	}
	return nil, &UsageError{Message: fmt.Sprintf("no command %q%s", Safe(name), hint)}
}

// hidden stands in for an argument like -5, which pflag would take for an option.
const hidden = "\x00number"

// hideNumbers replaces words that are negative numbers, but for those that are an option's value.
func hideNumbers(words []string, flags *pflag.FlagSet) (replaced, numbers []string) {
	replaced = slices.Clone(words)
	for i, w := range words {
		_, isNumber := number(w)
		if !isNumber || w[0] != '-' || w == "-0" && flags.ShorthandLookup("0") != nil {
			continue
		}
		if i == 0 || !takesValue(words[i-1], flags) {
			replaced[i] = hidden
			numbers = append(numbers, w)
		}
	}
	return replaced, numbers
}

// takesValue reports whether the word is an option whose value is the next word.
func takesValue(word string, flags *pflag.FlagSet) bool {
	var f *pflag.Flag
	switch {
	case strings.HasPrefix(word, "--"):
		f = flags.Lookup(word[2:])
	case len(word) == 2 && word[0] == '-':
		f = flags.ShorthandLookup(word[1:])
	}
	return f != nil && f.NoOptDefVal == ""
}

// flagMessage words what pflag found wrong.
func flagMessage(err error, flags *pflag.FlagSet) string {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if short := e.GetSpecifiedShortnames(); short != "" {
			return "no option -" + Safe(e.GetSpecifiedName())
		}
		hint := didYouMean(e.GetSpecifiedName(), flagNames(flags))
		return fmt.Sprintf("no option --%s%s", Safe(e.GetSpecifiedName()), strings.Replace(hint, "mean ", "mean --", 1))
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return optionName(e.GetFlag()) + " needs a value"
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return badValue(optionName(e.GetFlag()), e.GetFlag(), e.GetValue(), e.Unwrap())
	}
	return Safe(err.Error())
}

func flagNames(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func optionName(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand + " (--" + f.Name + ")"
	}
	return "--" + f.Name
}

// badValue says what is wrong with an option's value. What strconv says about numbers means little to a person.
func badValue(where string, f *pflag.Flag, value string, err error) string {
	switch f.Value.Type() {
	case "int":
		return fmt.Sprintf("%s: %q is no whole number", where, value)
	case "bool":
		return fmt.Sprintf("%s: %q is neither true nor false", where, value)
	}
	return fmt.Sprintf("%s: %v", where, err)
}

// settings gives options that the line leaves out their value from the environment. Inside a worker of another master
// MASTER_WIRE describes that worker, and is not looked at.
func settings(flags *pflag.FlagSet, env func(string) (string, bool)) error {
	if env == nil {
		return nil
	}
	_, nested := env("MASTER_WORKER")
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "MASTER_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := env(name)
		if !ok || value == "" || f.Changed || f.Name == "help" || nested && f.Name == "wire" || err != nil {
			return
		}
		if bad := flags.Set(f.Name, value); bad != nil {
			if e, ok := errors.AsType[*pflag.InvalidValueError](bad); ok {
				bad = e.Unwrap()
			}
			err = errors.New(badValue(name+" in the environment", f, value, bad))
		}
		f.Changed = false // it was not asked for on this line
	})
	return err
}
