package ipc

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestJSONOfValues(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{nil, `null`},
		{true, `true`},
		{0, `0`},
		{uint64(math.MaxUint64), `18446744073709551615`},
		{int64(math.MinInt64), `-9223372036854775808`},
		{int64(1 << 53), `9007199254740992`},
		{1.0, `1.0`},
		{0.1, `0.1`},
		{float32(0.1), `0.1`},
		{3.1e-09, `3.1e-09`},
		{1e21, `1e+21`},
		{123456789012345680.0, `1.2345678901234568e+17`},
		{math.Copysign(0, -1), `-0.0`},
		{math.NaN(), `"NaN"`},
		{math.Inf(1), `"Infinity"`},
		{math.Inf(-1), `"-Infinity"`},
		{"ü \"\\\n\t\x1b<&>", `"ü \"\\\n\t\u001b<&>"`},
		{"\x7f\u009b\u2028\u202e\u2066", `"\u007f\u009b\u2028\u202e\u2066"`},
		{"a\xffb\xc3", "\"a\ufffdb\ufffd\""},
		{"\U0001f600", "\"\U0001f600\""},
		{[]byte{0, 10, 255}, `{"$bytes":"AAr/"}`},
		{[]byte{}, `{"$bytes":""}`},
		{time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC), `"2020-01-02T03:04:05.000006Z"`},
		{time.Date(12020, 1, 2, 3, 4, 5, 6, time.UTC), `{"$ext":[-1,"AAAABgAAAEnXdhsl"]}`}, // no RFC 3339
		{Raw{0xd4, 5, 1}, `{"$ext":[5,"AQ=="]}`},
		{[]any{}, `[]`},
		{map[string]any{}, `{}`},
		{map[string]any{"b": []any{1, "x"}, "a": nil}, `{"a":null,"b":[1,"x"]}`},
		{map[any]any{1: 1, nil: 2, true: 3, 1.5: 4, "s": 5}, `{"1":1,"null":2,"true":3,"1.5":4,"s":5}`},
		{map[any]any{[2]int{1, 2}: 1}, `{"[1,2]":1}`},
		{map[any]any{[1]string{"a"}: 1}, `{"[\"a\"]":1}`},
		{map[float64]int{math.NaN(): 1}, `{"NaN":1}`},
		{map[string]any{"$bytes": "x"}, `{"$raw":{"$bytes":"x"}}`},
		{map[string]any{"$bytes": "x", "b": 1}, `{"$bytes":"x","b":1}`},
		{map[string]any{"$raw": map[string]any{"$ext": 1}}, `{"$raw":{"$raw":{"$raw":{"$ext":1}}}}`},
	}
	for _, tt := range tests {
		r := encoded(t, tt.v)
		if got := r.String(); got != tt.want {
			t.Errorf("JSON of %#v = %s, want %s", tt.v, got, tt.want)
		}
		if !json.Valid([]byte(r.String())) {
			t.Errorf("JSON of %#v is not valid: %s", tt.v, r)
		}
	}
}

func TestJSONOfWhatIsNoValue(t *testing.T) {
	for in, want := range map[string]string{
		"":                               `null`,
		"c1":                             `{"$invalid":"wQ=="}`,
		"9201":                           `{"$invalid":"kgE="}`,
		"0102":                           `{"$invalid":"AQI="}`,
		"ddffffffff":                     `{"$invalid":"3f////8="}`,
		"81a161":                         `{"$invalid":"gaFh"}`,
		strings.Repeat("91", 129) + "01": `{"$invalid":"` + strings.Repeat("kZGR", 43) + `AQ=="}`,
	} {
		if got := raw(t, in).String(); got != want {
			t.Errorf("JSON of %s = %s, want %s", in, got, want)
		}
	}
}

func TestRawInsideJSON(t *testing.T) {
	in := struct{ A, B Raw }{A: encoded(t, []any{1, "x"})}
	b, err := json.Marshal(in)
	if string(b) != `{"A":[1,"x"],"B":null}` || err != nil {
		t.Errorf("Marshal = %s, %v", b, err)
	}
	out := in
	if err := json.Unmarshal([]byte(`{"A":{"$bytes":"aGk="},"B":18446744073709551615}`), &out); err != nil || out.A.String() != `{"$bytes":"aGk="}` || out.B.String() != "18446744073709551615" {
		t.Errorf("Unmarshal = %v, %v", out, err)
	}
}

func TestParseJSON(t *testing.T) {
	tests := []struct {
		in   string
		want any
	}{
		{` null `, nil},
		{"\t[ 1 ,\r\n2 ] ", []any{1, 2}},
		{`[]`, []any{}},
		{`{ }`, map[string]any{}},
		{`0`, 0},
		{`-0`, 0},
		{`-12`, -12},
		{`18446744073709551615`, uint64(math.MaxUint64)},
		{`-9223372036854775808`, int64(math.MinInt64)},
		{`1.0`, 1.0},
		{`1E5`, 1e5},
		{`1.5e-3`, 0.0015},
		{`[NaN,Infinity,-Infinity]`, []any{math.NaN(), math.Inf(1), math.Inf(-1)}},
		{`"NaN"`, "NaN"},
		{`"ü\u00fc\ud83d\ude00\n\/\b\f\"\\"`, "üü\U0001f600\n/\b\f\"\\"},
		{`"\ud800\ud800\udc00\udc00x"`, "\ufffd\U00010000\ufffdx"},
		{"\"a\xff\"", "a\ufffd"},
		{`{"b":1,"a":{"d":1,"c":2},"b":2}`, map[string]any{"a": map[string]any{"c": 2, "d": 1}, "b": 2}},
		{`{"$bytes":"AAr/"}`, []byte{0, 10, 255}},
		{`{"$bytes":5}`, map[string]any{"$bytes": 5}},
		{`{"$bytes":"AA==","x":1}`, map[string]any{"$bytes": "AA==", "x": 1}},
		{`{"$ext":[5,"AQ=="]}`, Raw{0xd4, 5, 1}},
		{`{"$ext":[500,"AQ=="]}`, map[string]any{"$ext": []any{500, "AQ=="}}},
		{`{"$ext":[5]}`, map[string]any{"$ext": []any{5}}},
		{`{"$ext":"x"}`, map[string]any{"$ext": "x"}},
		{`{"$raw":{"$bytes":"AA=="}}`, map[string]any{"$bytes": "AA=="}},
		{`{"$raw":{"$raw":{"$bytes":"AA=="}}}`, map[string]any{"$raw": []byte{0}}},
		{`{"$raw":{"a":{"$bytes":"AA=="},"b":1}}`, map[string]any{"a": []byte{0}, "b": 1}},
		{`{"$raw":{"$bytes":"AA=="},"b":1}`, map[string]any{"$raw": []byte{0}, "b": 1}},
		{`{"b":1,"$raw":{"$bytes":"AA=="}}`, map[string]any{"$raw": []byte{0}, "b": 1}},
		{`{"$raw":5}`, map[string]any{"$raw": 5}},
		{`{"$raw":{}}`, map[string]any{}},
		{`{"a":{"$raw":{"$raw":1}}}`, map[string]any{"a": map[string]any{"$raw": 1}}},
	}
	for _, tt := range tests {
		got, err := ParseJSON([]byte(tt.in))
		if want := encoded(t, tt.want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("ParseJSON(%s) = %s, %v, want %s", tt.in, got, err, want)
		}
	}
	// Heads of every length.
	for _, n := range []int{15, 16, 17, 65535, 65536} {
		text := "[" + strings.Repeat("0,", n-1) + "0]"
		got, err := ParseJSON([]byte(text))
		if err != nil || got.check() != nil || got.String() != text {
			t.Errorf("%d items: %v, %v", n, err, got.check())
		}
	}
	members := make(map[string]any)
	for i := range 300 {
		members[strings.Repeat("k", i)] = []any{i, "x"}
	}
	want := encoded(t, members)
	if got, err := ParseJSON(want.AppendJSON(nil)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("300 members: %v", err)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                       "ends too early",
		`[`:                      "ends too early",
		`[1`:                     "ends too early",
		`[1,`:                    "ends too early",
		`{"a"`:                   "ends too early",
		`{"a":`:                  "ends too early",
		`{"a":1`:                 "ends too early",
		`"abc`:                   "ends too early",
		`"abc\`:                  "ends too early",
		`"abc\u12`:               "ends too early",
		`tru`:                    "ends too early",
		`-`:                      "ends too early",
		`[1,]`:                   "no value",
		`{,}`:                    "must be a string",
		`{"a":1,}`:               "must be a string",
		`{"a" 1}`:                "a colon is missing",
		`{1:2}`:                  "must be a string",
		`[1 2]`:                  "a comma or",
		`1 2`:                    "text follows",
		`trux`:                   "no value",
		`'a'`:                    "no value",
		`01`:                     "begin with 0",
		`-01`:                    "begin with 0",
		`+1`:                     "no value",
		`.5`:                     "no value",
		`1.`:                     "after the point",
		`1e`:                     "in the exponent",
		`-NaN`:                   "no value",
		`"\x"`:                   "is no escape",
		`"\u12g4"`:               "four hexadecimal",
		"\"a\nb\"":               "must be escaped",
		"\"\\n\nb\"":             "must be escaped",
		`18446744073709551616`:   "does not fit 64 bits",
		`-9223372036854775809`:   "does not fit 64 bits",
		`1e999`:                  "out of range",
		`{"$bytes":"?"}`:         "$bytes",
		`{"$ext":[1,"?"]}`:       "$ext",
		strings.Repeat("[", 129): "levels of nesting; the limit is 128",
	} {
		if got, err := ParseJSON([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseJSON(%s) = %s, %v, want an error with %q", in, got, err, want)
		}
	}
}

// FuzzRawJSON: whatever the bytes, their JSON is valid, and reads back as the value that it shows.
func FuzzRawJSON(f *testing.F) {
	for _, b := range bombs() {
		f.Add(b[:min(len(b), 300)])
	}
	for _, v := range []any{nil, -1, uint64(math.MaxUint64), math.NaN(), "ü\xff\x1b\u202e", []byte("b"), time.Unix(1, 2), map[any]any{1: "a", "$raw": nil}, map[string]any{"$ext": []any{1, "x"}}} {
		f.Add([]byte(encoded(f, v)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := Raw(b).AppendJSON(nil)
		if !json.Valid(text) {
			t.Fatalf("% x: not valid JSON: %s", b, text)
		}
		if Raw(b).check() != nil {
			return
		}
		if c, _ := appendCanonical(nil, b); !bytes.Equal(c, b) {
			if _, ok := canonical(b); ok {
				t.Fatalf("% x passes for canonical, which is % x", b, c)
			}
		}
		again, err := ParseJSON(text)
		if err != nil {
			t.Fatalf("% x: %s: %v", b, text, err)
		}
		// Times and keys that are no strings have become strings, once and for all.
		if second := again.AppendJSON(nil); !json.Valid(second) {
			t.Fatalf("% x: %s: not valid JSON: %s", b, text, second)
		}
		checkIdentity(t, again)
		// The same by way of Decode, which must not panic.
		var v any
		if Raw(b).Decode(&v) == nil {
			if _, err := Encode(v); err != nil {
				t.Fatalf("% x decodes to %#v, which does not encode: %v", b, v, err)
			}
		}
		var p point
		_ = Raw(b).Decode(&p)
	})
}

// FuzzJSONRaw: what parses is canonical msgpack within the limits, and is the same after any number of round trips.
func FuzzJSONRaw(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true],"b":{"$bytes":"AA=="}}`, `[NaN,-Infinity,18446744073709551615,-9223372036854775808]`, `{"$raw":{"$raw":{"$ext":[5,"AA=="]}}}`, `"\ud800\udc00ü\u001b"`, `{"a":1,"a":2}`, `[1.0,1e5,-0,0.1e-7]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseJSON(text)
		if err != nil {
			if json.Valid(text) && !bytes.ContainsAny(text, "$[{0123456789") {
				t.Fatalf("%s is valid JSON: %v", text, err)
			}
			return
		}
		if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) && !json.Valid(text) {
			t.Fatalf("%s is no JSON, and reads as %s", text, r)
		}
		checkIdentity(t, r)
	})
}

// checkIdentity sends a value that came from JSON to JSON and back, as the wire does.
func checkIdentity(t *testing.T, r Raw) {
	t.Helper()
	if err := new(Scanner).whole(r); err != nil {
		t.Fatalf("% x: %v", []byte(r), err)
	}
	if c, _ := appendCanonical(nil, r); !bytes.Equal(c, r) {
		t.Fatalf("% x is not canonical: % x", []byte(r), c)
	}
	if c, err := Canonical(r); err != nil || !bytes.Equal(c, r) {
		t.Fatalf("% x is not canonical (% x), %v", []byte(r), []byte(c), err)
	}
	w := jsonWriter{nan: true}
	w.value(r, 0)
	again, err := ParseJSON(w.dst)
	if err != nil || !bytes.Equal(again, r) {
		t.Fatalf("% x -> %s -> % x, %v", []byte(r), w.dst, []byte(again), err)
	}
	var v any
	if err := r.Decode(&v); err != nil {
		t.Fatalf("% x: %v", []byte(r), err)
	}
	if b, err := Encode(v); err != nil || !bytes.Equal(b, r) {
		t.Fatalf("% x -> %#v -> % x, %v", []byte(r), v, []byte(b), err)
	}
}
