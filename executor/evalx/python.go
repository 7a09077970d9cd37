package evalx

import (
	"math"
	"math/big"
	"strconv"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// python are the built-ins that Python has and Starlark has not, or has otherwise.
func (e *Evaluator) python() map[string]builtin {
	return map[string]builtin{
		"bin":         base("0b", 2),
		"callable":    isCallable,
		"divmod":      divmod,
		"filter":      e.filter,
		"format":      formatValue,
		"hex":         base("0x", 16),
		"int":         toInt,
		"isinstance":  isInstance,
		"map":         e.mapped,
		"oct":         base("0o", 8),
		"pow":         pow,
		"repr":        toRepr,
		"round":       round,
		"str":         toStr,
		"sum":         e.sum,
		"__import__":  importName,
		moduloName:    modulo,
		formatterName: formatter,
	}
}

func (e *Evaluator) sum(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var items starlark.Iterable
	var start starlark.Value = starlark.MakeInt(0)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "iterable", &items, "start?", &start); err != nil {
		return nil, err
	}
	if _, ok := start.(starlark.String); ok {
		return nil, typeError(`sum: strings are not summed; use "".join(…)`)
	}
	total := start
	err := e.each(items, func(item starlark.Value) (err error) {
		total, err = starlark.Binary(syntax.PLUS, total, item)
		return err
	})
	return total, err
}

func (e *Evaluator) mapped(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 || len(args) < 2 {
		return nil, typeError("map: want a function and at least one iterable")
	}
	zip := make([][]starlark.Value, 0, len(args)-1)
	shortest := math.MaxInt
	for _, arg := range args[1:] {
		items, err := e.items(b.Name(), arg)
		if err != nil {
			return nil, err
		}
		zip = append(zip, items)
		shortest = min(shortest, len(items))
	}
	out := make([]starlark.Value, shortest)
	for i := range out {
		call := make(starlark.Tuple, len(zip))
		for j, items := range zip {
			call[j] = items[i]
		}
		var err error
		if out[i], err = starlark.Call(t, args[0], call, nil); err != nil {
			return nil, err
		}
	}
	return starlark.NewList(out), nil
}

func (e *Evaluator) filter(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var f, iterable starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &f, &iterable); err != nil {
		return nil, err
	}
	items, err := e.items(b.Name(), iterable)
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, item := range items {
		keep := item
		if f != starlark.None {
			if keep, err = starlark.Call(t, f, starlark.Tuple{item}, nil); err != nil {
				return nil, err
			}
		}
		if keep.Truth() {
			out = append(out, item)
		}
	}
	return starlark.NewList(out), nil
}

// items are what can be held of x at once.
func (e *Evaluator) items(name string, x starlark.Value) ([]starlark.Value, error) {
	iterable, ok := x.(starlark.Iterable)
	if !ok {
		return nil, typeError("%s: a %s is not iterable", name, x.Type())
	}
	if n := starlark.Len(x); n > maxItems {
		return nil, taskError("MemoryError", "%s: %d items are too many at once (at most %d)", name, n, maxItems)
	}
	var out []starlark.Value
	err := e.each(iterable, func(item starlark.Value) error {
		out = append(out, item)
		return nil
	})
	return out, err
}

// round rounds a half to the even neighbour, as Python does; without digits to an integer.
func round(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var number starlark.Value
	var digits starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "number", &number, "ndigits?", &digits); err != nil {
		return nil, err
	}
	n, whole := 0, digits == starlark.None
	if !whole {
		var err error
		if n, err = starlark.AsInt32(digits); err != nil {
			return nil, typeError("round: ndigits: want a small int, got %s", digits.Type())
		}
	}
	switch x := number.(type) {
	case starlark.Int:
		if n >= 0 {
			return x, nil
		}
		return roundInt(x.BigInt(), -n), nil
	case starlark.Float:
		f := float64(x)
		switch {
		case whole && (math.IsNaN(f) || math.IsInf(f, 0)):
			return nil, valueError("round: %v has no nearest integer", f)
		case whole:
			return starlark.NumberToInt(starlark.Float(math.RoundToEven(f)))
		case math.IsNaN(f) || math.IsInf(f, 0) || n > 308:
			return x, nil
		case n >= 0:
			r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', n, 64), 64) // exact, where x*10ⁿ is not
			return starlark.Float(r), err
		}
		unit := math.Pow10(-n)
		if math.IsInf(unit, 0) {
			return starlark.Float(math.Copysign(0, f)), nil
		}
		return starlark.Float(math.RoundToEven(f/unit) * unit), nil
	}
	return nil, typeError("round: want a number, got %s", number.Type())
}

// roundInt rounds x to tens, hundreds … of 10ⁿ.
func roundInt(x *big.Int, n int) starlark.Value {
	if digits := len(x.Text(10)); n > digits {
		return starlark.MakeInt(0)
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	down, rest := new(big.Int).DivMod(x, unit, new(big.Int))
	switch rest.Lsh(rest, 1).Cmp(unit) {
	case 1:
		down.Add(down, big.NewInt(1))
	case 0:
		down.Add(down, new(big.Int).SetUint64(uint64(down.Bit(0))))
	}
	return starlark.MakeBigInt(down.Mul(down, unit))
}

func pow(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var base, exp starlark.Value
	var mod starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "base", &base, "exp", &exp, "mod?", &mod); err != nil {
		return nil, err
	}
	x, xInt := base.(starlark.Int)
	y, yInt := exp.(starlark.Int)
	switch {
	case mod != starlark.None:
		m, ok := mod.(starlark.Int)
		if !ok || !xInt || !yInt || y.Sign() < 0 {
			return nil, typeError("pow: with a modulus, all have to be integers, and the exponent not negative")
		}
		return powMod(x.BigInt(), y.BigInt(), m.BigInt())
	case xInt && yInt && y.Sign() >= 0:
		return powInt(x.BigInt(), y)
	}
	f, okf := starlark.AsFloat(base)
	g, okg := starlark.AsFloat(exp)
	if !okf || !okg {
		return nil, typeError("pow: want numbers, got %s and %s", base.Type(), exp.Type())
	}
	r := math.Pow(f, g)
	switch {
	case f == 0 && g < 0:
		return nil, taskError("ZeroDivisionError", "pow: 0 cannot be raised to a negative power")
	case math.IsNaN(r) && f < 0 && !math.IsNaN(g):
		return nil, valueError("pow: a negative number cannot be raised to a broken power")
	case math.IsInf(r, 0) && !math.IsInf(f, 0) && !math.IsInf(g, 0):
		return nil, taskError("OverflowError", "pow: the result is too large for a float")
	}
	return starlark.Float(r), nil
}

func powInt(x *big.Int, y starlark.Int) (starlark.Value, error) {
	n, ok := y.Int64()
	if x.BitLen() > 1 && (!ok || n > maxBits/int64(x.BitLen()-1)) {
		return nil, taskError("OverflowError", "pow: the result has more than %d bits, and is too large", maxBits)
	}
	if x.BitLen() <= 1 { // -1, 0, 1: only whether y is odd matters
		n = 2 // as any even power, but the zeroth
		switch {
		case y.Sign() == 0:
			n = 0
		case y.BigInt().Bit(0) == 1:
			n = 1
		}
	}
	return starlark.MakeBigInt(new(big.Int).Exp(x, big.NewInt(n), nil)), nil
}

func powMod(x, y, m *big.Int) (starlark.Value, error) {
	if m.Sign() == 0 {
		return nil, valueError("pow: the modulus is 0")
	}
	if max(x.BitLen(), y.BitLen(), m.BitLen()) > 4096 {
		return nil, taskError("OverflowError", "pow: with a modulus, numbers have at most 4096 bits")
	}
	r := new(big.Int).Exp(x, y, new(big.Int).Abs(m))
	if m.Sign() < 0 && r.Sign() > 0 { // the result has the sign of the modulus
		r.Add(r, m)
	}
	return starlark.MakeBigInt(r), nil
}

func divmod(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x, y starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &x, &y); err != nil {
		return nil, err
	}
	if _, ok := x.(starlark.String); ok {
		return nil, typeError("divmod: want numbers, got string")
	}
	q, err := starlark.Binary(syntax.SLASHSLASH, x, y)
	if err != nil {
		return nil, err
	}
	r, err := starlark.Binary(syntax.PERCENT, x, y)
	return starlark.Tuple{q, r}, err
}

func isInstance(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x, class starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &x, &class); err != nil {
		return nil, err
	}
	classes, ok := class.(starlark.Tuple)
	if !ok {
		classes = starlark.Tuple{class}
	}
	kind := x.Type()
	if kind == "string" {
		kind = "str"
	}
	for _, c := range classes {
		f, ok := c.(*starlark.Builtin)
		if !ok {
			return nil, typeError("isinstance: want a type such as int, or a tuple of them; got %s", c.Type())
		}
		if f.Name() == kind || f.Name() == "int" && kind == "bool" {
			return starlark.True, nil
		}
	}
	return starlark.False, nil
}

func isCallable(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &x); err != nil {
		return nil, err
	}
	_, ok := x.(starlark.Callable)
	return starlark.Bool(ok), nil
}

// toInt is Starlark's int, and 0 without an argument.
func toInt(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args)+len(kwargs) == 0 {
		return starlark.MakeInt(0), nil
	}
	if len(args) > 0 {
		if s, ok := args[0].(starlark.String); ok && len(s) > maxDigits {
			return nil, taskError("OverflowError", "int: the text has %d characters; at most %d are read", len(s), maxDigits)
		}
	}
	f := starlark.Universe["int"].(*starlark.Builtin) //nolint:errcheck,forcetypeassert // it is
	return f.CallInternal(t, args, kwargs)
}

// base writes an integer as bin, oct and hex do.
func base(prefix string, radix int) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var x starlark.Int
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &x); err != nil {
			return nil, err
		}
		digits := new(big.Int).Abs(x.BigInt()).Text(radix)
		if x.Sign() < 0 {
			return starlark.String("-" + prefix + digits), nil
		}
		return starlark.String(prefix + digits), nil
	}
}
