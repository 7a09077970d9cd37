package evalx

import (
	"go.starlark.net/starlark"
)

// The keys of a call that is written as a dict.
const (
	keyTarget    = "__target__"
	keyArgs      = "__args__"
	keyModule    = "__module__"
	keyClass     = "__class__"
	keyClassArgs = "__class_args__"
)

// evaluating are eval and evalX, one function: Fandango's evalX with its structured forms.
//
//	eval("1 + 2")                                       a text is evaluated; a callable is called
//	eval(["max", 1, 2])                                 a list whose first item is, or names, a callable
//	eval({"__target__": "int", "__args__": ["77"]})     a dict; without __args__ its other keys are named arguments
//	eval({"__module__": "math", "__target__": "sqrt", "__args__": [16]})
//	eval({"__class__": "Reader", "__class_args__": …, "__target__": "read"})   a method of an instance, made once
func (e *Evaluator) evaluating() map[string]builtin {
	eval := func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args) == 0 && len(kwargs) > 0 { // a map as args of a task is named arguments
			d := starlark.NewDict(len(kwargs))
			for _, pair := range kwargs {
				if err := d.SetKey(pair[0], pair[1]); err != nil {
					return nil, err
				}
			}
			return e.evalForm(d)
		}
		var form starlark.Value
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &form); err != nil {
			return nil, err
		}
		return e.evalForm(form)
	}
	return map[string]builtin{"eval": eval, "evalX": eval}
}

func (e *Evaluator) evalForm(form starlark.Value) (starlark.Value, error) {
	if e.check(); e.now.stopped != nil { // a text that evaluates itself may take no steps at all
		return nil, e.now.stopped
	}
	switch form := form.(type) {
	case starlark.String:
		v, names, err := e.source(string(form))
		if _, ok := v.(starlark.Callable); ok && !names && err == nil {
			return starlark.Call(e.thread, v, nil, nil)
		}
		return v, err
	case *starlark.Dict:
		return e.evalDict(form)
	case starlark.Callable:
		return starlark.Call(e.thread, form, nil, nil)
	case starlark.Indexable: // list, tuple
		if form.Len() == 0 {
			return nil, typeError("eval: an empty list calls nothing; its first item has to be, or to name, a callable")
		}
		f, err := e.named(form.Index(0))
		if err != nil {
			return nil, err
		}
		args := make(starlark.Tuple, form.Len()-1)
		for i := range args {
			args[i] = form.Index(i + 1)
		}
		return e.callForm(f, args, nil)
	}
	return nil, typeError("eval: want a text, a dict, a list or a callable; got %s", form.Type())
}

func (e *Evaluator) evalDict(form *starlark.Dict) (starlark.Value, error) {
	get := func(key string) starlark.Value {
		v, _, err := form.Get(starlark.String(key))
		if err != nil || v == starlark.None {
			return nil
		}
		return v
	}
	target, class, module := get(keyTarget), get(keyClass), get(keyModule)
	if target == nil && class == nil {
		return nil, typeError("eval: the dict has neither %s nor %s", keyTarget, keyClass)
	}
	var from starlark.Value // what target is an attribute of
	if module != nil {
		name, ok := starlark.AsString(module)
		if !ok {
			return nil, typeError("eval: %s: want the name of a module, got %s", keyModule, module.Type())
		}
		var err error
		if from, err = importName(nil, starlark.NewBuiltin("__import__", importName), starlark.Tuple{starlark.String(name)}, nil); err != nil {
			return nil, err
		}
	}
	if class != nil {
		var err error
		if from, err = e.instance(from, class, get(keyClassArgs)); err != nil || target == nil {
			return from, err
		}
	}
	f, err := e.attribute(from, target)
	if err != nil {
		return nil, err
	}
	if v, found, err := form.Get(starlark.String(keyArgs)); err == nil && found {
		args, kwargs, err := spread(v)
		if err != nil {
			return nil, err
		}
		return e.callForm(f, args, kwargs)
	}
	var kwargs []starlark.Tuple
	for _, item := range form.Items() {
		switch key, ok := item[0].(starlark.String); {
		case !ok:
			return nil, typeError("eval: the names of arguments are text, got %s", item[0].Type())
		case key == keyTarget, key == keyClass, key == keyModule, key == keyClassArgs:
		default:
			kwargs = append(kwargs, item)
		}
	}
	return e.callForm(f, nil, kwargs)
}

// callForm calls f, or answers it when it is a value and there is nothing to call it with.
func (e *Evaluator) callForm(f starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if _, ok := f.(starlark.Callable); !ok {
		if len(args)+len(kwargs) == 0 {
			return f, nil
		}
		return nil, typeError("eval: the target must be callable; it is a %s", f.Type())
	}
	return starlark.Call(e.thread, f, args, kwargs)
}

// named is what a name, which may have dots, stands for; a callable stands for itself.
func (e *Evaluator) named(v starlark.Value) (starlark.Value, error) {
	if _, ok := v.(starlark.Callable); ok {
		return v, nil
	}
	name, ok := starlark.AsString(v)
	if !ok {
		return nil, typeError("eval: want a callable or its name, got %s", v.Type())
	}
	v, _, err := e.source(name)
	return v, err
}

// attribute is what target names on from, or anywhere when from is nil.
func (e *Evaluator) attribute(from, target starlark.Value) (starlark.Value, error) {
	name, ok := starlark.AsString(target)
	if from == nil || !ok {
		return e.named(target)
	}
	if attrs, ok := from.(starlark.HasAttrs); ok {
		if v, err := attrs.Attr(name); v != nil && err == nil {
			return v, nil
		}
	}
	return nil, taskError("AttributeError", "%s has no %q", from.String(), name)
}

// instance makes an instance of a class, or gives the one that was made with equal arguments before.
func (e *Evaluator) instance(from, class, args starlark.Value) (starlark.Value, error) {
	if args == nil {
		args = starlark.Tuple{}
	}
	if _, ok := class.(starlark.String); !ok {
		return nil, typeError("eval: %s: want the name of a class, got %s", keyClass, class.Type())
	}
	module := ""
	if from != nil {
		module = from.String()
	}
	build, err := e.attribute(from, class)
	if err != nil {
		return nil, err
	}
	key, err := encode(starlark.Tuple{starlark.String(module), class, args})
	if err != nil {
		return nil, err
	}
	if v, ok := e.objects[string(key)]; ok {
		return v, nil
	}
	positional, named, err := spread(args)
	if err != nil {
		return nil, err
	}
	v, err := e.callForm(build, positional, named)
	if err == nil {
		if len(e.objects) == maxCached {
			clear(e.objects)
		}
		e.objects[string(key)] = v
	}
	return v, err
}

// spread makes arguments of a list or tuple (in order), a dict (by name), None (none) or a single value.
func spread(v starlark.Value) (starlark.Tuple, []starlark.Tuple, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil, nil
	case *starlark.Dict:
		for _, item := range v.Items() {
			if _, ok := item[0].(starlark.String); !ok {
				return nil, nil, typeError("eval: the names of arguments are text, got %s", item[0].Type())
			}
		}
		return nil, v.Items(), nil
	case *starlark.List, starlark.Tuple:
		var args starlark.Tuple
		for item := range starlark.Elements(v.(starlark.Iterable)) { //nolint:errcheck,forcetypeassert // both are
			args = append(args, item)
		}
		return args, nil, nil
	}
	return starlark.Tuple{v}, nil, nil
}
