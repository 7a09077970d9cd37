package ipc

import "time"

// Outcome is what became of one task. Each accepted task has exactly one.
type Outcome struct {
	Value Raw   // the value, when Err is nil; it belongs to the receiver
	Err   error // nil, or an *Error

	Worker   string        // who ran it last, "main/1"; empty when nobody did
	Attempts int           // how many times it was started
	Queued   time.Duration // from Submit to the start of its last run
	Ran      time.Duration // how long its last run took
	Shared   Shared        // how it came to this outcome, when not by a run of its own
}

// Shared says that an outcome comes from another task's run.
type Shared string

// The ways to share a run.
const (
	SharedNone      Shared = ""          // the task ran itself
	SharedJoined    Shared = "joined"    // an equal task was pending; this is its outcome
	SharedOvertaken Shared = "overtaken" // a newer task of the key ran instead; this is its outcome
)
