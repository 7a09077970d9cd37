package shell

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fandango/ipc"
)

// table is a header, and where in a row its parts stand.
type table struct {
	names                []string // every column; in an expression, as its identifier
	key, target, timeout int      // their columns; -1: none
	args                 []int    // the columns that are arguments, in order
	row                  int      // rows read so far
	cells                []string // reused
}

// newTable reads a header. An empty one belongs to an empty input.
func newTable(header []string, form Form) (*table, error) {
	t := &table{names: header, key: -1, target: -1, timeout: -1}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		switch name := header[i]; {
		case name == "":
			return nil, fmt.Errorf("column %d of the header has no name", i+1)
		case slices.Contains(header[:i], name):
			return nil, fmt.Errorf("two columns of the header are named %q", name)
		case name == "key":
			t.key = i
		case name == "timeout":
			t.timeout = i
		case name == "target" && form.Target == "":
			t.target = i
		default:
			t.args = append(t.args, i)
		}
	}
	if form.Target == "" && t.target < 0 && len(header) > 0 {
		return nil, errors.New("the header has no column named target; say what to run with -t TARGET")
	}
	if !form.Expression {
		return t, nil
	}
	return t, t.identifiers(form.Target)
}

// name matches what an expression may call a column.
var name = sync.OnceValue(func() *regexp.Regexp { // not before it is needed: the built-in worker is this program, too
	return regexp.MustCompile(`[\p{L}_][\p{L}\p{Nd}_]*`)
})

// identifiers gives each column the name that an expression uses, and keeps as arguments those that it does use.
func (t *table) identifiers(expression string) error {
	used := name().FindAllString(expression, -1)
	for i, column := range t.names {
		id := identifier(column)
		if j := slices.Index(t.names[:i], id); j >= 0 {
			return fmt.Errorf("columns %d and %d would both be %s in an expression; rename one", j+1, i+1, id)
		}
		t.names[i] = id
	}
	t.args = slices.DeleteFunc(t.args, func(i int) bool { return !slices.Contains(used, t.names[i]) })
	return nil
}

// identifier makes a name for an expression out of a column's: "max temp (C)" is max_temp__C_.
func identifier(column string) string {
	id := strings.Map(func(r rune) rune {
		if name().MatchString(string(r)) || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, column)
	if id[0] <= '9' || slices.Contains(keywords, id) {
		return "_" + id
	}
	return id
}

// keywords may not name a parameter of a lambda.
var keywords = strings.Fields(`and as assert async await break class continue def del elif else except finally for from
	global if import in is lambda load nonlocal not or pass raise return try while with yield`)

// lambda makes a function of an expression; its parameters are the columns. The expression stands on lines of its own,
// so that it may end in a comment and an error tells its own column.
func (t *table) lambda(expression string) string {
	var params []string
	for _, i := range t.args {
		params = append(params, t.names[i])
	}
	return strings.TrimSpace("lambda "+strings.Join(params, ", ")) + ": (\n" + expression + "\n)"
}

// row makes a task of the current record.
func (s *Source) row(line int) (ipc.Task, error) {
	t := s.table
	t.row++
	task := ipc.Task{Key: "row " + strconv.Itoa(t.row), Target: s.target}
	cells, err := fields(t.cells[:0], s.record, s.form.Comma)
	t.cells = cells
	switch {
	case err != nil:
		return task, err
	case len(cells) != len(t.names):
		return task, fmt.Errorf("%s, but the header has %d", Plural(int64(len(cells)), "field"), len(t.names))
	}
	if t.key >= 0 && cells[t.key] != "" {
		task.Key = s.key([]byte(cells[t.key]), line)
	}
	if t.timeout >= 0 && cells[t.timeout] != "" {
		if task.Timeout, err = timeout(cells[t.timeout]); err != nil {
			return task, err
		}
	}
	if t.target >= 0 {
		if cells[t.target] == "" {
			return task, errors.New("the target is empty")
		}
		if task.Target, err = ipc.Encode(text(cells[t.target])); err != nil {
			return task, err
		}
	}
	task.Args, err = ipc.Encode(s.arguments())
	return task, err
}

// arguments are the typed fields of the current row: one object when they are named, else a list.
func (s *Source) arguments() any {
	t := s.table
	if s.form.Named || s.form.Expression {
		named := make(map[string]any, len(t.args))
		for _, i := range t.args {
			named[t.names[i]] = s.typed(t.cells[i])
		}
		return named
	}
	s.args = s.args[:0]
	for _, i := range t.args {
		s.args = append(s.args, s.typed(t.cells[i]))
	}
	return s.args
}

// quoting follows the quotes of a record that comes in pieces.
type quoting int

const (
	atStart quoting = iota // of a field
	plain                  // inside a field without quotes, or after one with
	inside                 // inside a field in quotes
	atQuote                // at a quote inside such a field: its end, or one half of a written quote
)

// after takes the next piece and reports whether it ends inside a field in quotes.
func (q *quoting) after(piece []byte, comma byte) bool {
	if *q < inside && bytes.IndexByte(piece, '"') < 0 {
		if n := len(piece); n > 0 && piece[n-1] == comma {
			*q = atStart
		} else {
			*q = plain
		}
		return false
	}
	for _, c := range piece {
		switch {
		case *q == inside && c != '"':
		case *q == inside:
			*q = atQuote
		case c == '"' && *q != plain:
			*q = inside
		case c == comma:
			*q = atStart
		default:
			*q = plain
		}
	}
	return *q == inside
}

// fields cuts a record into its fields. A field may stand in quotes, then it may hold the comma, line ends, and quotes
// written twice.
func fields(dst []string, record []byte, comma byte) ([]string, error) {
	for {
		if len(record) == 0 || record[0] != '"' {
			n := bytes.IndexByte(record, comma)
			if n < 0 {
				return append(dst, string(record)), nil
			}
			dst, record = append(dst, string(record[:n])), record[n+1:]
			continue
		}
		field, n, err := quotedField(record, comma)
		if err != nil {
			return dst, fmt.Errorf("field %d: %w", len(dst)+1, err)
		}
		if dst = append(dst, field); n == len(record) {
			return dst, nil
		}
		record = record[n+1:]
	}
}

// quotedField reads the field in quotes at the beginning of record, and returns where it ends.
func quotedField(record []byte, comma byte) (field string, n int, err error) {
	var b strings.Builder
	for i := 1; i < len(record); i++ {
		switch {
		case record[i] != '"':
			b.WriteByte(record[i])
		case i+1 < len(record) && record[i+1] == '"':
			b.WriteByte('"')
			i++
		case i+1 == len(record) || record[i+1] == comma:
			return b.String(), i + 1, nil
		default:
			return "", 0, errors.New(`text right after the closing quote; a quote inside a field is written ""`)
		}
	}
	lines := bytes.Count(record, []byte{'\n'})
	if lines > 0 {
		return "", 0, fmt.Errorf("its quote is not closed; the %s after it belong to it", Plural(int64(lines), "line"))
	}
	return "", 0, errors.New("its quote is not closed")
}
