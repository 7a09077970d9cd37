package evalx

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	starjson "go.starlark.net/lib/json"
	starmath "go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// module makes a module of functions and constants, with those of more.
func module(name string, more starlark.StringDict, functions map[string]builtin) *starlarkstruct.Module {
	members := starlark.StringDict{}
	maps.Copy(members, more)
	for f, fn := range functions {
		members[f] = starlark.NewBuiltin(f, fn)
	}
	return &starlarkstruct.Module{Name: name, Members: members}
}

// mathModule is Starlark's, with what else Python's math is used for.
var mathModule = func() *starlarkstruct.Module {
	m := module("math", starmath.Module.Members, map[string]builtin{
		"isfinite": test(func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }),
		"isinf":    test(func(x float64) bool { return math.IsInf(x, 0) }),
		"isnan":    test(math.IsNaN),
		"log10":    logarithm(math.Log10),
		"log2":     logarithm(math.Log2),
		"trunc":    toInt,
	})
	m.Members["inf"] = starlark.Float(math.Inf(1))
	m.Members["nan"] = starlark.Float(math.NaN())
	m.Members["tau"] = starlark.Float(2 * math.Pi)
	return m
}()

func oneFloat(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (float64, error) {
	var v starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v); err != nil {
		return 0, err
	}
	x, ok := starlark.AsFloat(v)
	if !ok {
		return 0, typeError("%s: want a number, got %s", b.Name(), v.Type())
	}
	return x, nil
}

func test(f func(float64) bool) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		x, err := oneFloat(b, args, kwargs)
		return starlark.Bool(f(x)), err
	}
}

func logarithm(f func(float64) float64) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		x, err := oneFloat(b, args, kwargs)
		if err == nil && x <= 0 {
			err = valueError("%s: want a number above 0, got %v", b.Name(), x)
		}
		return starlark.Float(f(x)), err
	}
}

// jsonModule is Starlark's. What is decoded is measured before: the decoder recurses, and is slow with long integers.
var jsonModule = module("json", starjson.Module.Members, map[string]builtin{
	"decode": func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args) > 0 {
			if text, ok := args[0].(starlark.String); ok {
				if err := measureJSON(string(text)); err != nil {
					return nil, err
				}
			}
		}
		return starlark.Call(t, starjson.Module.Members["decode"], args, kwargs)
	},
})

// measureJSON refuses what is nested too deep, or has an integer that is too large.
func measureJSON(text string) error {
	depth, digits := 0, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if '0' <= c && c <= '9' {
			if digits++; digits > maxDigits {
				return taskError("OverflowError", "json.decode: a number has more than %d digits", maxDigits)
			}
			continue
		}
		digits = 0
		switch c {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if depth++; depth > maxNested*5 {
				return valueError("json.decode: the value is nested deeper than %d", maxNested*5)
			}
		case ']', '}':
			depth--
		}
	}
	return nil
}

// timeModule is Starlark's; time.time() without arguments is Python's, the seconds since 1970.
var timeModule = module("time", startime.Module.Members, map[string]builtin{
	"time": func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args)+len(kwargs) == 0 {
			return starlark.Float(float64(time.Now().UnixNano()) / 1e9), nil
		}
		return starlark.Call(t, startime.Module.Members["time"], args, kwargs)
	},
})

var randomModule = module("random", nil, map[string]builtin{
	"random": random,
	"uniform": func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var a, z starlark.Value
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &a, &z); err != nil {
			return nil, err
		}
		low, ok := starlark.AsFloat(a)
		high, ok2 := starlark.AsFloat(z)
		if !ok || !ok2 {
			return nil, typeError("uniform: want two numbers, got %s and %s", a.Type(), z.Type())
		}
		return starlark.Float(low + (high-low)*rand.Float64()), nil //nolint:gosec // not for secrets
	},
	"randint": func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var low, high int64
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &low, &high); err != nil {
			return nil, err
		}
		span := uint64(high) - uint64(low)
		if high < low {
			return nil, valueError("randint: %d to %d is no range", low, high)
		}
		if span == math.MaxUint64 {
			return starlark.MakeInt64(int64(rand.Uint64())), nil //nolint:gosec // any 64 bits
		}
		return starlark.MakeInt64(low + int64(rand.Uint64N(span+1))), nil //nolint:gosec // wraps as it should
	},
	"choice": func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var items starlark.Indexable
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &items); err != nil {
			return nil, err
		}
		if items.Len() == 0 {
			return nil, taskError("IndexError", "choice: there is nothing to choose from")
		}
		return items.Index(rand.IntN(items.Len())), nil //nolint:gosec // not for secrets
	},
})

var statisticsModule = module("statistics", nil, map[string]builtin{
	"mean": statistic(1, mean),
	"median": statistic(1, func(x []float64) float64 {
		slices.Sort(x)
		n := len(x)
		return (x[(n-1)/2] + x[n/2]) / 2
	}),
	"pstdev":    statistic(1, func(x []float64) float64 { return math.Sqrt(deviation(x) / float64(len(x))) }),
	"pvariance": statistic(1, func(x []float64) float64 { return deviation(x) / float64(len(x)) }),
	"stdev":     statistic(2, func(x []float64) float64 { return math.Sqrt(deviation(x) / float64(len(x)-1)) }),
	"variance":  statistic(2, func(x []float64) float64 { return deviation(x) / float64(len(x)-1) }),
})

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// deviation is the sum of the squared distances from the mean.
func deviation(x []float64) float64 {
	m, sum := mean(x), 0.0
	for _, v := range x {
		sum += (v - m) * (v - m)
	}
	return sum
}

// statistic is a function of at least so many numbers.
func statistic(least int, f func([]float64) float64) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var items starlark.Iterable
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &items); err != nil {
			return nil, err
		}
		if n := starlark.Len(items); n > maxItems {
			return nil, taskError("MemoryError", "%s: %d items are too many at once (at most %d)", b.Name(), n, maxItems)
		}
		var x []float64
		for item := range starlark.Elements(items) {
			v, ok := starlark.AsFloat(item)
			if !ok {
				return nil, typeError("%s: want numbers, got %s", b.Name(), item.Type())
			}
			x = append(x, v)
		}
		if len(x) < least {
			return nil, valueError("%s: want at least %d numbers, got %d", b.Name(), least, len(x))
		}
		return starlark.Float(f(x)), nil
	}
}
