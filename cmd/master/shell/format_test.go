package shell

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"fandango/ipc"
)

var at = time.Date(2026, 11, 22, 11, 29, 1, 204e6, time.UTC)

func result(t *testing.T, key string, v any) *Result {
	t.Helper()
	raw, err := ipc.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return &Result{Key: key, At: at, Outcome: ipc.Outcome{Value: raw, Worker: "main/1", Attempts: 1, Ran: 210 * time.Microsecond}}
}

func TestTextForm(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"add 2 3", 5, "add 2 3\t5"},
		{"k", "ALBA", "k\tALBA"},
		{"k", "two words", "k\ttwo words"},
		{"k", "5", "k\t\"5\""},
		{"k", " 5 ", "k\t\" 5 \""},
		{"k", "true", "k\t\"true\""},
		{"k", "nothing", "k\tnothing"},
		{"k", `{"a":1}`, "k\t\"{\\\"a\\\":1}\""},
		{"k", "{a}", "k\t{a}"},
		{"k", "a\tb\n", `k` + "\t" + `"a\tb\n"`},
		{"k", "ü – 水", "k\tü – 水"},
		{"k", "", "k\t"},
		{"k", nil, "k\tnull"},
		{"k", []any{1, "x", nil, true, 2.5}, `k` + "\t" + `[1,"x",null,true,2.5]`},
		{"k", map[string]any{"b": 1, "a": "ü"}, `k` + "\t" + `{"a":"ü","b":1}`},
		{"k", uint64(math.MaxUint64), "k\t18446744073709551615"},
		{"k", math.NaN(), "k\t\"NaN\""},
		{"k", math.Inf(-1), "k\t\"-Infinity\""},
		{"k", []byte{0, 255}, `k` + "\t" + `{"$bytes":"AP8="}`},
		{"\x1b[31mred", "\x1b]0;title\a", `"\u001b[31mred"` + "\t" + `"\u001b]0;title\u0007"`},
		{"\u202eevil", "a\u0085b\u200f", `"\u202eevil"` + "\t" + `"a\u0085b\u200f"`},
		{"\U000e0041", "x\x00", `"\udb40\udc41"` + "\t" + `"x\u0000"`},
		{`"quoted"`, 1, `"\"quoted\""` + "\t1"},
		{"a\tb", 1, `"a\tb"` + "\t1"},
	} {
		if got := string(Text.append(nil, result(t, c.key, c.value))); got != c.want+"\n" {
			t.Errorf("%q, %v: got %q, want %q", c.key, c.value, got, c.want)
		}
	}
}

func TestJSONForm(t *testing.T) {
	r := result(t, "a", 5)
	want := `{"key":"a","value":5,"ms":0.21,"worker":"main/1","tries":1,"at":"2026-11-22T11:29:01.204Z"}` + "\n"
	if got := string(JSON.append(nil, r)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r.Err = &ipc.Error{Kind: ipc.KindTask, Type: "ValueError", Message: "no \"x\"\n\x1b[0m"}
	got := string(JSON.append(nil, r))
	want = `{"key":"a","error":"ValueError: no \"x\"\n\u001b[0m","kind":"task","ms":0.21,"worker":"main/1","tries":1,` +
		`"at":"2026-11-22T11:29:01.204Z"}` + "\n"
	if got != want || !json.Valid([]byte(got)) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCSVForm(t *testing.T) {
	out := []byte(csvHeader)
	for _, v := range []any{5, "5", "a,b", `say "x"`, " x", "two\nlines", []any{1, "x"}, nil} {
		out = CSV.append(out, result(t, "k,1", v))
	}
	failed := result(t, "k", nil)
	failed.Err = ipc.Errorf(ipc.KindCrash, "its worker died, twice")
	out = CSV.append(out, failed)
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	want := []string{"value", "5", "5", "a,b", `say "x"`, " x", `"two\nlines"`, `[1,"x"]`, "null", ""}
	for i, row := range rows {
		if row[1] != want[i] {
			t.Errorf("row %d: value %q, want %q", i, row[1], want[i])
		}
	}
	if last := strings.Join(rows[9], "|"); last != "k||its worker died, twice|crash|0.21|main/1|1|2026-11-22T11:29:01.204Z" {
		t.Errorf("a failure: %s", last)
	}
}

func TestRawForm(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{{"a\x1bb", "a\x1bb\n"}, {[]byte{1, 0xff}, "\x01\xff\n"}, {5, "5\n"}, {[]any{"x"}, `["x"]` + "\n"}} {
		if got := string(Bare.append(nil, result(t, "k", c.value))); got != c.want {
			t.Errorf("%v: got %q, want %q", c.value, got, c.want)
		}
	}
}

func TestColumns(t *testing.T) {
	var c columns
	c.add(result(t, "add 2 3", 5), false)
	c.add(result(t, "square 12", 144), false)
	c.add(result(t, "upper alba", "ALBA"), false)
	want := "add 2 3     5\nsquare 12   144\nupper alba  ALBA\n"
	if got := string(c.flush(nil)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	c.add(result(t, strings.Repeat("x", 41), 1), false)
	c.add(result(t, "ü", 2), false)
	want = strings.Repeat("x", 41) + "  1\nü           2\n"
	if got := string(c.flush(nil)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFailureLine(t *testing.T) {
	for _, c := range []struct {
		r    Result
		want string
	}{
		{
			Result{Key: "add 1 x", Outcome: ipc.Outcome{Err: errors.New("boom\n\x1b[2J"), Attempts: 1}},
			`master: FAILED add 1 x: boom\n\x1b[2J`,
		},
		{Result{Key: "[1", Outcome: ipc.Outcome{Err: ipc.Errorf(ipc.KindInput, "line 3: bad")}}, `master: FAILED line 3: bad`},
		{
			Result{Key: "a\rb", Outcome: ipc.Outcome{Err: errors.New("\xff\u2066"), Attempts: 1}},
			`master: FAILED "a\rb": \xff\u2066`,
		},
	} {
		if got := string(failureLine(nil, &c.r, false, false)); got != c.want+"\n" {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if got := string(failureLine(nil, &c.r, false, true)); !strings.Contains(got, "\x1b[31mFAILED\x1b[0m") {
			t.Errorf("in colour: %q", got)
		}
	}
}

func TestSummary(t *testing.T) {
	var tally Tally
	tally.begun = time.Now()
	if got := tally.Summary(2); got != "" {
		t.Errorf("of nothing: %q", got)
	}
	tally.read.Add(3)
	for range 2 {
		tally.count(&Result{Key: "a", Outcome: ipc.Outcome{Attempts: 1, Ran: time.Millisecond}})
	}
	tally.count(&Result{Key: "b", Outcome: ipc.Outcome{Attempts: 1, Err: ipc.ErrTask}})
	if got, want := tally.Summary(2), "master: 3 tasks: 2 done, 1 failed in 0.01 s · 2 workers · the input was not read to its end\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	tally.read.Add(100)
	for range 96 {
		tally.count(&Result{Key: "a", Outcome: ipc.Outcome{Attempts: 1, Ran: 41 * time.Millisecond}})
	}
	tally.count(&Result{Key: "run 7.h5", Outcome: ipc.Outcome{Attempts: 1, Ran: 1200 * time.Millisecond}})
	tally.notStarted.Add(3)
	tally.begun = time.Now().Add(-4 * time.Second)
	tally.complete.Store(true)
	got := tally.Summary(1)
	want := "master: 103 tasks: 99 done, 1 failed, 3 not started in 4 s · 1 worker · 25/s · median 41 ms · p95 41 ms · slowest run 7.h5 1.2 s\n"
	if strings.ReplaceAll(got, "42 ms", "41 ms") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	tally.complete.Store(false)
	if got, want := tally.Progress(8), "  100 done   1 failed   8 running   25/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	tally.complete.Store(true)
	if got, want := tally.Progress(8), "  100/103   1 failed   8 running   25/s   1 s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
