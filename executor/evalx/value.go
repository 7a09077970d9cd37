package evalx

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	gotime "time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fandango/executor"
	"fandango/ipc"
)

// decode makes a Starlark value of an encoded one.
func decode(raw ipc.Raw) (starlark.Value, error) {
	if s, ok := raw.Text(); ok {
		return starlark.String(s), nil
	}
	var v any
	if err := raw.Decode(&v); err != nil {
		return nil, err
	}
	return fromGo(v)
}

// fromGo makes a Starlark value of a decoded one.
func fromGo(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case uint64:
		return starlark.MakeUint64(v), nil
	case float64:
		return starlark.Float(v), nil
	case float32:
		return starlark.Float(v), nil
	case string:
		return starlark.String(v), nil
	case []byte:
		return starlark.Bytes(v), nil
	case gotime.Time:
		return startime.Time(v), nil
	case []any:
		list := make([]starlark.Value, len(v))
		for i, item := range v {
			var err error
			if list[i], err = fromGo(item); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case map[string]any:
		d := starlark.NewDict(len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) { // a Go map has no order
			item, err := fromGo(v[k])
			if err != nil {
				return nil, err
			}
			if err := d.SetKey(starlark.String(k), item); err != nil {
				return nil, err
			}
		}
		return d, nil
	case map[any]any:
		d := starlark.NewDict(len(v))
		for k, item := range v {
			key, err := fromGo(k)
			if err != nil {
				return nil, err
			}
			value, err := fromGo(item)
			if err != nil {
				return nil, err
			}
			if err := d.SetKey(key, value); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	// What a Go executor returned may be of any type: see it as it would travel.
	raw, err := ipc.Encode(v)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// toGo makes a decoded value of a Starlark one, for the arguments of a Go executor.
func toGo(v starlark.Value) (any, error) {
	raw, err := encode(v)
	if err != nil {
		return nil, err
	}
	var out any
	err = raw.Decode(&out)
	return out, err
}

func keywords(named map[string]any) ([]starlark.Tuple, error) {
	if len(named) == 0 {
		return nil, nil
	}
	out := make([]starlark.Tuple, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		v, err := fromGo(named[name])
		if err != nil {
			return nil, fmt.Errorf("argument %s: %w", name, err)
		}
		out = append(out, starlark.Tuple{starlark.String(name), v})
	}
	return out, nil
}

// What a result may be, as the wire's default limits have it.
const (
	maxValue      = 64 << 20  // bytes
	maxDepth      = 128       // containers inside each other
	maxContainers = 1_000_000 // lists, tuples, sets and maps
)

// encode encodes a result canonically. It is bounded while it works, for a list that contains itself has no end and
// one that contains itself twice has 2ⁿ items.
func encode(v starlark.Value) (ipc.Raw, error) {
	var e encoder
	return e.value(make([]byte, 0, 16), v, 0)
}

// encoder counts while it encodes.
type encoder struct{ containers int }

// inside is called for each container, with how many it is inside of.
func (e *encoder) inside(depth int) error {
	if depth >= maxDepth {
		return ipc.Errorf(ipc.KindInput, "the value is nested deeper than %d", maxDepth)
	}
	if e.containers++; e.containers > maxContainers {
		return ipc.Errorf(ipc.KindInput, "the value has more than %d lists and maps", maxContainers)
	}
	return nil
}

func (e *encoder) value(b []byte, v starlark.Value, depth int) ([]byte, error) {
	if len(b) > maxValue {
		return nil, tooLarge(len(b))
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return append(b, 0xc0), nil
	case starlark.Bool:
		if v {
			return append(b, 0xc3), nil
		}
		return append(b, 0xc2), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return appendInt(b, n), nil
		}
		if n, ok := v.Uint64(); ok {
			return binary.BigEndian.AppendUint64(append(b, 0xcf), n), nil
		}
		return nil, tooBig(v)
	case starlark.Float:
		return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(float64(v))), nil
	case starlark.String:
		if len(v) > maxValue {
			return nil, tooLarge(len(v))
		}
		return append(appendLen(b, len(v), 0xa0, 32, 0xd9, 0xda, 0xdb), v...), nil
	case starlark.Bytes:
		if len(v) > maxValue {
			return nil, tooLarge(len(v))
		}
		return append(appendLen(b, len(v), 0, 0, 0xc4, 0xc5, 0xc6), v...), nil
	case startime.Time:
		raw, err := ipc.Encode(gotime.Time(v))
		return append(b, raw...), err
	case startime.Duration:
		return e.value(b, starlark.Float(gotime.Duration(v).Seconds()), depth)
	case *starlark.Dict:
		return e.dict(b, v, depth)
	case *starlarkstruct.Module: // a module has no value
		return e.value(b, starlark.String(v.Name), depth)
	case *starlarkstruct.Struct:
		d := starlark.StringDict{}
		v.ToStringDict(d)
		dict := starlark.NewDict(len(d))
		for name, item := range d {
			if err := dict.SetKey(starlark.String(name), item); err != nil {
				return nil, err
			}
		}
		return e.dict(b, dict, depth)
	case starlark.Callable:
		return nil, typeError("the result is or has a function (%s), which is no value; call it", v.Name())
	case starlark.Sequence: // list, tuple, set, range
		return e.items(b, v, depth)
	}
	return nil, typeError("a %s cannot be a result", v.Type())
}

func (e *encoder) items(b []byte, v starlark.Sequence, depth int) ([]byte, error) {
	if v.Len() > maxValue {
		return nil, tooLarge(v.Len())
	}
	if err := e.inside(depth); err != nil {
		return nil, err
	}
	b = appendLen(b, v.Len(), 0x90, 16, 0, 0xdc, 0xdd)
	all := v.Iterate() // a range over Elements would move our variables to the heap
	defer all.Done()
	for item := starlark.Value(nil); all.Next(&item); {
		var err error
		if b, err = e.value(b, item, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// dict sorts the keys: text by text, other keys by their encoding.
func (e *encoder) dict(b []byte, d *starlark.Dict, depth int) ([]byte, error) {
	if err := e.inside(depth); err != nil {
		return nil, err
	}
	items := d.Items()
	text := true
	for _, item := range items {
		if _, ok := item[0].(starlark.String); !ok {
			text = false
		}
	}
	keys := make([]string, len(items))
	order := make([]int, len(items))
	for i, item := range items {
		order[i] = i
		if s, ok := item[0].(starlark.String); ok && text {
			keys[i] = string(s)
			continue
		}
		raw, err := e.value(nil, item[0], depth+1)
		if err != nil {
			return nil, err
		}
		keys[i] = string(raw)
	}
	slices.SortFunc(order, func(i, j int) int {
		if keys[i] < keys[j] {
			return -1
		}
		return 1 // no two keys are equal
	})
	b = appendLen(b, len(items), 0x80, 16, 0, 0xde, 0xdf)
	for _, i := range order {
		for _, v := range items[i] {
			var err error
			if b, err = e.value(b, v, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// appendLen begins a string, bytes, an array or a map: in the first byte below limit, else in 1, 2 or 4 bytes after it.
// A code of 0 is a form that there is not.
func appendLen(b []byte, n int, fix byte, limit int, c8, c16, c32 byte) []byte {
	switch {
	case n < limit:
		return append(b, fix|byte(n)) //nolint:gosec // below 32
	case n <= math.MaxUint8 && c8 != 0:
		return append(b, c8, byte(n)) //nolint:gosec // not negative
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, c16), uint16(n)) //nolint:gosec // not negative
	}
	return binary.BigEndian.AppendUint32(append(b, c32), uint32(n)) //nolint:gosec // at most maxValue
}

// appendInt uses the shortest form.
func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= -32 && n <= math.MaxInt8:
		return append(b, byte(n)) //nolint:gosec // the fix form is the byte itself
	case n > 0 && n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n > 0 && n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n > 0 && n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	case n > 0:
		return binary.BigEndian.AppendUint64(append(b, 0xcf), uint64(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n)) //nolint:gosec // two's complement is meant, here and below
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n)) //nolint:gosec // as above
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n)) //nolint:gosec // as above
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n)) //nolint:gosec // as above
}

func tooLarge(n int) error {
	return ipc.Errorf(ipc.KindInput, "the value takes at least %d bytes; at most %d are sent", n, maxValue)
}

func tooBig(n starlark.Int) error {
	const most = 256 // bits that are worth showing
	x := n.BigInt()
	shown := x.String
	if x.BitLen() > most {
		shown = func() string { return fmt.Sprintf("an integer of %d bits", x.BitLen()) }
	}
	return taskError("OverflowError", "%s does not fit 64 bits", shown())
}

// wrap shows a Go executor, or a thing of one, to expressions; nil: it is a plain value.
func (e *Evaluator) wrap(name string, thing any) starlark.Value {
	names, _ := thing.(executor.Namespace)
	g := goThing{e: e, name: name, names: names}
	if f, ok := thing.(executor.Callable); ok {
		return &goFunction{goThing: g, f: f}
	}
	if names == nil {
		return nil
	}
	return &g
}

// goThing is a Go executor as a Starlark value.
type goThing struct {
	e     *Evaluator
	name  string
	names executor.Namespace // nil: it has no attributes
}

func (g *goThing) String() string        { return "<" + g.name + ">" }
func (g *goThing) Type() string          { return "executor" }
func (g *goThing) Freeze()               {} // it has no state of Starlark's
func (g *goThing) Truth() starlark.Bool  { return true }
func (g *goThing) Hash() (uint32, error) { return 0, typeError("unhashable type: %s", g.Type()) }
func (g *goThing) Name() string          { return g.name }

// Attr finds a name.
func (g *goThing) Attr(name string) (starlark.Value, error) {
	if g.names == nil {
		return nil, nil //nolint:nilnil // Starlark's way to say that there is none
	}
	thing, ok := g.names.Lookup(name)
	if !ok {
		return nil, nil //nolint:nilnil // as above
	}
	if v := g.e.wrap(name, thing); v != nil {
		return v, nil
	}
	return fromGo(thing)
}

// AttrNames lists the names.
func (g *goThing) AttrNames() []string {
	if g.names == nil {
		return nil
	}
	return slices.Clone(g.names.Names())
}

// goFunction is one that can be called.
type goFunction struct {
	goThing
	f executor.Callable
}

// CallInternal calls it with arguments as they would travel.
func (g *goFunction) CallInternal(_ *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var a executor.Args
	for _, v := range args {
		x, err := toGo(v)
		if err != nil {
			return nil, err
		}
		a.Positional = append(a.Positional, x)
	}
	for _, pair := range kwargs {
		x, err := toGo(pair[1])
		if err != nil {
			return nil, err
		}
		if a.Named == nil {
			a.Named = map[string]any{}
		}
		a.Named[string(pair[0].(starlark.String))] = x //nolint:errcheck,forcetypeassert // Starlark's keywords are strings
	}
	result, err := g.f.Call(g.e.now.ctx, a)
	if err != nil {
		return nil, err
	}
	if raw, ok := result.(ipc.Raw); ok {
		return decode(raw)
	}
	return fromGo(result)
}
