package executor

import (
	"context"
	"slices"
	"strings"

	"fandango/ipc"
)

// Eval turns a text that is no name into a thing: a [Callable] or a value. The text is valid until Eval returns.
type Eval func(ctx context.Context, text []byte) (any, error)

// Resolve decides what a tuple means, and does it. on is what names are looked up on: a [Namespace], a [Callable], both
// or nil. eval takes a text that is no name of on; nil: there is no evaluator.
//
//   - Without args, when on has a callable "process" or is callable itself, target is its argument.
//   - Otherwise a text names a thing of on, or else is evaluated; any other target stands for itself.
//   - A callable thing is called: without args, with a list (in order), with a map (by name) or with a single value.
//   - A thing that is not callable is the result.
func Resolve(ctx context.Context, on any, eval Eval, target, args ipc.Raw) (any, error) {
	if args.IsNil() {
		if process := processor(on); process != nil {
			return call(ctx, process, target)
		}
	}
	text, ok := target.TextBytes()
	if !ok {
		return target, nil
	}
	thing, err := find(ctx, on, eval, text)
	if err != nil {
		return nil, err
	}
	if f, ok := thing.(Callable); ok {
		return call(ctx, f, args)
	}
	return thing, nil
}

// processor is what takes a whole target, or nil.
func processor(on any) Callable {
	if names, ok := on.(Namespace); ok {
		if thing, ok := names.Lookup("process"); ok {
			if f, ok := thing.(Callable); ok {
				return f
			}
		}
	}
	f, _ := on.(Callable)
	return f
}

func find(ctx context.Context, on any, eval Eval, text []byte) (any, error) {
	if on == nil && eval != nil { // then it needs no string
		return eval(ctx, text)
	}
	name := string(text)
	names, _ := on.(Namespace)
	if names != nil {
		if thing, ok := names.Lookup(name); ok {
			return thing, nil
		}
	}
	switch {
	case eval != nil:
		return eval(ctx, text)
	case names != nil:
		return nil, NameError(name, names.Names())
	}
	return nil, &ipc.Error{
		Kind: ipc.KindTask, Type: "NameError",
		Message: "name " + quote(name) + " is not defined: this worker runs one function, which gets the target when there are no args",
	}
}

func call(ctx context.Context, f Callable, args ipc.Raw) (any, error) {
	if f, ok := f.(RawCallable); ok {
		return f.CallRaw(ctx, args)
	}
	a, err := ParseArgs(args)
	if err != nil {
		return nil, err
	}
	return f.Call(ctx, a)
}

// NameError says that name is not known, which known name it may be, and which there are.
func NameError(name string, known []string) *ipc.Error {
	var b strings.Builder
	b.WriteString("name " + quote(name) + " is not defined")
	if near := Nearest(name, known); near != "" {
		b.WriteString("; did you mean " + near + "?")
	}
	if len(known) > 0 {
		const most = 40
		known = slices.Sorted(slices.Values(known))
		b.WriteString(" (known: " + strings.Join(known[:min(most, len(known))], ", "))
		if len(known) > most {
			b.WriteString(", …")
		}
		b.WriteString(")")
	}
	return &ipc.Error{Kind: ipc.KindTask, Type: "NameError", Message: b.String()}
}

// Nearest returns the known name that name is most likely a misspelling of, or "".
func Nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", 1+(len(name)+1)/3 // a third of the letters may be wrong
	for _, k := range slices.Sorted(slices.Values(known)) {
		if strings.EqualFold(k, name) {
			return k
		}
		if d := distance(name, k, least); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, drop or change to make b of a; from limit on it is not exact.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
