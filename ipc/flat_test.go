package ipc

import (
	"bytes"
	"strings"
	"testing"
)

// What is flat is what the Scanner passes, up to the same end.
func FuzzFlat(f *testing.F) {
	for _, b := range []string{
		"", "\x00", "\xff", "\xa0", "\xa3abc", "\xa3ab", "\xc0", "\xc1", "\xc2", "\xc4\x02ab", "\xc4\x02a", "\xc4", "\xc5\x00\x01a",
		"\xc6\xff\xff\xff\xff", "\xd9\x01a", "\xcb\x00\x00\x00\x00\x00\x00\x00\x00", "\xcb\x00", "\xd4\x01a", "\xd6\xff\x00\x00\x00\x00",
		"\xc7\x01\x01a", "\x90", "\x80", "\x91\xa1a", "\x92\x01", "\x91\x91\x01", "\x81\xa5batch\xc3", "\x81\x01", "\x93\x01\xc4\x01a\xc0rest",
		"\xdc\x00\x01\x01", "\xde\x00\x01\x01\x01",
	} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := flatSize(b)
		if n == 0 {
			return
		}
		if end, done, err := NewScanner(Limits{}).Scan(b); end != n || !done || err != nil {
			t.Errorf("% x has %d bytes at a glance; scanned: %d, %v, %v", b, n, end, done, err)
		}
	})
}

func TestFlatSizeKnowsMostValues(t *testing.T) {
	for _, v := range []any{
		nil, true, 1, -1, 1 << 40, 1.5, "", "abc", make([]byte, 300), make([]byte, 70_000),
		[]string{"a", "b"},
		map[string]any{"a": 1, "b": nil},
		[]int{},
		map[string]int{},
	} {
		raw := encoded(t, v)
		for end := range raw {
			if n := flatSize(raw[:end]); n != 0 {
				t.Errorf("%.20v: the first %d of %d bytes are taken for a value of %d", v, end, len(raw), n)
			}
		}
		if n := flatSize(append(raw, 'x')); n != len(raw) {
			t.Errorf("%.20v: %d bytes, want %d", v, n, len(raw))
		}
	}
	for _, v := range []any{[][]int{{1}}, make([]int, flatMost+1), map[string][]int{"a": {}}} {
		if n := flatSize(encoded(t, v)); n != 0 {
			t.Errorf("%v is taken for a flat value of %d bytes", v, n)
		}
	}
}

// A limit that is smaller than what is flat holds nevertheless.
func TestSmallLimitsHoldForFlatMessages(t *testing.T) {
	for name, lim := range map[string]Limits{"elements": {Elements: 1}, "size": {Size: 8}} {
		var wire bytes.Buffer
		e := NewEncoder(&wire, Msgpack, Limits{})
		if err := e.Answer("k", encoded(t, strings.Split("a b c d", " "))); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		if a, err := NewDecoder(&wire, DecoderConfig{Limits: lim}).Answer(); KindOf(err) != KindProtocol {
			t.Errorf("%s: the decoder takes %+v, %v", name, a, err)
		}
	}
}
