package ipc

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Decode decodes into what v points to. The value is scanned first, with the default limits, so nothing is believed
// that is not there; and Decode never panics. A number that does not fit is an error, and says where it sits.
//
// Into an any come nil, bool, int64 (uint64 when it is larger), float64, string, []byte, []any, map[string]any
// (map[any]any when not all keys are strings), time.Time in UTC, and a Raw for any other extension. Into a struct comes
// a map, by the field tags of the msgpack package (`msgpack:"name"`; unknown names are ignored), or an array with one
// item for each field, in order. nil is the zero value of every type. Nothing that v gets shares memory with r.
func (r Raw) Decode(v any) (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if len(r) == 0 {
		r = Raw{codeNil}
	}
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("decode into %T: a pointer that is not nil is needed", v)
	}
	defer func() {
		if x := recover(); x != nil { // an UnmarshalMsgpack of a user's own
			err = fmt.Errorf("decode into %T: panic: %v", v, x)
		}
	}()
	_, err = decode(p.Elem(), r)
	return err
}

// decode decodes the first value of b, which a scanner has passed, and returns what follows it.
func decode(v reflect.Value, b []byte) (rest []byte, err error) {
	t, size := next(b)
	rest = b[size:]
	switch p := v.Addr().Interface().(type) {
	case *any:
		*p, rest, err = decodeAny(b)
		return rest, err
	case *Raw:
		n := sizeOf(b)
		*p = append(Raw(nil), b[:n]...)
		return b[n:], nil
	case *time.Time:
		return rest, decodeTime(p, t)
	}
	info := infoOf(v.Type())
	switch {
	case info.custom:
		n := sizeOf(b)
		return b[n:], msgpack.NewDecoder(bytes.NewReader(b[:n])).DecodeValue(v)
	case t.kind == kindNil:
		v.SetZero()
		return rest, nil
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if rest, err = decode(p.Elem(), b); err == nil {
			v.Set(p)
		}
		return rest, err
	}
	switch t.kind {
	case kindArray:
		return decodeArray(v, info, t.n, rest)
	case kindMap:
		return decodeMap(v, info, t.n, rest)
	default:
		return rest, decodeScalar(v, t)
	}
}

// decodeTime takes a timestamp, or the text that the JSON wire has for one.
func decodeTime(p *time.Time, t token) (err error) {
	ok := t.kind == kindNil
	switch t.kind {
	case kindNil:
		*p = time.Time{}
	case kindString:
		*p, err = time.Parse(time.RFC3339, string(t.data))
		ok = err == nil
	default:
		*p, ok = t.time()
	}
	if !ok {
		return &pathError{what: fmt.Sprintf("%s cannot become a Go time.Time", t.kind)}
	}
	return nil
}

// decodeScalar sets v to a token that is no container.
func decodeScalar(v reflect.Value, t token) error {
	n := int64(t.num)
	fits := true
	switch k := v.Kind(); {
	case t.kind == kindBool && k == reflect.Bool:
		v.SetBool(t.num != 0)
	case t.kind == kindInt && v.CanInt():
		fits = !v.OverflowInt(n)
		v.SetInt(n)
	case t.kind == kindUint && v.CanInt():
		fits = false
	case (t.kind == kindInt || t.kind == kindUint) && v.CanUint():
		fits = (t.kind == kindUint || n >= 0) && !v.OverflowUint(t.num)
		v.SetUint(t.num)
	case t.kind == kindInt && v.CanFloat():
		v.SetFloat(float64(n))
	case t.kind == kindUint && v.CanFloat():
		v.SetFloat(float64(t.num))
	case t.kind == kindFloat && v.CanFloat():
		fits = !v.OverflowFloat(t.float())
		v.SetFloat(t.float())
	case (t.kind == kindString || t.kind == kindBytes) && k == reflect.String:
		v.SetString(string(t.data))
	case (t.kind == kindString || t.kind == kindBytes) && k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(append(make([]byte, 0, len(t.data)), t.data...))
	case t.kind == kindBytes && k == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8 && v.Len() == len(t.data):
		reflect.Copy(v, reflect.ValueOf(t.data))
	default:
		return &pathError{what: fmt.Sprintf("%s cannot become a Go %s", t.kind, v.Type())}
	}
	if !fits {
		v.SetZero()
		return &pathError{what: fmt.Sprintf("the number does not fit a Go %s", v.Type())}
	}
	return nil
}

func decodeArray(v reflect.Value, info *typeInfo, n int, b []byte) (rest []byte, err error) {
	item := v.Index
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
	case reflect.Array:
		if n != v.Len() {
			return nil, &pathError{what: fmt.Sprintf("an array of %d cannot become a Go %s", n, v.Type())}
		}
	case reflect.Struct:
		if n != len(info.fields) {
			return nil, &pathError{what: fmt.Sprintf("an array of %d cannot become a Go %s, which has %d fields", n, v.Type(), len(info.fields))}
		}
		item = func(i int) reflect.Value { return fieldOf(v, info.fields[i]) }
	default:
		return nil, &pathError{what: fmt.Sprintf("an array cannot become a Go %s", v.Type())}
	}
	for i := range n {
		if b, err = decode(item(i), b); err != nil {
			return nil, inside(err, fmt.Sprintf("[%d]", i))
		}
	}
	return b, nil
}

func decodeMap(v reflect.Value, info *typeInfo, n int, b []byte) (rest []byte, err error) {
	switch v.Kind() {
	case reflect.Map:
		v.Set(reflect.MakeMapWithSize(v.Type(), n))
	case reflect.Struct:
		return decodeStruct(v, info, n, b)
	default:
		return nil, &pathError{what: fmt.Sprintf("a map cannot become a Go %s", v.Type())}
	}
	for range n {
		key := reflect.New(v.Type().Key()).Elem()
		value := reflect.New(v.Type().Elem()).Elem()
		if b, err = decode(key, b); err != nil {
			return nil, inside(err, "key")
		}
		if !key.Comparable() {
			return nil, inside(keyError(key.Interface()), "key")
		}
		if b, err = decode(value, b); err != nil {
			return nil, inside(err, fmt.Sprintf("[%#v]", key))
		}
		v.SetMapIndex(key, value)
	}
	return b, nil
}

func decodeStruct(v reflect.Value, info *typeInfo, n int, b []byte) (rest []byte, err error) {
	for range n {
		name, _ := next(b)
		b = b[sizeOf(b):]
		i, known := info.byName[string(name.data)]
		if !known || name.kind != kindString {
			b = b[sizeOf(b):]
			continue
		}
		if b, err = decode(fieldOf(v, info.fields[i]), b); err != nil {
			return nil, inside(err, "."+string(name.data))
		}
	}
	return b, nil
}

// fieldOf returns the field at a path, making the embedded structs on the way that are nil.
func fieldOf(v reflect.Value, path []int) reflect.Value {
	for i, x := range path {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}

// typeInfo is what decode knows of a type.
type typeInfo struct {
	custom bool           // it decodes itself, by way of the msgpack package
	fields [][]int        // the paths of a struct's fields, in order
	byName map[string]int // places in fields
}

var (
	typeInfos    sync.Map // reflect.Type -> *typeInfo
	unmarshalers = []reflect.Type{
		reflect.TypeFor[msgpack.CustomDecoder](), reflect.TypeFor[msgpack.Unmarshaler](),
		reflect.TypeFor[encoding.BinaryUnmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

func infoOf(t reflect.Type) *typeInfo {
	if info, ok := typeInfos.Load(t); ok {
		return info.(*typeInfo) //nolint:errcheck,forcetypeassert // the map holds nothing else
	}
	info := &typeInfo{custom: t.Kind() != reflect.Pointer && slices.ContainsFunc(unmarshalers, reflect.PointerTo(t).Implements)}
	if t.Kind() == reflect.Struct && !info.custom {
		info.addFields(t)
	}
	typeInfos.Store(t, info)
	return info
}

// addFields lists the fields as the msgpack package names them; those of an embedded struct count as the outer one's.
func (info *typeInfo) addFields(t reflect.Type) {
	info.byName = make(map[string]int)
	var whole [][]int // embedded structs that are fields of their own
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		if name == "-" || slices.ContainsFunc(whole, func(p []int) bool { return len(f.Index) > len(p) && slices.Equal(f.Index[:len(p)], p) }) {
			if f.Anonymous {
				whole = append(whole, f.Index)
			}
			continue
		}
		if f.Anonymous {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && !infoOf(inner).custom && !strings.Contains(options, "noinline") {
				continue
			}
			whole = append(whole, f.Index)
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		info.byName[name] = len(info.fields)
		info.fields = append(info.fields, f.Index)
	}
}

func keyError(key any) error {
	return &pathError{what: fmt.Sprintf("a map key of type %T cannot be one in Go", key)}
}

// decodeAny decodes the first value of b, which a scanner has passed, and returns what follows it.
func decodeAny(b []byte) (v any, rest []byte, err error) {
	t, size := next(b)
	raw, rest := b[:size], b[size:]
	switch t.kind {
	case kindNil:
		return nil, rest, nil
	case kindBool:
		return t.num != 0, rest, nil
	case kindInt:
		return int64(t.num), rest, nil
	case kindUint:
		return t.num, rest, nil
	case kindFloat:
		return t.float(), rest, nil
	case kindString:
		return string(t.data), rest, nil
	case kindBytes:
		return append(make([]byte, 0, len(t.data)), t.data...), rest, nil
	case kindArray:
		list := make([]any, t.n)
		for i := range list {
			if list[i], rest, err = decodeAny(rest); err != nil {
				return nil, nil, inside(err, fmt.Sprintf("[%d]", i))
			}
		}
		return list, rest, nil
	case kindMap:
		return decodeAnyMap(t.n, rest)
	default:
		if when, ok := t.time(); ok {
			return when, rest, nil
		}
		return append(Raw(nil), raw...), rest, nil
	}
}

// decodeAnyMap decodes n pairs: into a map[string]any, and from the first other key on into a map[any]any.
func decodeAnyMap(n int, b []byte) (_ any, rest []byte, err error) {
	text := make(map[string]any, n)
	var mixed map[any]any
	for range n {
		var k, v any
		if k, b, err = decodeAny(b); err != nil {
			return nil, nil, inside(err, "key")
		}
		if v, b, err = decodeAny(b); err != nil {
			return nil, nil, inside(err, fmt.Sprintf("[%#v]", k))
		}
		if key, ok := k.(string); ok && mixed == nil {
			text[key] = v
			continue
		}
		if k != nil && !reflect.TypeOf(k).Comparable() {
			return nil, nil, inside(keyError(k), "key")
		}
		if mixed == nil {
			mixed = make(map[any]any, n)
			for k, v := range text {
				mixed[k] = v
			}
		}
		mixed[k] = v
	}
	if mixed != nil {
		return mixed, b, nil
	}
	return text, b, nil
}
