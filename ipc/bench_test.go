package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// values are what tasks and answers are made of.
func values(tb testing.TB) map[string]Raw {
	tb.Helper()
	return map[string]Raw{
		"int":    encoded(tb, 5),
		"64 B":   encoded(tb, strings.Repeat("x", 64)),
		"record": encoded(tb, map[string]any{"name": "sr/di/dcct", "value": 119.1, "at": 1700000000, "tags": []string{"a", "b"}, "ok": true}),
		"1 MiB":  encoded(tb, make([]byte, 1<<20)),
		"floats": encoded(tb, make([]float64, 10_000)),
	}
}

var order = []string{"int", "64 B", "record", "1 MiB", "floats"}

func BenchmarkEncodeRequest(b *testing.B) {
	for _, name := range order {
		target, args := encoded(b, "read"), values(b)[name]
		for _, wire := range []Wire{Msgpack, JSON} {
			b.Run(fmt.Sprintf("%s/%s", name, wire), func(b *testing.B) {
				e := NewEncoder(io.Discard, wire, Limits{})
				b.SetBytes(int64(len(args)))
				b.ReportAllocs()
				for b.Loop() {
					if err := e.Request("key-123", target, args); err != nil {
						b.Fatal(err)
					}
					if e.Buffered() > 32<<10 {
						if err := e.Flush(); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// repeat reads a message again and again, many to a read.
func repeat(message []byte) io.Reader {
	block := bytes.Repeat(message, max(1, 32<<10/len(message)))
	at := 0
	return readFunc(func(p []byte) (int, error) {
		if at == len(block) {
			at = 0
		}
		n := copy(p, block[at:])
		at += n
		return n, nil
	})
}

func BenchmarkDecodeAnswer(b *testing.B) {
	const key = "key-123"
	for _, name := range order {
		for _, wire := range []Wire{Msgpack, JSON} {
			b.Run(fmt.Sprintf("%s/%s", name, wire), func(b *testing.B) {
				var message bytes.Buffer
				e := NewEncoder(&message, wire, Limits{})
				if err := errors.Join(e.Answer(key, values(b)[name]), e.Flush()); err != nil {
					b.Fatal(err)
				}
				d := NewDecoder(repeat(message.Bytes()), DecoderConfig{Wire: wire})
				b.SetBytes(int64(message.Len()))
				b.ReportAllocs()
				for b.Loop() {
					if a, err := d.Answer(); err != nil || string(a.Key) != key {
						b.Fatal(a, err)
					}
				}
			})
		}
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	options := encoded(b, RequestOptions{Batch: true})
	for _, name := range order {
		b.Run(name, func(b *testing.B) {
			var message bytes.Buffer
			e := NewEncoder(&message, Msgpack, Limits{})
			if err := errors.Join(e.RequestWith("key-123", encoded(b, "read"), values(b)[name], options), e.Flush()); err != nil {
				b.Fatal(err)
			}
			d := NewDecoder(repeat(message.Bytes()), DecoderConfig{})
			b.SetBytes(int64(message.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if r, err := d.Request(); err != nil || len(r.Options) != len(options) {
					b.Fatal(r, err)
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	all := values(b)
	all["tiny values"] = append(Raw{0xdd, 0, 0x10, 0, 0}, make([]byte, 1<<20)...)
	all["empty strings"] = append(Raw{0xdd, 0, 0x10, 0, 0}, bytes.Repeat([]byte{0xa0}, 1<<20)...)
	for _, name := range append(order, "tiny values", "empty strings") {
		b.Run(name, func(b *testing.B) {
			s := NewScanner(Limits{})
			b.SetBytes(int64(len(all[name])))
			b.ReportAllocs()
			for b.Loop() {
				if _, done, err := s.Scan(all[name]); !done || err != nil {
					b.Fatal(done, err)
				}
			}
		})
	}
}

// The general encoder and decoder, on a tuple, for comparison.
func BenchmarkGeneral(b *testing.B) {
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := msgpack.Marshal([]any{"key-123", "read", 5}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		message := encoded(b, []any{"key-123", "read", 5})
		b.ReportAllocs()
		for b.Loop() {
			var v []any
			if err := msgpack.Unmarshal(message, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, v := range []any{5, "text", []any{1, "two", 3.5}, map[string]any{"a": 1, "b": []any{2}, "c": "d"}, Hello{Name: "w", Ordered: true}} {
		b.Run(fmt.Sprintf("%T", v), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Encode(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	r := values(b)["record"]
	b.Run("any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := r.Decode(&v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("int", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var n int
			if err := (Raw{5}).Decode(&n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v struct {
				Name  string   `msgpack:"name"`
				Value float64  `msgpack:"value"`
				At    int64    `msgpack:"at"`
				Tags  []string `msgpack:"tags"`
			}
			if err := r.Decode(&v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	r := values(b)["record"]
	text := r.AppendJSON(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 2*len(text))
		for b.Loop() {
			dst = r.AppendJSON(dst[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseJSON(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
