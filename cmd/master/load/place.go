package load

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"time"

	"fandango/ipc"
)

// place is room for one task under way, used again and again.
type place struct {
	task    ipc.Task
	payload []byte // the bytes that task.Args carries
	timed   bool
	begun   time.Time // of a timed task
}

func (l *Load) newPlace() place {
	args := binary.BigEndian.AppendUint32(ipc.Raw{bin32}, uint32(l.Payload)) //nolint:gosec // a message has a bound
	switch {
	case l.Payload < 1<<8:
		args = ipc.Raw{bin8, byte(l.Payload)} //nolint:gosec // it fits
	case l.Payload < 1<<16:
		args = binary.BigEndian.AppendUint16(ipc.Raw{bin16}, uint16(l.Payload))
	}
	head := len(args)
	args = append(args, make([]byte, l.Payload)...)
	return place{task: ipc.Task{Key: "bench", Target: l.Target, Args: args, Options: l.Options}, payload: args[head:]}
}

// group is the places of tasks that are submitted together.
type group struct {
	load   *Load
	places []place
	tasks  []ipc.Task   // of places
	left   atomic.Int32 // tasks without an outcome
}

func (l *Load) newGroup(size int) *group {
	g := &group{load: l}
	for range size {
		p := l.newPlace()
		g.places, g.tasks = append(g.places, p), append(g.tasks, p.task)
	}
	return g
}

// fill makes n places ready, for task i and those after it.
func (g *group) fill(i, n int) {
	for k := range n {
		p := &g.places[k]
		p.timed = (i+k)%timedEvery == 0
		p.fill(i + k)
	}
	g.left.Store(int32(n)) //nolint:gosec // a few
}

// done takes the outcome of a task.
func (g *group) done(i int, o ipc.Outcome) {
	g.load.count(&g.places[i], o.Value, o.Err)
	g.over(1)
}

// over says that so many more tasks have had their outcomes, or will have none.
func (g *group) over(n int) {
	if n > 0 && g.left.Add(int32(-n)) == 0 { //nolint:gosec // a few
		g.load.put(g)
	}
}

// The heads of msgpack's byte strings.
const (
	bin8  = 0xc4
	bin16 = 0xc5
	bin32 = 0xc6
)

// number is how many bytes make a payload one of its own.
const number = 8

// fill makes the place ready for task i, whose payload has its number at both ends.
func (p *place) fill(i int) {
	var own [number]byte
	binary.LittleEndian.PutUint64(own[:], uint64(i)) //nolint:gosec // a count
	copy(p.payload, own[:])
	copy(p.payload[max(0, len(p.payload)-number):], own[:])
	if p.timed {
		p.begun = time.Now()
	}
}

// compare says what is wrong with an echo, as far as its length and its ends tell.
func (p *place) compare(value ipc.Raw) error {
	n := min(len(p.payload), number)
	if len(value) == len(p.task.Args) && bytes.HasPrefix(value, p.task.Args[:len(p.task.Args)-len(p.payload)+n]) &&
		bytes.HasSuffix(value, p.payload[len(p.payload)-n:]) {
		return nil
	}
	return ipc.Errorf(ipc.KindTask, "the answer is no echo: %d bytes were sent, and %d others came back", len(p.task.Args), len(value))
}
