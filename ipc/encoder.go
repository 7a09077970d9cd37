package ipc

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Encoder writes messages, many to one write: each call appends a message to a buffer, and Flush writes the buffer. It
// is for one goroutine at a time.
type Encoder struct {
	w    io.Writer
	json bool
	lim  Limits
	buf  []byte
	off  int // how much of buf is written

	scanner Scanner
}

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
	return e.message("request", key, 2, target, args, nil)
}

// RequestWith is Request with a fourth element, which is for a worker that claims options: mostly a [RequestOptions].
// Without options, it is Request.
func (e *Encoder) RequestWith(key string, target, args, options Raw) error {
	if options.IsNil() {
		return e.Request(key, target, args)
	}
	return e.message("request", key, 3, target, args, options)
}

// Answer appends [key, value], with errors as Request has them.
func (e *Encoder) Answer(key string, value Raw) error {
	return e.message("answer", key, 1, value, nil, nil)
}

// Failure appends [key, nil, error]. Of an *Error it sends the message, type and trace, cut to 64 KiB each, and its
// kind when that is input or timeout; of any other error its text.
func (e *Encoder) Failure(key string, err error) error {
	return e.message("failure", key, 2, nil, failure(err), nil)
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

// message appends [key, a], [key, a, b] or [key, a, b, c]: a key and n values.
func (e *Encoder) message(what, key string, n byte, a, b, c Raw) error {
	if len(key) > MaxKey || !utf8.ValidString(key) {
		return Errorf(KindInput, "%s of key %.40q: a key is UTF-8 of at most %d bytes, and this one has %d", what, key, MaxKey, len(key))
	}
	if err := e.fits(a, b, c); err != nil {
		return Errorf(KindInput, "%s of key %q: %w", what, key, err)
	}
	start := len(e.buf)
	if e.json {
		e.line(key, n, a, b, c)
	} else {
		e.tuple(key, n, a, b, c)
	}
	if size := len(e.buf) - start; size > e.lim.Size {
		e.buf = e.buf[:start]
		return Errorf(KindInput, "%s of key %q has %d bytes; the limit is %d", what, key, size, e.lim.Size)
	}
	return nil
}

// fits checks the values before any of them is copied.
func (e *Encoder) fits(values ...Raw) error {
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

func (e *Encoder) tuple(key string, n byte, a, b, c Raw) {
	dst := e.buf
	dst = append(dst, 0x91+n)
	dst = appendOrNil(appendString(dst, key), a)
	if n > 1 {
		dst = appendOrNil(dst, b)
	}
	if n > 2 {
		dst = append(dst, c...)
	}
	e.buf = dst
}

func appendOrNil(dst []byte, r Raw) []byte {
	if len(r) == 0 {
		return append(dst, codeNil)
	}
	return append(dst, r...)
}

func (e *Encoder) line(key string, n byte, a, b, c Raw) {
	w := jsonWriter{dst: append(e.buf, '['), nan: true}
	w.dst = appendQuoted(w.dst, key)
	w.next(a)
	if n > 1 {
		w.next(b)
	}
	if n > 2 {
		w.next(c)
	}
	w.dst = append(w.dst, ']', '\n')
	e.buf = w.dst
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
func (e *Encoder) Buffered() int { return len(e.buf) - e.off }

// Flush writes what is buffered, in one Write. After an error the rest stays, and the next Flush goes on with it.
func (e *Encoder) Flush() error {
	if e.Buffered() == 0 {
		return nil
	}
	if e.off >= e.Buffered() { // else a buffer that is never empty would grow for ever
		e.buf = e.buf[:copy(e.buf, e.buf[e.off:])]
		e.off = 0
	}
	n, err := e.w.Write(e.buf[e.off:])
	e.off += min(max(n, 0), e.Buffered())
	if e.Buffered() > 0 {
		if err == nil {
			err = io.ErrShortWrite
		}
		return err
	}
	e.off = 0
	if e.buf = e.buf[:0]; cap(e.buf) > largeBuffer {
		e.buf = nil
	}
	return err
}
