package shell

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
		err  string
	}{
		{"add 2 3", []string{"add", "2", "3"}, ""},
		{"  add\t2   3  \r", []string{"add", "2", "3"}, ""},
		{`cron '0 3 * * *' "two words"`, []string{"cron", "0 3 * * *", "two words"}, ""},
		{`f "a \"b\" \\ \n" ''`, []string{"f", `a "b" \ \n`, ""}, ""},
		{`f {"a": [1, 2]} [1, "x y"] z`, []string{"f", `{"a": [1, 2]}`, `[1, "x y"]`, "z"}, ""},
		{`f [1, 2]x`, []string{"f", "[1,", "2]x"}, ""},
		{`f it's C:\temp\new a"b`, []string{"f", "it's", `C:\temp\new`, `a"b`}, ""},
		{"f \xff ü", []string{"f", "\xff", "ü"}, ""},
		{`f 'open`, nil, "the quote that opens at 'open is not closed"},
		{`'abc'.upper`, nil, "text right after the closing quote"},
		{"", nil, ""},
	} {
		got, err := Split(c.line)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("Split(%q) = %q, %v; want error %q", c.line, got, err, c.err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Split(%q) = %q, %v; want %q", c.line, got, err, c.want)
		}
	}
}

func TestTyped(t *testing.T) {
	for _, c := range []struct {
		word string
		want any
	}{
		{"5", int64(5)},
		{"-5", int64(-5)},
		{"-9223372036854775808", int64(math.MinInt64)},
		{"18446744073709551615", uint64(math.MaxUint64)},
		{"18446744073709551616", "18446744073709551616"}, // no digit is lost
		{"12.8", 12.8},
		{"1e3", 1000.0},
		{"1e999", "1e999"},
		{"007", "007"},
		{".5", ".5"},
		{"5.", "5."},
		{"+5", "+5"},
		{"-", "-"},
		{"1e", "1e"},
		{"0x10", "0x10"},
		{"true", true},
		{"false", false},
		{"null", nil},
		{"None", "None"},
		{"NaN", "NaN"},
		{"", ""},
		{`[1,"x"]`, []any{int64(1), "x"}},
		{`{"a":1}`, map[string]any{"a": int64(1)}},
		{"[1,", "[1,"},
		{`"5"`, `"5"`},
		{"sr/dcct/current", "sr/dcct/current"},
		{"\xff", []byte{0xff}},
	} {
		if got := typed(c.word); !reflect.DeepEqual(got, c.want) {
			t.Errorf("typed(%q) = %#v, want %#v", c.word, got, c.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "3s": 3 * time.Second, "5m": 5 * time.Minute, "6h": 6 * time.Hour,
		"2d": 48 * time.Hour, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond, "10": 10 * time.Second,
		"0.5": 500 * time.Millisecond, "0": 0, "50µs": 50 * time.Microsecond,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "3x", "-3s", "3 s", "3s5", "NaN", "Inf", "1e300", ".", "1.2.3s", "99999999d"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", s, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]Size{
		"65536": 65536, "512MiB": 512 << 20, "512M": 512 << 20, "512mb": 512 << 20, "1G": 1 << 30, "1.5k": 1536, "10B": 10,
	} {
		got, err := ParseSize(s)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", got.String(), again, err, got)
		}
	}
	for _, s := range []string{"", "0", "-1", "x", "5X", "1e30", "MiB", "99999999T"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		}
	}
}

func TestHuman(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 210 * time.Microsecond: "0.21 ms", 4 * time.Microsecond: "0.004 ms", 23 * time.Microsecond: "0.023 ms", 800 * time.Millisecond: "800 ms", 41 * time.Millisecond: "41 ms",
		999600 * time.Microsecond: "1 s", 1204 * time.Millisecond: "1.2 s", 12 * time.Second: "12 s",
		3 * time.Minute: "3 min", 926 * time.Minute: "15 h 26 min", 75 * time.Hour: "3 d 3 h",
	} {
		if got := Human(d); got != want {
			t.Errorf("Human(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 2031: "2 031", 1000000: "1 000 000", -2031: "-2 031"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"run", "serve", "help", "version"}
	for s, want := range map[string]string{
		"rnu": "run", "runn": "run", "srve": "serve", "vresion": "version", "x": "", "frobnicate": "", "": "",
	} {
		if want != "" {
			want = "; did you mean " + want + "?"
		}
		if got := didYouMean(s, known); got != want {
			t.Errorf("didYouMean(%q) = %q, want %q", s, got, want)
		}
	}
}
