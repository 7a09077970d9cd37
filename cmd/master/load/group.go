package load

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"time"

	"fandango/ipc"
)

// group is room for some tasks that are submitted together, used again and again.
type group struct {
	load  *Load
	tasks []ipc.Task
	args  []byte // of all tasks, one behind the other
	size  int    // of a task's args,
	head  int    // of which so many bytes are in front of the payload
	tell  func(i int, o ipc.Outcome)

	first int          // the number of the first task
	begun time.Time    // when they were all ready
	ended atomic.Int64 // tasks that have had their outcomes, or will have none; those before, too
	void  atomic.Int64 // how many of these do not count
	until atomic.Int64 // of ended, when all have
}

func (l *Load) newGroup(n int) *group {
	head := binary.BigEndian.AppendUint32([]byte{bin32}, uint32(l.Payload)) //nolint:gosec // a message has a bound
	switch {
	case l.Payload < 1<<8:
		head = []byte{bin8, byte(l.Payload)} //nolint:gosec // it fits
	case l.Payload < 1<<16:
		head = binary.BigEndian.AppendUint16([]byte{bin16}, uint16(l.Payload))
	}
	g := &group{load: l, size: len(head) + l.Payload, head: len(head)}
	g.tell = func(i int, o ipc.Outcome) { g.done(i, o.Value, o.Err) }
	g.args = make([]byte, n*g.size)
	for i := range n {
		args := g.argsOf(i)
		copy(args, head)
		g.tasks = append(g.tasks, ipc.Task{Key: "bench", Target: l.Target, Args: args, Options: l.Options})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = append(l.groups, g)
	return g
}

// The heads of msgpack's byte strings.
const (
	bin8  = 0xc4
	bin16 = 0xc5
	bin32 = 0xc6
)

func (g *group) argsOf(i int) ipc.Raw { return g.args[i*g.size : (i+1)*g.size : (i+1)*g.size] }

// number is how many bytes make a payload one of its own.
const number = 8

// fill makes n tasks ready, of which the first is task first of all; each payload has its number at both ends.
func (g *group) fill(first, n int) {
	g.first = first
	g.until.Store(g.ended.Load() + int64(n))
	for i := range n {
		var own [number]byte
		binary.LittleEndian.PutUint64(own[:], uint64(first+i)) //nolint:gosec // a count
		payload := g.argsOf(i)[g.head:]
		copy(payload, own[:])
		copy(payload[max(0, len(payload)-number):], own[:])
	}
	g.begun = time.Now()
}

// timed says that the time of task i is taken.
func (g *group) timed(i int) bool { return g.load.Mode == Sync || (g.first+i)%timedEvery == 0 }

// done takes the outcome of a task. One that the end has overtaken does not count.
func (g *group) done(i int, value ipc.Raw, err error) {
	if err == nil && g.load.Echo {
		err = g.compare(i, value)
	}
	switch {
	case err != nil && ipc.KindOf(err) == ipc.KindClosed:
		g.void.Add(1)
	case err != nil, g.timed(i):
		g.load.count(time.Since(g.begun), err)
	}
	g.over(1)
}

// refused says that n tasks will have no outcome.
func (g *group) refused(n int) {
	if n > 0 {
		g.void.Add(int64(n))
		g.over(n)
	}
}

// over says that n more tasks have had their outcomes, or will have none.
func (g *group) over(n int) {
	if g.ended.Add(int64(n)) == g.until.Load() {
		g.load.put(g)
	}
}

// compare says what is wrong with the echo of task i, as far as its length and its ends tell.
func (g *group) compare(i int, value ipc.Raw) error {
	args := g.argsOf(i)
	n := min(len(args)-g.head, number)
	if len(value) == len(args) && bytes.HasPrefix(value, args[:g.head+n]) && bytes.HasSuffix(value, args[len(args)-n:]) {
		return nil
	}
	return ipc.Errorf(ipc.KindTask, "the answer is no echo: %d bytes were sent, and %d others came back", len(args), len(value))
}
