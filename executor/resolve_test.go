package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fandango/executor"
	"fandango/ipc"
)

// device is an object with what a Go method may look like.
type device struct {
	Unit  string
	Limit int8
	Apply func(x float64) float64
}

func (d *device) ReadValue(name string) string { return "value of " + name }
func (d *device) HTTPPort() int                { return 80 }
func (d *device) Add(a, b int) int             { return a + b }
func (d *device) Sum(numbers ...float64) (sum float64) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}
func (d *device) Small(n int8) int8              { return n }
func (d *device) Count(n uint) uint              { return n }
func (d *device) Nothing()                       {}
func (d *device) Both() (int, string)            { return 1, "two" }
func (d *device) Fails() error                   { return errors.New("it is broken") }
func (d *device) Wait(for_ time.Duration) string { return for_.String() }
func (d *device) At(t time.Time) string          { return t.UTC().Format(time.RFC3339) }
func (d *device) Key(ctx context.Context, s string) string {
	v, _ := ctx.Value(contextKey{}).(string)
	return v + s
}

// Scan takes named arguments.
func (d *device) Scan(args struct {
	Motor   string `msgpack:"motor"`
	From    float64
	MaxStep *int
	Points  []int
},
) string {
	return strings.TrimSpace(args.Motor)
}
func (d *device) Matrix(m [][]float64) int     { return len(m) }
func (d *device) Options(m map[string]int) int { return m["a"] }
func (d *device) Bytes(b []byte) int           { return len(b) }
func (d *device) Any(v any) any                { return v }

type contextKey struct{}

func TestObject(t *testing.T) {
	e := executor.Object(&device{Unit: "mm", Limit: 5, Apply: func(x float64) float64 { return 2 * x }})
	tests := []struct {
		target any
		args   any
		want   string // the result as JSON, or the error
	}{
		{"read_value", []any{"x"}, `"value of x"`},
		{"ReadValue", "x", `"value of x"`},
		{"readvalue", []any{"x"}, `"value of x"`},
		{"http_port", nil, `80`},
		{"unit", nil, `"mm"`},
		{"unit", "", `"mm"`},
		{"apply", 4, `8.0`},
		{"add", []any{2, 3}, `5`},
		{"add", []any{2}, "TypeError: add takes 2 arguments (1 given)"},
		{"add", []any{2, "x"}, `TypeError: add: argument 2: want int, got string "x"`},
		{"add", []any{2, 3.5}, `TypeError: add: argument 2: want int, got float 3.5`},
		{"add", []any{2, nil}, `TypeError: add: argument 2: want int, got nil`},
		{"add", map[string]any{"a": 1}, `TypeError: add takes no named arguments (got a); it takes 2 arguments in order`},
		{"sum", []any{1, 2.5}, `3.5`},
		{"sum", nil, `0.0`},
		{"sum", []any{1, "x"}, `TypeError: sum: argument 2: want a number, got string "x"`},
		{"small", []any{127}, `127`},
		{"small", []any{128}, `TypeError: small: argument 1: want int8, got int 128`},
		{"count", []any{-1}, `TypeError: count: argument 1: want uint, got int -1`},
		{"nothing", nil, `null`},
		{"nothing", []any{1}, `TypeError: nothing takes no arguments (1 given)`},
		{"both", nil, `[1,"two"]`},
		{"fails", nil, `it is broken`},
		{"wait", []any{0.25}, `"250ms"`},
		{"wait", []any{"3s"}, `"3s"`},
		{"wait", []any{"soon"}, `TypeError: wait: argument 1: want a duration (seconds, or a text such as "250ms"), got string "soon"`},
		{"at", []any{"2026-11-22T11:29:01Z"}, `"2026-11-22T11:29:01Z"`},
		{"key", []any{"!"}, `"ctx!"`},
		{"scan", map[string]any{"motor": "mono", "from": 1, "max_step": 3, "points": []int{1}}, `"mono"`},
		{"scan", map[string]any{"motor": "mono", "MaxStep": nil}, `"mono"`},
		{"scan", []any{"mono", 2}, `"mono"`},
		{"scan", []any{map[string]any{"motor": "one map"}}, `"one map"`},
		{"scan", map[string]any{"mottor": "mono"}, `TypeError: scan: unknown argument "mottor"; did you mean motor? (it takes motor, from, max_step, points)`},
		{"scan", map[string]any{"points": []any{1, "x"}}, `TypeError: scan: argument points[1]: want int, got string "x"`},
		{"scan", []any{1}, `TypeError: scan: argument 1 (motor): want string, got int 1`},
		{"scan", []any{"m", 1, 2, nil, 5}, `TypeError: scan takes at most 4 arguments: motor, from, max_step, points (5 given)`},
		{"matrix", []any{[]any{[]int{1}, []int{2}}}, `2`},
		{"matrix", []any{[]any{1}}, `TypeError: matrix: argument 1[0]: want a list, got int 1`},
		{"options", map[string]any{"a": 7}, `7`},
		{"bytes", []any{[]byte{0, 10}}, `2`},
		{"bytes", []any{"x"}, `TypeError: bytes: argument 1: want bytes, got string "x"`},
		{"any", []any{[]any{1, nil}}, `[1,null]`},
		{5, nil, `5`},
		{[]any{1, 2}, []any{3}, `[1,2]`},
		{"reed_value", nil, `NameError: name "reed_value" is not defined; did you mean read_value? (known: add, any, apply, at, both, bytes, count, fails, http_port, key, limit, matrix, nothing, options, read_value, scan, small, sum, unit, wait)`},
	}
	ctx := context.WithValue(t.Context(), contextKey{}, "ctx")
	for _, tt := range tests {
		got := outcome(t, ctx, e, tt.target, tt.args)
		if got != tt.want {
			t.Errorf("%v %v = %s, want %s", tt.target, tt.args, got, tt.want)
		}
	}
}

// outcome executes a tuple and shows its result as JSON, or its error.
func outcome(t *testing.T, ctx context.Context, e executor.Executor, target, args any) string { //nolint:revive // t comes first in helpers
	t.Helper()
	var rawArgs ipc.Raw
	if args != nil {
		rawArgs = encoded(t, args)
	}
	v, err := e.Execute(ctx, encoded(t, target), rawArgs)
	if err != nil {
		return err.Error()
	}
	return encoded(t, v).String()
}

func encoded(t *testing.T, v any) ipc.Raw {
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

func TestFunc(t *testing.T) {
	add := executor.Func(func(a, b int) int { return a + b })
	whole := executor.Func(func(_ context.Context, target ipc.Raw) (any, error) { return target.String(), nil })
	tests := []struct {
		e      executor.Executor
		target any
		args   any
		want   string
	}{
		{add, []any{1, 2}, nil, `3`},
		{add, 1, nil, "TypeError: the function takes 2 arguments (1 given)"},
		{add, nil, nil, "TypeError: the function takes 2 arguments (0 given)"},
		{add, "add", []any{1, 2}, `NameError: name "add" is not defined: this worker runs one function, which gets the target when there are no args`},
		{add, 5, []any{1}, `5`},
		{whole, []any{1, 2}, nil, `"[1,2]"`},
		{whole, nil, nil, `"null"`},
	}
	for _, tt := range tests {
		if got := outcome(t, t.Context(), tt.e, tt.target, tt.args); got != tt.want {
			t.Errorf("%v %v = %s, want %s", tt.target, tt.args, got, tt.want)
		}
	}
}

func TestRegistry(t *testing.T) {
	var reg executor.Registry
	executor.Handle(&reg, "sum", func(_ context.Context, numbers []float64) (float64, error) {
		sum := 0.0
		for _, n := range numbers {
			sum += n
		}
		return sum, nil
	})
	executor.Handle(&reg, "greet", func(_ context.Context, args struct {
		Name string
		Loud bool
	},
	) (string, error) {
		if args.Loud {
			return strings.ToUpper(args.Name), nil
		}
		return args.Name, nil
	})
	executor.Handle(&reg, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	executor.Handle(&reg, "now", func(context.Context, struct{}) (string, error) { return "noon", nil })
	executor.Handle(&reg, "raw", func(_ context.Context, args ipc.Raw) (string, error) { return args.String(), nil })
	reg.HandleMethods("dev.", &device{Unit: "mm"})
	executor.Class(&reg, "Device", func(_ context.Context, unit string) (*device, error) {
		if unit == "" {
			return nil, errors.New("a device has a unit")
		}
		return &device{Unit: unit}, nil
	})
	tests := []struct {
		target string
		args   any
		want   string
	}{
		{"sum", []any{1, 2.5}, `3.5`},
		{"sum", []any{[]any{1, 2}}, `3.0`},
		{"sum", nil, `0.0`},
		{"sum", []any{1, "x"}, `TypeError: sum: argument 1[1]: want a number, got string "x"`},
		{"greet", []any{"ann", true}, `"ANN"`},
		{"greet", map[string]any{"name": "ann"}, `"ann"`},
		{"double", 4, `8`},
		{"double", []any{4}, `8`},
		{"double", nil, `TypeError: double takes 1 argument (no arguments given)`},
		{"double", []any{1, 2}, `TypeError: double takes 1 argument (2 arguments given)`},
		{"double", []any{"x"}, `TypeError: double: argument 1: want int, got string "x"`},
		{"double", map[string]any{"n": 1}, `TypeError: double takes no named arguments (got n)`},
		{"now", nil, `"noon"`},
		{"now", []any{1}, `TypeError: now takes no arguments (1 given)`},
		{"raw", []any{1, "a"}, `"[1,\"a\"]"`},
		{"dev.add", []any{1, 2}, `3`},
		{"dev.unit", nil, `"mm"`},
		{"unit", nil, "NameError"},
	}
	for _, tt := range tests {
		if got := outcome(t, t.Context(), &reg, tt.target, tt.args); got != tt.want && (tt.want != "NameError" || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%v %v = %s, want %s", tt.target, tt.args, got, tt.want)
		}
	}
	if err := reg.Bind(t.Context(), encoded(t, "Device"), encoded(t, "kg")); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, t.Context(), &reg, "unit", nil); got != `"kg"` {
		t.Errorf("unit of the bound device = %s", got)
	}
	if got := outcome(t, t.Context(), &reg, "now", nil); got != `"noon"` {
		t.Errorf("a registered name beside the bound device = %s", got)
	}
	for _, bad := range []struct {
		class string
		args  any
		want  string
	}{
		{"Devise", nil, `NameError: class name "Devise" is not defined; did you mean Device? (known: Device)`},
		{"Device", 5, `TypeError: Device: argument 1: want string, got int 5`},
		{"Device", "", `a device has a unit`},
	} {
		err := reg.Bind(t.Context(), encoded(t, bad.class), encoded(t, bad.args))
		if err == nil || err.Error() != bad.want {
			t.Errorf("bind %s %v: %v, want %s", bad.class, bad.args, err, bad.want)
		}
	}
	hello := reg.Greet(ipc.Greeting{})
	if len(hello.Classes) != 1 || hello.Targets[len(hello.Targets)-1] != "wait" {
		t.Errorf("hello = %+v", hello)
	}
}

func TestRegisteringTwicePanics(t *testing.T) {
	var reg executor.Registry
	for name, register := range map[string]func(){
		"name":  func() { executor.Handle(&reg, "x", func(context.Context, int) (int, error) { return 0, nil }) },
		"class": func() { executor.Class(&reg, "X", func(context.Context, int) (*device, error) { return nil, nil }) },
	} {
		register()
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(p.(string), "twice") {
					t.Errorf("%s: panic = %v", name, p)
				}
			}()
			register()
		}()
	}
}
