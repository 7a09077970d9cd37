package executor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"fandango/ipc"
)

// Args are the arguments of one call, decoded as [ipc.Raw.Decode] decodes into an any. A call has positional or named
// arguments; Go code inside a worker may give both.
type Args struct {
	Positional []any
	Named      map[string]any
}

// ParseArgs reads a tuple's args: nil is no argument, a list is positional, a map is named, any other value is the one
// positional argument.
func ParseArgs(raw ipc.Raw) (Args, error) {
	if raw.IsNil() {
		return Args{}, nil
	}
	if s, ok := raw.Text(); ok {
		return Args{Positional: []any{s}}, nil
	}
	var v any
	if err := raw.Decode(&v); err != nil {
		return Args{}, fmt.Errorf("args: %w", err)
	}
	switch v := v.(type) {
	case []any:
		return Args{Positional: v}, nil
	case map[string]any:
		return Args{Named: v}, nil
	case map[any]any:
		return Args{}, typeError("args: the names of arguments are text, got " + describe(v))
	}
	return Args{Positional: []any{v}}, nil
}

// OnlyArgument returns the one positional argument of a tuple's args, undecoded, for a [RawCallable]. It says false where
// there is none, and where ParseArgs has to tell what args are.
func OnlyArgument(args ipc.Raw) (ipc.Raw, bool) {
	switch {
	case args.IsNil():
		return nil, false
	case args[0] == 0x91: // a list of one
		return args[1:], true
	case args[0] >= 0x80 && args[0] < 0xa0, args[0] >= 0xdc && args[0] < 0xe0: // a map, or another list
		return nil, false
	}
	return args, true
}

// names lists the named arguments, sorted.
func (a Args) names() []string { return slices.Sorted(maps.Keys(a.Named)) }

func typeError(message string) *ipc.Error {
	return &ipc.Error{Kind: ipc.KindTask, Type: "TypeError", Message: message}
}

// quote shows a text from outside in a message: escaped, and not too much of it.
func quote(s string) string {
	const most = 60
	if len(s) <= most {
		return strconv.Quote(s)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

// describe shows a decoded value in a message: its kind, and the value where it is short.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case bool:
		return "bool " + strconv.FormatBool(v)
	case int64, uint64:
		return fmt.Sprintf("int %d", v)
	case float32, float64:
		return fmt.Sprintf("float %v", v)
	case string:
		return "string " + quote(v)
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return fmt.Sprintf("a map of %d", len(v))
	case map[any]any:
		return fmt.Sprintf("a map of %d", len(v))
	}
	return fmt.Sprintf("%T", v)
}
