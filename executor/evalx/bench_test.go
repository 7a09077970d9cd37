package evalx_test

import (
	"io"
	"testing"

	"fandango/executor"
	"fandango/executor/evalx"
	"fandango/ipc"
)

// requests is an endless stream of one request.
type requests struct {
	one  []byte
	left int
	rest []byte
}

func (r *requests) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 {
			if r.left == 0 {
				break
			}
			r.left--
			r.rest = r.one
		}
		k := copy(p[n:], r.rest)
		r.rest = r.rest[k:]
		n += k
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func BenchmarkExecute(b *testing.B) {
	batched, err := ipc.Encode(ipc.RequestOptions{Batch: true})
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name, target string
		args         any
	}{
		{"1+2", "1+2", nil},
		{"echo", "echo", "a line of text"},
		{"add", "add", []any{2, 3}},
		{"lambda", "lambda a, b: a * b", []any{6, 7}},
		{"format", `"%.2f" % 3.14159`, nil},
	} {
		target, err := ipc.Encode(bb.target)
		if err != nil {
			b.Fatal(err)
		}
		var args ipc.Raw
		if bb.args != nil {
			if args, err = ipc.Encode(bb.args); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(bb.name, func(b *testing.B) {
			e := evalx.New(evalx.Config{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Execute(b.Context(), target, args); err != nil {
					b.Fatal(err)
				}
			}
		})
		for name, options := range map[string]ipc.Raw{"served": nil, "batched": batched} {
			b.Run(bb.name+"/"+name, func(b *testing.B) {
				var one sink
				enc := ipc.NewEncoder(&one, ipc.Msgpack, ipc.Limits{})
				if err := enc.RequestWith("key 12345", target, args, options); err != nil {
					b.Fatal(err)
				}
				if err := enc.Flush(); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				in := &requests{one: one, left: b.N}
				if err := executor.Serve(b.Context(), evalx.New(evalx.Config{}), in, io.Discard, ipc.Msgpack); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

type sink []byte

func (s *sink) Write(p []byte) (int, error) { *s = append(*s, p...); return len(p), nil }
