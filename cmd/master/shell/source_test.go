package shell

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"fandango/ipc"
)

// read returns every item of an input, each in a line: "KEY | TARGET | ARGS" or "KEY | ! error".
func read(t *testing.T, input string, form Form) []string {
	t.Helper()
	s, err := NewSource(iotest.OneByteReader(strings.NewReader(input)), form)
	if err != nil {
		return []string{"header: " + err.Error()}
	}
	var got []string
	for {
		it, err := s.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, show(it))
	}
}

func show(it Item) string {
	if it.Err != nil {
		return it.Task.Key + " | ! " + it.Err.Error()
	}
	s := it.Task.Key + " | " + it.Task.Target.String()
	if it.Task.Args != nil {
		s += " | " + it.Task.Args.String()
	}
	if it.Task.Timeout != 0 {
		s += " | " + it.Task.Timeout.String()
	}
	return s
}

func TestSource(t *testing.T) {
	for _, c := range []struct {
		name  string
		form  Form
		input string
		want  []string
	}{
		{"words", Form{}, "add 2 3\n", []string{`add 2 3 | "add" | [2,3]`}},
		{"no newline at the end, and a carriage return", Form{}, "add 2 3\r\nadd 4 x", []string{
			`add 2 3 | "add" | [2,3]`, `add 4 x | "add" | [4,"x"]`,
		}},
		{"a byte order mark", Form{}, "\ufeffloadavg\n", []string{`loadavg | "loadavg"`}},
		{"key and words", Form{}, "k1: add 2 3\nk1:x 5\nk2:\n", []string{
			`k1 | "add" | [2,3]`, `k1:x 5 | "k1:x" | [5]`,
			`k2 | ! line 3: nothing after the key; write KEY: TARGET WORDS…`,
		}},
		{"all words strings", Form{Strings: true}, "add 2 null\n", []string{`add 2 null | "add" | ["2","null"]`}},
		{"blank lines and comments", Form{}, "\n  \n# no\n  # no\nf\n", []string{`f | "f"`}},
		{"arrays", Form{}, `["k1","read",["x",5]]` + "\n" + `["k1","read"]` + "\n" + `["read"]` + "\n" + `[ "k", "f", {"a":1} ]` +
			"\n" + `["k","f",null]` + "\n" + `["k",[1,2],7]` + "\n" + `[{"a":1}]`, []string{
			`k1 | "read" | ["x",5]`, `k1 | "read"`, `read | "read"`, `k | "f" | {"a":1}`, `k | "f"`, `k | [1,2] | 7`,
			`{"a":1} | {"a":1}`,
		}},
		{"big integers keep every digit", Form{}, `["k","f",[18446744073709551615,-9223372036854775808]]`, []string{
			`k | "f" | [18446744073709551615,-9223372036854775808]`,
		}},
		{"objects", Form{}, `{"key":"k1","target":"read","args":{"name":"x"},"timeout":"5s"}` + "\n" +
			`{"target":"f","timeout":2}` + "\n" + `{"target":"f","timeout":0}`, []string{
			`k1 | "read" | {"name":"x"} | 5s`, `f | "f" | 2s`, `f | "f" | -1ns`,
		}},
		{"bad objects", Form{}, `{"key":"k1"}` + "\n" + `{"target":"f","timeuot":1}` + "\n" + `{"key":5,"target":"f"}` + "\n" +
			`{"target":"f","timeout":"soon"}`, []string{
			`{"key":"k1"} | ! line 1: no "target" in the object`,
			`{"target":"f","timeuot":1} | ! line 2: no field "timeuot" in a task; did you mean timeout?`,
			`{"key":5,"target":"f"} | ! line 3: the key is no string; put it in quotes`,
			`f | ! line 4: timeout: "soon" is no duration: write 250ms, 3s, 5m, 6h, 2d, or seconds`,
		}},
		{"reserved", Form{}, "__HELLO: f\n", []string{`__HELLO: f | ! line 1: key "__HELLO" is reserved`}},
		{"a target for each line", Form{Target: "f"}, "a b  \n# c\n[1]\n\xff\n", []string{
			`a b   | "f" | ["a b  "]`, `# c | "f" | ["# c"]`, `[1] | "f" | ["[1]"]`, `\xff | "f" | [{"$bytes":"/w=="}]`,
		}},
		{"expressions", Form{Expression: true}, "1 + 2\n#x\n", []string{`1 + 2 | "1 + 2"`, `#x | "#x"`}},
		{"NUL", Form{Target: "f", Null: true}, "a\nb\x00\x00c", []string{"a\nb | \"f\" | [\"a\\nb\"]", `c | "f" | ["c"]`}},

		{"csv", Form{Comma: ',', Target: "f"}, "a,b\n1,x\n\n2,\"y, \"\"z\"\"\nend\"\n", []string{
			`row 1 | "f" | [1,"x"]`, `row 2 | "f" | [2,"y, \"z\"\nend"]`,
		}},
		{"csv named", Form{Comma: ',', Target: "f", Named: true}, "b,a\n1,\n", []string{`row 1 | "f" | {"a":"","b":1}`}},
		{"csv columns", Form{Comma: ','}, "x,key,target,timeout\n5,k1,f,3s\n6,,g,\n7,k3,,\n8,k4,f,soon", []string{
			`k1 | "f" | [5] | 3s`, `row 2 | "g" | [6]`, `k3 | ! line 4: the target is empty`,
			`k4 | ! line 5: timeout: "soon" is no duration: write 250ms, 3s, 5m, 6h, 2d, or seconds`,
		}},
		{"csv strings", Form{Comma: ',', Target: "f", Strings: true}, "a\n1\n", []string{`row 1 | "f" | ["1"]`}},
		{"tsv", Form{Comma: '\t', Target: "f"}, "a\tb\n1\t\"x\ty\"\n", []string{`row 1 | "f" | [1,"x\ty"]`}},
		{"missing and extra fields", Form{Comma: ',', Target: "f", Name: "w.csv"}, "a,b\n1\n1,2,3\n\"x\ny\",2\n3,4,5\n", []string{
			`row 1 | ! w.csv:2: 1 field, but the header has 2`, `row 2 | ! w.csv:3: 3 fields, but the header has 2`,
			`row 3 | "f" | ["x\ny",2]`, `row 4 | ! w.csv:6: 3 fields, but the header has 2`,
		}},
		{"bad quotes", Form{Comma: ',', Target: "f"}, "a,b\n\"x\"y,1\n5\" pipe,2\n\"open,3\n4,5\n", []string{
			`row 1 | ! line 2: field 1: text right after the closing quote; a quote inside a field is written ""`,
			`row 2 | "f" | ["5\" pipe",2]`,
			`row 3 | ! line 4: field 1: its quote is not closed; the 1 line after it belong to it`,
		}},
		{
			"an expression over columns",
			Form{Comma: ',', Target: "temp_max - temp_min", Expression: true},
			"date,temp_max,temp_min,if\n2012-01-01,12.8,5,x\n",
			[]string{
				`row 1 | "lambda temp_max, temp_min: (\ntemp_max - temp_min\n)" | {"temp_max":12.8,"temp_min":5}`,
			},
		},
		{
			"columns that are no names",
			Form{Comma: ',', Target: "max_temp__C_ + _2nd + _if", Expression: true},
			"max temp (C),2nd,if\n1,2,3\n",
			[]string{
				`row 1 | "lambda max_temp__C_, _2nd, _if: (\nmax_temp__C_ + _2nd + _if\n)" | {"_2nd":2,"_if":3,"max_temp__C_":1}`,
			},
		},
		{"an empty table", Form{Comma: ','}, "", nil},
		{"only a header", Form{Comma: ',', Target: "f"}, "a,b\n", nil},
		{"no target column", Form{Comma: ','}, "a,b\n1,2\n", []string{
			"header: line 1: the header has no column named target; say what to run with -t TARGET",
		}},
		{"two columns of a name", Form{Comma: ',', Target: "f"}, "a,a\n1,2\n", []string{
			`header: line 1: two columns of the header are named "a"`,
		}},
	} {
		got := read(t, c.input, c.form)
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestBadJSONNamesItsLine(t *testing.T) {
	got := read(t, "[\"a\"]\n# x\n{\"key\": \n[1,2,3,4]\n\"x\n", Form{Name: "tasks.jsonl"})
	for i, want := range []string{`a | "a"`, "! tasks.jsonl:3: ", "! tasks.jsonl:4: an array of 4", "! tasks.jsonl:5: the quote"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d: %q, want %q in it", i+1, got[i], want)
		}
	}
}

func TestKeyOfALongLine(t *testing.T) {
	long := strings.Repeat("ü", 300)
	s, err := NewSource(strings.NewReader("x\n"+long+"\n"+strings.Repeat("\xff", 200)), Form{Target: "f"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		it, err := s.Next()
		if err != nil || it.Err != nil {
			t.Fatal(err, it.Err)
		}
		if it.Line == 2 && it.Task.Key != strings.Repeat("ü", 240)+"…#2" {
			t.Errorf("key %q", it.Task.Key)
		}
	}
	it, err := s.Next()
	if err != nil || it.Err != nil || ipc.CheckKey(it.Task.Key) != nil || !strings.HasPrefix(it.Task.Key, `\xff\xff`) {
		t.Errorf("a key of 200 bytes that are not UTF-8: %q, %v, %v", it.Task.Key, err, it.Err)
	}
}

func TestALineThatIsTooLongFailsAlone(t *testing.T) {
	in := io.MultiReader(strings.NewReader("a\n"), io.LimitReader(endless('x'), maxRecord+5), strings.NewReader("\nb\n"))
	s, err := NewSource(in, Form{Target: "f"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		it, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.Err != nil {
			got = append(got, cut(it.Task.Key, 3)+" "+it.Err.Error())
			continue
		}
		got = append(got, it.Task.Key)
	}
	want := "a, xxx line 2: longer than 64 MiB, the most that one line may hold, b"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestAReadErrorEndsTheInput(t *testing.T) {
	broken := errors.New("input/output error")
	s, err := NewSource(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken)), Form{Target: "f"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); !errors.Is(err, broken) {
		t.Errorf("Next = %v, want %v", err, broken)
	}
}

func TestTimeoutOfALine(t *testing.T) {
	for _, v := range []any{-1.0, 1e300, int64(-1), true, "x"} {
		if d, err := timeout(v); err == nil {
			t.Errorf("timeout(%v) = %v, want an error", v, d)
		}
	}
	if d, err := timeout(0.25); err != nil || d != 250*time.Millisecond {
		t.Errorf("timeout(0.25) = %v, %v", d, err)
	}
}

// FuzzLine holds that no input makes a Source panic or a key that no task may have, and that what is printed of any
// line is printable.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"add 2 3", `["k","f",[1]]`, `{"target":"f","args":{"a":1}}`, "k: f 'a b'", "a,b\n1,\"x\n\"\n",
		"\x1b[31m\x00\u202e", "target,key\nf,\xff\n",
	} {
		for mode := range byte(12) {
			f.Add([]byte(s), mode)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, mode byte) {
		form := Form{Expression: mode == 1, Null: mode == 2, Strings: mode&4 != 0}
		switch {
		case mode == 3:
			form.Target = "f"
		case mode&8 != 0:
			form.Comma, form.Target, form.Named = ',', "f", mode&1 != 0
		}
		s, err := NewSource(bytes.NewReader(input), form)
		if err != nil {
			return
		}
		for {
			it, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := Result{Key: it.Task.Key, Outcome: ipc.Outcome{Err: it.Err}}
			if it.Err == nil {
				if err := ipc.CheckKey(it.Task.Key); err != nil {
					t.Fatal(err)
				}
				if r.Value = it.Task.Args; r.Value == nil {
					r.Value = it.Task.Target
				}
			}
			for _, line := range everyForm(&r) {
				if !utf8.Valid(line) || !printable(strings.NewReplacer("\t", "", "\n", "").Replace(string(line))) {
					t.Fatalf("%q is not printable", line)
				}
				if n := bytes.Count(line, []byte("\n")); n != 1 {
					t.Fatalf("%q has %d line ends", line, n)
				}
			}
		}
	})
}

// everyForm is a result in all the forms that a person may read.
func everyForm(r *Result) [][]byte {
	lines := [][]byte{JSON.append(nil, r), CSV.append(nil, r)}
	if r.Err != nil {
		return append(lines, failureLine(nil, r, false, false))
	}
	var c columns
	c.add(r, false)
	return append(lines, Text.append(nil, r), c.flush(nil))
}
