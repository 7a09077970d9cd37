package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEncoderWrites(t *testing.T) {
	var traced error = &Error{Kind: KindInput, Message: "m", Type: "T", Trace: "tr"}
	tests := []struct {
		name    string
		call    func(*Encoder) error
		msgpack string
		json    string
	}{
		{"request", func(e *Encoder) error { return e.Request("k", encoded(t, "add"), encoded(t, []int{2, 3})) }, "\x93\xa1k\xa3add\x92\x02\x03", `["k","add",[2,3]]`},
		{"request without args", func(e *Encoder) error { return e.Request("k", encoded(t, "add"), nil) }, "\x93\xa1k\xa3add\xc0", `["k","add",null]`},
		{"request with options", func(e *Encoder) error {
			return e.RequestWith("k", encoded(t, "add"), nil, encoded(t, RequestOptions{All: true, Attempt: 2}))
		}, "\x94\xa1k\xa3add\xc0\x82\xa3all\xc3\xa7attempt\x02", `["k","add",null,{"all":true,"attempt":2}]`},
		{"request with nil options", func(e *Encoder) error {
			return e.RequestWith("k", encoded(t, "add"), encoded(t, 2), encoded(t, nil))
		}, "\x93\xa1k\xa3add\x02", `["k","add",2]`},
		{"answer", func(e *Encoder) error { return e.Answer("ü\n", encoded(t, 1.0)) }, "\x92\xa3ü\n\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", `["ü\n",1.0]`},
		{"answer nil", func(e *Encoder) error { return e.Answer("k", nil) }, "\x92\xa1k\xc0", `["k",null]`},
		{"failure", func(e *Encoder) error { return e.Failure("k", errors.New("boom")) }, "\x93\xa1k\xc0\xa4boom", `["k",null,"boom"]`},
		{"failure of a kind", func(e *Encoder) error { return e.Failure("k", Errorf(KindTask, "boom")) }, "\x93\xa1k\xc0\xa4boom", `["k",null,"boom"]`},
		{"failure wrapped", func(e *Encoder) error { return e.Failure("k", fmt.Errorf("read: %w", Errorf(KindTask, "boom"))) }, "\x93\xa1k\xc0\xaaread: boom", `["k",null,"read: boom"]`},
		{"failure with all", func(e *Encoder) error { return e.Failure("k", traced) }, "\x93\xa1k\xc0\x84\xa4kind\xa5input\xa7message\xa1m\xa5trace\xa2tr\xa4type\xa1T", `["k",null,{"kind":"input","message":"m","trace":"tr","type":"T"}]`},
	}
	for _, tt := range tests {
		for wire, want := range map[Wire]string{Msgpack: tt.msgpack, JSON: tt.json + "\n"} {
			var b bytes.Buffer
			e := NewEncoder(&b, wire, Limits{})
			if err := tt.call(e); err != nil || e.Buffered() != len(want) || b.Len() != 0 {
				t.Errorf("%s, %s: %v, %d bytes buffered, %d written", tt.name, wire, err, e.Buffered(), b.Len())
			}
			if err := e.Flush(); err != nil || b.String() != want || e.Buffered() != 0 {
				t.Errorf("%s, %s: %q, %v, want %q", tt.name, wire, b.String(), err, want)
			}
		}
	}
}

// NaN and the infinities stay floats on the JSON wire, which is read by the same rules.
func TestWireKeepsFloats(t *testing.T) {
	values := raw(t, "93 cb7ff8000000000001 cb7ff0000000000000 cbfff0000000000000")
	var b bytes.Buffer
	e := NewEncoder(&b, JSON, Limits{})
	if err := errors.Join(e.Answer("k", values), e.Flush()); err != nil || b.String() != `["k",[NaN,Infinity,-Infinity]]`+"\n" {
		t.Errorf("written: %q, %v", b.String(), err)
	}
	if a, err := NewDecoder(&b, DecoderConfig{Wire: JSON}).Answer(); err != nil || !bytes.Equal(a.Value, values) {
		t.Errorf("read: % x, %v", []byte(a.Value), err)
	}
}

// W30: what is over a limit is refused, and what was buffered stays as it was.
func TestEncoderRefuses(t *testing.T) {
	deep := Raw(append(bytes.Repeat([]byte{0x91}, 5), 0x01))
	tests := []struct {
		name string
		lim  Limits
		v    Raw
		want string
	}{
		{"size", Limits{Size: 20}, encoded(t, strings.Repeat("x", 17)), `answer of key "long key" has 28 bytes; the limit is 20`},
		{"size of the value", Limits{Size: 20}, encoded(t, strings.Repeat("x", 31)), `it has at least 32 bytes; the limit is 20`},
		{"depth", Limits{Depth: 4}, deep, `it has at least 5 levels of nesting; the limit is 4`},
		{"containers", Limits{Containers: 4}, deep, `5 arrays and maps; the limit is 4`},
		{"elements", Limits{Elements: 4}, deep, `5 values; the limit is 4`},
		{"garbage", Limits{}, Raw{0xc1}, `the byte c1 is no msgpack`},
		{"cut", Limits{}, Raw{0x92, 1}, `cut off`},
		{"more than one", Limits{}, Raw{1, 2}, `1 bytes follow it`},
	}
	for _, tt := range tests {
		for _, wire := range []Wire{Msgpack, JSON} {
			var b bytes.Buffer
			e := NewEncoder(&b, wire, tt.lim)
			if err := e.Answer("k", Raw{1}); err != nil {
				t.Fatal(err)
			}
			before := e.Buffered()
			err := e.Answer("long key", tt.v)
			if KindOf(err) != KindInput || !strings.Contains(err.Error(), `"long key"`) {
				t.Errorf("%s, %s: %v, want an input error that names the key", tt.name, wire, err)
			}
			if wire == Msgpack && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			if e.Buffered() != before {
				t.Errorf("%s, %s: %d bytes buffered, then %d", tt.name, wire, before, e.Buffered())
			}
		}
	}
}

func TestEncoderRefusesKeysThatNoDecoderTakes(t *testing.T) {
	for _, key := range []string{strings.Repeat("x", MaxKey+1), "\xff"} {
		e := NewEncoder(io.Discard, Msgpack, Limits{})
		if err := e.Request(key, Raw{1}, nil); KindOf(err) != KindInput || e.Buffered() != 0 {
			t.Errorf("key %.10q: %v, %d bytes buffered", key, err, e.Buffered())
		}
	}
}

func TestFailureFitsWhateverTheErrorSays(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	var b bytes.Buffer
	e := NewEncoder(&b, Msgpack, Limits{})
	if err := errors.Join(e.Failure("k", &Error{Kind: KindTask, Message: long, Type: long, Trace: "x" + long}), e.Flush()); err != nil {
		t.Fatal(err)
	}
	a, err := NewDecoder(&b, DecoderConfig{}).Answer()
	if err != nil || len(a.Err.Message) > maxMessage+3 || !strings.HasSuffix(a.Err.Trace, "ü…") {
		t.Errorf("%v, a message of %d bytes, a trace that ends in %q", err, len(a.Err.Message), a.Err.Trace[len(a.Err.Trace)-6:])
	}
}

// slowWriter takes a few bytes at a time and then runs into its deadline.
type slowWriter struct {
	b      bytes.Buffer
	writes int
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.writes++
	n, _ := w.b.Write(p[:min(len(p), 7)])
	if n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

func TestFlushGoesOnAfterADeadline(t *testing.T) {
	w := &slowWriter{}
	e := NewEncoder(w, Msgpack, Limits{})
	var want []string
	for i := 0; i < 50 || e.Buffered() > 0; i++ {
		if i < 50 {
			if err := e.Answer("k", encoded(t, []int{i, i * 1000})); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("k = [%d,%d]", i, i*1000))
		}
		left := e.Buffered()
		if err := e.Flush(); err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || e.Buffered() != left-7) || err == nil && e.Buffered() > 0 {
			t.Fatalf("Flush: %v, %d of %d bytes left", err, e.Buffered(), left)
		}
		if cap(e.buf) > 2048 {
			t.Fatalf("the buffer grew to %d bytes", cap(e.buf))
		}
	}
	if got := events(NewDecoder(&w.b, DecoderConfig{}), true); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	writes := w.writes
	if err := e.Flush(); err != nil || w.writes != writes {
		t.Errorf("an empty Flush: %v, %d writes", err, w.writes-writes)
	}
}

func TestFlushIsOneWrite(t *testing.T) {
	w := &countingWriter{}
	e := NewEncoder(w, Msgpack, Limits{})
	for range 10_000 {
		if err := e.Answer("k", Raw{1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(); err != nil || w.writes != 1 || w.bytes != 40_000 {
		t.Errorf("Flush: %v, %d writes, %d bytes", err, w.writes, w.bytes)
	}
	short := NewEncoder(writeFunc(func(p []byte) (int, error) { return len(p) - 1, nil }), Msgpack, Limits{})
	if err := errors.Join(short.Answer("k", Raw{1})); err != nil {
		t.Fatal(err)
	}
	if err := short.Flush(); !errors.Is(err, io.ErrShortWrite) || short.Buffered() != 1 {
		t.Errorf("a short write without an error: %v, %d bytes left", err, short.Buffered())
	}
}

type countingWriter struct{ writes, bytes int }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	w.bytes += len(p)
	return len(p), nil
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestEncoderDoesNotAllocate(t *testing.T) {
	target, args := encoded(t, "add"), encoded(t, map[string]any{"a": []int{1, 2}})
	for _, wire := range []Wire{Msgpack, JSON} {
		e := NewEncoder(io.Discard, wire, Limits{})
		if n := testing.AllocsPerRun(1000, func() {
			if err := errors.Join(e.Request("key", target, args), e.Flush()); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per request", wire, n)
		}
	}
}
