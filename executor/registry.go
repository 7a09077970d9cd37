package executor

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"

	"fandango/ipc"
)

// Registry is an executor of names: handlers ([Handle], [Registry.HandleMethods]), and classes ([Class]) whose
// instances a master binds. Its zero value is empty and ready. Register everything before it is served: registering is
// not safe beside running tasks, and a name that is registered twice panics.
type Registry struct {
	things  map[string]any
	classes map[string]func(context.Context, Args) (any, error)
	bound   atomic.Pointer[object] // the instance that was bound last; its names come first
}

// Handle registers a typed handler. A decides how args arrive: a struct takes named arguments, or its fields in order; a
// slice takes a list; a map takes named arguments; struct{} takes none; anything else is the single argument. An ipc.Raw
// takes one argument, or all of them in one value, undecoded; its bytes are valid until f returns, and may be its result.
//
//	executor.Handle(&reg, "sum", func(ctx context.Context, numbers []float64) (float64, error) { … })
func Handle[A, R any](r *Registry, name string, f func(ctx context.Context, args A) (R, error)) {
	typed := callFunc(func(ctx context.Context, args Args) (any, error) {
		a, err := argument[A](name, args)
		if err != nil {
			return nil, err
		}
		return f(ctx, a)
	})
	if f, ok := any(f).(func(context.Context, ipc.Raw) (R, error)); ok {
		r.register(name, rawFunc{typed, func(ctx context.Context, args ipc.Raw) (any, error) { return f(ctx, args) }})
		return
	}
	r.register(name, typed)
}

// Class registers a class: a bind that names it calls build, and the names of the object that it returns are then found
// before those of the registry. The args are read as those of [Handle].
func Class[A, T any](r *Registry, name string, build func(ctx context.Context, args A) (T, error)) {
	if r.classes == nil {
		r.classes = map[string]func(context.Context, Args) (any, error){}
	}
	if _, taken := r.classes[name]; taken {
		panic("executor: class " + quote(name) + " is registered twice")
	}
	r.classes[name] = func(ctx context.Context, args Args) (any, error) {
		a, err := argument[A](name, args)
		if err != nil {
			return nil, err
		}
		return build(ctx, a)
	}
}

// HandleMethods registers the methods and fields of v, as [Object] names them, each with prefix in front.
func (r *Registry) HandleMethods(prefix string, v any) {
	o := newObject(v)
	for _, name := range o.names {
		thing, _ := o.Lookup(name)
		if f, ok := thing.(*function); ok {
			f.name = prefix + name
		}
		r.register(prefix+name, o.things[name])
	}
}

func (r *Registry) register(name string, thing any) {
	if r.things == nil {
		r.things = map[string]any{}
	}
	if _, taken := r.things[name]; taken {
		panic("executor: " + quote(name) + " is registered twice")
	}
	r.things[name] = thing
}

// Lookup finds a name of the bound instance, or else a registered one.
func (r *Registry) Lookup(name string) (any, bool) {
	if o := r.bound.Load(); o != nil {
		if thing, ok := o.Lookup(name); ok {
			return thing, true
		}
	}
	switch thing := r.things[name].(type) {
	case nil:
		return nil, false
	case func() any: // a member of HandleMethods
		return thing(), true
	default:
		return thing, true
	}
}

// Names lists the names, sorted.
func (r *Registry) Names() []string {
	names := slices.Collect(maps.Keys(r.things))
	if o := r.bound.Load(); o != nil {
		names = append(names, o.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Execute runs a tuple on the names.
func (r *Registry) Execute(ctx context.Context, target, args ipc.Raw) (any, error) {
	return Resolve(ctx, r, nil, target, args)
}

// Bind builds an instance of the class that target names.
func (r *Registry) Bind(ctx context.Context, target, args ipc.Raw) error {
	name, ok := target.Text()
	if !ok {
		return typeError("bind: want the name of a class, got " + target.String())
	}
	build, ok := r.classes[name]
	if !ok {
		err := NameError(name, slices.Collect(maps.Keys(r.classes)))
		err.Message = "class " + err.Message
		return err
	}
	a, err := ParseArgs(args)
	if err != nil {
		return err
	}
	instance, err := build(ctx, a)
	if err != nil {
		return err
	}
	r.bound.Store(newObject(instance))
	return nil
}

// Greet tells the names and the classes.
func (r *Registry) Greet(ipc.Greeting) ipc.Hello {
	return ipc.Hello{Targets: r.Names(), Classes: slices.Sorted(maps.Keys(r.classes))}
}

// callFunc is a func that is Callable.
type callFunc func(ctx context.Context, args Args) (any, error)

// Call calls it.
func (f callFunc) Call(ctx context.Context, args Args) (any, error) { return f(ctx, args) }

// rawFunc is a func of an ipc.Raw, which needs nothing decoded where there is one argument.
type rawFunc struct {
	callFunc
	raw func(ctx context.Context, args ipc.Raw) (any, error)
}

// CallRaw calls it.
func (f rawFunc) CallRaw(ctx context.Context, args ipc.Raw) (any, error) {
	if one, ok := OnlyArgument(args); ok {
		return f.raw(ctx, one)
	}
	a, err := ParseArgs(args)
	if err != nil {
		return nil, err
	}
	return f.Call(ctx, a)
}

// argument makes the one argument of a typed handler.
func argument[A any](name string, args Args) (A, error) {
	var a A
	to := reflect.ValueOf(&a).Elem()
	t := to.Type()
	if isArguments(t) {
		f := function{name: name, params: []reflect.Type{t}, isStruct: true, fields: fieldsOf(structOf(t))}
		v, err := f.arguments(args)
		if err == nil {
			to.Set(v)
		}
		return a, err
	}
	value, err := whole(name, t, args)
	if err != nil {
		return a, err
	}
	if m := convert(value, to); m != nil {
		return a, m.at(name, "1")
	}
	return a, nil
}

// whole is the one value that stands for args.
func whole(name string, t reflect.Type, args Args) (any, error) {
	n := len(args.Positional)
	switch {
	case len(args.Named) > 0 && (n > 0 || t.Kind() != reflect.Map && t.Kind() != reflect.Interface && t != rawType):
		return nil, typeError(name + " takes no named arguments (got " + args.names()[0] + ")")
	case len(args.Named) > 0:
		return args.Named, nil
	case t.Kind() == reflect.Slice && t != rawType || t.Kind() == reflect.Array:
		if n == 1 && !isList(t.Elem()) {
			if list, ok := args.Positional[0].([]any); ok {
				return list, nil
			}
			if bytes, ok := args.Positional[0].([]byte); ok {
				return bytes, nil
			}
		}
		return append([]any{}, args.Positional...), nil
	case n == 1:
		return args.Positional[0], nil
	case n == 0 && (t.Kind() == reflect.Interface || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer || t == rawType):
		return nil, nil //nolint:nilnil // absent args are nil
	case t.Kind() == reflect.Interface || t == rawType:
		return args.Positional, nil
	}
	return nil, typeError(name + " takes 1 argument (" + count(n) + " given)")
}

func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Interface
}
