package ipc

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"time"
)

// bombs are small inputs that ask for much more than they hold.
func bombs() map[string][]byte {
	return map[string][]byte{
		"array32 of 4 G":            {0xdd, 0xff, 0xff, 0xff, 0xff},
		"bin32 of 4 GiB":            {0xc6, 0xff, 0xff, 0xff, 0xff},
		"map32 of 4 G":              {0xdf, 0xff, 0xff, 0xff, 0xff},
		"str32 of 4 GiB":            {0xdb, 0xff, 0xff, 0xff, 0xff},
		"ext32 of 4 GiB":            {0xc9, 0xff, 0xff, 0xff, 0xff},
		"bin32 of 2 GiB in 22":      append([]byte{0xc6, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 17)...),
		"24,000 nested array16":     bytes.Repeat([]byte{0xdc, 0xff, 0xff}, 24_000),
		"5 MB of arrays in arrays":  bytes.Repeat([]byte{0x91}, 5_000_000),
		"8 MiB of empty maps":       append(binary.BigEndian.AppendUint32([]byte{0xdd}, 8<<20), bytes.Repeat([]byte{0x80}, 8<<20)...),
		"maps as keys of maps":      bytes.Repeat([]byte{0x81}, 200_000),
		"12 M strings of no length": append(binary.BigEndian.AppendUint32([]byte{0xdd}, 20<<20), bytes.Repeat([]byte{0xa0}, 12<<20)...),
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// small is what handling a bomb may cost beyond a few times the bytes that were received.
const small = 1 << 20

func TestBombsAsAnswers(t *testing.T) {
	for name, bomb := range bombs() {
		message := append([]byte{0x92, 0xa1, 'k'}, bomb...)
		readers := map[string]func() io.Reader{
			"whole":      func() io.Reader { return bytes.NewReader(message) },
			"one byte":   func() io.Reader { return iotest.OneByteReader(bytes.NewReader(message)) },
			"as the key": func() io.Reader { return bytes.NewReader(append([]byte{0x92}, bomb...)) },
		}
		for how, reader := range readers {
			r := reader()
			var err error
			began := time.Now()
			cost := allocated(func() {
				d := NewDecoder(r, DecoderConfig{})
				_, err = d.Answer()
			})
			if KindOf(err) != KindProtocol {
				t.Errorf("%s, %s: %v, want a protocol error", name, how, err)
			}
			if limit := 4*uint64(len(bomb)) + small; cost > limit {
				t.Errorf("%s, %s: %d bytes allocated for %d received", name, how, cost, len(bomb))
			}
			t.Logf("%s, %s: %v, %d bytes allocated, %v", name, how, time.Since(began), cost, err)
		}
	}
}

func TestBombsAsRequests(t *testing.T) {
	for name, bomb := range bombs() {
		message := append([]byte{0x93, 0xa1, 'k', 0xa1, 't'}, bomb...)
		var err error
		cost := allocated(func() {
			_, err = NewDecoder(bytes.NewReader(message), DecoderConfig{}).Request()
		})
		if KindOf(err) != KindProtocol || cost > 4*uint64(len(bomb))+small {
			t.Errorf("%s: %v, %d bytes allocated, want a protocol error", name, err, cost)
		}
	}
}

// What a user decodes is scanned as well: a Raw may come from anywhere.
func TestBombsInsideDecodedValues(t *testing.T) {
	for name, bomb := range bombs() {
		for how, r := range map[string]Raw{"alone": bomb, "in an array": append([]byte{0x91}, bomb...), "in a map": append([]byte{0x81, 0xa1, 'a'}, bomb...)} {
			types := []any{new(any), new([]any)}
			if len(r) >= 1<<20 && how != "alone" {
				continue // once is slow enough
			}
			if len(r) < 1<<20 {
				types = append(types, new([][]any), new([]byte), new(string), new(map[string]any), new(map[string]string), new([]Raw), new(point))
			}
			for _, into := range types {
				var err error
				cost := allocated(func() { err = r.Decode(into) })
				if err == nil || cost > small {
					t.Errorf("%s, %s, into %T: %v, %d bytes allocated, want an error", name, how, into, err, cost)
				}
			}
			cost := allocated(func() {
				if _, err := Canonical(r); err == nil {
					t.Errorf("%s, %s: Canonical: no error", name, how)
				}
				if _, err := Encode([]any{r}); err == nil {
					t.Errorf("%s, %s: Encode: no error", name, how)
				}
			})
			if cost > small {
				t.Errorf("%s, %s: Canonical and Encode allocated %d bytes", name, how, cost)
			}
			// As JSON it is shown as bytes in the end; before, an empty string takes three bytes, and growing costs.
			var text []byte
			if cost := allocated(func() { text = r.AppendJSON(nil) }); cost > 24*uint64(len(r))+small {
				t.Errorf("%s, %s: JSON of %d bytes allocated %d bytes", name, how, len(text), cost)
			}
		}
	}
}

func TestBombsInJSON(t *testing.T) {
	for name, text := range map[string][]byte{
		"5 MB of brackets":     bytes.Repeat([]byte{'['}, 5_000_000),
		"5 MB of names":        bytes.Repeat([]byte(`{"a":`), 1_000_000),
		"2 M empty objects":    append(append([]byte{'['}, bytes.Repeat([]byte(`{},`), 2_000_000)...), []byte(`{}]`)...),
		"a string with no end": append([]byte{'"'}, bytes.Repeat([]byte{'x'}, 1_000_000)...),
	} {
		var err error
		cost := allocated(func() { _, err = ParseJSON(text) })
		if err == nil || cost > 24*uint64(len(text))+small {
			t.Errorf("%s: %v, %d bytes allocated", name, err, cost)
		}
		line := append(append([]byte(`["k",`), text...), '\n')
		cost = allocated(func() { _, err = NewDecoder(bytes.NewReader(line), DecoderConfig{Wire: JSON}).Answer() })
		if KindOf(err) != KindProtocol || cost > 48*uint64(len(text))+small {
			t.Errorf("%s, as an answer: %v, %d bytes allocated", name, err, cost)
		}
	}
}

// A value that is large and honest passes.
func TestLargeHonestValues(t *testing.T) {
	list := append(binary.BigEndian.AppendUint32([]byte{0xdd}, 1<<20), make([]byte, 1<<20)...)
	var v []int
	if err := Raw(list).Decode(&v); err != nil || len(v) != 1<<20 {
		t.Errorf("a million zeros: %v, %d", err, len(v))
	}
	maps := append(binary.BigEndian.AppendUint32([]byte{0xdd}, 999_999), bytes.Repeat([]byte{0x80}, 999_999)...)
	var all any
	if err := Raw(maps).Decode(&all); err != nil {
		t.Errorf("999,999 empty maps: %v", err)
	}
}
