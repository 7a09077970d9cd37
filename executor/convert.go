package executor

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fandango/ipc"
)

var (
	rawType      = reflect.TypeFor[ipc.Raw]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// mismatch is a value that does not fit; path leads to it inside the argument.
type mismatch struct {
	path string
	want string
	got  string
}

func (m *mismatch) Error() string { return "want " + m.want + ", got " + m.got }

// at says in which argument of which function it is.
func (m *mismatch) at(function, argument string) *ipc.Error {
	return typeError(function + ": argument " + argument + m.path + ": " + m.Error())
}

// convert stores a decoded value in to. Unlike a decoder it changes no value: no truncated integer, no 3.7 for an int.
func convert(v any, to reflect.Value) *mismatch {
	t := to.Type()
	bad := func(want string) *mismatch { return &mismatch{want: want, got: describe(v)} }
	switch t {
	case rawType:
		raw, err := ipc.Encode(v)
		if err != nil {
			return bad("a value that can be encoded")
		}
		to.SetBytes(raw)
		return nil
	case timeType:
		if at, ok := v.(time.Time); ok {
			to.Set(reflect.ValueOf(at))
			return nil
		}
		if s, ok := v.(string); ok {
			if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
				to.Set(reflect.ValueOf(at))
				return nil
			}
		}
		return bad("a time")
	case durationType:
		return convertDuration(v, to)
	}
	switch t.Kind() {
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			return bad("bool")
		}
		to.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := v.(int64)
		if !ok || to.OverflowInt(n) {
			return bad(t.Kind().String())
		}
		to.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, ok := v.(uint64)
		if i, signed := v.(int64); signed && i >= 0 {
			n, ok = uint64(i), true
		}
		if !ok || to.OverflowUint(n) {
			return bad(t.Kind().String())
		}
		to.SetUint(n)
	case reflect.Float32, reflect.Float64:
		x, ok := number(v)
		if !ok {
			return bad("a number")
		}
		to.SetFloat(x)
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return bad("string")
		}
		to.SetString(s)
	case reflect.Pointer:
		if v == nil {
			to.SetZero()
			return nil
		}
		p := reflect.New(t.Elem())
		if m := convert(v, p.Elem()); m != nil {
			return m
		}
		to.Set(p)
	case reflect.Interface:
		if v == nil {
			to.SetZero()
			return nil
		}
		if !reflect.TypeOf(v).AssignableTo(t) {
			return bad(t.String())
		}
		to.Set(reflect.ValueOf(v))
	case reflect.Slice, reflect.Array:
		return convertList(v, to)
	case reflect.Map:
		return convertMap(v, to)
	case reflect.Struct:
		m, ok := v.(map[string]any)
		if !ok {
			return bad("a map")
		}
		return fieldsOf(t).fill(m, to)
	default:
		return bad("a " + t.String() + ", which no value can be")
	}
	return nil
}

// convertDuration takes seconds, or a text such as "250ms".
func convertDuration(v any, to reflect.Value) *mismatch {
	if s, ok := v.(string); ok {
		if d, err := time.ParseDuration(s); err == nil {
			to.SetInt(int64(d))
			return nil
		}
	} else if x, ok := number(v); ok && math.Abs(x) < math.MaxInt64/1e9 {
		to.SetInt(int64(x * 1e9))
		return nil
	}
	return &mismatch{want: "a duration (seconds, or a text such as \"250ms\")", got: describe(v)}
}

func convertList(v any, to reflect.Value) *mismatch {
	t := to.Type()
	if b, ok := v.([]byte); ok && t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
		to.SetBytes(b)
		return nil
	}
	list, ok := v.([]any)
	switch {
	case !ok && v == nil && t.Kind() == reflect.Slice:
		to.SetZero()
		return nil
	case !ok && t.Elem().Kind() == reflect.Uint8:
		return &mismatch{want: "bytes", got: describe(v)}
	case !ok:
		return &mismatch{want: "a list", got: describe(v)}
	case t.Kind() == reflect.Slice:
		to.Set(reflect.MakeSlice(t, len(list), len(list)))
	case len(list) != t.Len():
		return &mismatch{want: fmt.Sprintf("a list of %d", t.Len()), got: describe(v)}
	}
	for i, item := range list {
		if m := convert(item, to.Index(i)); m != nil {
			m.path = "[" + strconv.Itoa(i) + "]" + m.path
			return m
		}
	}
	return nil
}

func convertMap(v any, to reflect.Value) *mismatch {
	t := to.Type()
	items := map[any]any{}
	switch v := v.(type) {
	case nil:
		to.SetZero()
		return nil
	case map[string]any:
		for k, item := range v {
			items[k] = item
		}
	case map[any]any:
		items = v
	default:
		return &mismatch{want: "a map", got: describe(v)}
	}
	out := reflect.MakeMapWithSize(t, len(items))
	for k, item := range items {
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if m := convert(k, key); m != nil {
			m.path = " key" + m.path
			return m
		}
		if m := convert(item, value); m != nil {
			m.path = fmt.Sprintf("[%s]", describe(k)) + m.path
			return m
		}
		out.SetMapIndex(key, value)
	}
	to.Set(out)
	return nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	case float32:
		return float64(v), true
	}
	return 0, false
}

// fields are the exported fields of a struct, by the names that a caller may use.
type fields struct {
	names []string       // as shown, in order
	index []int          // of the field names[i]
	by    map[string]int // every spelling -> its place in names
}

func fieldsOf(t reflect.Type) fields {
	f := fields{by: map[string]int{}}
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() {
			continue
		}
		tag, _, _ := strings.Cut(field.Tag.Get("msgpack"), ",")
		if tag == "-" {
			continue
		}
		name, place := tag, len(f.names)
		if name == "" {
			name = snake(field.Name)
		}
		f.names = append(f.names, name)
		f.index = append(f.index, i)
		for _, spelling := range []string{name, field.Name, snake(field.Name), strings.ToLower(field.Name)} {
			if _, taken := f.by[spelling]; !taken {
				f.by[spelling] = place
			}
		}
	}
	return f
}

// fill stores named values in a struct.
func (f fields) fill(named map[string]any, to reflect.Value) *mismatch {
	for _, name := range (Args{Named: named}).names() {
		place, ok := f.by[name]
		if !ok {
			return &mismatch{want: "only " + orNone(f.names), got: quote(name)}
		}
		if m := convert(named[name], to.Field(f.index[place])); m != nil {
			m.path = "." + name + m.path
			return m
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "no names at all"
	}
	return strings.Join(names, ", ")
}

// snake spells a Go name as Python does: ReadValue is read_value, HTTPGet is http_get.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		if unicode.IsUpper(r) && i > 0 && letters[i-1] != '_' &&
			(!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
