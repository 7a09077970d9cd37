package ipc

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classes an error in one word, the same in Go, on the wire, in JSON and in the shell.
type Kind string

// The kinds. Compare with errors.Is(err, ipc.ErrTimeout), or KindOf(err) == ipc.KindTimeout.
const (
	KindTask      Kind = "task"       // the worker ran it and said that it failed
	KindCrash     Kind = "crash"      // its worker died while it ran
	KindTimeout   Kind = "timeout"    // it ran longer than allowed; its worker was killed
	KindProtocol  Kind = "protocol"   // its worker broke the protocol and was ended
	KindCancelled Kind = "cancelled"  // its caller withdrew it
	KindExpired   Kind = "expired"    // its deadline passed before it started, or a value is older than allowed
	KindInput     Kind = "input"      // it could not be made a task: bad line, key, value, size
	KindQueueFull Kind = "queue-full" // refused: the queue has no room
	KindNoWorker  Kind = "no-worker"  // no worker could be started for it
	KindClosed    Kind = "closed"     // the pool or master ended before it ran
)

// Sentinels for errors.Is, one per kind.
var (
	ErrTask      = &Error{Kind: KindTask}
	ErrCrash     = &Error{Kind: KindCrash}
	ErrTimeout   = &Error{Kind: KindTimeout}
	ErrProtocol  = &Error{Kind: KindProtocol}
	ErrCancelled = &Error{Kind: KindCancelled}
	ErrExpired   = &Error{Kind: KindExpired}
	ErrInput     = &Error{Kind: KindInput}
	ErrQueueFull = &Error{Kind: KindQueueFull}
	ErrNoWorker  = &Error{Kind: KindNoWorker}
	ErrClosed    = &Error{Kind: KindClosed}
)

// Error is a failure with its kind. Message is complete on its own; the other fields are facts for whoever needs them.
type Error struct {
	Kind    Kind
	Message string
	Type    string // the class of a worker's own error, "ValueError"; may be empty
	Trace   string // the worker's stack trace; may be empty
	Exit    *Exit  // how the worker ended, for crash, timeout and protocol
	Cause   error  // what errors.Is and errors.As see next; may be nil
}

// Errorf makes an Error. What %w wraps becomes its Cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Cause: errors.Unwrap(err)}
}

func (e *Error) Error() string {
	switch {
	case e.Message == "" && e.Type == "":
		return string(e.Kind)
	case e.Type == "":
		return e.Message
	case e.Message == "":
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an Error of the same kind that says nothing else: one of the sentinels.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Type == "" && t.Kind == e.Kind
}

// KindOf returns the kind of the first Error in err's chain, or "" when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// Exit tells how a worker process ended, and what it was like.
type Exit struct {
	Code   int    // the exit code; -1 when a signal ended it
	Signal int    // the signal that ended it; 0 when it exited
	Name   string // the signal's name, "SIGSEGV"; empty without one
	Core   bool   // the system says that it wrote a core file
	OOM    bool   // the system ended it, or a process that it had started, because its cgroup's memory was used up
	Alive  bool   // it has not ended: SIGKILL was sent and did nothing, for the kernel holds it; Code is -1

	MaxRSS int64         // peak memory in bytes; 0 where unknown
	CPU    time.Duration // user and system time
	Uptime time.Duration // from its start to its end
	Served int           // answers that it gave
	Stderr []string      // its last lines on stderr, oldest first
}

// String says it in a few words: "signal 11, SIGSEGV", "exit code 3" or "alive after SIGKILL".
func (x *Exit) String() string {
	if x.Alive {
		return "alive after SIGKILL"
	}
	why := ""
	if x.OOM {
		why = ", out of memory (its cgroup's limit)"
	}
	if x.Signal != 0 {
		return strings.TrimSuffix(fmt.Sprintf("signal %d, %s", x.Signal, x.Name), ", ") + why
	}
	return fmt.Sprintf("exit code %d", x.Code) + why
}
