package ipc

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Decode decodes into what v points to. The value is scanned first, so nothing is believed that is not there, and
// Decode never panics.
//
// Into an any come nil, bool, int64 (uint64 when it is larger), float64, string, []byte, []any, map[string]any
// (map[any]any when not all keys are strings), time.Time in UTC, and a Raw for any other extension.
func (r Raw) Decode(v any) (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if len(r) == 0 {
		r = Raw{codeNil}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode into %T: panic: %v", v, p)
		}
	}()
	if p, ok := v.(*any); ok && p != nil {
		x, _, err := decodeAny(r)
		*p = x
		return err
	}
	return msgpack.Unmarshal(r, v)
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
		return int64(t.num), rest, nil //nolint:gosec // the token's two's complement
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
				return nil, nil, err
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
			return nil, nil, err
		}
		if v, b, err = decodeAny(b); err != nil {
			return nil, nil, err
		}
		switch key := k.(type) {
		case string:
			if mixed == nil {
				text[key] = v
				continue
			}
		case []any, map[string]any, map[any]any, []byte, Raw:
			return nil, nil, fmt.Errorf("a map key of type %T cannot be a key in Go", k)
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
