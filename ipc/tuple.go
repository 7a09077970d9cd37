package ipc

import (
	"bytes"
	"unicode/utf8"
)

// nextTuple finds a msgpack message in what has arrived.
func (d *Decoder) nextTuple(answer bool) bool {
	size := 0
	if d.scanned == 0 {
		if size = d.flat(d.unread(), answer); size > d.mostFlat {
			size = 0
		}
		if size == 0 && !d.begin(answer) {
			return false
		}
	}
	if size == 0 {
		size = d.whole(d.unread())
	}
	if size == 0 || !d.checkKey() {
		return false
	}
	d.pos += size
	d.largest = max(d.largest, size)
	d.scanned = 0
	return true
}

// whole takes the message apart that b begins with, if it has arrived. It returns its size, or 0.
func (d *Decoder) whole(b []byte) int {
	if d.scanned == 0 {
		d.scanner.Reset()
	}
	n, done, err := d.scanner.Scan(b[d.scanned:])
	d.scanned += n
	switch {
	case err != nil:
		_ = d.dieOf(err, "a malformed message%s: %v", ofKey(b), err)
	case done:
		size, head, _ := stringHead(b[1:])
		at := 1 + head + size
		d.found = message{bytes: b, keyAt: 1 + head, ends: [4]int{at, d.scanned, d.scanned, d.scanned}}
		for i := range b[0] - 0x92 {
			at += sizeOf(b[at:d.scanned])
			d.found.ends[1+i] = at
		}
		return d.scanned
	default:
		if n, _, ok := stringHead(b[1:]); ok && n > MaxKey { // no need to wait for the rest of it
			_ = d.die("a key has %d bytes; at most %d are allowed", n, MaxKey)
		}
	}
	return 0
}

// begin takes the text before a message, and reports whether one begins.
func (d *Decoder) begin(answer bool) bool {
	b := d.unread()
	switch {
	case len(b) == 0:
		return false
	case beginsTuple(b[0]), b[0] == 0x94 && !answer:
	case answer:
		n, found := textBefore(b, d.cfg.Oldest)
		d.text(n)
		if !found {
			return false
		}
		b = b[n:]
	case b[0] == '[':
		_ = d.die("a request must be an array of 3 or 4; this is JSON: set MASTER_WIRE=json to read it")
		return false
	default:
		_ = d.die("a request must be an array of 3 or 4; this is something else")
		return false
	}
	switch {
	case len(b) == 1:
		return false
	case !beginsString(b[1]):
		_ = d.die("a message must be an array whose first item is a string, the key")
		return false
	}
	return true
}

// beginsTuple reports whether c is the head of an array of 2 or 3. An array of 4 is no answer.
func beginsTuple(c byte) bool { return c == 0x92 || c == 0x93 }

func beginsString(c byte) bool { return c >= 0xa0 && c < 0xc0 || c >= 0xd9 && c <= 0xdb }

// stringHead reads the head of a string, when it is there: the string's size and the head's own.
func stringHead(b []byte) (size, head int, ok bool) {
	if len(b) == 0 || !beginsString(b[0]) {
		return 0, 0, false
	}
	if b[0] < 0xc0 {
		return int(b[0] & 0x1f), 1, true
	}
	head = 1 + int(heads[b[0]].arg)
	if len(b) < head {
		return 0, 0, false
	}
	return int(bigEndian(b[1:head])), head, true
}

// textBefore says how much of b is text, and whether a message begins behind it. Text goes by whole UTF-8 characters,
// whose later bytes may look like the start of a message; a byte that is no part of one stands alone. The answer to the
// oldest task begins wherever it stands. What cannot be told yet is no text yet.
func textBefore(b []byte, oldest func() (string, bool)) (n int, found bool) {
	answer, whole := answerIn(b, oldest)
	for n < answer {
		switch c := b[n]; {
		case beginsTuple(c):
			return n, true
		case c < utf8.RuneSelf:
			n++
			continue
		}
		rest := b[n:]
		if whole {
			rest = b[n:answer]
		} else if !utf8.FullRune(rest) {
			return n, false
		}
		_, size := utf8.DecodeRune(rest)
		if n+size > answer {
			return n, false
		}
		n += size
	}
	return n, n < len(b)
}

// answerIn finds the answer to the oldest task, or, when it is not whole, what may be the start of one at the end of b.
// Without either it returns len(b).
func answerIn(b []byte, oldest func() (string, bool)) (at int, whole bool) {
	if oldest == nil || len(b) == 0 {
		return len(b), false
	}
	key, ok := oldest()
	if !ok {
		return len(b), false
	}
	mark := appendString(make([]byte, 0, 64), key)
	for i := 1; ; {
		j := bytes.Index(b[min(i, len(b)):], mark)
		if j < 0 {
			break
		}
		if i += j; beginsTuple(b[i-1]) {
			return i - 1, true
		}
		i++
	}
	for i := max(0, len(b)-len(mark)); i < len(b); i++ {
		if beginsTuple(b[i]) && bytes.HasPrefix(mark, b[i+1:]) {
			return i, false
		}
	}
	return len(b), false
}
