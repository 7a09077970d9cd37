package ipc

import (
	"fmt"
	"io"
	"strings"
)

// Request is a message down to a worker. Its Raws are valid until the decoder reads again.
type Request struct {
	Key     string
	Target  Raw
	Args    Raw // nil: nil or absent on the wire
	Options Raw // as Args: for a worker that claims options, mostly a [RequestOptions]
}

// Answer is a message up from a worker. Its bytes are valid until the decoder reads again, but for those of a large value.
type Answer struct {
	Key   []byte // valid UTF-8
	Value Raw    // nil when Err is set
	Err   *Error // of kind task, unless the worker is one of ours and says input or timeout
	Given bool   // the Value is the receiver's: the decoder has made a buffer for it alone, and forgotten that

	room []byte // the buffer of a Value that is given
}

// DecoderConfig says what a Decoder reads. The zero value reads msgpack within the default limits, and drops text.
type DecoderConfig struct {
	Wire   Wire
	Limits Limits
	// Oldest returns the key of the oldest task in flight, whose answer is found wherever it stands in text. It is
	// asked only when text has been met. nil: no task is ever in flight.
	Oldest func() (string, bool)
	// Text gets what is no message, in pieces of at most 64 KiB that are valid until it returns. nil: it is dropped.
	Text func([]byte)
}

// Decoder reads messages, many from one Read. Its buffer grows only as bytes arrive; a large one is given back, or goes to
// whoever receives the answer that fills it. It is for one goroutine at a time.
type Decoder struct {
	r   io.Reader
	cfg DecoderConfig
	lim Limits

	mostFlat int   // bytes of a message that is taken at a glance
	err      error // why it is dead

	found message
	keys  strings.Builder // the keys of the last requests: each one shares its memory with some others

	buf     []byte
	pos     int    // what is before it has been handed out
	small   []byte // the buffer of messages that are not large; buf is this one, or a large one
	bulky   bool   // the last answer had a buffer of its own
	spare   []byte // such a buffer, which has come back
	largest int    // bytes of the largest message that has come whole
	readErr error  // what Read gave with the last bytes, for when they are used up

	scanner Scanner
	scanned int // how far the message at pos is scanned; 0: none has begun

	line    int    // how far the line at pos is searched for its end
	midLine bool   // the start of that line is handed out as text
	parsed  []byte // the msgpack of a JSON line's values; what follows it is free
	arena   []byte // all of what parsed is a part of
}

// message is one that was found.
type message struct {
	bytes []byte
	keyAt int    // where its key begins, behind the head of that,
	ends  [4]int // where its key and its values end; what is absent is empty, and only a request has a third value
}

func (m *message) key() []byte { return m.bytes[m.keyAt:m.ends[0]] }

func (m *message) value(i int) Raw { return m.bytes[m.ends[i]:m.ends[i+1]:m.ends[i+1]] }

// NewDecoder returns a Decoder that reads from r.
func NewDecoder(r io.Reader, cfg DecoderConfig) *Decoder {
	lim := cfg.Limits.orDefault()
	d := &Decoder{r: r, cfg: cfg, lim: lim, scanner: Scanner{lim: lim, around: 1}}
	if lim.admitsFlat() {
		d.mostFlat = lim.Size
	}
	return d
}

// Request reads the next request. The error is io.EOF when the input ends between two of them; an *Error of kind
// protocol when it ends inside one, or holds anything else than requests: then the decoder is dead and repeats it. Any
// other error is the reader's, and the next call goes on where it stopped.
func (d *Decoder) Request() (r Request, err error) {
	if err = d.next(false); err == nil {
		d.request(&r)
	}
	return r, err
}

// RequestNow is Request for what has been read already, as AnswerNow.
func (d *Decoder) RequestNow(r *Request) (ok bool, err error) {
	if ok = d.now(false); ok {
		d.request(r)
	}
	return ok, d.err
}

// request fills r with the message that was found.
func (d *Decoder) request(r *Request) {
	m := &d.found
	r.Key, r.Target = d.keyOf(m.key()), m.value(0)
	r.Args, r.Options = present(m.value(1)), present(m.value(2))
}

// keysTogether is how many bytes of keys share an allocation. Whoever keeps one of them keeps as much.
const keysTogether = 1 << 10

// keyOf is a key as a string. To allocate each by itself would take as long as to take a short message apart.
func (d *Decoder) keyOf(key []byte) string {
	if d.keys.Cap()-d.keys.Len() < len(key) {
		d.keys = strings.Builder{}
		d.keys.Grow(max(keysTogether, len(key)))
	}
	at := d.keys.Len()
	d.keys.Write(key)
	return d.keys.String()[at:]
}

// present is r, or nil where it stands for nothing.
func present(r Raw) Raw {
	if r.IsNil() {
		return nil
	}
	return r
}

// Answer reads the next answer, and hands text on the way to the config's Text. Its errors are those of Request.
func (d *Decoder) Answer() (a Answer, err error) {
	if err = d.next(true); err == nil {
		err = d.answer(&a)
	}
	return a, err
}

// AnswerNow is Answer for what has been read already: when there is a whole answer in it, it fills a with that and says ok.
// What earlier calls have given stays valid.
func (d *Decoder) AnswerNow(a *Answer) (ok bool, err error) {
	ok = d.now(true) && d.answer(a) == nil
	return ok, d.err
}

// answer fills a with the message that was found.
func (d *Decoder) answer(a *Answer) error {
	*a = Answer{Key: d.found.key()}
	value, fault := d.found.value(0), d.found.value(1)
	if fault.IsNil() {
		a.Value, a.room = value, d.give(value)
		a.Given = a.room != nil
		return nil
	}
	if !value.IsNil() {
		d.err = Errorf(KindProtocol, "the answer of key %.40q has a value and an error, so it echoes requests: is it cat?", a.Key)
		return d.err
	}
	var ok bool
	if a.Err, ok = taskError(fault); !ok {
		t, _ := next(fault)
		d.err = Errorf(KindProtocol, "the error of key %.40q must be a string or a map, not %s", a.Key, t.kind)
	}
	return d.err
}

// Keep makes the Raws of the last message valid for good: the decoder goes on in another buffer.
func (d *Decoder) Keep() {
	d.buf = append(make([]byte, 0, max(smallBuffer, len(d.unread()))), d.unread()...)
	d.pos, d.small = 0, nil
	d.parsed, d.arena = nil, nil
}

// Reuse takes the Value of an answer back, if it was given, and nobody has it any more: the next one as large is read to
// where it is. So its memory need not be new, which means cleared.
func (d *Decoder) Reuse(a *Answer) {
	if a.Given && cap(a.room) <= largeBuffer {
		d.spare = a.room[:0]
	}
}

// give leaves the buffer to a value that was found, if that is most of it, and goes on in the small one.
func (d *Decoder) give(value Raw) (room []byte) {
	d.bulky = d.cfg.Wire != JSON && cap(d.buf) > smallBuffer && len(value) >= cap(d.buf)/2
	if !d.bulky || len(d.unread()) > smallBuffer {
		d.spare = nil
		return nil
	}
	room = d.buf
	d.useSmall()
	return room
}

// useSmall goes on in the small buffer.
func (d *Decoder) useSmall() {
	if cap(d.small) == 0 {
		d.small = make([]byte, 0, smallBuffer)
	}
	d.buf, d.pos = d.small[:copy(d.small[:smallBuffer], d.unread())], 0
}

// now finds the next message in what has been read already.
func (d *Decoder) now(answer bool) bool { return d.err == nil && d.pos < len(d.buf) && d.find(answer) }

// next finds the next message; text is allowed before an answer.
func (d *Decoder) next(answer bool) error {
	for d.err == nil {
		switch found := d.find(answer); {
		case found:
			return nil
		case d.err == nil:
			if err := d.fill(answer); err != nil {
				return err
			}
		}
	}
	return d.err
}

// find finds the next message in what has arrived.
func (d *Decoder) find(answer bool) bool {
	if d.cfg.Wire == JSON {
		return d.nextLine(answer)
	}
	return d.nextTuple(answer)
}

// unread is what has arrived and is not handed out.
func (d *Decoder) unread() []byte { return d.buf[d.pos:] }

// fill reads once. What is unread has no whole message in it.
func (d *Decoder) fill(answer bool) error {
	if d.readErr != nil {
		err := d.readErr
		if err == io.EOF { //nolint:errorlint // what Read itself returns
			return d.end(answer)
		}
		d.readErr = nil
		return err
	}
	d.makeRoom()
	room := d.buf[len(d.buf):cap(d.buf)]
	if d.bulky && len(d.buf) == 0 { // the next one may be large, too: read it to where it shall be
		room = room[:min(len(room), peek)]
	}
	room = room[:min(len(room), mostRead)]
	for range 100 {
		n, err := d.r.Read(room)
		if n < 0 || n > len(room) {
			return d.die("the reader says that it read %d bytes into %d", n, len(room))
		}
		d.buf = d.buf[:len(d.buf)+n]
		if n > 0 || err == io.EOF {
			d.readErr = err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// mostRead is what is read at once: a pipe gives all that a read asks for before who waits to write to it goes on.
const mostRead = 256 << 10

// peek is what is read of a message where large ones come, before there is a buffer for it; and what a buffer that is made
// for a message has beyond it.
const peek = 4 << 10

// makeRoom moves what is unread to the start of a buffer that has room behind it: for the whole message at once, as far as
// what it announces is believed. That is four times what has come of it, or the size of one that has come whole.
func (d *Decoder) makeRoom() {
	if cap(d.arena) > largeBuffer {
		d.arena = nil
	}
	d.parsed = d.arena[:0]
	rest := d.unread()
	size, grow := max(smallBuffer, 2*len(rest)), len(rest) == cap(d.buf)
	if d.scanned > 0 && d.scanner.least > uint64(cap(d.buf)) {
		least := int(d.scanner.least)
		size = max(size, min(least, max(4*len(rest), d.largest))+peek)
		grow = grow || least <= d.largest && cap(d.buf) <= smallBuffer
	}
	switch {
	case cap(d.buf) == 0, cap(d.buf) > largeBuffer && len(rest) <= smallBuffer/2 && !grow:
		d.useSmall()
	case grow:
		d.buf = append(d.newBuffer(size), rest...)
	case d.pos > 0:
		d.buf = d.buf[:copy(d.buf, rest)]
	}
	d.pos = 0
}

// newBuffer is the spare one, if that is as large, or a new one.
func (d *Decoder) newBuffer(size int) []byte {
	spare := d.spare
	d.spare = nil
	if size <= cap(spare) && cap(spare) <= 2*size {
		return spare
	}
	return make([]byte, 0, size)
}

// end says what it means that the input ends here.
func (d *Decoder) end(answer bool) error {
	rest := d.unread()
	switch {
	case len(rest) == 0:
		return io.EOF
	case d.scanned > 0:
		return d.dieOf(io.ErrUnexpectedEOF, "the input ended inside a message: got %d of at least %d bytes", len(rest), d.scanner.least)
	case !answer || beginsTuple(rest[0]):
		return d.dieOf(io.ErrUnexpectedEOF, "the input ended inside a message: got %d of at least %d bytes", len(rest), len(rest)+1)
	}
	d.text(len(rest))
	return io.EOF
}

// text hands n bytes on as text.
func (d *Decoder) text(n int) {
	for b := d.buf[d.pos : d.pos+n]; len(b) > 0 && d.cfg.Text != nil; {
		piece := b[:min(len(b), smallBuffer)]
		d.cfg.Text(piece)
		b = b[len(piece):]
	}
	d.pos += n
}

// die makes the decoder dead, with an error that shows the bytes.
func (d *Decoder) die(format string, args ...any) error {
	return d.dieOf(nil, format, args...)
}

func (d *Decoder) dieOf(cause error, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if b := preview(d.unread()); len(b) > 0 {
		message += fmt.Sprintf(" (got %q, % x)", b, b)
	}
	d.err = &Error{Kind: KindProtocol, Message: message, Cause: cause}
	return d.err
}

// checkKey refuses a message whose key is none.
func (d *Decoder) checkKey() bool {
	switch key := d.found.key(); {
	case len(key) > MaxKey:
		_ = d.die("a key has %d bytes; at most %d are allowed", len(key), MaxKey)
		return false
	case !validKey(key):
		_ = d.die("a key is not valid UTF-8")
		return false
	}
	return true
}

// ofKey names the key of a message that has begun, when it is there.
func ofKey(b []byte) string {
	if t, _ := next(b[1:]); t.kind == kindString {
		return fmt.Sprintf(" of key %.40q", t.data)
	}
	return ""
}

// taskError reads the error of an answer: a string, or a map {message, type, trace}, and kind from a worker of ours.
func taskError(r Raw) (*Error, bool) {
	t, size := next(r)
	e := &Error{Kind: KindTask}
	switch t.kind {
	case kindString:
		e.Message = clean(t.data)
	case kindMap:
		rest := r[size:]
		for range t.n {
			k, _ := next(rest)
			rest = rest[sizeOf(rest):]
			n := sizeOf(rest)
			e.fact(string(k.data), rest[:n:n])
			rest = rest[n:]
		}
	default:
		return nil, false
	}
	if e.Message == "" && e.Type == "" {
		e.Message = "the worker gave no reason"
	}
	return e, true
}

// fact takes one member of an error map; unknown ones are ignored.
func (e *Error) fact(name string, value Raw) {
	t, _ := next(value)
	text := clean(t.data)
	if t.kind != kindString {
		if text = ""; t.kind != kindNil {
			text = shorten(value.String())
		}
	}
	switch name {
	case "message":
		e.Message = text
	case "type":
		e.Type = text
	case "trace":
		e.Trace = text
	case "kind":
		if k := Kind(text); k == KindInput || k == KindTimeout {
			e.Kind = k
		}
	}
}

// clean makes valid text of bounded size of what a worker says about a failure.
func clean(b []byte) string { return shorten(strings.ToValidUTF8(string(b), "\ufffd")) }
