package evalx

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"fandango/ipc"
)

// answer is the result of a text as JSON, or what is wrong with it.
func (e *Evaluator) answer(t *testing.T, text string, args any) string {
	t.Helper()
	task, err := ipc.NewTask("k", text, args)
	if err != nil {
		t.Fatal(err)
	}
	result, err := e.Execute(context.Background(), task.Target, task.Args)
	if err != nil {
		return err.Error()
	}
	raw, err := ipc.Encode(result)
	if err != nil {
		t.Fatal(err)
	}
	return raw.String()
}

func TestWhatIsCompiledSeesTheSessionAsItIs(t *testing.T) {
	e := New(Config{})
	for _, tt := range []struct {
		text string
		args any
		want string
	}{
		{"a = 1", nil, `"a"`},
		{"a + 1", nil, "2"},
		{"lambda x: x + a", []int{1}, "2"},
		{"lambda x, y=a: [x, y]", []int{1}, "[1,1]"},
		{"lambda x, seen=[]: seen.append(x) or seen", []int{1}, "[1]"},
		{"len", []any{[]int{1, 2}}, "2"},
		{"a = 2", nil, `"a"`},
		{"len = lambda x: 7", nil, `"len"`},
		{"a + 1", nil, "3"},
		{"lambda x: x + a", []int{1}, "3"},
		{"lambda x, y=a: [x, y]", []int{1}, "[1,2]"},
		{"lambda x, seen=[]: seen.append(x) or seen", []int{1}, "[1]"}, // and not the list of the last time
		{"len", []any{[]int{1, 2}}, "7"},
		{"lambda *x: x", []int{1, 2}, "[1,2]"},
		{"lambda *x: x", []int{3}, "[3]"},
		{"(lambda **x: x)", map[string]int{"b": 1}, `{"b":1}`},
		{"lambda x: missing", []int{1}, `NameError: name "missing" is not defined`},
		{"lambda x: missing", []int{1}, `NameError: name "missing" is not defined`},
		{"*", nil, "SyntaxError"}, // and not what products are rewritten to
		{"missing = 5", nil, `"missing"`},
		{"lambda x: missing", []int{1}, "5"},
	} {
		if got := e.answer(t, tt.text, tt.args); got != tt.want && !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %v: got %s, want %s", tt.text, tt.args, got, tt.want)
		}
	}
}

func TestCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	e := New(Config{})
	const hot = "1 + 2"
	long := strings.Repeat(" ", maxCachedSource-20)
	for i := range 3 * maxCached {
		if got := e.answer(t, hot, nil); got != "3" {
			t.Fatalf("%s is %s", hot, got)
		}
		if _, ok := e.cache.get([]byte(hot)); !ok {
			t.Fatalf("%s was forgotten after %d others", hot, i)
		}
		text := strconv.Itoa(i) + " + 1"
		if i%2 == 1 {
			text += long
		}
		if got, want := e.answer(t, text, nil), strconv.Itoa(i+1); got != want {
			t.Fatalf("%s is %s", text, got)
		}
		bytes := 0
		for _, kept := range []map[string]compiled{e.cache.young, e.cache.old} {
			for text := range kept {
				bytes += len(text)
			}
		}
		if n := len(e.cache.young) + len(e.cache.old); n > maxCached || bytes > maxCachedBytes {
			t.Fatalf("%d texts of %d bytes are kept", n, bytes)
		}
	}
	e.answer(t, "1"+strings.Repeat("+1", maxCachedSource), nil)
	if _, ok := e.cache.get([]byte("1" + strings.Repeat("+1", maxCachedSource))); ok {
		t.Error("a text that is too long is kept")
	}
}
