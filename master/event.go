package master

import "time"

// Event is something that the owner of a master may want to know: Panicked, Slow, Hung or Missed. They go to
// Config.Event.
type Event interface{ event() }

// Panicked says that a callback panicked, or ended its goroutine with runtime.Goexit. It counts as returned.
type Panicked struct {
	Key   string
	Cause any    // what it panicked with; nil when it called Goexit
	Stack []byte // of the callback; nil for the eleventh and more of one second
}

// Slow says that a callback takes longer than Config.Slow. It is sent once for each such callback, while it runs.
type Slow struct {
	Key string
	For time.Duration // how long it has run
}

// Hung says that a callback had not returned when Run gave up waiting for it. Its goroutine is still there.
type Hung struct {
	Key string
	For time.Duration // how long it has run
}

// Missed says that a periodic key was due more than once before it could run: its run took longer than its period, or
// it waited behind another one. One run stands for all.
type Missed struct {
	Key  string
	Runs int // how many due times had no run of their own
}

func (Panicked) event() {}
func (Slow) event()     {}
func (Hung) event()     {}
func (Missed) event()   {}
