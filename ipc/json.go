package ipc

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// The one-member objects that stand for what JSON has no form for. A map of a user's own that looks like one of them
// is wrapped in the last.
const (
	memberBytes = "$bytes" // {"$bytes": "base64"}
	memberExt   = "$ext"   // {"$ext": [type, "base64"]}
	memberRaw   = "$raw"   // {"$raw": {"$bytes": …}}: the map itself
)

// AppendJSON appends the value as compact JSON. It is always valid: integers keep every digit, floats a point or an
// exponent, NaN and the infinities are the strings "NaN", "Infinity", "-Infinity"; bytes are {"$bytes":"base64"}, times
// RFC 3339, other extensions {"$ext":[type,"base64"]}; invalid UTF-8 is shown as U+FFFD; a map key that is no string is
// shown as its JSON text. Characters that a terminal might act on are escaped. Bytes that are no msgpack value are
// {"$invalid":"base64"}.
func (r Raw) AppendJSON(dst []byte) []byte {
	if len(r) == 0 {
		return append(dst, "null"...)
	}
	w := jsonWriter{dst: slices.Grow(dst, len(r)+16)}
	if rest, ok := w.value(r, 0); ok && len(rest) == 0 {
		return w.dst
	}
	return appendBase64Object(dst, "$invalid", r)
}

// jsonWriter writes a value token by token, and never builds more than the text.
type jsonWriter struct {
	dst []byte
	nan bool // write NaN and the infinities as the literals that the JSON wire has
}

// value writes the first value of b and returns what follows it. It is false when b does not begin with one.
func (w *jsonWriter) value(b []byte, depth int) (rest []byte, ok bool) {
	t, size := next(b)
	rest = b[size:]
	switch t.kind {
	case kindInvalid:
		return nil, false
	case kindNil:
		w.dst = append(w.dst, "null"...)
	case kindBool:
		w.dst = strconv.AppendBool(w.dst, t.num != 0)
	case kindInt:
		w.dst = strconv.AppendInt(w.dst, int64(t.num), 10)
	case kindUint:
		w.dst = strconv.AppendUint(w.dst, t.num, 10)
	case kindFloat:
		w.float(t.float(), int(t.bits))
	case kindString:
		w.dst = appendQuoted(w.dst, t.data)
	case kindBytes:
		w.dst = appendBase64Object(w.dst, memberBytes, t.data)
	case kindExt:
		w.extension(t)
	case kindArray, kindMap:
		if depth == maxDepth {
			return nil, false
		}
		if t.kind == kindMap {
			return w.object(t.n, rest, depth)
		}
		w.dst = append(w.dst, '[')
		for i := range t.n {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			if rest, ok = w.value(rest, depth+1); !ok {
				return nil, false
			}
		}
		w.dst = append(w.dst, ']')
	}
	return rest, true
}

func (w *jsonWriter) object(n int, b []byte, depth int) (rest []byte, ok bool) {
	escaped := false
	if n == 1 {
		key, _ := next(b)
		escaped = key.kind == kindString && isMember(key.data)
	}
	if escaped {
		w.dst = append(w.dst, `{"$raw":`...)
	}
	w.dst = append(w.dst, '{')
	for i := range n {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if b, ok = w.key(b, depth); !ok {
			return nil, false
		}
		w.dst = append(w.dst, ':')
		if b, ok = w.value(b, depth+1); !ok {
			return nil, false
		}
	}
	w.dst = append(w.dst, '}')
	if escaped {
		w.dst = append(w.dst, '}')
	}
	return b, true
}

// key writes a map key: one that is no string as the string of its JSON text.
func (w *jsonWriter) key(b []byte, depth int) (rest []byte, ok bool) {
	start := len(w.dst)
	t, _ := next(b)
	if rest, ok = w.value(b, depth+1); !ok || t.kind == kindString || w.dst[start] == '"' {
		return rest, ok
	}
	text := string(w.dst[start:])
	w.dst = appendQuoted(w.dst[:start], text)
	return rest, true
}

func (w *jsonWriter) float(f float64, bits int) {
	var name string
	switch {
	case math.IsNaN(f):
		name = "NaN"
	case math.IsInf(f, 1):
		name = "Infinity"
	case math.IsInf(f, -1):
		name = "-Infinity"
	default:
		w.number(f, bits)
		return
	}
	if w.nan {
		w.dst = append(w.dst, name...)
	} else {
		w.dst = append(append(append(w.dst, '"'), name...), '"')
	}
}

// number writes the shortest text that reads as the same float, and as a float.
func (w *jsonWriter) number(f float64, bits int) {
	start := len(w.dst)
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e16) {
		w.dst = strconv.AppendFloat(w.dst, f, 'e', -1, bits)
		return
	}
	w.dst = strconv.AppendFloat(w.dst, f, 'f', -1, bits)
	if !slices.Contains(w.dst[start:], '.') {
		w.dst = append(w.dst, '.', '0')
	}
}

func (w *jsonWriter) extension(t token) {
	if when, ok := t.time(); ok && when.Year() >= 0 && when.Year() <= 9999 {
		w.dst = append(w.dst, '"')
		w.dst = when.AppendFormat(w.dst, time.RFC3339Nano)
		w.dst = append(w.dst, '"')
		return
	}
	w.dst = append(w.dst, `{"$ext":[`...)
	w.dst = strconv.AppendInt(w.dst, int64(t.ext), 10)
	w.dst = append(w.dst, `,"`...)
	w.dst = base64.StdEncoding.AppendEncode(w.dst, t.data)
	w.dst = append(w.dst, `"]}`...)
}

func isMember[T string | []byte](name T) bool {
	switch string(name) {
	case memberBytes, memberExt, memberRaw:
		return true
	}
	return false
}

func appendBase64Object(dst []byte, name string, b []byte) []byte {
	dst = append(append(append(dst, `{"`...), name...), `":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, `"}`...)
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON string.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, rune(c))
			i++
			start = i
			continue
		}
		r, size := decodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			start = i + size
		} else if acts(r) {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, r)
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func decodeRune[T string | []byte](s T) (rune, int) {
	switch s := any(s).(type) {
	case string:
		return utf8.DecodeRuneInString(s)
	case []byte:
		return utf8.DecodeRune(s)
	}
	return utf8.RuneError, 1
}

// acts reports whether a terminal may act on r, or text around it change its order: C1 controls, line and paragraph
// separators, bidirectional controls.
func acts(r rune) bool {
	return r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// appendEscape appends an escape of r, which is in the basic plane.
func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
