//go:build unix

package evilworker

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Entry is what a ledger says about one beginning of a task.
type Entry struct {
	Key    string
	Worker string // the name that the master gave it; "" when it gave none
	PID    int
	At     time.Time
}

// ledger appends one line, in one write, when a task begins: so it stands there before anything can go wrong. It begins
// with a newline, for SIGKILL cuts a write short where a page of the file ends.
type ledger struct {
	f    *os.File
	line []byte
}

func openLedger(path string) *ledger {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test names it
	check(err)
	return &ledger{f: f}
}

func (l *ledger) note(key string) {
	worker := os.Getenv("MASTER_WORKER")
	if worker == "" {
		worker = "-"
	}
	l.line = fmt.Appendf(l.line[:0], "\n%d %d %s %q\n", time.Now().UnixNano(), os.Getpid(), worker, key)
	_, err := l.f.Write(l.line)
	check(err)
}

// cut matches the beginning of an entry: its writer was killed before the task could begin.
var cut = regexp.MustCompile(`^\d+( (\d+( (\S+( ("([^"\\]|\\.)*\\?)?)?)?)?)?)?$`)

// ReadLedger gives each entry of a ledger to f, in order, but for those that were cut short. A ledger that nobody has
// begun is empty.
func ReadLedger(path string, f func(Entry)) error {
	file, err := os.Open(path) //nolint:gosec // the test names it
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	for number := 1; ; number++ {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" { // what ReadString itself returns
			return nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch e, err := parseEntry(line); {
		case err == nil:
			f(e)
		case line != "" && !cut.MatchString(line):
			return fmt.Errorf("%s:%d: %q: %w", path, number, line, err)
		}
	}
}

func parseEntry(line string) (e Entry, err error) {
	fields := strings.SplitN(line, " ", 4)
	if len(fields) != 4 {
		return e, fmt.Errorf("it has %d fields, want 4", len(fields))
	}
	nano, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return e, err
	}
	e.At = time.Unix(0, nano)
	if e.PID, err = strconv.Atoi(fields[1]); err != nil {
		return e, err
	}
	if e.Worker = fields[2]; e.Worker == "-" {
		e.Worker = ""
	}
	e.Key, err = strconv.Unquote(fields[3])
	return e, err
}
