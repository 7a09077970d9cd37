package evalx_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/executor"
	"fandango/executor/evalx"
	"fandango/ipc"
)

// check executes a tuple whose parts are JSON, and compares what it answers: a value as JSON, or the start of an error.
func check(t *testing.T, e *evalx.Evaluator, source string, args any, want string) {
	t.Helper()
	var raw ipc.Raw
	if args != nil {
		raw = encode(t, args)
	}
	result, err := e.Execute(t.Context(), encode(t, source), raw)
	var got string
	if err != nil {
		got = err.Error()
	} else {
		got = encode(t, result).String()
	}
	if got != want && (err == nil || !strings.HasPrefix(got, want)) {
		t.Errorf("%s %v\n got %s\nwant %s", source, args, got, want)
	}
}

func TestSession(t *testing.T) {
	e := evalx.New(evalx.Config{})
	for _, tt := range []struct{ source, want string }{
		{"x = 2", `"x"`},
		{"def f(a): return a * x", `"f"`},
		{"f(3)", `6`},
		{"x = 10", `"x"`},
		{"f(1)", `10`}, // row 82: a function sees the session as it is now
		{"(lambda a: a * x)(2)", `20`},
		{"[x * i for i in range(3)]", `[0,10,20]`},
		{"g = lambda n: 1 if n < 2 else n * g(n - 1)", `"g"`},
		{"g(5)", `120`},
		{"def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\neven(10)", `true`},
		{"y = []\nfor i in range(3):\n  y.append(i)\ny", `[0,1,2]`},
		{"x += 5", `"x"`}, // row 81
		{"x", `15`},
		{"a, b = 1, 2", `["a","b"]`},
		{"a + b", `3`},
		{"a.b = 3", `AttributeError`},
		{"x=", `SyntaxError`},
		{"z += 1", `UnboundLocalError`},
		{"len = 3", `"len"`}, // a name may get another meaning
		{"len", `3`},
		{"if x > 3:\n  z = 'big'\nelse:\n  z = 'small'", `null`},
		{"z", `"big"`},
		{"while x > 0: x -= 1", `null`},
		{"x", `0`},
		{"x = 7", `"x"`},
		{"x", `7`}, // also when it was looked up just before
		{"  1 + 1  # a comment", `2`},
		{"\n\n1 + 1\n", `2`},
		{"# nothing", `SyntaxError: there is nothing to evaluate`},
		{"   ", `SyntaxError: there is nothing to evaluate`},
		{"x; y", `[0,1,2]`},
		{"nope + 1", `NameError: name "nope" is not defined`},
		{"squere(2)", `NameError: name "squere" is not defined; did you mean square?`},
		{"load('x', 'y')", `ImportError`},
		{"return 1", `SyntaxError`},
		{"def f(a):\nreturn a", `SyntaxError`},
		{"lambda: lambda: 1", `TypeError: the result is or has a function`},
		{"[len2]", `NameError`},
		{"1 // 0", `ZeroDivisionError`},
		{"1 % 0", `ZeroDivisionError`},
		{"[1][3]", `IndexError`},
		{"{}['k']", `KeyError`},
		{"'x'.nope", `AttributeError`},
		{"'x' + 1", `TypeError`},
		{"int('x')", `ValueError`},
		{"fail('own words')", `Error: fail: own words`},
		{"2 << 69", `OverflowError: 1180591620717411303424 does not fit 64 bits`},
		{"-(2 << 62) - 1", `OverflowError`},
		{"1 << 63", `9223372036854775808`},
		{"-(1 << 63)", `-9223372036854775808`},
		{"2 ** 3", `SyntaxError: column 3: got '**', want newline (there is no **: write pow(a, b))`},
		{"1 is 1", `SyntaxError: column 3: got is, want newline (there is no is: write == or !=)`},
		{"1 < 2 < 3", `SyntaxError: column 8: < does not associate with < (use parens) (comparisons cannot be chained: write a < b and b < c)`},
		{"x = []\nx.append(x)\nx", `the value is nested deeper than 128`},
	} {
		check(t, e, tt.source, nil, tt.want)
	}
}

func TestImport(t *testing.T) {
	e := evalx.New(evalx.Config{})
	for _, tt := range []struct{ source, want string }{
		{"import math", `"math"`},
		{"import math as m", `"m"`},
		{"m.sqrt(16)", `4.0`},
		{"from math import sqrt", `"sqrt"`},
		{"sqrt(9)", `3.0`},
		{"from math import sqrt as root, pi", `["root","pi"]`}, // row 78
		{"root(4)", `2.0`},
		{"from math import (floor, ceil)", `["floor","ceil"]`},
		{"import math, json", `["math","json"]`},
		{"import math; math.floor(2.5)", `2`},
		{`len("a import b")`, `10`}, // row 77
		{`"""` + "\nimport os\n" + `"""`, `"\nimport os\n"`},
		{"def f(a):\n  import math\n  return math.floor(a)\nf(3.7)", `3`},
		{"import os", `ImportError: no module named "os" here; there are json, math, random, statistics, time`},
		{"import os.path", `ImportError`},
		{"from math import nope", `ImportError: module math has no "nope"`},
		{"from math import *", `SyntaxError: import: name what to import`},
		{"import", `SyntaxError`},
		{"import 5", `SyntaxError`},
		{"x = import math", `SyntaxError`},
		{"math", `"math"`},
		{"json.decode('[1, 2.5]')", `[1,2.5]`},
		{"json.encode({'a': None})", `"{\"a\":null}"`},
		{"statistics.mean([1, 2, 4.5])", `2.5`},
		{"statistics.median([5, 1, 3])", `3.0`},
		{"statistics.stdev([1, 3])", `1.4142135623730951`},
		{"statistics.stdev([1])", `ValueError`},
		{"random.choice([7])", `7`},
		{"random.choice([])", `IndexError`},
		{"random.randint(3, 3)", `3`},
		{"random.randint(3, 2)", `ValueError`},
		{"0 <= random.uniform(0, 1) and random.random() < 1", `true`},
		{"math.isnan(math.nan) and math.isinf(math.inf)", `true`},
		{"math.log10(1000), math.log2(8)", `[3.0,3.0]`},
		{"math.log10(0)", `ValueError`},
		{"time.time() > 1.7e9", `true`},
		{"time.parse_duration('1h30m').seconds", `5400.0`},
	} {
		check(t, e, tt.source, nil, tt.want)
	}
}

func TestPythonBuiltins(t *testing.T) {
	e := evalx.New(evalx.Config{})
	for _, tt := range []struct{ source, want string }{
		{"sum([1, 2, 3])", `6`},
		{"sum([1, 2.5], 10)", `13.5`},
		{"sum([])", `0`},
		{"sum([[1], [2]], [])", `[1,2]`},
		{"sum(['a'], '')", `TypeError`},
		{"sum(5)", `TypeError`},
		{"round(0.5), round(1.5), round(2.5), round(-0.5), round(-1.5)", `[0,2,2,0,-2]`},
		{"round(2.675, 2), round(1e300, 5), round(5, 2)", `[2.67,1e+300,5]`},
		{"round(1250, -2), round(1350, -2), round(-1250, -2), round(1251, -2)", `[1200,1400,-1200,1300]`},
		{"round(1234.5, -2), round(5e-324, 400), round(3, -400)", `[1200.0,5e-324,0]`},
		{"round(float('nan'))", `ValueError`},
		{"round(1e300) > 0", `true`},
		{"round('x')", `TypeError`},
		{"pow(2, 10), pow(2, -1), pow(2.0, 3), pow(3, 4, 5), pow(-3, 3)", `[1024,0.5,8.0,1,-27]`},
		{"pow(-1, 1 << 200), pow(-1, (1 << 200) + 1), pow(0, 0), pow(1, 1 << 300), pow(0, 5)", `[1,-1,1,1,0]`},
		{"pow(3, 2, -5)", `-1`},
		{"pow(2, 1 << 100)", `OverflowError`},
		{"pow(0, -1)", `ZeroDivisionError`},
		{"pow(-8, 0.5)", `ValueError`},
		{"pow(2, 3, 0)", `ValueError`},
		{"pow(10.0, 400)", `OverflowError`},
		{"divmod(7, 2), divmod(-7, 2), divmod(7.5, 2)", `[[3,1],[-4,1],[3.0,1.5]]`},
		{"divmod(1, 0)", `ZeroDivisionError`},
		{"map(lambda a: a * 2, [1, 2])", `[2,4]`},
		{"map(lambda a, b: a + b, [1, 2, 3], [10, 20])", `[11,22]`},
		{"map(str, [1, None])", `["1","None"]`},
		{"filter(lambda a: a > 1, [1, 2, 3]), filter(None, [0, 1, '', 'x'])", `[[2,3],[1,"x"]]`},
		{"isinstance(1, int), isinstance(True, int), isinstance(1, float), isinstance('x', (int, str))", `[true,true,false,true]`},
		{"isinstance([], list), isinstance({}, dict), isinstance(1, 'int')", `TypeError`},
		{"bin(5), hex(-255), oct(8), chr(65), ord('é'), abs(-3), min(3, 1), max([1, 4])", `["0b101","-0xff","0o10","A",233,3,1,4]`},
		{"str(1.0), str(1e16), str(1e15), str(0.1 + 0.2), str(1e-5), str(123456789.0), str(-0.0)", `["1.0","1e+16","1000000000000000.0","0.30000000000000004","1e-05","123456789.0","-0.0"]`},
		{"str(True), str(None), str('a'), str([1.5, 'a', None, True]), str((1,)), str({'k': \"it's\"})", `["True","None","a","[1.5, 'a', None, True]","(1,)","{'k': \"it's\"}"]`},
		{"str(), int(), float(), bool(), list(), repr('a\\n')", `["",0,0.0,false,[],"'a\\n'"]`},
		{"int('12'), int('ff', 16), int(3.9), int(-3.9), float('2.5'), bool('x')", `[12,255,3,-3,2.5,true]`},
		{"float('nan'), float('inf')", `["NaN","Infinity"]`},
		{"str(float('nan')), str(float('-inf'))", `["nan","-inf"]`},
		{"set([1, 2, 2])", `[1,2]`},
		{"{'b': 1, 'a': [1, (2, 3)]}", `{"a":[1,[2,3]],"b":1}`},
		{"b'\\x00a'", `{"$bytes":"AGE="}`},
		{"callable(len), callable(1)", `[true,false]`},
		{"list(reversed(sorted([3, 1, 2]))), list(zip([1], 'a'.elems()))", `[[3,2,1],[[1,"a"]]]`},
		{"any([0, 1]), all([]), type(1), dir([])[0]", `[true,true,"int","append"]`},
		{"eval('1 + 2')", `3`},
		{"eval('len')", `TypeError`},
	} {
		check(t, e, tt.source, nil, tt.want)
	}
}

func TestFormat(t *testing.T) {
	e := evalx.New(evalx.Config{})
	for _, tt := range []struct{ source, want string }{
		{`"%.2f|%5d|%-5d|%05d|%+d|%x|%X|%o|%e|%g|%g|%g" % (3.14159, 42, 42, -42, 42, 255, 255, 8, 12345.678, 1e20, 0.0001, 1.5)`, `"3.14|   42|42   |-0042|+42|ff|FF|10|1.234568e+04|1e+20|0.0001|1.5"`},
		{`"%s %r %s %%" % ("a", "a", [1.0])`, `"a 'a' [1.0] %"`},
		{`"%(a)s-%(b).1f" % {"a": 1, "b": 2.25}`, `"1-2.2"`},
		{`"%*d|%.*f" % (4, 7, 1, 2.25)`, `"   7|2.2"`},
		{`"%c%c" % ("x", 65)`, `"xA"`},
		{`"%10.3s|" % "abcdef"`, `"       abc|"`},
		{`"%d" % 3.9`, `"3"`},
		{`"%s" % (1, 2)`, `TypeError: not all arguments`},
		{`"%s %s" % 1`, `TypeError: not enough arguments`},
		{`"%d" % "x"`, `TypeError`},
		{`"%y" % 1`, `ValueError`},
		{`"%" % 1`, `ValueError`},
		{`"%(a)s" % 1`, `TypeError`},
		{`7 % 4, -7 % 4, 7.5 % 2`, `[3,1,1.5]`},
		{`"{} {}".format(1, "a")`, `"1 a"`},
		{`"{1} {0} {x}".format(1, 2, x=3)`, `"2 1 3"`},
		{`"{:.2f}|{:>6}|{:<6}|{:^6}|{:*^7}|{:06.1f}|{:+}|{:,}|{:x}|{:#x}|{:b}|{:%}|{:e}".format(3.14159, "a", "b", "c", "d", 2.5, 3, 1234567, 255, 255, 5, 0.25, 12345.678)`, `"3.14|     a|b     |  c   |***d***|0002.5|+3|1,234,567|ff|0xff|101|25.000000%|1.234568e+04"`},
		{`"{!r:>5}|{{}}".format("a")`, `"  'a'|{}"`},
		{`"{:5}|{:5}|{:d}".format(1, "a", True)`, `"    1|a    |1"`},
		{`"{:g} {:.3g} {:.0f} {:10.4}".format(0.00001, 1234.5, 2.5, 3.14159)`, `"1e-05 1.23e+03 2      3.142"`},
		{`"{}".format()`, `IndexError`},
		{`"{a}".format(1)`, `KeyError`},
		{`"{".format(1)`, `ValueError`},
		{`"}".format(1)`, `ValueError`},
		{`"{:q}".format(1)`, `ValueError`},
		{`"{:d}".format("a")`, `ValueError`},
		{`"{:.2f}".format("a")`, `ValueError`},
		{`format(3.14159, ".3f"), format("x"), format(1e16)`, `["3.142","x","1e+16"]`},
		{`[1].format`, `AttributeError`},
	} {
		check(t, e, tt.source, nil, tt.want)
	}
}

func TestFirstContact(t *testing.T) {
	e := evalx.New(evalx.Config{})
	for _, tt := range []struct {
		target string
		args   any
		want   string
	}{
		{"add", []any{2, 3}, `5`},
		{"add", []any{"a", "b", "c"}, `"abc"`},
		{"add", []any{1, "x"}, `TypeError: add: unknown binary op: int + string`},
		{"square", 12, `144`},
		{"square", "x", `TypeError`},
		{"upper", "alba", `"ALBA"`},
		{"upper", 5, `TypeError`},
		{"echo", "x", `"x"`},
		{"echo", nil, `null`},
		{"echo", []any{1, []any{2}}, `[1,[2]]`},
		{"echo", map[string]any{"b": 1, "a": nil}, `{"a":null,"b":1}`},
		{"echo", []any{[]byte{0, 255}}, `{"$bytes":"AP8="}`},
		{"sleep", 0, `0`},
		{"sleep", -1, `ValueError`},
		{"sleep", "x", `TypeError`},
		{"rand() < 1", nil, `true`},
		{"len(host()) > 0", nil, `true`},
	} {
		check(t, e, tt.target, tt.args, tt.want)
	}
}

func TestStructuredForms(t *testing.T) {
	e := evalx.New(evalx.Config{})
	check(t, e, "def Counter(start=0): return {'n': start}", nil, `"Counter"`)
	for _, tt := range []struct {
		args any
		want string
	}{
		{[]any{map[string]any{"__target__": "int", "__args__": []any{"77"}}}, `77`},
		{map[string]any{"__target__": "int", "__args__": []any{"77"}}, `77`}, // a map as args is by name
		{[]any{map[string]any{"__target__": "int", "x": "77"}}, `77`},
		{[]any{map[string]any{"__target__": "int", "__args__": map[string]any{"x": "77"}}}, `77`},
		{[]any{map[string]any{"__target__": "int", "__args__": "77"}}, `77`},
		{[]any{map[string]any{"__module__": "math", "__target__": "sqrt", "__args__": []any{16}}}, `4.0`},
		{[]any{map[string]any{"__module__": "math", "__target__": "pi", "__args__": nil}}, `3.141592653589793`},
		{[]any{map[string]any{"__target__": "math.sqrt", "__args__": []any{16}}}, `4.0`}, // row 74
		{[]any{map[string]any{"__class__": "Counter"}}, `{"n":0}`},
		{[]any{map[string]any{"__class__": "Counter", "__class_args__": []any{5}}}, `{"n":5}`}, // row 73
		{[]any{map[string]any{"__class__": "Counter", "__class_args__": []any{5}, "__target__": "update", "n": 6}}, `null`},
		{[]any{map[string]any{"__class__": "Counter", "__class_args__": []any{5}}}, `{"n":6}`}, // made once
		{[]any{map[string]any{"__module__": "os", "__target__": "getcwd"}}, `ImportError`},
		{[]any{map[string]any{"__module__": "math", "__target__": "nope"}}, `AttributeError`},
		{[]any{map[string]any{"a": 1}}, `TypeError: eval: the dict has neither`},
		{[]any{[]any{"max", 1, 7}}, `7`},
		{[]any{[]any{}}, `TypeError: eval: an empty list`}, // row 75
		{[]any{[]any{1, 2}}, `TypeError: eval: want a callable`},
		{[]any{"lambda: 5"}, `5`},
		{[]any{5}, `TypeError: eval: want a text`}, // row 83
	} {
		check(t, e, "eval", tt.args, tt.want)
		check(t, e, "evalX", tt.args, tt.want)
	}
	// Row 69: as a target, a dict or a list is its own value.
	result, err := e.Execute(t.Context(), encode(t, []any{"max", 1, 7}), nil)
	if got := shown(t, result, err); got != `["max",1,7]` {
		t.Errorf("a list as target = %s", got)
	}
}

func TestNamesReachOneOfManyWorkers(t *testing.T) {
	e := evalx.New(evalx.Config{})
	e.Greet(ipc.Greeting{Of: 4})
	for _, tt := range []struct{ source, want string }{
		{"x = 5", `SessionError: x = … reaches one of 4 workers: use -j 1 or --all`},
		{"import math as m", `SessionError: m = … reaches one of 4 workers: use -j 1 or --all`},
		{"def f(): return 1", `SessionError`},
		{"for i in range(3): print(i)", `SessionError`},
		{"a.b = 1", `NameError`},
		{"math.sqrt(16)", `4.0`},
		{"1 + 1", `2`},
		{"(lambda y: [y for y in range(y)])(2)", `[0,1]`},
	} {
		check(t, e, tt.source, nil, tt.want)
	}
	if err := e.Bind(t.Context(), encode(t, "limits = {'a': 1}"), nil); err != nil {
		t.Errorf("a bind reaches every worker: %v", err)
	}
	e.Greet(ipc.Greeting{Of: 1})
	check(t, e, "x = 5", nil, `"x"`)
}

// A request that every worker is given may bind names.
func TestNamesReachAllWorkers(t *testing.T) {
	in := strings.NewReader(`["__HELLO","__HELLO",{"of":4,"protocol":1,"wire":"json","group":"main","worker":1}]
["a","x = 5",null,{"all":true}]
["b","import math as m",null,{"all":true,"attempt":2,"later":[1]}]
["c","eval","y = x + 1",{"all":true}]
["d","x = 6",null,{"all":false}]
["e","x = 6",null]
["f","m.sqrt(x + y + 5)",null]
`)
	var out bytes.Buffer
	if err := executor.Serve(t.Context(), evalx.New(evalx.Config{}), in, &out, ipc.JSON); err != nil {
		t.Fatal(err)
	}
	_, answers, _ := strings.Cut(out.String(), "\n") // without the hello
	const refused = `null,{"message":"x = … reaches one of 4 workers: use -j 1 or --all","type":"SessionError"}]` + "\n"
	want := `["a","x"]` + "\n" + `["b","m"]` + "\n" + `["c","y"]` + "\n" + `["d",` + refused + `["e",` + refused + `["f",4.0]` + "\n"
	if answers != want {
		t.Errorf("answers\n%swant\n%s", answers, want)
	}
}

func TestExecutorInExpressions(t *testing.T) {
	var reg executor.Registry
	executor.Handle(&reg, "read", func(_ context.Context, args struct{ Name, Unit string }) (string, error) {
		if args.Name == "" {
			return "", &ipc.Error{Kind: ipc.KindTask, Type: "DeviceError", Message: "no name"}
		}
		return args.Name + args.Unit, nil
	})
	reg.HandleMethods("calc.", &calc{"mm", 10})
	e := evalx.New(evalx.Config{Executor: &reg})
	for _, tt := range []struct {
		source string
		args   any
		want   string
	}{
		{"read", []any{"x"}, `"x"`},
		{"executor.read('x') + executor.read(name='y', unit='mm')", nil, `"xymm"`},
		{"executor.read()", nil, `DeviceError: no name`},
		{"executor.read(nome='x')", nil, `TypeError: read: unknown argument "nome"; did you mean name?`},
		{"executor.reed('x')", nil, `AttributeError: executor has no .reed field or method (did you mean .read?)`},
		{"[executor.read(n) for n in ['a', 'b']]", nil, `["a","b"]`},
		{"executor", nil, `TypeError: a executor cannot be a result`},
		{"getattr(executor, 'calc.add')(1, 2)", nil, `30`},
		{"executor.read(len)", nil, `TypeError: the result is or has a function`},
	} {
		check(t, e, tt.source, tt.args, tt.want)
	}
	hello := e.Greet(ipc.Greeting{Of: 1})
	if targets := strings.Join(hello.Targets, " "); !strings.Contains(targets, "read ") || !strings.Contains(targets, "upper") || strings.Contains(targets, "%") {
		t.Errorf("targets %v", hello.Targets)
	}
}

func TestBindFails(t *testing.T) {
	e := evalx.New(evalx.Config{})
	for target, want := range map[string]string{"nope": "NameError", "1 +": "SyntaxError", "fail('x')": "Error"} {
		err := e.Bind(t.Context(), encode(t, target), nil)
		if e, ok := errors.AsType[*ipc.Error](err); !ok || e.Type != want {
			t.Errorf("bind %s: %v, want %s", target, err, want)
		}
	}
	check(t, e, "1 + 1", nil, `2`)
	if err := e.Bind(t.Context(), encode(t, "lambda q: ['got', q]"), nil); err != nil {
		t.Fatal(err)
	}
	check(t, e, "any text", nil, `["got","any text"]`)
	check(t, e, "executor", []any{1}, `["got",1]`)
	if err := e.Bind(t.Context(), encode(t, "lambda q: ['another', q]"), nil); err != nil {
		t.Fatal(err)
	}
	check(t, e, "executor", []any{1}, `["another",1]`) // also when the name was looked up just before
	check(t, e, "1 + 1", []any{}, `2`)
}

func TestPrintGoesToStderr(t *testing.T) {
	var stderr bytes.Buffer
	e := evalx.New(evalx.Config{Stderr: &stderr})
	check(t, e, "print('a', 1.0, [None], sep='|')", nil, `null`)
	if got := stderr.String(); got != "a|1.0|[None]\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestLimits(t *testing.T) {
	const endless = "while True: pass"
	t.Run("steps", func(t *testing.T) {
		e := evalx.New(evalx.Config{Steps: 100_000})
		for _, source := range []string{endless, "[x for x in range(1 << 40)]", "sum(range(1 << 40))"} {
			_, err := e.Execute(t.Context(), encode(t, source), nil)
			if !errors.Is(err, ipc.ErrTimeout) && ipc.KindOf(err) != ipc.KindTimeout || !strings.Contains(err.Error(), "100000 steps") {
				t.Errorf("%s: %v", source, err)
			}
			check(t, e, "1 + 1", nil, `2`) // each task has its own steps
		}
		for range 50 {
			check(t, e, "len([x for x in range(2000)])", nil, `2000`)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		e := evalx.New(evalx.Config{Timeout: time.Millisecond, Steps: -1})
		_, err := e.Execute(t.Context(), encode(t, endless), nil)
		if ipc.KindOf(err) != ipc.KindTimeout || !strings.Contains(err.Error(), "1ms") {
			t.Errorf("error %v", err)
		}
		check(t, e, "1 + 1", nil, `2`)
	})
	t.Run("timeout of sleep", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := evalx.New(evalx.Config{Timeout: time.Second})
			began := time.Now()
			_, err := e.Execute(t.Context(), encode(t, "sleep(100)"), nil)
			if ipc.KindOf(err) != ipc.KindTimeout || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("cancel", func(t *testing.T) {
		e := evalx.New(evalx.Config{Steps: -1})
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := e.Execute(ctx, encode(t, endless), nil)
			failed <- err
		}()
		waiting, giveUp := context.WithCancel(t.Context())
		giveUp()
		if _, err := e.Execute(waiting, encode(t, endless), nil); ipc.KindOf(err) != ipc.KindCancelled {
			t.Errorf("waiting: %v", err)
		}
		cancel()
		if err := <-failed; ipc.KindOf(err) != ipc.KindCancelled {
			t.Errorf("running: %v", err)
		}
		check(t, e, "1 + 1", nil, `2`)
	})
	t.Run("depth", func(t *testing.T) {
		e := evalx.New(evalx.Config{})
		check(t, e, "def f(n): return f(n + 1)\nf(0)", nil, `RecursionError`)
		check(t, e, "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nf(500)", nil, `500`)
	})
}

// Nothing can interrupt a product of huge integers, so there are none.
func TestHugeIntegers(t *testing.T) {
	e := evalx.New(evalx.Config{})
	check(t, e, "def grow(f):\n  x = 3\n  while True:\n    x = f(x)", nil, `"grow"`)
	check(t, e, "def once(calls):\n  calls.append(1)\n  return 0", nil, `"once"`)
	const large = `OverflowError: an integer of `
	for _, tt := range []struct{ source, want string }{
		{"x = 3\nwhile True:\n  x = x * x", large},
		{"x = 3\nwhile True:\n  x *= x", large},
		{"x = [3]\nwhile True:\n  x[0] *= x[0]", large},
		{"x = {'a': [3]}\nwhile True:\n  x['a'][0] *= x['a'][0] + 1", large},
		{"x = 1\nwhile True:\n  x = x << 511", large},
		{"x = 1\nwhile True:\n  x <<= 511", large},
		{"grow(lambda x: x * x)", large},
		{"grow(square)", large},
		{"grow(lambda x: [0, x * x][1])", large},
		{"grow(lambda x: eval('3 * 3') * x * x)", large},
		{"grow(lambda x: pow(x, 3))", `OverflowError: pow: the result has more than 65536 bits`},
		{"d = {}\nx = 3\nwhile True:\n  d[x * x] = x\n  x = max(d)", large},
		{"def f(x=pow(2, 40000) * pow(2, 40000)): return x\nf()", large},
		{"(1 << 500) * " + strings.Repeat("9", 20_000), large},
		{"int('9' * 20001)", `OverflowError: int: the text has 20001 characters; at most 20000 are read`},
		{"int('1' * 20001, 2)", `OverflowError: int`},
		{"json.decode('[' + '9' * 20001 + ']')", `OverflowError: json.decode: a number has more than 20000 digits`},
		{"json.decode('[' * 1001)", `ValueError: json.decode: the value is nested deeper than 1000`},
		{"pow(3, 41000) * pow(5, 200) % 1000007", `942525`},
		{"len(json.decode('[\"' + '9' * 30000 + '\", \"' + '[' * 2000 + '\", \"\\\\\"' + '[' * 2000 + '\"]'))", `3`},
		{"json.decode('nope', default=5), json.decode('[1]')", `[5,[1]]`},
		{"2 * 3, 'ab' * 2, 2 * 'ab', [0] * 2, (1,) * 2, 2.5 * 2, b'a' * 2", `[6,"abab","abab",[0,0],[1,1],5.0,{"$bytes":"YWE="}]`},
		{"x = 3\nx *= 4\nx <<= 2\nx", `48`},
		{"x = [1.5, 'ab', [0]]\nx[0] *= 1 + 1\nx[1] *= 1 + 1\nx[2] *= 1 + 1\nx", `[3.0,"abab",[0,0]]`},
		{"x = '%03d'\nx %= 7\nx", `"007"`},
		{"d = {}\nd['%03d' % 7] = 1\nfor d['{:02}'.format(7)] in [2]: pass\nd", `{"007":1,"07":2}`},
		{"x = [2]\ncalls = []\nx[once(calls)] *= 3 + 4\nx, calls", `[[14],[1]]`},
		{"1 * None", `TypeError: unknown binary op: int * NoneType`},
		{"x = 1\nx *= None", `TypeError: unknown binary op: int * NoneType`},
		{"x = [1]\nx[0] *= None", `TypeError: unknown binary op: int * NoneType`},
		{"x = time.parse_duration('1s')\n[x * 2, 2 * x][1].seconds", `2.0`},
	} {
		check(t, e, tt.source, nil, tt.want)
	}
}

func TestOneTaskAtATime(t *testing.T) {
	e := evalx.New(evalx.Config{})
	check(t, e, "n = 0", nil, `"n"`)
	const workers, tasks = 8, 200
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range tasks {
				if _, err := e.Execute(t.Context(), encode(t, "n += 1"), nil); err != nil {
					t.Error(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				go cancel() // it may come in time, or not
				if _, err := e.Execute(ctx, encode(t, "1"), nil); err != nil && ipc.KindOf(err) != ipc.KindCancelled {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check(t, e, "n", nil, strconv.Itoa(workers*tasks))
}

func TestLongTexts(t *testing.T) {
	e := evalx.New(evalx.Config{})
	check(t, e, "["+strings.Repeat("1,", 50_000)+"][49999]", nil, `1`)
	check(t, e, "len("+`"`+strings.Repeat("(", 100_000)+`")`, nil, `100000`)
	check(t, e, "len('''"+strings.Repeat("[\n", 50_000)+"''')", nil, `100000`)
	check(t, e, "1 # "+strings.Repeat("(", 100_000), nil, `1`)
	check(t, e, strings.Repeat("x = 1\n", 20_000)+"x", nil, `1`)
	check(t, e, strings.Repeat("1+", 2000)+"1", nil, `2001`)
	check(t, e, strings.Repeat("(", 201)+"1"+strings.Repeat(")", 201), nil, `SyntaxError: brackets are nested deeper than 200`)
	check(t, e, strings.Repeat("1+", 4000)+"1", nil, `SyntaxError: an expression has more than 5000 words and signs`)
	check(t, e, "if 0:\n pass\n"+strings.Repeat("elif 0:\n 1\n", 1000)+"1", nil, `1`)
	check(t, e, "if 0:\n pass\n"+strings.Repeat("elif 0:\n 1\n", 1001)+"1", nil, `SyntaxError: more than 1000 elif`)
	check(t, e, "[elifs for elifs in ['elif ' * 2000]][0][:4]", nil, `"elif"`)
	check(t, e, strings.Repeat("x", 300_000), nil, `SyntaxError: the text is 300000 bytes long`)
}
