package pool

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"fandango/ipc"
)

// Event is something that happened to a worker: exactly one of the types below.
type Event interface{ event() }

// Started says that a worker process has been started.
type Started struct {
	Worker string
	PID    int
}

// Ready says that a worker has answered its first request and takes tasks.
type Ready struct {
	Worker string
	PID    int
	Hello  ipc.Hello     // what it claims; empty when it does not know the greeting
	After  time.Duration // since its start
}

// SlowStart says once that a worker is alive and has not answered its first request.
type SlowStart struct {
	Worker string
	After  time.Duration
}

// StartFailed says that a worker could not be started, or ended before it was ready.
type StartFailed struct {
	Worker  string
	Err     error         // with an *ipc.Exit inside when there was a process
	Attempt int           // the number of failures in a row
	Next    time.Duration // until the next attempt; below 0: there will be none
	Renewal bool          // it was to take the place of a worker, which goes on
}

// NeverReady says, once, that no worker of the pool has ever been ready after 5 starts of one of them or 30 s, or
// StartTimeout when that is longer. The pool goes on trying; a caller for whom that is pointless ends it.
type NeverReady struct {
	Starts int
	Err    error // why the last start failed; nil when no start has failed yet
}

// Text is what a worker wrote to stdout that is no answer. It was skipped, and no answer was lost.
type Text struct {
	Worker string
	Text   []byte // at most 64 KiB; the receiver's own
	Lost   int    // bytes left out before it, because there was too much
}

// Stderr is a line that a worker wrote to stderr.
type Stderr struct {
	Worker string
	Line   string      // without its newline; at most 64 KiB
	Level  hclog.Level // of an hclog JSON line, else Info
	Key    string      // of the task that was running; "" when none was
	Lost   int         // bytes left out before it, because there was too much
}

// Exited says that a worker that had been ready has ended.
type Exited struct {
	Worker string
	PID    int
	Exit   ipc.Exit
	Key    string // of the task that was running; "" when none was
	Err    error  // why the pool ended it; nil when it ended by itself
	// Retired says that this is no fault: it was let go, or ended by itself with nothing to do and exit code 0.
	Retired bool
	Next    time.Duration // until its replacement starts; below 0: it has been replaced already, or will not be
}

// Unhealthy says, once, that lives of workers came to nothing more often than the intensity allows. The pool goes on
// trying, slowly.
type Unhealthy struct {
	Group  string
	Reason error // of the last failure
	Failed int   // failures
	Within time.Duration
}

// Healthy says that a worker of an unhealthy pool has answered a task.
type Healthy struct {
	Group string
	After time.Duration // since it became unhealthy
}

// SetAside says that a key's tasks have killed the canary too, and end at once as `crash` until the cool-down is over.
type SetAside struct {
	Group   string
	Key     string
	Crashes int // in a row
	Until   time.Time
	Err     error // the last crash
}

// Abandoned says that a worker has been sent SIGKILL and is still there after 5 s: the kernel holds it, in a read of a dead
// file server mostly. It can do nothing any more, its task has its outcome, and its slot starts another one, as long as
// there are not more of them than slots. It is waited for in the background, even beyond the end of Run.
type Abandoned struct {
	Worker string
	PID    int
	View   string // what the system says about it; "" where it says nothing
}

// Resized says that the pool has another number of slots.
type Resized struct {
	Group    string
	From, To int
	Why      string
}

func (Started) event()     {}
func (Ready) event()       {}
func (SlowStart) event()   {}
func (StartFailed) event() {}
func (NeverReady) event()  {}
func (Text) event()        {}
func (Stderr) event()      {}
func (Exited) event()      {}
func (Unhealthy) event()   {}
func (Healthy) event()     {}
func (SetAside) event()    {}
func (Abandoned) event()   {}
func (Resized) event()     {}
