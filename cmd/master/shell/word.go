package shell

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"fandango/ipc"
)

// Split cuts a line into words at blanks. A word in quotes, '…' or "…", may hold blanks; inside double quotes \" and \\
// stand for a quote and a backslash. A word that begins with [ or { and is a JSON value is one word, blanks included.
// A quote or a backslash inside a word is a character like any other, so that file names survive.
func Split(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" {
			return words, nil
		}
		word, n, err := firstWord(line)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), line[n:]
	}
}

// firstWord returns the word at the beginning of line and how many bytes of line it takes.
func firstWord(line string) (word string, n int, err error) {
	switch line[0] {
	case '\'', '"':
		return quotedWord(line)
	case '[', '{':
		var value json.RawMessage
		d := json.NewDecoder(strings.NewReader(line))
		if d.Decode(&value) == nil && ends(line, int(d.InputOffset())) {
			return string(value), int(d.InputOffset()), nil
		}
	}
	if n = strings.IndexAny(line, " \t"); n < 0 {
		n = len(line)
	}
	return strings.TrimRight(line[:n], "\r"), n, nil
}

func quotedWord(line string) (word string, n int, err error) {
	quote := line[0]
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == quote && ends(line, i+1):
			return b.String(), i + 1, nil
		case c == quote:
			return "", 0, fmt.Errorf("text right after the closing quote of %s; put the whole word in quotes", line[:i+1])
		case c == '\\' && quote == '"' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\'):
			i++
			b.WriteByte(line[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("the quote that opens at %.20s is not closed", line)
}

// ends reports whether a word may end before line[i].
func ends(line string, i int) bool {
	return i >= len(line) || line[i] == ' ' || line[i] == '\t' || line[i] == '\r'
}

// typed returns what a word means: a JSON number, true, false, null, array or object is that, anything else the string.
// An integer of more than 64 bits and a number beyond a float stay strings, so no digit is lost; a word that is not
// UTF-8 is bytes.
func typed(word string) any {
	if word == "" {
		return word
	}
	switch c := word[0]; {
	case c == '-' || '0' <= c && c <= '9':
		if n, ok := number(word); ok {
			return n
		}
	case c == '[' || c == '{':
		if v, err := parseJSON([]byte(word)); err == nil {
			return v
		}
	case word == "true":
		return true
	case word == "false":
		return false
	case word == "null":
		return nil
	}
	return text(word)
}

// text is a word as a string, or as bytes when it is not UTF-8.
func text(word string) any {
	if utf8.ValidString(word) {
		return word
	}
	return []byte(word)
}

// parseJSON reads a JSON text into plain values, integers to their last digit.
func parseJSON(b []byte) (any, error) {
	raw, err := ipc.ParseJSON(b)
	if err != nil {
		return nil, err
	}
	var v any
	err = raw.Decode(&v)
	return v, err
}

// number reads a JSON number: an int64, a uint64 above, or a float64.
func number(s string) (any, bool) {
	whole, ok := isNumber(s)
	if !ok {
		return nil, false
	}
	if !whole {
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// isNumber reports whether s is a JSON number, and whether it is written as an integer.
func isNumber(s string) (whole, ok bool) {
	s = strings.TrimPrefix(s, "-")
	s, ok = digits(s)
	if !ok {
		return false, false
	}
	whole = true
	if strings.HasPrefix(s, ".") {
		if s, ok = someDigits(s[1:]); !ok {
			return false, false
		}
		whole = false
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if s, ok = someDigits(s); !ok {
			return false, false
		}
		whole = false
	}
	return whole, s == ""
}

// digits cuts an integer without leading zeros off s.
func digits(s string) (rest string, ok bool) {
	if strings.HasPrefix(s, "0") {
		return s[1:], true
	}
	return someDigits(s)
}

// someDigits cuts one or more digits off s.
func someDigits(s string) (rest string, ok bool) {
	rest = strings.TrimLeft(s, "0123456789")
	return rest, len(rest) < len(s)
}
