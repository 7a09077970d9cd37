package ipc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseJSON reads one JSON value, with nothing but white space around it, into a canonical Raw. It reads back what
// AppendJSON writes for bytes and extensions, and also the literals NaN, Infinity and -Infinity, which Python's json
// writes. An integer keeps every digit; one that does not fit 64 bits is an error. Of equal member names the last
// counts. Strings become valid UTF-8.
func ParseJSON(b []byte) (Raw, error) {
	p := jsonParser{src: b, lim: Limits{Size: math.MaxInt}.orDefault()}
	if err := p.value(0); err != nil {
		return nil, p.wrap(err)
	}
	p.space()
	if p.i < len(b) {
		return nil, p.wrap(errors.New("text follows the value"))
	}
	return p.dst, nil
}

// jsonParser turns JSON text into msgpack as it reads.
type jsonParser struct {
	src        []byte
	i          int
	dst        []byte
	lim        Limits
	containers int
	elements   int
	literal    bool // the next object is the one in a {"$raw": …}
	members    int  // how many members the object had that was read last
}

var errEnd = errors.New("it ends too early")

// wrap tells where in the text err was met.
func (p *jsonParser) wrap(err error) error {
	at := min(p.i, len(p.src))
	return fmt.Errorf("JSON, at byte %d, %q: %w", at+1, preview(p.src[at:]), err)
}

func (p *jsonParser) space() {
	for p.i < len(p.src) {
		switch p.src[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// value reads a value. depth is how many containers are around it.
func (p *jsonParser) value(depth int) error {
	p.space()
	if p.i == len(p.src) {
		return errEnd
	}
	if p.elements++; p.elements > p.lim.Elements {
		return limitError{"values", uint64(p.elements), p.lim.Elements}
	}
	switch c := p.src[p.i]; c {
	case '{', '[':
		if p.containers++; p.containers > p.lim.Containers {
			return limitError{"arrays and maps", uint64(p.containers), p.lim.Containers}
		}
		if depth == p.lim.Depth {
			return limitError{"levels of nesting", uint64(depth + 1), p.lim.Depth}
		}
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	case '"':
		return p.text()
	case 't':
		return p.word("true", 0xc3)
	case 'f':
		return p.word("false", 0xc2)
	case 'n':
		return p.word("null", codeNil)
	}
	return p.number()
}

func (p *jsonParser) word(word string, code ...byte) error {
	if !bytes.HasPrefix(p.src[p.i:], []byte(word)) {
		if len(p.src)-p.i < len(word) && bytes.HasPrefix([]byte(word), p.src[p.i:]) {
			p.i = len(p.src)
			return errEnd
		}
		return errors.New("this is no value")
	}
	p.i += len(word)
	p.dst = append(p.dst, code...)
	return nil
}

// list reads what is between two brackets, item by item.
func (p *jsonParser) list(closing byte, item func() error) (n int, err error) {
	p.i++
	p.space()
	if p.at(closing) {
		p.i++
		return 0, nil
	}
	for {
		if err := item(); err != nil {
			return 0, err
		}
		n++
		p.space()
		if p.i == len(p.src) {
			return 0, errEnd
		}
		switch p.src[p.i] {
		case closing:
			p.i++
			return n, nil
		case ',':
			p.i++
		default:
			return 0, fmt.Errorf("a comma or %q is missing", closing)
		}
	}
}

func (p *jsonParser) array(depth int) error {
	start := p.reserve()
	n, err := p.list(']', func() error { return p.value(depth) })
	if err != nil {
		return err
	}
	p.head(start, n, appendArrayHead)
	return nil
}

// object reads an object. One that is the only member of a {"$raw": …} is taken as it stands.
func (p *jsonParser) object(depth int) error {
	literal, unwrap := p.literal, false
	p.literal = false
	start := p.reserve()
	pairs := newPairs(p.dst, 0)
	n, err := p.list('}', func() error {
		if err := p.name(&pairs); err != nil {
			return err
		}
		inner := len(p.dst)
		name, _ := next(p.dst[pairs.bounds[len(pairs.bounds)-1].key:])
		raw := !literal && len(pairs.bounds) == 1 && string(name.data) == memberRaw && p.at('{')
		p.literal = raw
		if err := p.value(depth); err != nil || !raw {
			return err
		}
		if p.space(); p.at('}') {
			unwrap = true
			return nil
		}
		return p.special(inner, p.members) // not the only member after all
	})
	if err != nil {
		return err
	}
	p.members = n
	if unwrap {
		p.dst = append(p.dst[:start], p.dst[pairs.bounds[0].value:]...)
		return nil
	}
	p.dst, n = pairs.sort(p.dst, true)
	p.head(start, n, appendMapHead)
	if literal {
		return nil
	}
	return p.special(start, p.members)
}

// name reads a member's name and the colon after it.
func (p *jsonParser) name(pairs *pairs) error {
	switch p.space(); {
	case p.i == len(p.src):
		return errEnd
	case !p.at('"'):
		return errors.New("a member name must be a string")
	}
	pairs.key(p.dst)
	if err := p.text(); err != nil {
		return err
	}
	switch p.space(); {
	case p.i == len(p.src):
		return errEnd
	case !p.at(':'):
		return errors.New("a colon is missing")
	}
	p.i++
	p.space()
	pairs.value(p.dst)
	return nil
}

func (p *jsonParser) at(c byte) bool { return p.i < len(p.src) && p.src[p.i] == c }

// reserve leaves room for the shortest head.
func (p *jsonParser) reserve() (start int) {
	start = len(p.dst)
	p.dst = append(p.dst, 0)
	return start
}

// head writes the head of the container that begins at start, and makes more room when it needs it.
func (p *jsonParser) head(start, n int, appendTo func([]byte, int) []byte) {
	var buf [5]byte
	head := appendTo(buf[:0], n)
	if more := len(head) - 1; more > 0 {
		p.dst = append(p.dst, buf[:more]...)
		copy(p.dst[start+len(head):], p.dst[start+1:])
	}
	copy(p.dst[start:], head)
}

// special replaces the object of so many members that begins at start, when it stands for something else.
func (p *jsonParser) special(start, members int) error {
	if members != 1 {
		return nil
	}
	name, size := next(p.dst[start+1:])
	value := p.dst[start+1+size:]
	t, size := next(value)
	switch string(name.data) {
	case memberBytes:
		if t.kind != kindString {
			return nil
		}
		b, err := base64.StdEncoding.AppendDecode(nil, t.data)
		if err != nil {
			return fmt.Errorf("$bytes: %w", err)
		}
		p.dst = appendBytes(p.dst[:start], b)
	case memberExt:
		id, n := next(value[size:])
		ext := int64(id.num)
		if t.kind != kindArray || t.n != 2 || id.kind != kindInt || ext < math.MinInt8 || ext > math.MaxInt8 {
			return nil
		}
		text, _ := next(value[size+n:])
		if text.kind != kindString {
			return nil
		}
		b, err := base64.StdEncoding.AppendDecode(nil, text.data)
		if err != nil {
			return fmt.Errorf("$ext: %w", err)
		}
		p.dst = appendExt(p.dst[:start], int8(ext), b)
		if s := (Scanner{}); ext == -1 {
			if err := s.whole(p.dst[start:]); err != nil {
				return fmt.Errorf("$ext: %w", err)
			}
		}
	}
	return nil
}

// number reads a number as its grammar says: an integer unless it has a point or an exponent.
func (p *jsonParser) number() error {
	start := p.i
	negative := p.src[p.i] == '-'
	if negative {
		p.i++
	}
	if p.i < len(p.src) {
		switch c := p.src[p.i]; {
		case c == 'I' && negative:
			return p.word("Infinity", appendFloat(nil, math.Inf(-1))...)
		case c == 'I':
			return p.word("Infinity", appendFloat(nil, math.Inf(1))...)
		case c == 'N' && !negative:
			return p.word("NaN", appendFloat(nil, math.NaN())...)
		}
	}
	whole := p.digits()
	if whole == 0 {
		if p.i == len(p.src) {
			return errEnd
		}
		return errors.New("this is no value")
	}
	if first := p.i - whole; whole > 1 && p.src[first] == '0' {
		return errors.New("a number must not begin with 0")
	}
	float := false
	if p.i < len(p.src) && p.src[p.i] == '.' {
		p.i++
		float = true
		if p.digits() == 0 {
			return errors.New("digits are missing after the point")
		}
	}
	if p.i < len(p.src) && p.src[p.i]|0x20 == 'e' {
		p.i++
		float = true
		if p.i < len(p.src) && (p.src[p.i] == '+' || p.src[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return errors.New("digits are missing in the exponent")
		}
	}
	text := p.src[start:p.i]
	if float {
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return fmt.Errorf("the number %.40s is out of range", text)
		}
		p.dst = appendFloat(p.dst, f)
		return nil
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		p.dst = appendInt(p.dst, n)
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("the integer %.40s does not fit 64 bits; write it as a string or a float", text)
	}
	p.dst = appendUint(p.dst, n)
	return nil
}

func (p *jsonParser) digits() (n int) {
	for p.i < len(p.src) && p.src[p.i] >= '0' && p.src[p.i] <= '9' {
		p.i++
		n++
	}
	return n
}

// text reads a string.
func (p *jsonParser) text() error {
	p.i++
	// Most strings are copied as they stand.
	for j := p.i; j < len(p.src); j++ {
		switch c := p.src[j]; {
		case c == '"':
			if s := p.src[p.i:j]; utf8.Valid(s) {
				p.dst = appendString(p.dst, s)
				p.i = j + 1
				return nil
			}
			return p.unquote()
		case c == '\\':
			return p.unquote()
		case c < ' ':
			p.i = j
			return errors.New("a control character must be escaped in a string")
		}
	}
	p.i = len(p.src)
	return errEnd
}

// unquote reads the rest of a string that has escapes or invalid UTF-8.
func (p *jsonParser) unquote() error {
	s := make([]byte, 0, 64)
	for p.i < len(p.src) {
		c := p.src[p.i]
		switch {
		case c == '"':
			p.i++
			p.dst = appendString(p.dst, s)
			return nil
		case c < ' ':
			return errors.New("a control character must be escaped in a string")
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return err
			}
			s = utf8.AppendRune(s, r)
		case c < utf8.RuneSelf:
			s = append(s, c)
			p.i++
		default:
			r, size := utf8.DecodeRune(p.src[p.i:])
			s = utf8.AppendRune(s, r)
			p.i += size
		}
	}
	return errEnd
}

// escape reads one escape, or two that are one character.
func (p *jsonParser) escape() (rune, error) {
	if p.i+1 >= len(p.src) {
		p.i = len(p.src)
		return 0, errEnd
	}
	c := p.src[p.i+1]
	switch c {
	case 'u':
		r, err := p.unit()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if bytes.HasPrefix(p.src[p.i:], []byte(`\u`)) {
			back := p.i
			low, err := p.unit()
			if err != nil {
				return 0, err
			}
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
			p.i = back
		}
		return utf8.RuneError, nil
	case 'n':
		c = '\n'
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case '"', '\\', '/':
	default:
		return 0, fmt.Errorf(`\%c is no escape`, c)
	}
	p.i += 2
	return rune(c), nil
}

// unit reads \uXXXX.
func (p *jsonParser) unit() (r rune, err error) {
	if p.i+6 > len(p.src) {
		p.i = len(p.src)
		return 0, errEnd
	}
	for _, c := range p.src[p.i+2 : p.i+6] {
		r <<= 4
		switch {
		case c >= '0' && c <= '9':
			r |= rune(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r |= rune(c|0x20-'a') + 10
		default:
			return 0, errors.New(`four hexadecimal digits must follow \u`)
		}
	}
	p.i += 6
	return r, nil
}
