package shell

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"fandango/ipc"
)

// Form says how input becomes tasks. Of the zero Form each line is a task as cli lines are written: a JSON array, a JSON
// object, words, or "key: words".
type Form struct {
	Name       string // the input's name, for messages; empty: standard input
	Target     string // run this for each line or row, which is its argument
	Expression bool   // each line is an expression; in a table, Target is one over the columns, by their names
	Exec       bool   // each line, uncut, is the target: what stands for {} in a command
	Null       bool   // NUL ends a record instead of a newline
	Comma      byte   // ',' or '\t': a table with a header; 0: lines
	Named      bool   // the columns of a row are one object, named arguments
	Strings    bool   // words and fields stay strings
}

// Item is one line or row of the input: a task, or why none can be made of it.
type Item struct {
	Task ipc.Task
	Line int   // where it begins, from 1
	Size int   // bytes of input
	Err  error // of kind input; Task.Key names the line all the same
}

// maxRecord is the longest line or row; a longer one is that line's failure.
const maxRecord = 64 << 20

// keyHead is how much of a line that is too long for a key becomes its key.
const keyHead = 480

// Source reads tasks, one line or row at a time.
type Source struct {
	form   Form
	in     *bufio.Reader
	record []byte  // the current record, reused
	line   int     // lines begun so far
	target ipc.Raw // form.Target, encoded once
	table  *table  // nil without a table
	args   []any   // reused
}

// NewSource prepares to read in. For a table it reads the header; its error says what is wrong with that, or that in
// cannot be read.
func NewSource(in io.Reader, form Form) (*Source, error) {
	s := &Source{form: form, in: bufio.NewReaderSize(in, 256<<10)}
	target := form.Target
	if form.Comma != 0 {
		header, err := s.header()
		if err != nil {
			return nil, err
		}
		if s.table, err = newTable(header, form); err != nil {
			return nil, fmt.Errorf("%s: %w", s.where(s.line), err)
		}
		if form.Expression {
			target = s.table.lambda(form.Target)
		}
	}
	if target != "" {
		var err error
		if s.target, err = ipc.Encode(target); err != nil {
			return nil, fmt.Errorf("target: %w", err)
		}
	}
	return s, nil
}

// header reads the first record that is not blank. An empty input has an empty header.
func (s *Source) header() ([]string, error) {
	for {
		line, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return nil, err
		case blank(s.record):
			continue
		}
		header, err := fields(nil, s.record, s.form.Comma)
		if err != nil {
			return nil, fmt.Errorf("%s: header: %w", s.where(line), err)
		}
		return header, nil
	}
}

// Next returns the next task. Blank lines and, in the line forms, lines that begin with # are skipped. The error is
// io.EOF at the end; any other means that the input cannot be read further.
func (s *Source) Next() (Item, error) {
	for {
		line, err := s.next()
		var long *lengthError
		switch {
		case errors.As(err, &long):
			it := Item{Line: line, Size: len(s.record)}
			it.Task.Key = s.key(s.record, line)
			it.Err = s.failure(line, long)
			return it, nil
		case err != nil:
			return Item{}, err
		case blank(s.record):
			continue
		case s.plain() && bytes.TrimLeft(s.record, " \t")[0] == '#':
			continue
		}
		return s.item(line), nil
	}
}

// plain reports whether lines are read in the line forms, where comments may stand.
func (s *Source) plain() bool {
	return s.table == nil && s.form.Target == "" && !s.form.Expression && !s.form.Exec
}

func blank(b []byte) bool { return len(bytes.TrimLeft(b, " \t\r\n")) == 0 }

// item makes an Item of the current record.
func (s *Source) item(line int) Item {
	it := Item{Line: line, Size: len(s.record)}
	var err error
	switch {
	case s.table != nil:
		it.Task, err = s.row(line)
	case s.form.Expression, s.form.Exec:
		it.Task.Key = s.key(s.record, line)
		it.Task.Target, err = ipc.Encode(text(string(s.record)))
	case s.target != nil:
		it.Task.Key = s.key(s.record, line)
		it.Task.Target = s.target
		it.Task.Args, err = s.one()
	default:
		it.Task, err = s.words(string(s.record), line)
	}
	if err == nil {
		err = ipc.CheckKey(it.Task.Key)
	}
	if err != nil {
		if it.Task.Key == "" || ipc.CheckKey(it.Task.Key) != nil {
			it.Task.Key = s.key(s.record, line)
		}
		it.Err = s.failure(line, err)
	}
	it.Task.Policy = ipc.PolicyEach
	return it
}

// one encodes the current record as the only argument.
func (s *Source) one() (ipc.Raw, error) {
	s.args = append(s.args[:0], text(string(s.record)))
	return ipc.Encode(s.args)
}

// failure is what is wrong with a line, with its place in front.
func (s *Source) failure(line int, err error) error {
	return ipc.Errorf(ipc.KindInput, "%s: %w", s.where(line), err)
}

// where names a line for a person: "tasks.jsonl:3", or "line 3" of standard input.
func (s *Source) where(line int) string {
	if s.form.Name == "" {
		return "line " + strconv.Itoa(line)
	}
	return s.form.Name + ":" + strconv.Itoa(line)
}

// key makes a key of a line: bytes that are not UTF-8 as \xNN, and of a long line the first 480 bytes and its number.
func (s *Source) key(record []byte, line int) string {
	if len(record) <= ipc.MaxKey {
		if key := validKey(string(record)); len(key) <= ipc.MaxKey {
			return key
		}
	}
	head := cut(string(record[:min(len(record), keyHead+1)]), keyHead)
	return cut(validKey(head), keyHead) + "…#" + strconv.Itoa(line)
}

// cut returns the first n bytes of s, or up to three fewer so that no character is torn.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// validKey replaces each byte that is not UTF-8 by \xNN.
func validKey(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b.Write([]byte{'\\', 'x', hex[s[i]>>4], hex[s[i]&15]})
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// lengthError is the failure of a record over maxRecord.
type lengthError struct{ what string }

func (e *lengthError) Error() string { return e.what }

// next reads one record into s.record and returns the number of the line on which it begins. A record over maxRecord is
// read to its end and thrown away but for its head; the error is then a *lengthError.
func (s *Source) next() (line int, err error) {
	s.record = s.record[:0]
	if cap(s.record) > 1<<20 {
		s.record = nil // one huge line must not be held for ever
	}
	begin := s.line + 1
	var quotes quoting
	size := 0
	for {
		part, err := s.in.ReadSlice(s.end())
		full := errors.Is(err, bufio.ErrBufferFull)
		if len(part) == 0 && err != nil && !full {
			if size == 0 || !errors.Is(err, io.EOF) {
				return begin, err
			}
			break
		}
		size += len(part)
		if size <= maxRecord {
			s.record = append(s.record, part...)
		} else if len(s.record) > keyHead {
			s.record = s.record[:keyHead]
		}
		open := s.form.Comma != 0 && quotes.after(part, s.form.Comma)
		if full {
			continue
		}
		s.line++
		if open && err == nil {
			continue // the line end belongs to a field
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return begin, err
		}
		break
	}
	s.trimEnd()
	if begin == 1 {
		s.record = bytes.TrimPrefix(s.record, []byte("\ufeff")) // the byte order mark of a file from Windows
	}
	if size > maxRecord {
		return begin, &lengthError{fmt.Sprintf("longer than %d MiB, the most that one line may hold", maxRecord>>20)}
	}
	return begin, nil
}

// end is the byte that ends a record.
func (s *Source) end() byte {
	if s.form.Null {
		return 0
	}
	return '\n'
}

// trimEnd takes the end mark off the record, and the carriage return of a file from Windows.
func (s *Source) trimEnd() {
	if s.form.Null {
		s.record = bytes.TrimSuffix(s.record, []byte{0})
		return
	}
	s.record = bytes.TrimSuffix(s.record, []byte{'\n'})
	s.record = bytes.TrimSuffix(s.record, []byte{'\r'})
}
