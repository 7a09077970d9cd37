package ipc

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
	Depth      int // nesting; 128
	Containers int // arrays and maps; 1,000,000
	Elements   int // values in all; 16,777,216
}
