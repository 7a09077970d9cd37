package ipc

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Encode encodes v in its canonical form: map keys sorted at every depth, integers in their shortest form. Structs
// become maps, as the msgpack package's field tags say (`msgpack:"name,omitempty"`).
//
// A value that has no encoding is an error that says where it sits: errors, channels, funcs, complex numbers, and
// values that contain themselves.
func Encode(v any) (Raw, error) {
	b, err := appendAny(nil, v, 0)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// appendAny writes the types that tasks and answers are mostly made of by itself; reflection is for the others.
func appendAny(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, codeNil), nil
	case bool:
		return appendBool(dst, v), nil
	case int:
		return appendInt(dst, int64(v)), nil
	case int64:
		return appendInt(dst, v), nil
	case uint64:
		return appendUint(dst, v), nil
	case float64:
		return appendFloat(dst, v), nil
	case string:
		return appendString(dst, v), nil
	case []byte:
		if v == nil {
			return append(dst, codeNil), nil
		}
		return appendBytes(dst, v), nil
	case time.Time:
		return appendTime(dst, v), nil
	case Raw:
		return appendRaw(dst, v)
	case []any:
		return appendSlice(dst, v, depth)
	case []Raw:
		return appendSlice(dst, v, depth)
	case []string:
		return appendSlice(dst, v, depth)
	case []int:
		return appendSlice(dst, v, depth)
	case []float64:
		return appendSlice(dst, v, depth)
	case map[string]any:
		return appendMap(dst, v, depth)
	case map[string]string:
		return appendMap(dst, v, depth)
	case map[any]any:
		return appendMap(dst, v, depth)
	}
	return appendReflect(dst, v, depth)
}

func appendRaw(dst []byte, r Raw) ([]byte, error) {
	if len(r) == 0 {
		return append(dst, codeNil), nil
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	dst, _ = appendCanonical(dst, r)
	return dst, nil
}

func appendSlice[T any](dst []byte, v []T, depth int) (_ []byte, err error) {
	if v == nil {
		return append(dst, codeNil), nil
	}
	if depth == maxDepth {
		return nil, errDepth
	}
	dst = appendArrayHead(dst, len(v))
	for i := range v {
		if dst, err = appendAny(dst, v[i], depth+1); err != nil {
			return nil, inside(err, fmt.Sprintf("[%d]", i))
		}
	}
	return dst, nil
}

func appendMap[K comparable, V any](dst []byte, v map[K]V, depth int) (_ []byte, err error) {
	if v == nil {
		return append(dst, codeNil), nil
	}
	if depth == maxDepth {
		return nil, errDepth
	}
	dst = appendMapHead(dst, len(v))
	pairs := newPairs(dst, len(v))
	for k, x := range v {
		pairs.key(dst)
		if dst, err = appendAny(dst, k, depth+1); err != nil {
			return nil, inside(err, "key")
		}
		pairs.value(dst)
		if dst, err = appendAny(dst, x, depth+1); err != nil {
			return nil, inside(err, fmt.Sprintf("[%#v]", k))
		}
	}
	dst, _ = pairs.sort(dst, false)
	return dst, nil
}

// appendReflect leaves v to the msgpack package, once it is known to hold nothing that the package would write wrong
// or panic over, and puts what it wrote in order.
func appendReflect(dst []byte, v any, depth int) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // a MarshalMsgpack of a user's own
			err = fmt.Errorf("%T cannot be encoded: panic: %v", v, p)
		}
	}()
	if err := encodable(reflect.ValueOf(v), depth); err != nil {
		return nil, err
	}
	// A copy that has an address, for marshalers with a pointer receiver.
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseCompactInts(true)
	if err := e.EncodeValue(p.Elem()); err != nil {
		return nil, fmt.Errorf("%T cannot be encoded: %w", v, err)
	}
	if b.Len() == 0 {
		return nil, fmt.Errorf("%T cannot be encoded: its marshaler wrote nothing", v)
	}
	return appendRaw(dst, b.Bytes())
}

var (
	errorType  = reflect.TypeFor[error]()
	marshalers = []reflect.Type{
		reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.Marshaler](),
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler](),
	}
)

// encodable returns an error when v holds something that has no encoding.
func encodable(v reflect.Value, depth int) error {
	if !v.IsValid() {
		return nil
	}
	t := v.Type()
	switch v.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return &pathError{what: "a " + t.String() + " cannot be encoded"}
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return nil
		}
	default:
	}
	if t.Kind() != reflect.Interface {
		if t.Implements(errorType) {
			return &pathError{what: "an error (" + t.String() + ") cannot be encoded"}
		}
		if slices.ContainsFunc(marshalers, func(m reflect.Type) bool {
			return t.Implements(m) || reflect.PointerTo(t).Implements(m)
		}) {
			return nil
		}
	}
	if depth > maxDepth {
		return errDepth
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return encodable(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if plain(t.Elem().Kind()) {
				return nil
			}
			if err := encodable(v.Index(i), depth+1); err != nil {
				return inside(err, fmt.Sprintf("[%d]", i))
			}
		}
	case reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			if err := encodable(iter.Key(), depth+1); err != nil {
				return inside(err, "key")
			}
			if err := encodable(iter.Value(), depth+1); err != nil {
				return inside(err, fmt.Sprintf("[%v]", iter.Key()))
			}
		}
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("msgpack") == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if err := encodable(v.Field(i), depth+1); err != nil {
				return inside(err, "."+f.Name)
			}
		}
	default:
	}
	return nil
}

// plain reports whether values of this kind hold no others.
func plain(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Uint64 || k == reflect.Float32 || k == reflect.Float64
}

var errDepth = fmt.Errorf("a value nested deeper than %d, or one that contains itself, cannot be encoded", maxDepth)
