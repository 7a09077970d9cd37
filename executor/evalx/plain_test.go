package evalx

import (
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"fandango/executor"
	"fandango/ipc"
)

// FuzzPlainArgs holds the short way to the long one: what it takes, it makes the same arguments of.
func FuzzPlainArgs(f *testing.F) {
	for _, v := range []any{
		nil, 1, -1, -33, 127, 128, 255, 256, 65535, 65536, -128, -129, -32768, -32769, 1 << 31, -1 << 31, 1 << 40, 1.5, true, false,
		"", "text", "ä",
		[]any{},
		[]any{1, "two", 3.0, nil, true},
		[]any{1, []any{2}},
		map[string]int{"a": 1},
		[]byte{1},
		make([]int, 20), string(make([]byte, 40)), string(make([]byte, 300)),
	} {
		raw, err := ipc.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(raw))
		f.Add([]byte(raw[:len(raw)-1]))
		f.Add(append([]byte(raw), 1))
	}
	f.Add([]byte{0xdc, 0, 2, 1, 2})
	f.Add([]byte{0x91, 0xda, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := plainArgs(nil, b)
		if !ok {
			return
		}
		long, err := executor.ParseArgs(b)
		if err != nil {
			t.Fatalf("% x: the long way says %v, the short one %v", b, err, got)
		}
		want := make(starlark.Tuple, len(long.Positional))
		for i, v := range long.Positional {
			if want[i], err = fromGo(v); err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != want.String() || long.Named != nil {
			t.Errorf("% x: got %v, want %v", b, got, want)
		}
	})
}

// A call within a call, by an expression that evaluates another one, has arguments of its own; so has the next one.
func TestTheArgumentsOfACallAreItsOwn(t *testing.T) {
	e := New(Config{})
	for range 2 { // compiled, and as it was kept
		for _, tt := range []struct {
			text string
			args any
			want string
		}{
			{"kept = []", nil, `"kept"`},
			{"lambda a, *more: [kept.append(more), a, more][1:]", []any{1, 2, 3}, "[1,[2,3]]"},
			{"lambda a, b: [eval([lambda c, d: c + d, a * 10, b * 10]), a, b]", []any{1, 2}, "[30,1,2]"},
			{"lambda a, b: a + b", []any{"x", "y"}, `"xy"`},
			{"lambda a, b: a / b", []any{1, 0}, "ZeroDivisionError"},
			{"lambda a, b: a + b", []any{1.5, 2}, "3.5"},
			{"lambda: 7", nil, "7"},
			{"lambda a: a", []any{nil}, "null"},
			{"lambda a: a", "text", `"text"`},
			{"lambda a, b: a", []any{1}, "TypeError"},
			{"lambda a, b: [a, b]", map[string]any{"b": 1, "a": 2}, "[2,1]"},
			{"kept", nil, "[[2,3]]"},
		} {
			if got := e.answer(t, tt.text, tt.args); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s %v: got %s, want %s", tt.text, tt.args, got, tt.want)
			}
		}
	}
}
