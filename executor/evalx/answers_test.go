package evalx_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"fandango/executor"
	"fandango/executor/evalx"
	"fandango/ipc"
)

// calc is the answers file's Calc: one that scales what it adds.
type calc struct {
	Unit  string
	Scale int
}

func (c *calc) Add(a int, b ...int) int {
	for _, n := range b {
		a += n
	}
	return a * c.Scale
}

func (c *calc) Void() string { return fmt.Sprintf("void:%d", c.Scale) }

func (c *calc) Kw(args struct{ X, Y *int }) string {
	x, y := 1, 2
	if args.X != nil {
		x = *args.X
	}
	if args.Y != nil {
		y = *args.Y
	}
	return fmt.Sprintf("x=%d,y=%d", x, y)
}

func (c *calc) Boom() error {
	return &ipc.Error{Kind: ipc.KindTask, Type: "ValueError", Message: "boom"}
}

func (c *calc) Name(s string) string { return "hello " + s }

// proc is the answers file's Proc.
type proc struct{}

func (proc) Process(q any) []any { return []any{"processed", q} }
func (proc) Other(a any) []any   { return []any{"other", a} }

// answersExecutors are the executors of the answers file.
func answersExecutors(t *testing.T) map[string]*evalx.Evaluator {
	t.Helper()
	var classes executor.Registry
	executor.Class(&classes, "Calc", func(_ context.Context, args struct{ Scale *int }) (*calc, error) {
		c := &calc{Unit: "mm", Scale: 1}
		if args.Scale != nil {
			c.Scale = *args.Scale
		}
		return c, nil
	})
	fn := executor.Func(func(q any) []any { return []any{"fn", q} })
	return map[string]*evalx.Evaluator{
		"none":     evalx.New(evalx.Config{}),
		"Calc(10)": evalx.New(evalx.Config{Executor: executor.Object(&calc{"mm", 10})}),
		"Proc()":   evalx.New(evalx.Config{Executor: executor.Object(proc{})}),
		"fn":       evalx.New(evalx.Config{Executor: fn}),
		"bound":    evalx.New(evalx.Config{Executor: &classes}),
	}
}

// binds are those of the bound executor, before its first row and after each but the last.
var binds = [][]struct {
	target string
	args   any
}{
	{{"Calc", []any{3}}, {"Calc", map[string]any{"scale": 4}}},
	{{"Calc", 5}},
	{{"Calc", nil}, {"[1,2,3]", nil}},
}

// differs holds, for each row whose note says so, what we answer: a result as JSON, or the type of an error.
var differs = map[string]string{
	`none len [[1,2,3]]`:                        `3`,
	`none sorted [[3,1,2]]`:                     `[1,2,3]`,
	`none max [[1,5,3]]`:                        `5`,
	`none "import math"`:                        `"math"`,
	`none "a.b=3"`:                              `NameError`,
	`none "2**70"`:                              `SyntaxError`,
	`none "u'\\xe9'"`:                           `SyntaxError`,
	`Calc(10) len [[1]]`:                        `1`,
	`Calc(10) "lambda a: a+executor.scale" [1]`: `11`,
	`fn len [[1]]`:                              `1`,
}

func rowName(executorName string, target, args json.RawMessage) string {
	name := string(target)
	if bare := strings.Trim(name, `"`); !strings.ContainsAny(bare, " \"\\.*'") {
		name = bare
	}
	name = executorName + " " + name
	if args != nil {
		var b bytes.Buffer
		if err := json.Compact(&b, args); err != nil {
			panic(err)
		}
		name += " " + b.String()
	}
	return name
}

// TestAnswers holds the evaluator to what Fandango's own WorkerProcess answered, row by row.
func TestAnswers(t *testing.T) {
	file, err := os.Open("../../testdata/fandango-answers.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	executors := answersExecutors(t)
	used := map[string]bool{}
	bound := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var row struct {
			Executor     string
			Target, Args json.RawMessage
			Got          json.RawMessage
			Note         string
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		e, ok := executors[row.Executor]
		if !ok {
			t.Fatalf("no executor %q", row.Executor)
		}
		if row.Executor == "bound" && bound < len(binds) {
			for _, b := range binds[bound] {
				if err := e.Bind(t.Context(), encode(t, b.target), encode(t, b.args)); err != nil {
					t.Fatalf("bind(%s, %v): %v", b.target, b.args, err)
				}
			}
			bound++
		}
		name := rowName(row.Executor, row.Target, row.Args)
		t.Run(name, func(t *testing.T) {
			want, isNoted := differs[name]
			if noted := strings.Contains(row.Note, "an error here") || strings.Contains(row.Note, "bug") || strings.Contains(row.Note, "no value"); noted != isNoted {
				t.Fatalf("the note is %q, and differs has %q", row.Note, want)
			}
			used[name] = true
			if want == "" {
				want = wanted(t, row.Got)
			}
			result, err := e.Execute(t.Context(), parse(t, row.Target), parse(t, row.Args))
			if got := shown(t, result, err); got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for name := range differs {
		if !used[name] {
			t.Errorf("no row %s", name)
		}
	}
}

// wanted is what a row wants: its value, or the class of its error.
func wanted(t *testing.T, got json.RawMessage) string {
	t.Helper()
	var failure struct{ Error string }
	if json.Unmarshal(got, &failure) == nil && failure.Error != "" {
		class, _, _ := strings.Cut(failure.Error, ":")
		return class
	}
	return parse(t, got).String()
}

// shown is a result as JSON, or the class of an error.
func shown(t *testing.T, result any, err error) string {
	t.Helper()
	if err != nil {
		if e, ok := errors.AsType[*ipc.Error](err); ok {
			return e.Type
		}
		return err.Error()
	}
	return encode(t, result).String()
}

func parse(t *testing.T, text []byte) ipc.Raw {
	t.Helper()
	if text == nil {
		return nil
	}
	raw, err := ipc.ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func encode(t *testing.T, v any) ipc.Raw {
	t.Helper()
	if raw, ok := v.(ipc.Raw); ok {
		return raw
	}
	raw, err := ipc.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
