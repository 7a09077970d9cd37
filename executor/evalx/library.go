package evalx

import (
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// modules are what an expression may import; none of them reaches out of the process.
var modules = map[string]*starlarkstruct.Module{
	"json":       jsonModule,
	"math":       mathModule,
	"random":     randomModule,
	"statistics": statisticsModule,
	"time":       timeModule,
}

// builtin is a Go func that an expression can call.
type builtin = func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

// library is what a session begins with. It holds Starlark's own built-ins, too: what an expression uses is looked up
// when it runs, so a session may give any of the names another meaning.
func (e *Evaluator) library() starlark.StringDict {
	names := maps.Clone(starlark.Universe)
	for name, module := range modules {
		names[name] = module
	}
	for _, group := range []map[string]builtin{e.python(), e.evaluating(), e.contact()} {
		for name, f := range group {
			names[name] = starlark.NewBuiltin(name, f)
		}
	}
	for _, name := range []string{"list", "tuple", "set", "dict", "sorted", "reversed", "enumerate", "zip", "min", "max", "any", "all"} {
		names[name] = measured(name, names[name])
	}
	return names
}

// callables lists what a first user may call: names, not signs, and no modules.
func callables(names starlark.StringDict) []string {
	var out []string
	for name, v := range names {
		if _, ok := v.(*starlark.Builtin); ok && !strings.ContainsAny(name, "%._") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// importName is __import__(module[, name]).
func importName(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var module, name string
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &module, &name); err != nil {
		return nil, err
	}
	m, ok := modules[module]
	if !ok {
		return nil, taskError("ImportError", "no module named %q here; there are %s", module,
			strings.Join(slices.Sorted(maps.Keys(modules)), ", "))
	}
	if name == "" {
		return m, nil
	}
	v, err := m.Attr(name)
	if err != nil || v == nil {
		return nil, taskError("ImportError", "module %s has no %q; it has %s", module, name, strings.Join(m.AttrNames(), ", "))
	}
	return v, nil
}

// maxItems bounds what one built-in goes through at once: nothing can interrupt it, and a list has 16 bytes an item.
const maxItems = 10_000_000

// measured refuses what would take a built-in too long, or too much memory.
func measured(name string, of starlark.Value) *starlark.Builtin {
	f, ok := of.(*starlark.Builtin)
	if !ok {
		panic("evalx: no built-in " + name)
	}
	return starlark.NewBuiltin(name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		for _, v := range args {
			if n := starlark.Len(v); n > maxItems {
				return nil, taskError("MemoryError", "%s: %d items are too many at once (at most %d)", name, n, maxItems)
			}
		}
		return f.CallInternal(t, args, kwargs)
	})
}

// each calls f with the items of x. It counts steps, and ends when the task does, as a loop would.
func (e *Evaluator) each(x starlark.Iterable, f func(starlark.Value) error) error {
	const (
		check = 1024 // items
		cost  = 8    // steps of an item
	)
	n := 0
	for item := range starlark.Elements(x) {
		if n++; n%check == 0 {
			if err := e.spend(check * cost); err != nil {
				return err
			}
		}
		if err := f(item); err != nil {
			return err
		}
	}
	return nil
}

// spend counts the steps of a built-in.
func (e *Evaluator) spend(steps uint64) error {
	e.thread.Steps += steps
	if e.check(); e.now.stopped != nil {
		return e.now.stopped
	}
	return e.now.ctx.Err()
}
