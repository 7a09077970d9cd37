package evalx

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// maxText bounds a text that a value is written as: a list may contain itself twice.
const maxText = maxValue

// maxWidth bounds widths and precisions of formats.
const maxWidth = 10_000

// floatText is Python's: the shortest digits that give the same float, with an exponent below 1e-4 and from 1e16.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// writer writes values as Python's repr does.
type writer struct {
	b          strings.Builder
	open       []starlark.Value // the containers that it is inside of
	containers int
	err        error
}

func repr(v starlark.Value) (string, error) {
	var w writer
	w.value(v)
	return w.b.String(), w.err
}

// str is repr, but for a text, which is itself.
func str(v starlark.Value) (string, error) {
	if s, ok := v.(starlark.String); ok {
		return string(s), nil
	}
	return repr(v)
}

func (w *writer) value(v starlark.Value) {
	if w.b.Len() > maxText && w.err == nil {
		w.err = taskError("MemoryError", "the text of the value is longer than %d bytes", maxText)
	}
	if w.err != nil {
		return
	}
	switch v := v.(type) {
	case starlark.Float:
		w.b.WriteString(floatText(float64(v)))
	case starlark.String:
		w.text(string(v))
	case *starlark.List:
		w.items(v, "[", "]")
	case starlark.Tuple:
		if len(v) == 1 {
			w.items(v, "(", ",)")
		} else {
			w.items(v, "(", ")")
		}
	case *starlark.Set:
		if v.Len() == 0 {
			w.b.WriteString("set()")
		} else {
			w.items(v, "{", "}")
		}
	case *starlark.Dict:
		if !w.enter(v, "{...}") {
			return
		}
		w.b.WriteByte('{')
		for i, item := range v.Items() {
			if i > 0 {
				w.b.WriteString(", ")
			}
			w.value(item[0])
			w.b.WriteString(": ")
			w.value(item[1])
		}
		w.b.WriteByte('}')
		w.open = w.open[:len(w.open)-1]
	default:
		w.b.WriteString(v.String())
	}
}

// enter goes into a container, unless it is inside of itself.
func (w *writer) enter(v starlark.Value, again string) bool {
	if _, ok := v.(starlark.Tuple); !ok { // a tuple cannot contain itself but through another
		for _, o := range w.open {
			if _, ok := o.(starlark.Tuple); !ok && o == v {
				w.b.WriteString(again)
				return false
			}
		}
	}
	if len(w.open) > maxNested*5 {
		w.err = taskError("RecursionError", "the value is nested deeper than %d", maxNested*5)
		return false
	}
	if w.containers++; w.containers > maxContainers {
		w.err = taskError("MemoryError", "the value has more than %d lists and maps", maxContainers)
		return false
	}
	w.open = append(w.open, v)
	return true
}

func (w *writer) items(v starlark.Iterable, open, end string) {
	if !w.enter(v, open+"..."+end) {
		return
	}
	w.b.WriteString(open)
	first := true
	for item := range starlark.Elements(v) {
		if !first {
			w.b.WriteString(", ")
		}
		first = false
		if w.value(item); w.err != nil {
			break
		}
	}
	w.b.WriteString(end)
	w.open = w.open[:len(w.open)-1]
}

// text quotes as Python does: with ' unless there is a ' and no ".
func (w *writer) text(s string) {
	if len(s) > maxText {
		w.err = taskError("MemoryError", "the text of the value is longer than %d bytes", maxText)
		return
	}
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	w.b.WriteRune(quote)
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&w.b, `\x%02x`, s[i])
		case r == quote || r == '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(r)
		case r == '\n':
			w.b.WriteString(`\n`)
		case r == '\r':
			w.b.WriteString(`\r`)
		case r == '\t':
			w.b.WriteString(`\t`)
		case strconv.IsPrint(r):
			w.b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&w.b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&w.b, `\u%04x`, r)
		default:
			fmt.Fprintf(&w.b, `\U%08x`, r)
		}
	}
	w.b.WriteRune(quote)
}

func toStr(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args)+len(kwargs) == 0 {
		return starlark.String(""), nil
	}
	var x starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "object", &x); err != nil {
		return nil, err
	}
	if bytes, ok := x.(starlark.Bytes); ok { // Starlark's way to make a text of bytes
		return starlark.Universe["str"].(*starlark.Builtin).CallInternal(t, starlark.Tuple{bytes}, nil) //nolint:errcheck,forcetypeassert // it is one
	}
	s, err := str(x)
	return starlark.String(s), err
}

func toRepr(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &x); err != nil {
		return nil, err
	}
	s, err := repr(x)
	return starlark.String(s), err
}

// spec is one format: [[fill]align][sign][#][0][width][,][.precision][type].
type spec struct {
	fill      string
	align     byte // '<', '>', '^', '=' or 0
	sign      byte // '+', ' ' or 0
	alternate bool
	width     int
	grouping  string // "," or "_"
	precision int    // -1: none
	verb      byte   // or 0
}

func parseSpec(text string) (spec, error) {
	s := spec{fill: " ", precision: -1}
	bad := func() (spec, error) { return s, valueError("invalid format %q", text) }
	rest := text
	if _, n := utf8.DecodeRuneInString(rest); n < len(rest) && strings.IndexByte("<>^=", rest[n]) >= 0 {
		s.fill, s.align, rest = rest[:n], rest[n], rest[n+1:]
	} else if rest != "" && strings.IndexByte("<>^=", rest[0]) >= 0 {
		s.align, rest = rest[0], rest[1:]
	}
	take := func(set string) byte {
		if rest != "" && strings.IndexByte(set, rest[0]) >= 0 {
			c := rest[0]
			rest = rest[1:]
			return c
		}
		return 0
	}
	s.sign = take("+- ")
	s.alternate = take("#") != 0
	if take("0") != 0 && s.align == 0 {
		s.fill, s.align = "0", '='
	}
	var err error
	if s.width, rest, err = digits(rest); err != nil {
		return s, err
	}
	if c := take(",_"); c != 0 {
		s.grouping = string(c)
	}
	if take(".") != 0 {
		if rest == "" || rest[0] < '0' || rest[0] > '9' {
			return bad()
		}
		if s.precision, rest, err = digits(rest); err != nil {
			return s, err
		}
	}
	s.verb = take("bcdeEfFgGnosxX%")
	if rest != "" {
		return bad()
	}
	return s, nil
}

func digits(text string) (n int, rest string, err error) {
	for text != "" && '0' <= text[0] && text[0] <= '9' {
		if n = 10*n + int(text[0]-'0'); n > maxWidth {
			return 0, text, valueError("a width or precision is larger than %d", maxWidth)
		}
		text = text[1:]
	}
	return n, text, nil
}

// format writes v as Python's format does.
func (s spec) format(v starlark.Value) (string, error) {
	switch x := v.(type) {
	case starlark.Int:
		if s.verb == 0 || strings.IndexByte("bcdnoxX", s.verb) >= 0 {
			return s.integer(x.BigInt())
		}
		return s.float(float64(x.Float()))
	case starlark.Bool:
		if s.verb != 0 && s.verb != 's' {
			n := starlark.MakeInt(0)
			if x {
				n = starlark.MakeInt(1)
			}
			return s.format(n)
		}
	case starlark.Float:
		return s.float(float64(x))
	}
	if s.verb != 0 && s.verb != 's' {
		return "", valueError("format %q is not for a %s", s.verb, v.Type())
	}
	text, err := str(v)
	if err != nil {
		return "", err
	}
	if s.precision >= 0 {
		n := 0
		for i := range text {
			if n == s.precision {
				text = text[:i]
				break
			}
			n++
		}
	}
	return s.pad("", text, '<'), nil
}

func (s spec) integer(x *big.Int) (string, error) {
	if s.precision >= 0 {
		return "", valueError("an integer has no precision")
	}
	prefix, radix := "", 10
	switch s.verb {
	case 'b':
		prefix, radix = "0b", 2
	case 'o':
		prefix, radix = "0o", 8
	case 'x', 'X':
		prefix, radix = "0"+string(s.verb), 16
	case 'c':
		if !x.IsInt64() || x.Int64() < 0 || x.Int64() > utf8.MaxRune {
			return "", valueError("%%c: want the number of a character")
		}
		return s.pad("", string(rune(x.Int64())), '<'), nil //nolint:gosec // checked above
	}
	text := new(big.Int).Abs(x).Text(radix)
	if s.verb == 'X' {
		text = strings.ToUpper(text)
	}
	if !s.alternate {
		prefix = ""
	}
	return s.pad(s.signOf(x.Sign() < 0)+prefix, s.group(text), '>'), nil
}

func (s spec) float(f float64) (string, error) {
	precision, verb := s.precision, s.verb
	if precision < 0 {
		precision = 6
	}
	var text string
	a := math.Abs(f)
	switch {
	case math.IsNaN(f):
		text = "nan"
	case math.IsInf(f, 0):
		text = "inf"
	case verb == 0 && s.precision < 0:
		text = floatText(a)
	case verb == 'd' || verb == 'b' || verb == 'o' || verb == 'x' || verb == 'X' || verb == 'c' || verb == 's':
		return "", valueError("format %q is not for a float", verb)
	case verb == '%':
		text = strconv.FormatFloat(a*100, 'f', precision, 64) + "%"
	case verb == 0 || verb == 'n' || verb == 'g' || verb == 'G':
		text = general(a, max(1, precision), s.alternate, verb == 0)
	case verb == 'e' || verb == 'E':
		text = strconv.FormatFloat(a, 'e', precision, 64)
	default:
		text = strconv.FormatFloat(a, 'f', precision, 64)
	}
	if verb == 'E' || verb == 'F' || verb == 'G' {
		text = strings.ToUpper(text)
	}
	whole, fraction := text, ""
	if i := strings.IndexAny(text, ".e%"); i >= 0 {
		whole, fraction = text[:i], text[i:]
	}
	return s.pad(s.signOf(math.Signbit(f) && !math.IsNaN(f)), s.group(whole)+fraction, '>'), nil
}

// general is %g: that many digits, with an exponent when it is out of their range, without trailing zeros.
func general(a float64, precision int, keepZeros, point bool) string {
	text := strconv.FormatFloat(a, 'e', precision-1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	exp, _ := strconv.Atoi(exponent)
	if exp < -4 || exp >= precision {
		if !keepZeros && strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		return mantissa + "e" + exponent
	}
	text = strconv.FormatFloat(a, 'f', precision-1-exp, 64)
	if !keepZeros && strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if point && !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func (s spec) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case s.sign == '+' || s.sign == ' ':
		return string(s.sign)
	}
	return ""
}

// group puts the separator between groups of three digits.
func (s spec) group(digits string) string {
	if s.grouping == "" || digits == "" || digits[0] < '0' || digits[0] > '9' {
		return digits
	}
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(s.grouping)
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

// pad fills to the width; sign stays in front of a fill that stands after it.
func (s spec) pad(sign, text string, align byte) string {
	if s.align != 0 {
		align = s.align
	}
	n := s.width - utf8.RuneCountInString(sign) - utf8.RuneCountInString(text)
	if n <= 0 {
		return sign + text
	}
	switch align {
	case '<':
		return sign + text + strings.Repeat(s.fill, n)
	case '^':
		return strings.Repeat(s.fill, n/2) + sign + text + strings.Repeat(s.fill, n-n/2)
	case '=':
		return sign + strings.Repeat(s.fill, n) + text
	}
	return strings.Repeat(s.fill, n) + sign + text
}

// formatValue is format(value[, spec]).
func formatValue(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	text := ""
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v, &text); err != nil {
		return nil, err
	}
	s, err := formatWith(v, text)
	return starlark.String(s), err
}

func formatWith(v starlark.Value, text string) (string, error) {
	if text == "" {
		return str(v)
	}
	s, err := parseSpec(text)
	if err != nil {
		return "", err
	}
	return s.format(v)
}

// modulo is a % b, which formats when a is a string.
func modulo(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	format, ok := args[0].(starlark.String)
	if !ok {
		return starlark.Binary(syntax.PERCENT, args[0], args[1])
	}
	s, err := percent(string(format), args[1])
	return starlark.String(s), err
}

// percent is Python's format % args.
func percent(format string, args starlark.Value) (string, error) {
	list, ok := args.(starlark.Tuple)
	if !ok {
		list = starlark.Tuple{args}
	}
	next := 0
	arg := func() (starlark.Value, error) {
		if next == len(list) {
			return nil, typeError("not enough arguments for the format %s", strconv.Quote(format[:min(len(format), 60)]))
		}
		next++
		return list[next-1], nil
	}
	var b strings.Builder
	named := false
	for rest := format; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		rest = rest[i+1:]
		get := arg
		if strings.HasPrefix(rest, "(") {
			key, after, ok := strings.Cut(rest[1:], ")")
			mapping, isMapping := args.(starlark.Mapping)
			if !ok || !isMapping {
				return "", typeError("the format wants a dict: %s", strconv.Quote(format[:min(len(format), 60)]))
			}
			rest, named = after, true
			get = func() (starlark.Value, error) {
				v, found, err := mapping.Get(starlark.String(key))
				if err == nil && !found {
					err = taskError("KeyError", "%q", key)
				}
				return v, err
			}
		}
		text, after, err := conversion(rest, arg, get)
		if err != nil {
			return "", err
		}
		if b.WriteString(text); b.Len() > maxText {
			return "", taskError("MemoryError", "the text is longer than %d bytes", maxText)
		}
		rest = after
	}
	_, isMapping := args.(starlark.Mapping)
	if next < len(list) && !named && !isMapping {
		return "", typeError("not all arguments are used by the format")
	}
	return b.String(), nil
}

// conversion writes one conversion of a % format, which rest begins with; stars takes the numbers that * stands for.
func conversion(rest string, stars, get func() (starlark.Value, error)) (text, after string, err error) {
	s := spec{fill: " ", align: '>', precision: -1}
flags:
	for ; rest != ""; rest = rest[1:] {
		switch rest[0] {
		case '-':
			s.align, s.fill = '<', " "
		case '0':
			if s.align != '<' {
				s.align, s.fill = '=', "0"
			}
		case '+', ' ':
			if s.sign != '+' {
				s.sign = rest[0]
			}
		case '#':
			s.alternate = true
		default:
			break flags
		}
	}
	if s.width, rest, err = numberOrStar(rest, stars); err != nil {
		return "", "", err
	}
	if s.width < 0 {
		s.align, s.fill, s.width = '<', " ", -s.width
	}
	if strings.HasPrefix(rest, ".") {
		if s.precision, rest, err = numberOrStar(rest[1:], stars); err != nil {
			return "", "", err
		}
		s.precision = max(0, s.precision)
	}
	if rest == "" {
		return "", "", valueError("the format ends inside a %%")
	}
	s.verb, rest = rest[0], rest[1:]
	if s.verb == '%' {
		return "%", rest, nil
	}
	v, err := get()
	if err != nil {
		return "", "", err
	}
	text, err = s.convert(v)
	return text, rest, err
}

func numberOrStar(rest string, stars func() (starlark.Value, error)) (int, string, error) {
	if !strings.HasPrefix(rest, "*") {
		return digits(rest)
	}
	v, err := stars()
	if err != nil {
		return 0, "", err
	}
	n, err := starlark.AsInt32(v)
	if err != nil || n > maxWidth || n < -maxWidth {
		return 0, "", typeError("* in a format: want an int of at most %d", maxWidth)
	}
	return n, rest[1:], nil
}

// convert writes v as the % conversion s does.
func (s spec) convert(v starlark.Value) (string, error) {
	switch s.verb {
	case 's', 'r', 'a':
		text, err := str(v)
		if s.verb != 's' {
			text, err = repr(v)
		}
		if err != nil {
			return "", err
		}
		if s.align == '=' {
			s.align, s.fill = '>', " "
		}
		s.verb = 's'
		return s.format(starlark.String(text))
	case 'c':
		if text, ok := v.(starlark.String); ok && utf8.RuneCountInString(string(text)) == 1 {
			s.verb = 's'
			return s.format(text)
		}
		n, ok := v.(starlark.Int)
		if !ok {
			return "", typeError("%%c: want one character or its number, got %s", v.Type())
		}
		return s.format(n)
	case 'd', 'i', 'u', 'o', 'x', 'X':
		n, err := starlark.NumberToInt(numeric(v))
		if err != nil {
			return "", typeError("%%%c: want a number, got %s", s.verb, v.Type())
		}
		if s.verb == 'i' || s.verb == 'u' {
			s.verb = 'd'
		}
		if s.precision > 0 { // the least number of digits
			wide := spec{fill: "0", align: '=', width: s.precision, precision: -1, verb: s.verb}
			text, err := wide.integer(new(big.Int).Abs(n.BigInt()))
			if err != nil {
				return "", err
			}
			return s.pad(s.signOf(n.Sign() < 0), text, '>'), nil
		}
		s.precision = -1
		return s.format(n)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		f, ok := starlark.AsFloat(numeric(v))
		if !ok {
			return "", typeError("%%%c: want a number, got %s", s.verb, v.Type())
		}
		return s.float(f)
	}
	return "", valueError("there is no conversion %%%c", s.verb)
}

// numeric makes a number of a bool.
func numeric(v starlark.Value) starlark.Value {
	if b, ok := v.(starlark.Bool); ok {
		if b {
			return starlark.MakeInt(1)
		}
		return starlark.MakeInt(0)
	}
	return v
}

// formatter is x.format: Python's for a string, the attribute of anything else.
func formatter(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	x := args[0]
	if s, ok := x.(starlark.String); ok {
		return starlark.NewBuiltin("format", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			text, err := braces(string(s), args, kwargs)
			return starlark.String(text), err
		}), nil
	}
	if attrs, ok := x.(starlark.HasAttrs); ok {
		v, err := attrs.Attr("format")
		if v != nil || err != nil {
			return v, err
		}
	}
	return nil, taskError("AttributeError", "a %s has no .format", x.Type())
}

// braces is Python's "{} {0} {name!r:>10.2f}".format.
func braces(format string, args starlark.Tuple, kwargs []starlark.Tuple) (string, error) {
	var b strings.Builder
	next := 0
	for rest := format; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		if strings.HasPrefix(rest[i+1:], rest[i:i+1]) { // {{ or }}
			b.WriteByte(rest[i])
			rest = rest[i+2:]
			continue
		}
		field, after, ok := strings.Cut(rest[i+1:], "}")
		if rest[i] == '}' || !ok {
			return "", valueError("a single %q in the format", rest[i])
		}
		rest = after
		field, text, _ := strings.Cut(field, ":")
		field, how, _ := strings.Cut(field, "!")
		if strings.Contains(text, "{") {
			return "", valueError("a field inside a format is not supported")
		}
		v, err := lookupField(field, &next, args, kwargs)
		if err != nil {
			return "", err
		}
		switch how {
		case "":
		case "r", "a":
			s, err := repr(v)
			if err != nil {
				return "", err
			}
			v = starlark.String(s)
		case "s":
			s, err := str(v)
			if err != nil {
				return "", err
			}
			v = starlark.String(s)
		default:
			return "", valueError("there is no conversion !%s", how)
		}
		s, err := formatWith(v, text)
		if err != nil {
			return "", err
		}
		if b.WriteString(s); b.Len() > maxText {
			return "", taskError("MemoryError", "the text is longer than %d bytes", maxText)
		}
	}
	return b.String(), nil
}

// lookupField finds what a field of a format names: nothing (the next argument), a number, or a name.
func lookupField(field string, next *int, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	at := -1
	if field == "" {
		at = *next
		*next++
	} else if n, err := strconv.Atoi(field); err == nil {
		at = n
	}
	if at >= 0 {
		if at >= len(args) {
			return nil, taskError("IndexError", "the format wants argument %d of %d", at, len(args))
		}
		return args[at], nil
	}
	for _, pair := range kwargs {
		if pair[0] == starlark.String(field) {
			return pair[1], nil
		}
	}
	return nil, taskError("KeyError", "the format wants %q", field)
}
