package ipc

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestW26Timestamps: what has no other meaning than a time must be one.
func TestW26Timestamps(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		says  string // "": it is one
	}{
		"32 bits":              {"\xd6\xff\x00\x00\x00\x01", ""},
		"64 bits":              {"\xd7\xff\xee\x6b\x27\xfc\x00\x00\x00\x01", ""}, // 999,999,999 ns
		"64 bits, 10^9 ns":     {"\xd7\xff\xee\x6b\x28\x00\x00\x00\x00\x01", "a timestamp has less than 1e9 ns, and this one 1000000000"},
		"64 bits, all ones":    {"\xd7\xff" + strings.Repeat("\xff", 8), "less than 1e9 ns"},
		"96 bits":              {"\xc7\x0c\xff\x3b\x9a\xc9\xff" + strings.Repeat("\xff", 8), ""},
		"96 bits, 10^9 ns":     {"\xc7\x0c\xff\x3b\x9a\xca\x00" + strings.Repeat("\x00", 8), "less than 1e9 ns"},
		"12 bytes, long head":  {"\xc8\x00\x0c\xff\xff\xff\xff\xff" + strings.Repeat("\x00", 8), "less than 1e9 ns"},
		"1 byte":               {"\xd4\xff\x00", "a timestamp has 4, 8 or 12 bytes, and this one 1"},
		"2 bytes":              {"\xd5\xff\x00\x00", "this one 2"},
		"16 bytes":             {"\xd8\xff" + strings.Repeat("\x00", 16), "this one 16"},
		"none":                 {"\xc7\x00\xff", "this one 0"},
		"4 GiB":                {"\xc9\xff\xff\xff\xff\xff", "the limit is"},
		"another type, 1 byte": {"\xd4\x05\xff", ""},
		"another type, none":   {"\xc7\x00\x05", ""},
		"in an array":          {"\x92\x01\xd4\xff\x00", "this one 1"},
		"behind another one":   {"\x92\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01\xd6\xff\x00\x00\x00\x01", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for step := range 3 { // in one piece, and in pieces of 1 and 2 bytes
				r := &slowly{[]byte("\x92\xa1k" + c.value), step}
				d := NewDecoder(r, DecoderConfig{})
				a, err := d.Answer()
				switch {
				case c.says == "" && (err != nil || string(a.Value) != c.value):
					t.Errorf("answer = %x, %v", []byte(a.Value), err)
				case c.says != "" && (!errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), c.says)):
					t.Errorf("error = %v, want %q in it", err, c.says)
				}
			}
			var at time.Time
			if err := Raw(c.value).Decode(&at); c.says != "" && err == nil {
				t.Errorf("Decode = %v", at)
			}
		})
	}
	for _, line := range []string{`["k",{"$ext":[-1,"AA=="]}]`, `["k",{"$ext":[-1,"//////////8="]}]`} {
		_, err := NewDecoder(strings.NewReader(line+"\n"), DecoderConfig{Wire: JSON}).Answer()
		if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "a timestamp has") {
			t.Errorf("%s: %v, want a protocol error", line, err)
		}
	}
}

// slowly gives n bytes at a time; 0: all.
type slowly struct {
	b []byte
	n int
}

func (s *slowly) Read(p []byte) (int, error) {
	n := len(s.b)
	if s.n > 0 {
		n = min(n, s.n)
	}
	if n == 0 {
		return 0, errors.New("nothing more comes")
	}
	n = copy(p, s.b[:n])
	s.b = s.b[n:]
	return n, nil
}
