package shell

import (
	"encoding/json"
	"unicode"
	"unicode/utf8"

	"fandango/ipc"
)

// printable reports whether s can be shown as it is: valid UTF-8 without control characters, escapes, line ends, tabs,
// bidirectional overrides or anything else that a terminal obeys or hides.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			return utf8.ValidString(s) && allPrint(s)
		}
	}
	return true
}

func allPrint(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

const hex = "0123456789abcdef"

// appendSafe appends s with all that is not printable escaped: \n, \t, \x1b, \u202e; bytes that are not UTF-8 as \xff.
// It is for messages to people; nothing reads it back.
func appendSafe(dst []byte, s string) []byte {
	if printable(s) {
		return append(dst, s...)
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == utf8.RuneError && n == 1 || r < 0x20 || r == 0x7f:
			dst = append(dst, '\\', 'x', hex[s[i]>>4], hex[s[i]&15])
		case unicode.IsPrint(r):
			dst = append(dst, s[i:i+n]...)
		default:
			dst = appendUnicode(dst, r)
		}
		i += n
	}
	return dst
}

// Safe returns s with all that is not printable escaped.
func Safe(s string) string {
	if printable(s) {
		return s
	}
	return string(appendSafe(nil, s))
}

// appendQuoted appends s as a JSON string whose every character is printable. What is not UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		if c := s[i]; ' ' <= c && c <= '~' {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case unicode.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		default:
			dst = appendUnicode(dst, r)
		}
		i += n
	}
	return append(dst, '"')
}

// appendUnicode appends r as JSON escapes it, above U+FFFF as two surrogates.
func appendUnicode(dst []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		dst = appendUnicode(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// appendJSON appends a value as compact JSON whose every character is printable.
func appendJSON(dst []byte, v ipc.Raw) []byte {
	if v.IsNil() {
		return append(dst, "null"...)
	}
	start := len(dst)
	dst = v.AppendJSON(dst)
	for _, c := range dst[start:] {
		if c < ' ' || c > '~' {
			return escapeTail(dst, start)
		}
	}
	return dst
}

// escapeTail escapes what is not printable in the JSON text at dst[start:]. Outside strings JSON has only ASCII, so a
// \u escape is right wherever such a character stands.
func escapeTail(dst []byte, start int) []byte {
	tail := string(dst[start:])
	if printable(tail) {
		return dst
	}
	dst = dst[:start]
	for _, r := range tail {
		if unicode.IsPrint(r) {
			dst = utf8.AppendRune(dst, r)
		} else {
			dst = appendUnicode(dst, r)
		}
	}
	return dst
}

// appendKey appends a key for the text form: bare when it is printable, else as a JSON string. A key that begins with
// a quote is quoted too, so the two cannot be confused.
func appendKey(dst []byte, key string) []byte {
	if printable(key) && (key == "" || key[0] != '"') {
		return append(dst, key...)
	}
	return appendQuoted(dst, key)
}

// appendValue appends a value for the text form: compact JSON, a string bare when it is printable and not JSON itself.
func appendValue(dst []byte, v ipc.Raw) []byte {
	if s, ok := v.Text(); ok && printable(s) && !isJSON(s) {
		return append(dst, s...)
	}
	return appendJSON(dst, v)
}

// isJSON reports whether a string, shown bare, would read as a JSON value.
func isJSON(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
		case c == '"', c == '[', c == '{', c == '-', '0' <= c && c <= '9', c == 't', c == 'f', c == 'n':
			return json.Valid([]byte(s))
		default:
			return false
		}
	}
	return false
}
