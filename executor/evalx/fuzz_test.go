package evalx_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"testing"

	"fandango/executor/evalx"
	"fandango/ipc"
)

// FuzzExecute holds that no text makes the evaluator panic, and that what it answers is an encoded value.
func FuzzExecute(f *testing.F) {
	file, err := os.Open("../../testdata/fandango-answers.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var row struct{ Target any }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			f.Fatal(err)
		}
		if s, ok := row.Target.(string); ok {
			f.Add(s)
		}
	}
	for _, seed := range []string{
		"import math, json as j\nfrom time import now\nmath.pi",
		"def f(a, *b, c=1, **d):\n  return a\nf(1)",
		"if 1:\n  x = [i for i in range(3) if i]\nelse:\n  pass\nwhile x: x.pop()",
		"x = {1: 2}; x[1] %= 3; x",
		`"%(a)*.3f %% %c" % {"a": 1.5}`, `"{0!r:*^+#010,.3f}".format(2.5)`, `"%s" % ()`, "'{a.b[0]}'.format(a=1)",
		`eval({"__class__": "dict", "__target__": "items", "__args__": []})`, `eval(["max", [1, 2]])`,
		"[[]] * 3 == [[]] * 3", "-1 >> 3 & 5 | ~2 ^ 7", "b'\\xff'[0]", "'\\ud800'", "x.format = 1", "f(x=1 % 2, *[1], **{})",
		"round(1e308, -308), pow(7, 300), 1 << 511, int('9' * 4000)", "import\x00", "from math import *", "((((", "'''", "\\",
		"lambda *a, **k: (a, k)", "(x)=1", "[a, (b, c)] = [1, (2, 3)]", "load('a', b='c')", "return", "break", "json.decode('[[')",
		"time.parse_time('2026-01-01T00:00:00Z').format('2006')", "set([1]) | set([2])", "statistics.stdev([1e308, -1e308])",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		e := evalx.New(evalx.Config{Steps: 20_000, Stderr: io.Discard})
		target, err := ipc.Encode(source)
		if err != nil {
			t.Skip()
		}
		result, err := e.Execute(t.Context(), target, nil)
		if err != nil {
			return
		}
		var v any
		if err := result.(ipc.Raw).Decode(&v); err != nil {
			t.Errorf("%q answers % x: %v", source, result, err)
		}
	})
}
