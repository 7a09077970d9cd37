package load

import (
	"bytes"
	"encoding/binary"
	"time"

	"fandango/ipc"
)

// place is room for one task under way, used again and again.
type place struct {
	task    ipc.Task
	payload []byte // the bytes that task.Args carries
	done    func(ipc.Outcome)
	timed   bool
	begun   time.Time // of a timed task
}

func (l *Load) newPlace() *place {
	args := binary.BigEndian.AppendUint32(ipc.Raw{bin32}, uint32(l.Payload)) //nolint:gosec // a message has a bound
	switch {
	case l.Payload < 1<<8:
		args = ipc.Raw{bin8, byte(l.Payload)} //nolint:gosec // it fits
	case l.Payload < 1<<16:
		args = binary.BigEndian.AppendUint16(ipc.Raw{bin16}, uint16(l.Payload))
	}
	head := len(args)
	args = append(args, make([]byte, l.Payload)...)
	p := &place{task: ipc.Task{Key: "bench", Target: l.Target, Args: args, Options: l.Options}, payload: args[head:]}
	p.done = func(o ipc.Outcome) { l.put(p, o) }
	return p
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
