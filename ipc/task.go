package ipc

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxKey is the longest key, in bytes.
const MaxKey = 512

// The reserved keys: messages between a master and its workers that are no tasks.
const (
	KeyHello    = "__HELLO"
	KeyBind     = "__BIND"
	KeyCancel   = "__CANCEL"
	KeyAlive    = "__ALIVE"
	KeyProgress = "__PROGRESS"
)

var reserved = []string{KeyHello, KeyBind, KeyCancel, KeyAlive, KeyProgress}

// Task is one piece of work: run Target with Args and call the result Key. Fandango's tuple (key, target, args). A runner
// does not copy Target and Args: they must not change before the task has its outcome.
type Task struct {
	Key    string // names the result; valid UTF-8 of at most MaxKey bytes
	Target Raw    // what to run: mostly a string, the name of a function or an expression
	Args   Raw    // an array (positional), a map (named) or any other single value; nil: absent
	Options
}

// Options ride on a task. The zero value asks for nothing special.
type Options struct {
	// Timeout bounds each run of the task, counted from its start and not from the queue. 0: the runner's default;
	// below 0: none.
	Timeout time.Duration
	// Deadline bounds the wait for a start, counted from Submit; a task that has not started by then is `expired`. It is
	// time for whoever waits: that in which this process was stopped counts, too. 0: none.
	Deadline time.Duration
	// Retries is how often a task is run again after its worker crashed or it timed out. 0: at most one run, ever.
	Retries int
	// Policy says what a master does with a task whose key is pending. A runner does not look at it.
	Policy Policy
	// Idempotent allows the task to run more than once: nothing is lost when its worker dies after it has run, and before
	// its answer was written. A worker that knows how may then answer several such tasks in one write, within a
	// millisecond. Runs that come of it are none of the Retries.
	Idempotent bool
	// Keep stores the value of a sent task in the master's data table. A runner does not look at it.
	Keep bool
}

// Policy says what becomes of a task that is sent while another one of its key is pending. Except under PolicyEach, a
// task equal to the pending one joins it.
type Policy string

// The policies.
const (
	PolicyDefault Policy = ""       // PolicyAll for a send, PolicyLatest for an added key
	PolicyAll     Policy = "all"    // run one after the other, in order
	PolicyLatest  Policy = "latest" // run the newest next; overtaken callers get that run's outcome
	PolicyFirst   Policy = "first"  // drop the new task, its caller gets the pending one's outcome (Fandango's rule)
	PolicyReject  Policy = "reject" // refuse the new task
	PolicyEach    Policy = "each"   // never join: each task runs, one after the other, in order
)

// NewTask encodes target and args into a task. A nil args is absent, a typed nil too. Its error is of kind input: a key
// that is not allowed, or a value that cannot be encoded.
func NewTask(key string, target, args any) (Task, error) {
	t := Task{Key: key}
	if err := CheckKey(key); err != nil {
		return Task{}, err
	}
	var err error
	if t.Target, err = Encode(target); err != nil {
		return Task{}, Errorf(KindInput, "key %q: target: %w", key, err)
	}
	if args != nil {
		if t.Args, err = Encode(args); err != nil {
			return Task{}, Errorf(KindInput, "key %q: args: %w", key, err)
		}
		if t.Args.IsNil() { // a nil slice or pointer; on the wire it is the same
			t.Args = nil
		}
	}
	return t, nil
}

// CheckKey returns an error of kind input for a key that no task may have.
func CheckKey(key string) error {
	switch {
	case len(key) > MaxKey:
		return Errorf(KindInput, "key %.40q… is %d bytes long; at most %d are allowed", key, len(key), MaxKey)
	case !validKey(key):
		return Errorf(KindInput, "key %q is not valid UTF-8", key)
	case strings.HasPrefix(key, "__") && slices.Contains(reserved, key):
		return Errorf(KindInput, "key %q is reserved", key)
	}
	return nil
}

// validKey says that a key is valid UTF-8. Most are short and ASCII, which is seen in less time than a call takes.
func validKey[T string | []byte](key T) bool {
	const short = 32
	if len(key) <= short {
		var all byte
		for i := range len(key) {
			all |= key[i]
		}
		if all < utf8.RuneSelf {
			return true
		}
	}
	return utf8.Valid([]byte(key))
}

// String shows the task as a person would write it, for messages.
func (t Task) String() string {
	if t.Args == nil {
		return fmt.Sprintf("%s: %s", t.Key, t.Target)
	}
	return fmt.Sprintf("%s: %s %s", t.Key, t.Target, t.Args)
}
