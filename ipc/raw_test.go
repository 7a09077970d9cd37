package ipc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// raw reads a value written in hex.
func raw(tb testing.TB, text string) Raw {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// encoded encodes v, which must be possible.
func encoded(tb testing.TB, v any) Raw {
	tb.Helper()
	r, err := Encode(v)
	if err != nil {
		tb.Fatalf("Encode(%#v): %v", v, err)
	}
	return r
}

type point struct {
	X     int            `msgpack:"x"`
	Y     float64        `msgpack:"y,omitempty"`
	Tags  map[any]any    `msgpack:"tags,omitempty"`
	Inner *point         `msgpack:"inner,omitempty"`
	Any   any            `msgpack:"any,omitempty"`
	Raw   Raw            `msgpack:"raw,omitempty"`
	More  map[string]any `msgpack:"-"`
}

type base struct {
	ID int8 `msgpack:"id"`
}

// Point is embedded by pointer, so it is exported.
type Point struct {
	X int `msgpack:"x"`
}

type derived struct {
	base
	*Point
	Name string
}

// byPointer marshals itself with a pointer receiver.
type byPointer struct{ n int }

func (p *byPointer) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeInt(int64(p.n)) }
func (p *byPointer) DecodeMsgpack(d *msgpack.Decoder) (err error) {
	p.n, err = d.DecodeInt()
	return err
}

type garbage struct{}

func (garbage) MarshalMsgpack() ([]byte, error) { return []byte{0xc1}, nil }

type panicking struct{} //nolint:recvcheck // as marshalers are

func (panicking) MarshalMsgpack() ([]byte, error) { panic("no") }
func (*panicking) UnmarshalMsgpack([]byte) error  { panic("no") }

func TestEncodeIsCanonical(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{nil, "c0"},
		{true, "c3"},
		{0, "00"},
		{127, "7f"},
		{128, "cc80"},
		{-1, "ff"},
		{-33, "d0df"},
		{int64(300), "cd012c"},
		{uint8(5), "05"},
		{int16(-300), "d1fed4"},
		{70000, "ce00011170"},
		{-70000, "d2fffeee90"},
		{int64(math.MaxInt64), "cf7fffffffffffffff"},
		{int64(math.MinInt64), "d38000000000000000"},
		{uint64(math.MaxUint64), "cfffffffffffffffff"},
		{1.5, "cb3ff8000000000000"},
		{float32(1.5), "ca3fc00000"},
		{"", "a0"},
		{"ü", "a2c3bc"},
		{strings.Repeat("x", 32), "d920" + strings.Repeat("78", 32)},
		{[]byte{0, 10, 255}, "c403000aff"},
		{[]byte(nil), "c0"},
		{time.Unix(1, 0), "d6ff00000001"},
		{time.Unix(1, 1), "d7ff0000000400000001"},
		{time.Unix(-1, 1), "c70cff00000001ffffffffffffffff"},
		{time.Second, "ce3b9aca00"},
		{[]any{1, "a", nil}, "9301a161c0"},
		{[]int8{1, -1}, "9201ff"},
		{[2]string{"a", "b"}, "92a161a162"},
		{map[string]any{"b": 1, "a": 2, "ab": 3}, "83a16102a2616203a16201"},
		{map[any]any{"a": 1, 2: 2, int8(1): 3, true: 4}, "8401030202c304a16101"},
		{map[string]map[string]int{"b": {"z": 1, "y": 2}, "a": nil}, "82a161c0a16282a17902a17a01"},
		{point{X: 1}, "81a17801"},
		{&point{X: 1, Tags: map[any]any{2: 1, 1: 2}, Raw: raw(t, "82a162cd0001a16102")}, "83a372617782a16102a16201a4746167738201020201a17801"},
		{derived{Name: "n", Point: &Point{}}, "83a44e616d65a16ea2696400a17800"},
		{Raw(nil), "c0"},
		{[]Raw{nil, {0xcd, 0, 1}}, "92c001"},
		{byPointer{300}, "cd012c"},
		{[]error{nil}, "91c0"},
		{(*point)(nil), "c0"},
	}
	for _, tt := range tests {
		got, err := Encode(tt.v)
		if err != nil || hex.EncodeToString(got) != tt.want {
			t.Errorf("Encode(%#v) = %x, %v, want %s", tt.v, []byte(got), err, tt.want)
		}
	}
}

func TestEncodeRefusesWhatHasNoEncoding(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	list := make([]any, 2)
	list[0], list[1] = list, list
	type node struct{ Left, Right, Up *node }
	tree := &node{Left: &node{}}
	tree.Left.Up = tree
	tests := []struct {
		v    any
		want string
	}{
		{errors.New("x"), "an error (*errors.errorString) cannot be encoded"},
		{[]any{1, errors.New("x")}, "at [1]"},
		{map[string]any{"a": []any{make(chan int)}}, `a chan int cannot be encoded, at ["a"][0]`},
		{struct{ F func() }{}, "a func() cannot be encoded, at .F"},
		{struct{ In []struct{ E error } }{In: make([]struct{ E error }, 1)}, ""},
		{struct{ In []any }{[]any{errors.New("x")}}, "at .In[0]"},
		{map[[1]int]complex64{{1}: 1}, "a complex64 cannot be encoded, at [[1]]"},
		{uintptr(1), "uintptr"},
		{Raw{0xc1}, "malformed value c1"},
		{Raw{1, 2}, "1 bytes follow it"},
		{Raw{0x92, 1}, "the limit is 2"},
		{loop, "contains itself"},
		{list, "contains itself"},
		{tree, "contains itself"},
		{garbage{}, "malformed"},
		{[]any{panicking{}}, "panic: no"},
	}
	for _, tt := range tests {
		got, err := Encode(tt.v)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("Encode(%T): %v", tt.v, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("Encode(%T) = % x, %v, want an error with %q", tt.v, []byte(got), err, tt.want)
		}
	}
}

func TestDecodeIntoAny(t *testing.T) {
	tests := []struct {
		in   string
		want any
	}{
		{"", nil},
		{"c0", nil},
		{"c2", false},
		{"05", int64(5)},
		{"cc80", int64(128)},
		{"e0", int64(-32)},
		{"d0df", int64(-33)},
		{"d2fffeee90", int64(-70000)},
		{"cf7fffffffffffffff", int64(math.MaxInt64)},
		{"cfffffffffffffffff", uint64(math.MaxUint64)},
		{"ca3fc00000", 1.5},
		{"a2c3bc", "ü"},
		{"a2c328", "\xc3("},
		{"c403000aff", []byte{0, 10, 255}},
		{"c400", []byte{}},
		{"90", []any{}},
		{"9201c0", []any{int64(1), nil}},
		{"80", map[string]any{}},
		{"82a16101a16291c3", map[string]any{"a": int64(1), "b": []any{true}}},
		{"82a1610101a162", map[any]any{"a": int64(1), int64(1): "b"}},
		{"81c002", map[any]any{nil: int64(2)}},
		{"d6ff00000001", time.Unix(1, 0).UTC()},
		{"c70005", raw(t, "c70005")},
		{"d40501", raw(t, "d40501")},
	}
	for _, tt := range tests {
		var got any
		if err := raw(t, tt.in).Decode(&got); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Decode(%s) = %#v, %v, want %#v", tt.in, got, err, tt.want)
		}
	}
}

func TestDecodeIntoTypes(t *testing.T) {
	id := 5
	link, _ := url.Parse("http://x/y")
	tests := []any{
		true, int8(-5), int64(math.MinInt64), uint64(math.MaxUint64), float32(1.5), "text", []byte("b"),
		[2]byte{1, 2},
		[]int{1, 300, -70000},
		[3]float64{1, 2, 3},
		map[string]int{"a": 1},
		map[int][]string{1: {"a"}, 2: {}},
		map[[2]int]bool{{1, 2}: true},
		point{X: 1, Y: 2.5, Inner: &point{X: 3}, Any: []any{int64(1), "x"}, Raw: Raw{0x91, 5}},
		derived{base: base{3}, Point: &Point{X: 1}, Name: "n"},
		&id, time.Minute, time.Unix(5, 6).UTC(),
		byPointer{7},
		*link,
		[]Raw{{1}, {0x92, 1, 2}},
		[]any{int64(1), nil},
		map[string]any{"n": int64(300)},
		Hello{Name: "w", Ordered: true, Targets: []string{"a"}},
		[]point{{X: 1}, {X: 2}},
		struct{ A, B any }{nil, int64(5)},
	}
	for _, want := range tests {
		got := reflect.New(reflect.TypeOf(want))
		r := encoded(t, want)
		if err := r.Decode(got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("Decode(%s) = %#v, %v, want %#v", r, got.Elem(), err, want)
		}
	}
}

func TestDecodeConverts(t *testing.T) {
	tests := []struct {
		json string
		want any
	}{
		{`5`, 5.0},
		{`18446744073709551615`, float64(math.MaxUint64)},
		{`null`, 0},
		{`null`, ""},
		{`null`, []int(nil)},
		{`[1,2.5]`, struct{ A, B float64 }{1, 2.5}},
		{`{"x":1,"unknown":{"deep":[1,2]},"y":2}`, point{X: 1, Y: 2}},
		{`"2020-01-02T03:04:05Z"`, time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)},
		{`"text"`, []byte("text")},
		{`{"$bytes":"dGV4dA=="}`, "text"},
		{`[1,2,3]`, []byte{1, 2, 3}},
	}
	for _, tt := range tests {
		r, err := ParseJSON([]byte(tt.json))
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(tt.want))
		if err := r.Decode(got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), tt.want) {
			t.Errorf("Decode(%s) = %#v, %v, want %#v", r, got.Elem(), err, tt.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		json string
		into any
		want string
	}{
		{`300`, new(int8), "does not fit a Go int8"},
		{`-1`, new(uint), "does not fit a Go uint"},
		{`18446744073709551615`, new(int64), "does not fit a Go int64"},
		{`1e300`, new(float32), "does not fit a Go float32"},
		{`1.5`, new(int), "a float cannot become a Go int"},
		{`"5"`, new(int), "a string cannot become a Go int"},
		{`[1,"x"]`, new([]int), "a string cannot become a Go int, at [1]"},
		{`{"inner":{"x":"1"}}`, new(point), "a string cannot become a Go int, at .inner.x"},
		{`[1]`, new([2]int), "an array of 1 cannot become a Go [2]int"},
		{`[1]`, new(struct{ A, B int }), "which has 2 fields"},
		{`[1]`, new(map[string]int), "an array cannot become"},
		{`{"a":1}`, new([]int), "a map cannot become"},
		{`1`, new(chan int), "cannot become a Go chan int"},
		{`1`, new(error), "cannot become a Go error"},
		{`1`, nil, "a pointer"},
		{`1`, (*int)(nil), "a pointer"},
		{`1`, 5, "a pointer"},
		{`1`, new(panicking), "panic: no"},
		{`"x"`, new(time.Time), "cannot become a Go time.Time"},
	}
	for _, tt := range tests {
		r, err := ParseJSON([]byte(tt.json))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Decode(tt.into); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Decode(%s) into %T: %v, want an error with %q", tt.json, tt.into, err, tt.want)
		}
	}
}

// W27: keys that Go cannot have are an error, not a panic.
func TestDecodeKeysThatGoCannotHave(t *testing.T) {
	for _, in := range []string{"819101 02", "8180 02", "81c40161 02", "9181d40501 02"} {
		for _, into := range []any{new(any), new(map[any]any), new([]any), new(map[any]int), new([]map[any]any)} {
			if err := raw(t, in).Decode(into); err == nil {
				t.Errorf("Decode(%s) into %T: no error", in, into)
			}
		}
	}
}

func TestDecodedValuesDoNotShareMemory(t *testing.T) {
	r := encoded(t, map[string]any{"a": []byte("bytes"), "b": Raw{0xd4, 5, 1}, "c": "text"})
	var first, second any
	var third map[string]Raw
	if err := errors.Join(r.Decode(&first), r.Decode(&second), r.Decode(&third)); err != nil {
		t.Fatal(err)
	}
	want := append(Raw(nil), third["b"]...)
	clear(r)
	if !reflect.DeepEqual(first, second) || !bytes.Equal(third["b"], want) {
		t.Errorf("after clearing the encoded bytes: %v, want %v", first, second)
	}
}

func TestRawText(t *testing.T) {
	tests := []struct {
		in    string
		text  string
		ok    bool
		isNil bool
	}{
		{"a161", "a", true, false},
		{"a0", "", true, false},
		{"d90161", "a", true, false},
		{"", "", false, true},
		{"c0", "", false, true},
		{"05", "", false, false},
		{"a261", "", false, false},   // cut off
		{"a16100", "", false, false}, // followed by something
		{"c40161", "", false, false}, // bytes
	}
	for _, tt := range tests {
		r := raw(t, tt.in)
		b, ok := r.TextBytes()
		if string(b) != tt.text || ok != tt.ok {
			t.Errorf("% x.TextBytes() = %q, %v, want %q, %v", []byte(r), b, ok, tt.text, tt.ok)
		}
		if text, ok := r.Text(); text != tt.text || ok != tt.ok || r.IsNil() != tt.isNil {
			t.Errorf("%s: Text = %q, %v, IsNil = %v, want %q, %v, %v", tt.in, text, ok, r.IsNil(), tt.text, tt.ok, tt.isNil)
		}
	}
}

func TestCanonicalLeavesCanonicalValuesAlone(t *testing.T) {
	for _, v := range []any{nil, "x", strings.Repeat("x", 300), []int{1, 300, -5}, map[string]any{"a": 1, "b": map[int]string{2: "x", 1: "y"}}, math.NaN(), []byte("b")} {
		r := encoded(t, v)
		if n := testing.AllocsPerRun(10, func() {
			if c, err := Canonical(r); err != nil || &c[0] != &r[0] {
				t.Errorf("Canonical(%s) is a copy, %v", r, err)
			}
		}); n != 0 {
			t.Errorf("Canonical(%s): %v allocations", r, n)
		}
	}
}

func TestCanonicalMakesEqualValuesEqual(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "c0"},
		{"d300000000000000ff", "ccff"},
		{"cf0000000000000001", "01"},
		{"d37000000000000000", "cf7000000000000000"}, // signed and unsigned, of one size
		{"d17000", "cd7000"},
		{"d1ffff", "ff"},
		{"d90161", "a161"},
		{"dc000105", "9105"},
		{"df00000002a16201a16102", "82a16102a16201"},
		{"82a1620182c201c00203", "8282c002c20103a16201"}, // a map as a key is put in order too
		{"c5000161", "c40161"},
		{"c9000000010561", "d40561"},
		{"83a16102 0502 0501", "8305010502a16102"}, // equal keys stay, in an order of their own
	} {
		got, err := Canonical(raw(t, tt.in))
		if err != nil || hex.EncodeToString(got) != tt.want {
			t.Errorf("Canonical(%s) = %x, %v, want %s", tt.in, []byte(got), err, tt.want)
		}
	}
	if _, err := Canonical(Raw{0x92, 1}); err == nil {
		t.Error("Canonical of a cut value: no error")
	}
}
