package ipc

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Encoder writes messages, many to one write: each call appends a message to a buffer, and Flush writes the buffer. A
// value of [LargeValue] bytes or more is not copied on the msgpack wire, but written from where it is: it must not change
// before Flush has returned nil, or Keep has been called. An Encoder is for one goroutine at a time.
type Encoder struct {
	w    io.Writer
	json bool
	lim  Limits
	buf  []byte
	off  int    // how much of buf is written
	lent []lent // large values between parts of buf, in order, that are not written to their end

	scanner Scanner
}

// lent is what is left to write of a value that the encoder has not copied.
type lent struct {
	at   int // it follows buf[:at]
	rest Raw
}

// LargeValue is how long a value is that an [Encoder] does not copy.
const LargeValue = 32 << 10

const (
	smallBuffer = 64 << 10
	largeBuffer = 4 << 20 // a buffer beyond it is given back as soon as it is empty

	// The longest error message and trace that Failure sends. The rest is cut off.
	maxMessage = 64 << 10
)

// NewEncoder returns an Encoder that writes to w.
func NewEncoder(w io.Writer, wire Wire, lim Limits) *Encoder {
	lim = lim.orDefault()
	return &Encoder{w: w, json: wire == JSON, lim: lim, scanner: Scanner{lim: lim}}
}

// Request appends [key, target, args]. A nil args is absent. The error is of kind input, when a value is none or is
// beyond the limits; then nothing is appended.
func (e *Encoder) Request(key string, target, args Raw) error {
	return e.message("request", key, target, args)
}

// RequestWith is Request with a fourth element, which is for a worker that claims options: mostly a [RequestOptions].
// Without options, it is Request.
func (e *Encoder) RequestWith(key string, target, args, options Raw) error {
	if options.IsNil() {
		return e.Request(key, target, args)
	}
	return e.message("request", key, target, args, options)
}

// Answer appends [key, value], with errors as Request has them.
func (e *Encoder) Answer(key string, value Raw) error {
	return e.message("answer", key, value)
}

// Failure appends [key, nil, error]. Of an *Error it sends the message, type and trace, cut to 64 KiB each, and its
// kind when that is input or timeout; of any other error its text.
func (e *Encoder) Failure(key string, err error) error {
	return e.message("failure", key, nil, failure(err))
}

// failure is what the wire has of an error: a string, when there is nothing else to say.
func failure(err error) Raw {
	var f *Error
	if !errors.As(err, &f) {
		return appendString(nil, shorten(err.Error()))
	}
	facts := make(map[string]any, 4)
	if f.Kind == KindInput || f.Kind == KindTimeout {
		facts["kind"] = string(f.Kind)
	}
	if f.Type != "" {
		facts["type"] = shorten(f.Type)
	}
	if f.Trace != "" {
		facts["trace"] = shorten(f.Trace)
	}
	message := f.Message
	if wrapped := err.Error(); wrapped != f.Error() {
		message = wrapped // the words around it belong to it
	}
	if len(facts) == 0 {
		return appendString(nil, shorten(message))
	}
	facts["message"] = shorten(message)
	raw, _ := Encode(facts) // strings always encode
	return raw
}

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}

// message appends an array of the key and up to three values.
func (e *Encoder) message(what, key string, values ...Raw) error {
	if len(key) > MaxKey || !validKey(key) {
		return Errorf(KindInput, "%s of key %.40q: a key is UTF-8 of at most %d bytes, and this one has %d", what, key, MaxKey, len(key))
	}
	if err := e.fits(values); err != nil {
		return Errorf(KindInput, "%s of key %q: %w", what, key, err)
	}
	var size int
	if e.json {
		size = e.line(key, values)
	} else {
		size = e.tuple(key, values)
	}
	if size > e.lim.Size {
		return Errorf(KindInput, "%s of key %q has %d bytes; the limit is %d", what, key, size, e.lim.Size)
	}
	return nil
}

// fits checks the values before any of them is copied.
func (e *Encoder) fits(values []Raw) error {
	for _, v := range values {
		if len(v) == 0 || len(v) <= e.lim.Size && e.lim.admitsFlat() && flatSize(v) == len(v) {
			continue
		}
		if err := e.scanner.whole(v); err != nil {
			return fmt.Errorf("value % x…: %w", preview(v), err)
		}
	}
	return nil
}

// tuple appends a message, unless its size, which it returns, is beyond the limit.
func (e *Encoder) tuple(key string, values []Raw) (size int) {
	start, lends := len(e.buf), len(e.lent)
	buf := appendString(append(e.buf, 0x91+byte(len(values))), key)
	for _, value := range values {
		switch {
		case len(value) == 0:
			buf = append(buf, codeNil)
		case len(value) < LargeValue:
			buf = append(buf, value...)
		default:
			first := firstPart(value, len(buf)-start)
			last := len(value) - (len(value)-first)%pageSize
			buf = append(buf, value[:first]...)
			e.lent = append(e.lent, lent{len(buf), value[first:last]})
			buf = append(buf, value[last:]...)
			size += last - first
		}
	}
	if size += len(buf) - start; size > e.lim.Size {
		clear(e.lent[lends:])
		e.lent = e.lent[:lends]
		return size
	}
	e.buf = buf
	return size
}

const pageSize = 4 << 10

// firstPart is how much of a large value is copied to go with the n bytes in front of it; the rest is written page by page
// from where it is. To and from a pipe the system copies each page with one instruction, which on some processors (AMD's
// Zen) is four times slower when its destination is 1 to 15 bytes ahead of its source within their pages. So what is left
// begins well ahead of a page's end, and where its reader, who has the message at the start of a page, is at a multiple of 64.
func firstPart(value Raw, n int) int {
	first := (64 - n%64) % 64
	if at := (reflect.ValueOf(value).Pointer() + uintptr(first)) % pageSize; at > pageSize-64 {
		first += 64
	}
	return first
}

// line is tuple on the JSON wire.
func (e *Encoder) line(key string, values []Raw) (size int) {
	w := jsonWriter{dst: append(e.buf, '['), nan: true}
	w.dst = appendQuoted(w.dst, key)
	for _, value := range values {
		w.next(value)
	}
	w.dst = append(w.dst, ']', '\n')
	if size = len(w.dst) - len(e.buf); size <= e.lim.Size {
		e.buf = w.dst
	}
	return size
}

// next writes a comma and a value that a scanner has passed.
func (w *jsonWriter) next(r Raw) {
	w.dst = append(w.dst, ',')
	if len(r) == 0 {
		r = Raw{codeNil}
	}
	w.value(r, 0)
}

// Buffered returns how many bytes wait for Flush.
func (e *Encoder) Buffered() int {
	n := len(e.buf) - e.off
	for i := range e.lent {
		n += len(e.lent[i].rest)
	}
	return n
}

// Keep copies the large values that wait for Flush, which may change from then on.
func (e *Encoder) Keep() {
	if len(e.lent) == 0 {
		return
	}
	all := make([]byte, 0, e.Buffered())
	for e.Buffered() > 0 {
		part := e.part()
		all = append(all, part...)
		e.wrote(len(part))
	}
	e.buf, e.off = all, 0
}

// Flush writes what is buffered, in one Write, and one more for each large value and for what follows it. After an error
// the rest stays, and the next Flush goes on with it.
func (e *Encoder) Flush() error {
	if e.off >= len(e.buf)-e.off { // else a buffer that is never empty would grow for ever
		e.buf = e.buf[:copy(e.buf, e.buf[e.off:])]
		for i := range e.lent {
			e.lent[i].at -= e.off
		}
		e.off = 0
	}
	for e.Buffered() > 0 {
		part := e.part()
		n, err := e.w.Write(part)
		n = min(max(n, 0), len(part))
		e.wrote(n)
		if n < len(part) && err == nil {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part is the next of what waits that lies in one piece.
func (e *Encoder) part() []byte {
	switch {
	case len(e.lent) == 0:
		return e.buf[e.off:]
	case e.off < e.lent[0].at:
		return e.buf[e.off:e.lent[0].at]
	}
	return e.lent[0].rest
}

// wrote takes n bytes off the part.
func (e *Encoder) wrote(n int) {
	if len(e.lent) > 0 && e.off == e.lent[0].at {
		if e.lent[0].rest = e.lent[0].rest[n:]; len(e.lent[0].rest) == 0 {
			e.lent = slices.Delete(e.lent, 0, 1)
		}
	} else {
		e.off += n
	}
	if e.off < len(e.buf) || len(e.lent) > 0 {
		return
	}
	e.off = 0
	if e.buf = e.buf[:0]; cap(e.buf) > largeBuffer {
		e.buf = nil
	}
}
