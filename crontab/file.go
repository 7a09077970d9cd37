package crontab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"fandango/schedule"
)

// Parse reads a crontab file. Name stands in the errors, of which there is one for each line that is wrong; then no line is
// returned. Zone is that of lines before any CRON_TZ; nil: time.Local.
//
//   - Blank lines and lines that begin with # are skipped.
//   - NAME=value sets a name for the commands of the lines below it; quotes around either are taken off. SHELL is the shell
//     that runs them, HOME the directory they run in, CRON_TZ (or TZ) the zone of the lines below it, and with
//     CRON_SECONDS=yes these have six fields, the second in front; until CRON_SECONDS=no.
//   - Any other line is five fields, or @daily and the like, and a command. It may begin with CRON_TZ=… or TZ=…, which holds
//     for itself alone. A command reaches to the first %; what follows is its standard input, in which each further % is a
//     line end. \% is a %.
//
// Six fields cannot be told from five and a command, so nothing but CRON_SECONDS allows them; a command that begins like
// a field is an error. The commands have the environment of the caller. The Name of a line is its command, with a number
// where another one has it.
func Parse(in io.Reader, name string, zone *time.Location) ([]Line, error) {
	f := file{zone: zone, env: os.Environ()}
	var lines []Line
	var wrong []error
	names := map[string]int{}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	number := 0
	for scanner.Scan() {
		number++
		line, ok, err := f.line(scanner.Text())
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, number, err))
		case ok:
			if names[line.Name]++; names[line.Name] > 1 {
				line.Name = fmt.Sprintf("%s #%d", line.Name, names[line.Name])
			}
			lines = append(lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errors.New("the line is longer than 1 MiB")
		}
		wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, number+1, err))
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	return lines, nil
}

// ParseLine reads one line of a crontab: when, and a command for the shell. Zone is that of a line that names none; nil:
// time.Local.
func ParseLine(text string, zone *time.Location) (Line, error) {
	f := file{zone: zone, env: os.Environ()}
	line, ok, err := f.line(text)
	if err == nil && !ok {
		err = fmt.Errorf("crontab line %q has no task; write five fields and a command: 0 3 * * * make backup", text)
	}
	return line, err
}

// file is what the lines above have set.
type file struct {
	zone    *time.Location
	zoneSet string // CRON_TZ=…, or nothing
	seconds bool   // a line has six fields
	env     []string
	shell   string
	dir     string
}

// line reads one; false: it has no task.
func (f *file) line(text string) (line Line, ok bool, err error) {
	text = strings.Trim(strings.TrimPrefix(text, "\ufeff"), " \t\r")
	if text == "" || text[0] == '#' {
		return line, false, nil
	}
	if strings.ContainsRune(text, 0) {
		return line, false, errors.New("a NUL byte has no place in a crontab")
	}
	if name, value, isSetting := setting(text); isSetting {
		return line, false, f.set(name, value)
	}
	when, command := cutWhen(text, f.seconds)
	if f.zoneSet != "" && !strings.HasPrefix(when, "CRON_TZ=") && !strings.HasPrefix(when, "TZ=") {
		when = f.zoneSet + " " + when
	}
	if _, err := schedule.ParseCron(when, f.zone); err != nil {
		return line, false, err
	}
	if command == "" {
		return line, false, fmt.Errorf("crontab line %q: no command after when it is to run", text)
	}
	if first, _, _ := strings.Cut(command, " "); !f.seconds && fieldLike.MatchString(first) {
		return line, false, fmt.Errorf("crontab line %q: its command begins with %s: for six fields, the second in front, "+
			"write CRON_SECONDS=yes above it", text, first)
	}
	command, stdin := percent(command)
	if strings.TrimSpace(command) == "" {
		return line, false, fmt.Errorf("crontab line %q: no command before the %%", text)
	}
	return Line{
		Name: command, When: when,
		Task: Command{Args: shell(f.shell, command), Stdin: stdin, Env: slices.Clone(f.env), Dir: f.dir}.Task(),
	}, true, nil
}

// fieldLike matches the first word of what was meant as a sixth field, and is no command.
var fieldLike = regexp.MustCompile(`^[*?]([/,-][\d,/-]*)?$|^\d+([,/-]\d+)*$`)

// setting reads NAME=value. What begins like when a line runs is none: TZ=UTC 0 3 * * * true.
func setting(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	name, value = unquote(strings.TrimSpace(name)), strings.TrimSpace(value)
	if !ok || name == "" || strings.ContainsAny(name, " \t*@,/") || name[0] >= '0' && name[0] <= '9' {
		return "", "", false
	}
	if (name == "CRON_TZ" || name == "TZ") && len(strings.Fields(value)) > 1 {
		return "", "", false
	}
	return name, unquote(value), true
}

func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

func (f *file) set(name, value string) error {
	switch name {
	case "CRON_TZ", "TZ":
		if _, err := schedule.ParseCron("CRON_TZ="+value+" * * * * *", nil); err != nil {
			return err
		}
		f.zoneSet = "CRON_TZ=" + value
	case "CRON_SECONDS":
		if value != "yes" && value != "no" {
			return fmt.Errorf("CRON_SECONDS=%s: it is yes, for lines of six fields with the second in front, or no", value)
		}
		f.seconds = value == "yes"
	case "SHELL":
		f.shell = value
	case "HOME":
		f.dir = value
	}
	f.env = append(f.env, name+"="+value) // of two settings of a name the last one holds
	return nil
}

// cutWhen cuts a line after its fifth field, with seconds its sixth; or after @daily, or @every and its period.
func cutWhen(text string, seconds bool) (when, command string) {
	rest := text
	next := func() (word string) {
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			end = len(rest)
		}
		word, rest = rest[:end], rest[end:]
		return word
	}
	word := next()
	for strings.HasPrefix(word, "CRON_TZ=") || strings.HasPrefix(word, "TZ=") {
		word = next()
	}
	switch {
	case word == "@every":
		next()
	case strings.HasPrefix(word, "@"):
	default:
		fields := 5
		if seconds {
			fields = 6
		}
		for range fields - 1 {
			next()
		}
	}
	return strings.TrimSpace(text[:len(text)-len(rest)]), strings.TrimSpace(rest)
}

// percent cuts a command at its first %, and makes line ends of the others.
func percent(text string) (command, stdin string) {
	var b strings.Builder
	cut := -1
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '%':
			i++
			b.WriteByte('%')
		case text[i] == '%' && cut < 0:
			cut = b.Len()
		case text[i] == '%':
			b.WriteByte('\n')
		default:
			b.WriteByte(text[i])
		}
	}
	if cut < 0 {
		return b.String(), ""
	}
	stdin = b.String()[cut:]
	if !strings.HasSuffix(stdin, "\n") {
		stdin += "\n"
	}
	return b.String()[:cut], stdin
}
