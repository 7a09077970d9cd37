package executor

import (
	"context"
	"reflect"
	"strings"

	"fandango/ipc"
)

// Object makes an executor of a Go value: its exported methods can be called, its exported fields are values. A name is
// found as Go spells it and in snake or lower case: ReadValue, read_value, readvalue. Methods are called as Func calls a
// func. A method Process takes the targets that come without args, as Fandango's executor.process does.
//
// The value is used as it is, by one task at a time under Serve; under Local its methods must be safe for as many.
func Object(v any) Executor {
	if e, ok := v.(Executor); ok {
		return e
	}
	return newObject(v)
}

// object is a Go value seen through its names.
type object struct {
	names  []string // as shown: snake case
	things map[string]func() any
}

func newObject(v any) *object {
	value := reflect.ValueOf(v)
	if value.Kind() == reflect.Struct { // so that methods with a pointer receiver are there
		p := reflect.New(value.Type())
		p.Elem().Set(value)
		value = p
	}
	o := &object{things: map[string]func() any{}}
	if !value.IsValid() {
		return o
	}
	t := value.Type()
	for i := range t.NumMethod() {
		f := newFunction(snake(t.Method(i).Name), value.Method(i))
		o.add(t.Method(i).Name, func() any { return f })
	}
	s := value
	if s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct {
		return o
	}
	for i := range s.NumField() {
		if field := s.Type().Field(i); field.IsExported() {
			o.add(field.Name, func() any { return fieldThing(field.Name, s.Field(i)) })
		}
	}
	return o
}

// fieldThing is what a field holds now.
func fieldThing(name string, v reflect.Value) any {
	if v.Kind() == reflect.Func && !v.IsNil() {
		return newFunction(snake(name), v)
	}
	return v.Interface()
}

func (o *object) add(name string, thing func() any) {
	if _, taken := o.things[name]; !taken {
		o.names = append(o.names, snake(name))
	}
	for _, spelling := range []string{name, snake(name), strings.ToLower(name)} {
		if _, taken := o.things[spelling]; !taken {
			o.things[spelling] = thing
		}
	}
}

// Lookup finds a method or a field.
func (o *object) Lookup(name string) (any, bool) {
	thing, ok := o.things[name]
	if !ok {
		return nil, false
	}
	return thing(), true
}

// Names lists the methods and fields.
func (o *object) Names() []string { return o.names }

// Execute runs a tuple on the value.
func (o *object) Execute(ctx context.Context, target, args ipc.Raw) (any, error) {
	return Resolve(ctx, o, nil, target, args)
}

// Greet tells the names.
func (o *object) Greet(ipc.Greeting) ipc.Hello { return ipc.Hello{Targets: o.names} }
