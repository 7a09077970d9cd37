package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

// largeAnswers are values around the sizes at which the encoder and the decoder treat them in other ways.
func largeAnswers(t *testing.T) (values []Raw) {
	t.Helper()
	for _, n := range []int{0, LargeValue - 4, LargeValue - 3, LargeValue, smallBuffer - 30, smallBuffer, 2*smallBuffer + 1, 1 << 20, 3<<20 + 7} {
		values = append(values, encoded(t, bytes.Repeat([]byte{byte(n), byte(n >> 8), byte(n >> 16), 1, 2, 3, 5}, n/7+1)[:n]))
	}
	return append(values, encoded(t, []any{string(values[6]), 1, values[7], nil}))
}

func TestLargeValuesAreWrittenFromWhereTheyAre(t *testing.T) {
	var b bytes.Buffer
	pieces, copied := 0, 0
	e := NewEncoder(writeFunc(func(p []byte) (int, error) {
		n := min(len(p), 50_000) // a pipe that is full, again and again
		pieces++
		b.Write(p[:n])
		if n < len(p) {
			return n, errFull
		}
		return n, nil
	}), Msgpack, Limits{})
	values := largeAnswers(t)
	for i, v := range values {
		key := fmt.Sprint("key ", i)
		if err := errors.Join(e.Answer(key, v), e.Answer("small", Raw{byte(i)})); err != nil {
			t.Fatal(err)
		}
		if copied = max(copied, len(e.buf)); i%2 == 0 {
			continue
		}
		for err := e.Flush(); err != nil; err = e.Flush() {
			if !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			if pieces%5 == 0 {
				e.Keep()
			}
		}
	}
	if e.Buffered() != 0 || len(e.lent) != 0 || copied > 3*smallBuffer {
		t.Errorf("%d bytes left, %d lent; %d were copied", e.Buffered(), len(e.lent), copied)
	}
	d := NewDecoder(&b, DecoderConfig{})
	for i, v := range values {
		if a, err := d.Answer(); err != nil || string(a.Key) != fmt.Sprint("key ", i) || !bytes.Equal(a.Value, v) {
			t.Fatalf("answer %d: key %q, %d bytes, %v; want %d bytes", i, a.Key, len(a.Value), err, len(v))
		}
		if a, err := d.Answer(); err != nil || string(a.Key) != "small" || !bytes.Equal(a.Value, Raw{byte(i)}) {
			t.Fatalf("the small answer %d: %v, %v", i, a, err)
		}
	}
}

var errFull = errors.New("full")

// TestKeepMakesChangesHarmless: and without it a value is the caller's again when Flush has written it.
func TestKeepMakesChangesHarmless(t *testing.T) {
	for _, keep := range []bool{true, false} {
		var b bytes.Buffer
		e := NewEncoder(&b, Msgpack, Limits{})
		value := encoded(t, bytes.Repeat([]byte("x"), 100_000))
		if err := e.Answer("k", value); err != nil {
			t.Fatal(err)
		}
		size := e.Buffered()
		if keep {
			e.Keep()
		}
		if e.Buffered() != size {
			t.Errorf("Keep changes what waits from %d to %d bytes", size, e.Buffered())
		}
		clear(value[50_000:])
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(b.Bytes(), []byte("x")) == 100_000; got != keep {
			t.Errorf("Keep %v: the value is as it was: %v", keep, got)
		}
	}
}

// TestTheEncoderForgetsWhatIsTooLarge: nothing of a message that breaks the limit is left behind.
func TestTheEncoderForgetsWhatIsTooLarge(t *testing.T) {
	var b bytes.Buffer
	e := NewEncoder(&b, Msgpack, Limits{Size: 100_000})
	value := encoded(t, make([]byte, 60_000))
	if err := e.Request("k", value, value); KindOf(err) != KindInput || e.Buffered() != 0 || len(e.lent) != 0 {
		t.Errorf("%v, %d bytes buffered, %d lent", err, e.Buffered(), len(e.lent))
	}
	if err := errors.Join(e.Answer("k", value), e.Flush()); err != nil {
		t.Fatal(err)
	}
	if a, err := NewDecoder(&b, DecoderConfig{}).Answer(); err != nil || !bytes.Equal(a.Value, value) {
		t.Errorf("answer: %d bytes, %v", len(a.Value), err)
	}
}

// TestLargeAnswersAreGiven: each has a buffer of its own, made in one piece as soon as one as large has come, and what the
// decoder reads later does not touch it.
func TestLargeAnswersAreGiven(t *testing.T) {
	const n, size = 20, 1 << 20
	var b bytes.Buffer
	e := NewEncoder(&b, Msgpack, Limits{})
	for i := range n {
		if err := errors.Join(e.Answer("large", encoded(t, bytes.Repeat([]byte{byte(i)}, size))), e.Answer("small", Raw{byte(i)}), e.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	for how, r := range map[string]io.Reader{
		"whole": bytes.NewReader(b.Bytes()), "halves": iotest.HalfReader(bytes.NewReader(b.Bytes())),
	} {
		d := NewDecoder(r, DecoderConfig{})
		var given []Raw
		var failed error
		cost := allocated(func() {
			for range n {
				large, err := d.Answer()
				if given = append(given, large.Value); !large.Given {
					err = errors.Join(err, errors.New("a large answer is not given"))
				}
				small, wrong := d.Answer()
				if small.Given {
					wrong = errors.Join(wrong, errors.New("a small answer is given"))
				}
				failed = errors.Join(failed, err, wrong)
			}
		})
		if failed != nil {
			t.Fatalf("%s: %v", how, failed)
		}
		for i, v := range given {
			if bytes.Count(v, []byte{byte(i)}) < size {
				t.Errorf("%s: answer %d has changed", how, i)
			}
		}
		if most := uint64((n+1)*(size+4*peek)) + 4*smallBuffer + size; cost > most {
			t.Errorf("%s: %d answers of %d bytes allocated %d; want at most %d", how, n, size, cost, most)
		}
	}
}

// TestALargeAnswerThatIsNotNeededMakesRoomForTheNext: once they come back, a row of large answers takes one buffer.
func TestALargeAnswerThatIsNotNeededMakesRoomForTheNext(t *testing.T) {
	const n, size = 20, 1 << 20
	var b bytes.Buffer
	e := NewEncoder(&b, Msgpack, Limits{})
	for i := range n {
		if err := errors.Join(e.Answer("k", encoded(t, bytes.Repeat([]byte{byte(i)}, size))), e.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.Answer("k", Raw{1}), e.Answer("k", encoded(t, make([]byte, size))), e.Flush()); err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(&b, DecoderConfig{})
	cost := allocated(func() {
		for i := range n {
			a, err := d.Answer()
			if err != nil || !a.Given || bytes.Count(a.Value, []byte{byte(i)}) < size {
				t.Fatalf("answer %d: given %v, %v", i, a.Given, err)
			}
			d.Reuse(&a)
		}
	})
	if most := uint64(4 * size); cost > most { // as the buffer grew for the first
		t.Errorf("%d answers of %d bytes allocated %d; want at most %d", n, size, cost, most)
	}
	small, err := d.Answer()
	d.Reuse(&small)
	if err != nil || small.Given || d.spare != nil {
		t.Errorf("a small answer: given %v, %v; %d bytes are kept for large ones", small.Given, err, cap(d.spare))
	}
	if a, err := d.Answer(); err != nil || len(a.Value) < size {
		t.Errorf("a large one after it: %d bytes, %v", len(a.Value), err)
	}
}

// TestABufferIsMadeForWhatHasComeBefore: after one whole message of a size, a head that announces as much gets a buffer at
// once; one that announces more does not.
func TestABufferIsMadeForWhatHasComeBefore(t *testing.T) {
	var whole bytes.Buffer
	e := NewEncoder(&whole, Msgpack, Limits{})
	if err := errors.Join(e.Request("k", Raw{1}, encoded(t, make([]byte, 2<<20))), e.Flush()); err != nil {
		t.Fatal(err)
	}
	head := []byte{0x93, 0xa1, 'k', 1, 0xc6, 0x03, 0xff, 0xff, 0x00}
	d := NewDecoder(io.MultiReader(&whole, bytes.NewReader(head), iotest.ErrReader(errFull)), DecoderConfig{})
	if _, err := d.Request(); err != nil {
		t.Fatal(err)
	}
	if cost := allocated(func() {
		if _, err := d.Request(); !errors.Is(err, errFull) {
			t.Errorf("Request: %v", err)
		}
	}); cost > 1<<20 {
		t.Errorf("%d bytes allocated for a head", cost)
	}
}
