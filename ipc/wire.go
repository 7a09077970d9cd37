package ipc

import "math"

// Wire names an encoding of the tuples.
type Wire string

// The wires.
const (
	Msgpack Wire = "msgpack" // msgpack tuples, one after another; the default, also for ""
	JSON    Wire = "json"    // one JSON array a line
)

// Limits bound one message, both ways. A zero field is its default.
type Limits struct {
	Size       int // bytes of a message; 64 MiB
	Depth      int // nesting; 128, which is also the most
	Containers int // arrays and maps; 1,000,000
	Elements   int // values in all; 16,777,216
}

const (
	maxDepth      = 128
	maxSize       = 64 << 20
	maxContainers = 1_000_000
	maxElements   = 16 << 20
)

// orDefault fills in what is zero.
func (l Limits) orDefault() Limits {
	if l.Size <= 0 {
		l.Size = maxSize
	}
	if l.Depth <= 0 || l.Depth > maxDepth {
		l.Depth = maxDepth
	}
	if l.Containers <= 0 {
		l.Containers = maxContainers
	}
	if l.Elements <= 0 {
		l.Elements = maxElements
	}
	l.Elements = min(l.Elements, math.MaxInt32)
	return l
}
