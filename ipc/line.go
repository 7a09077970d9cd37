package ipc

import (
	"bytes"
	"errors"
	"io"
)

// cutKey is the most that the start of an answer can take on a line before its key is known: every byte of the key
// escaped, two quotes and a bracket.
const cutKey = 6*MaxKey + 3

// nextLine finds a message of the JSON wire in what has arrived.
func (d *Decoder) nextLine(answer bool) bool {
	for {
		b := d.unread()
		size := len(b)
		line := b
		switch end := bytes.IndexByte(b[d.line:], '\n'); {
		case end >= 0:
			line = b[:d.line+end]
			size = len(line) + 1
		case d.readErr != io.EOF || len(b) == 0: //nolint:errorlint // what Read itself returns
			d.line = len(b)
			d.longLine(answer)
			return false
		}
		found := d.wholeLine(line, size, answer)
		if d.err != nil {
			return false
		}
		d.line, d.midLine = 0, false
		if found {
			return true
		}
	}
}

// wholeLine takes a line, which is size bytes with its end.
func (d *Decoder) wholeLine(line []byte, size int, answer bool) bool {
	content := bytes.Trim(line, " \t\r")
	if !d.midLine {
		if len(content) == 0 && !answer {
			d.pos += size
			return false
		}
		err := d.parseLine(content, answer)
		if err == nil {
			d.pos += size
			return true
		}
		if d.err != nil {
			return false
		}
		if !answer {
			_ = d.dieOf(cutOff(err, line, size), "a request must be a line with a JSON array of 3 or 4 that begins with its key: %v", err)
			return false
		}
	}
	if at, found := d.answerIn(line); found || d.err != nil {
		d.text(at)
		d.pos += size - at
		return found
	}
	if !d.midLine && bytes.HasPrefix(content, []byte(`["`)) {
		if _, err := ParseJSON(content); err != nil {
			_ = d.dieOf(cutOff(err, line, size), "a line that begins like an answer must be one: %v", err)
			return false
		}
	}
	d.text(size)
	return false
}

// cutOff is the cause of an error about a line that the input's end has cut.
func cutOff(err error, line []byte, size int) error {
	if size == len(line) && errors.Is(err, errEnd) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// longLine bounds a line whose end has not come.
func (d *Decoder) longLine(answer bool) {
	b := d.unread()
	switch {
	case len(b) <= smallBuffer:
		return
	case !answer || !d.midLine && beginsLine(b):
		if len(b) > d.lim.Size {
			_ = d.die("a line has at least %d bytes; the limit is %d", len(b), d.lim.Size)
		}
		return
	}
	at := len(b)
	d.candidates(b, func(i int) bool {
		at = i
		return false
	})
	if at == len(b) || len(b) > d.lim.Size {
		at = len(b) - cutKey
	}
	if at > 0 {
		d.text(at)
		d.line -= at
		d.midLine = true
	}
}

// beginsLine reports whether a line may be a message.
func beginsLine(b []byte) bool {
	b, ok := bytes.CutPrefix(bytes.TrimLeft(b, " \t\r"), []byte("["))
	return ok && bytes.HasPrefix(bytes.TrimLeft(b, " \t\r"), []byte(`"`))
}

// candidates calls yield with the places in a line where the answer to the oldest task may begin, until it says false.
func (d *Decoder) candidates(line []byte, yield func(at int) bool) {
	var key string
	if d.cfg.Oldest == nil {
		return
	}
	start := []byte(`["`)
	for i, asked := 0, false; ; i++ {
		j := bytes.Index(line[i:], start)
		if j < 0 {
			return
		}
		i += j
		if !asked {
			var ok bool
			if key, ok = d.cfg.Oldest(); !ok {
				return
			}
			asked = true
		}
		p := jsonParser{src: line[i+1 : min(len(line), i+1+cutKey)], dst: d.parsed[len(d.parsed):]}
		if p.text() != nil {
			continue
		}
		if t, _ := next(p.dst); string(t.data) == key && !yield(i) {
			return
		}
	}
}

// maxCandidates bounds the work on a line that is made to look like many answers.
const maxCandidates = 64

// answerIn finds the answer to the oldest task at the end of a line of text.
func (d *Decoder) answerIn(line []byte) (at int, found bool) {
	tried := 0
	d.candidates(line, func(i int) bool {
		at = i
		found = d.parseLine(bytes.TrimRight(line[i:], " \t\r"), true) == nil
		tried++
		return !found && d.err == nil && tried < maxCandidates
	})
	return at, found
}

var errNoTuple = errors.New("it is no array of that size that begins with a string")

// parseLine reads a line that is a message and nothing else: an array of 2 or 3, and of a request also of 4.
func (d *Decoder) parseLine(line []byte, answer bool) error {
	if len(line) > d.lim.Size {
		return limitError{"bytes", uint64(len(line)), d.lim.Size}
	}
	free := d.parsed[len(d.parsed):]
	p := jsonParser{src: line, dst: free, lim: d.lim}
	var ends [4]int // of the key and the values
	n, most := 0, 4
	if answer {
		most = 3
	}
	if !p.at('[') {
		return errNoTuple
	}
	items, err := p.list(']', func() error {
		if n == most {
			return errNoTuple
		}
		if p.space(); n == 0 && !p.at('"') {
			return errNoTuple
		}
		err := p.value(0)
		for i := n; i < len(ends); i++ {
			ends[i] = len(p.dst)
		}
		n++
		return err
	})
	if cap(p.dst) > cap(free) {
		d.arena = p.dst[:0]
		d.parsed = d.arena
	}
	if err != nil {
		return p.wrap(err)
	}
	if items < 2 || p.i < len(line) {
		return errNoTuple
	}
	name, key := next(p.dst)
	d.found = message{bytes: p.dst, keyAt: key - len(name.data), ends: ends}
	if !d.checkKey() {
		return d.err
	}
	d.parsed = p.dst
	return nil
}
