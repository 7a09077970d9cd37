package executor

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"fandango/ipc"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// Func makes an executor of one Go func: a target without args becomes its arguments, a list in order, any other value
// as the only one. f may begin with a context and may end with an error. A func of one struct takes named arguments, in
// any spelling of its fields (MaxValue, max_value, maxvalue, or the name in its msgpack tag).
//
// A func(context.Context, ipc.Raw) (any, error) gets the target as it came.
//
// Func panics when f is no func.
func Func(f any) Executor {
	if whole, ok := f.(func(context.Context, ipc.Raw) (any, error)); ok {
		return wholeFunc(whole)
	}
	return funcExecutor{newFunction("the function", reflect.ValueOf(f))}
}

// wholeFunc takes a target undecoded.
type wholeFunc func(context.Context, ipc.Raw) (any, error)

func (f wholeFunc) Execute(ctx context.Context, target, args ipc.Raw) (any, error) {
	if !args.IsNil() {
		return Resolve(ctx, nil, nil, target, args) // says that there are no names
	}
	return f(ctx, target)
}

func (f wholeFunc) Call(ctx context.Context, args Args) (any, error) {
	if len(args.Positional) != 1 || len(args.Named) > 0 {
		return nil, typeError("the function takes one argument")
	}
	raw, err := ipc.Encode(args.Positional[0])
	if err != nil {
		return nil, err
	}
	return f(ctx, raw)
}

// funcExecutor is a function that takes targets.
type funcExecutor struct{ *function }

func (f funcExecutor) Execute(ctx context.Context, target, args ipc.Raw) (any, error) {
	return Resolve(ctx, f.function, nil, target, args)
}

// function is a Go func that can be called with a tuple's args.
type function struct {
	name     string
	fn       reflect.Value
	context  bool           // its first parameter is a context
	params   []reflect.Type // the others
	variadic bool
	fields   fields // of its only parameter, when that is a struct
	isStruct bool
	fails    bool // its last result is an error
}

func newFunction(name string, fn reflect.Value) *function {
	if fn.Kind() != reflect.Func || fn.IsNil() {
		panic(fmt.Sprintf("executor: %s: want a func, got %v", name, fn))
	}
	t := fn.Type()
	f := &function{name: name, fn: fn, variadic: t.IsVariadic()}
	for i := range t.NumIn() {
		if i == 0 && t.In(0) == contextType {
			f.context = true
			continue
		}
		f.params = append(f.params, t.In(i))
	}
	if len(f.params) == 1 && isArguments(f.params[0]) {
		f.isStruct = true
		f.fields = fieldsOf(structOf(f.params[0]))
	}
	f.fails = t.NumOut() > 0 && t.Out(t.NumOut()-1) == errorType
	return f
}

// isArguments reports whether a parameter of type t stands for named arguments.
func isArguments(t reflect.Type) bool {
	s := structOf(t)
	return s.Kind() == reflect.Struct && s != timeType
}

func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// Call converts args, calls the func and returns its result: nil for none, a list for several.
func (f *function) Call(ctx context.Context, args Args) (any, error) {
	in, err := f.in(args)
	if err != nil {
		return nil, err
	}
	if f.context {
		in = append([]reflect.Value{reflect.ValueOf(ctx)}, in...)
	}
	out := f.fn.Call(in)
	if f.fails {
		last := out[len(out)-1]
		out = out[:len(out)-1]
		if !last.IsNil() {
			return nil, last.Interface().(error) //nolint:errcheck,forcetypeassert // its static type is error
		}
	}
	switch len(out) {
	case 0:
		return nil, nil //nolint:nilnil // nil is the value of a func without results
	case 1:
		return out[0].Interface(), nil
	}
	list := make([]any, len(out))
	for i, v := range out {
		list[i] = v.Interface()
	}
	return list, nil
}

// in makes the func's arguments.
func (f *function) in(args Args) ([]reflect.Value, error) {
	if f.isStruct {
		arg, err := f.arguments(args)
		return []reflect.Value{arg}, err
	}
	if len(args.Named) > 0 {
		if len(f.params) != 1 || f.params[0].Kind() != reflect.Map || len(args.Positional) > 0 {
			return nil, typeError(fmt.Sprintf("%s takes no named arguments (got %s); it takes %s in order",
				f.name, args.names()[0], count(len(f.params))))
		}
		args = Args{Positional: []any{args.Named}}
	}
	n, fixed := len(args.Positional), len(f.params)
	if f.variadic {
		fixed--
	}
	if n < fixed || n > fixed && !f.variadic {
		takes := count(fixed)
		if f.variadic {
			takes = "at least " + takes
		}
		return nil, typeError(fmt.Sprintf("%s takes %s (%d given)", f.name, takes, n))
	}
	in := make([]reflect.Value, n)
	for i, v := range args.Positional {
		t := f.params[min(i, len(f.params)-1)]
		if i >= fixed {
			t = t.Elem()
		}
		in[i] = reflect.New(t).Elem()
		if m := convert(v, in[i]); m != nil {
			return nil, m.at(f.name, strconv.Itoa(i+1))
		}
	}
	return in, nil
}

// arguments fills the one struct: by name, or its fields in order.
func (f *function) arguments(args Args) (reflect.Value, error) {
	t := f.params[0]
	p := reflect.New(structOf(t))
	to := p.Elem()
	if len(args.Positional) == 1 && len(args.Named) == 0 {
		if m, ok := args.Positional[0].(map[string]any); ok {
			args = Args{Named: m}
		}
	}
	if n := len(args.Positional); n > len(f.fields.names) {
		takes := "no arguments"
		if len(f.fields.names) > 0 {
			takes = "at most " + count(len(f.fields.names)) + ": " + orNone(f.fields.names)
		}
		return p, typeError(fmt.Sprintf("%s takes %s (%d given)", f.name, takes, n))
	}
	for i, v := range args.Positional {
		if m := convert(v, to.Field(f.fields.index[i])); m != nil {
			return p, m.at(f.name, strconv.Itoa(i+1)+" ("+f.fields.names[i]+")")
		}
	}
	for _, name := range args.names() {
		place, ok := f.fields.by[name]
		switch {
		case !ok:
			return p, typeError(unknownArgument(f.name, name, f.fields.names))
		case place < len(args.Positional):
			return p, typeError(fmt.Sprintf("%s: argument %s is given twice", f.name, f.fields.names[place]))
		}
		if m := convert(args.Named[name], to.Field(f.fields.index[place])); m != nil {
			return p, m.at(f.name, name)
		}
	}
	if t.Kind() == reflect.Pointer {
		return p, nil
	}
	return to, nil
}

func unknownArgument(function, name string, known []string) string {
	s := function + ": unknown argument " + quote(name)
	if near := Nearest(name, known); near != "" {
		s += "; did you mean " + near + "?"
	}
	return s + " (it takes " + orNone(known) + ")"
}

func count(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}
