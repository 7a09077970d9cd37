package shell

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fandango/ipc"
)

// Format is a form of output. It never depends on where the output goes; on a terminal only the columns line up.
type Format string

// The formats. In text and raw, failures go to stderr; in JSON and CSV they stand in the stream, like values.
const (
	Text Format = "text" // KEY, tab, VALUE: compact JSON, a string bare when that is unambiguous
	JSON Format = "json" // one object a line
	CSV  Format = "csv"  // key,value,error,kind,ms,worker,tries,at
	Bare Format = "raw"  // the value's own bytes and a newline
)

// Result is what became of a key: an outcome, and when.
type Result struct {
	Key string
	ipc.Outcome
	At time.Time
}

// inStream reports whether failures stand among the values.
func (f Format) inStream() bool { return f == JSON || f == CSV }

// csvHeader is the first line of CSV output.
const csvHeader = "key,value,error,kind,ms,worker,tries,at\n"

// append appends one result as a line. A failure in the text and raw forms is not for it.
func (f Format) append(dst []byte, r *Result) []byte {
	switch f {
	case JSON:
		return appendObject(dst, r)
	case CSV:
		return appendRow(dst, r)
	case Bare:
		return append(appendBare(dst, r.Value), '\n')
	default:
		dst = append(appendKey(dst, r.Key), '\t')
		return append(appendValue(dst, r.Value), '\n')
	}
}

// appendWhose appends a result in the text form, with the worker's name as a third part.
func appendWhose(dst []byte, r *Result) []byte {
	dst = append(appendKey(dst, r.Key), '\t')
	dst = append(appendValue(dst, r.Value), '\t')
	return append(append(dst, r.Worker...), '\n')
}

// withoutNewline is what a process has printed but for its last newline, as a shell's $(…) has it.
func withoutNewline(v ipc.Raw) ipc.Raw {
	s, ok := v.Text()
	if !ok || !strings.HasSuffix(s, "\n") {
		return v
	}
	if raw, err := ipc.Encode(strings.TrimSuffix(s, "\n")); err == nil {
		return raw
	}
	return v
}

// appendBare appends a value's own bytes: of a string or of bytes as they are, of anything else its JSON.
func appendBare(dst []byte, v ipc.Raw) []byte {
	if s, ok := v.Text(); ok {
		return append(dst, s...)
	}
	if b, ok := binary(v); ok {
		return append(dst, b...)
	}
	return appendJSON(dst, v)
}

// binary returns the value when it is bytes.
func binary(v ipc.Raw) ([]byte, bool) {
	if len(v) == 0 || v[0] < 0xc4 || v[0] > 0xc6 { // bin 8, 16, 32
		return nil, false
	}
	var b []byte
	err := v.Decode(&b)
	return b, err == nil
}

func appendObject(dst []byte, r *Result) []byte {
	dst = appendQuoted(append(dst, `{"key":`...), r.Key)
	if r.Err == nil {
		dst = appendJSON(append(dst, `,"value":`...), r.Value)
	} else {
		dst = appendQuoted(append(dst, `,"error":`...), r.Err.Error())
		dst = appendQuoted(append(dst, `,"kind":`...), string(ipc.KindOf(r.Err)))
	}
	dst = appendMS(append(dst, `,"ms":`...), r.Ran)
	dst = appendQuoted(append(dst, `,"worker":`...), r.Worker)
	dst = strconv.AppendInt(append(dst, `,"tries":`...), int64(r.Attempts), 10)
	dst = append(appendTime(append(dst, `,"at":"`...), r.At), '"')
	return append(dst, "}\n"...)
}

func appendRow(dst []byte, r *Result) []byte {
	dst = append(appendField(dst, r.Key), ',')
	if r.Err == nil {
		if s, ok := r.Value.Text(); ok && printable(s) {
			dst = appendField(dst, s)
		} else {
			dst = appendField(dst, string(appendJSON(nil, r.Value)))
		}
		dst = append(dst, ",,,"...)
	} else {
		dst = append(appendField(append(dst, ','), r.Err.Error()), ',')
		dst = append(append(dst, ipc.KindOf(r.Err)...), ',')
	}
	dst = append(appendMS(dst, r.Ran), ',')
	dst = append(appendField(dst, r.Worker), ',')
	dst = append(strconv.AppendInt(dst, int64(r.Attempts), 10), ',')
	return append(appendTime(dst, r.At), '\n')
}

// appendField appends a CSV field: printable, in quotes when it needs them.
func appendField(dst []byte, s string) []byte {
	if !printable(s) {
		s = string(appendQuoted(nil, s))
	}
	if !strings.ContainsAny(s, `",`) && (s == "" || s[0] != ' ') {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(s, `"`, `""`)...)
	return append(dst, '"')
}

// appendMS appends a duration in milliseconds, to 10 µs.
func appendMS(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, math.Round(float64(d)/1e4)/100, 'f', -1, 64)
}

func appendTime(dst []byte, at time.Time) []byte {
	return at.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// columns lines up text rows on a terminal: the key as wide as the widest so far, at most 40.
type columns struct {
	width int
	rows  []row
}

type row struct{ key, value string }

const widest = 40

func (c *columns) add(r *Result, whose bool) {
	k := row{string(appendKey(nil, r.Key)), string(appendValue(nil, r.Value))}
	if whose {
		k.value += "  " + r.Worker
	}
	if w := utf8.RuneCountInString(k.key); w <= widest {
		c.width = max(c.width, w)
	}
	c.rows = append(c.rows, k)
}

// flush appends the rows held.
func (c *columns) flush(dst []byte) []byte {
	for _, r := range c.rows {
		dst = append(dst, r.key...)
		for range c.width - utf8.RuneCountInString(r.key) {
			dst = append(dst, ' ')
		}
		dst = append(append(append(dst, "  "...), r.value...), '\n')
	}
	c.rows = c.rows[:0]
	return dst
}

// failureLine words a failure for a person. A line of the input that made no task is named by its place alone, which
// its message begins with. Whose: several workers have run it.
func failureLine(dst []byte, r *Result, whose, color bool) []byte {
	dst = append(dst, "master: "...)
	dst = append(append(dst, paint("FAILED", red, color)...), ' ')
	if ipc.KindOf(r.Err) != ipc.KindInput || r.Attempts > 0 {
		dst = appendKey(dst, r.Key)
		if whose && r.Worker != "" {
			dst = append(append(dst, " on "...), r.Worker...)
		}
		dst = append(dst, ": "...)
	}
	dst = appendSafe(dst, r.Err.Error())
	if r.Attempts > 1 {
		dst = fmt.Appendf(dst, " (tried %d times)", r.Attempts)
	}
	return append(dst, '\n')
}

// appendTrace appends a worker's own stack trace, indented.
func appendTrace(dst []byte, err error) []byte {
	if e, ok := errors.AsType[*ipc.Error](err); ok && e.Trace != "" {
		return append(dst, Quote(strings.Split(strings.TrimRight(e.Trace, "\n"), "\n"))...)
	}
	return dst
}

// Quote shows lines that somebody else wrote, each under a bar and printable.
func Quote(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "          | %s\n", Safe(l))
	}
	return b.String()
}

// red is the one colour. Meaning never hangs on it: it stands on a word.
const red = "\x1b[31m"

func paint(s, with string, color bool) string {
	if !color {
		return s
	}
	return with + s + "\x1b[0m"
}
