package ipc

import (
	"errors"
	"fmt"
)

// Raw is one encoded msgpack value. A nil or empty Raw is absent, which reads as nil.
//
// Inside other values a Raw stands for the value that it holds: in what Encode takes, and in what Decode fills.
type Raw []byte //nolint:recvcheck // it reads itself through a pointer, and shows itself as the slice it is

// codeNil is nil, encoded.
const codeNil = 0xc0

// IsNil reports whether the value is nil or absent.
func (r Raw) IsNil() bool { return len(r) == 0 || len(r) == 1 && r[0] == codeNil }

// Text returns the value when it is a string.
func (r Raw) Text() (string, bool) {
	b, ok := r.TextBytes()
	return string(b), ok
}

// TextBytes is Text without a copy: the bytes are those of r.
func (r Raw) TextBytes() ([]byte, bool) {
	size, head, ok := stringHead(r)
	if !ok || size != len(r)-head {
		return nil, false
	}
	return r[head:], true
}

// String shows the value as compact JSON, as AppendJSON does.
func (r Raw) String() string { return string(r.AppendJSON(nil)) }

// MarshalJSON is AppendJSON, for encoding/json.
func (r Raw) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// UnmarshalJSON is ParseJSON, for encoding/json.
func (r *Raw) UnmarshalJSON(b []byte) (err error) {
	*r, err = ParseJSON(b)
	return err
}

// MarshalMsgpack gives the value itself to the msgpack package.
func (r Raw) MarshalMsgpack() ([]byte, error) {
	if len(r) == 0 {
		return []byte{codeNil}, nil
	}
	return r, nil
}

// UnmarshalMsgpack takes a copy of the value that the msgpack package found.
func (r *Raw) UnmarshalMsgpack(b []byte) error {
	*r = append(Raw(nil), b...)
	return nil
}

// check returns an error unless r is absent or exactly one value within the limits. The size needs none: r is in memory.
func (r Raw) check() error {
	if len(r) == 0 {
		return nil
	}
	s := Scanner{lim: Limits{Size: len(r)}.orDefault()}
	if err := s.whole(r); err != nil {
		return fmt.Errorf("malformed value % x: %w", preview(r), err)
	}
	return nil
}

// preview cuts what an error shows of b.
func preview(b []byte) []byte { return b[:min(len(b), 24)] }

// pathError says what is wrong with a part of a value, and where it sits.
type pathError struct{ path, what string }

func (e *pathError) Error() string {
	if e.path == "" {
		return e.what
	}
	return e.what + ", at " + e.path
}

// inside puts a step in front of where err sits.
func inside(err error, step string) error {
	var e *pathError
	switch {
	case errors.Is(err, errDepth):
		return err // 128 steps help nobody
	case errors.As(err, &e):
		return &pathError{path: step + e.path, what: e.what}
	}
	return fmt.Errorf("%s: %w", step, err)
}
