package shell

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// File is what a serve file asks for, in the order of its lines.
type File struct {
	Name   string
	Groups []Group // at least one
	Adds   []*Add
	Pauses []*Pause
}

// ParseFile reads a serve file: a command a line, as it would be typed. All its lines are looked at; the errors, each
// with FILE:LINE in front, say everything that is wrong.
func ParseFile(in io.Reader, name string) (*File, []error) {
	f := &File{Name: name}
	var wrong []wrongLine
	line := 0
	report := func(err error) { wrong = append(wrong, wrongLine{line, err}) }
	check := checker{file: f, groups: map[string]int{}, keys: map[string]int{}}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line++
		text := strings.TrimPrefix(scanner.Text(), "\ufeff")
		if text = strings.TrimSpace(text); text == "" || text[0] == '#' {
			continue
		}
		words, err := Split(text)
		if err != nil {
			report(err)
			continue
		}
		c, err := Parse(words, InFile, nil)
		switch {
		case trailingComment(text, words):
			err = errors.New(`a comment has a line of its own; where # is meant as a word, write it in quotes: "#"`)
		case err == nil:
			err = check.add(c, line)
		}
		if err != nil {
			report(err)
		}
	}
	line++
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		report(errors.New("the line is longer than 1 MiB"))
	} else if err != nil {
		report(err)
	}
	for _, late := range check.late {
		line = late.line
		if err := late.check(); err != nil {
			report(err)
		}
	}
	if len(wrong) == 0 && len(f.Adds) == 0 {
		return f, []error{fmt.Errorf("%s: nothing to run: it has no line like add KEY TARGET --every 3s", Safe(name))}
	}
	if len(f.Groups) == 0 {
		f.Groups = []Group{builtIn()}
	}
	slices.SortStableFunc(wrong, func(a, b wrongLine) int { return a.line - b.line })
	var errs []error
	for _, w := range wrong {
		errs = append(errs, fmt.Errorf("%s:%d: %w", Safe(name), w.line, w.err))
	}
	return f, errs
}

// trailingComment reports whether a line has what a person means as a comment, and what would be arguments. A # that
// begins a longer word, or stands in quotes, is taken for what it is.
func trailingComment(text string, words []string) bool {
	return slices.Contains(words, "#") && !strings.Contains(text, `"#"`) && !strings.Contains(text, "'#'")
}

// wrongLine is what is wrong with a line.
type wrongLine struct {
	line int
	err  error
}

// Counts says how many lines there are that run something: "2 keys, 1 cron line".
func (f *File) Counts() string {
	crons := 0
	for _, a := range f.Adds {
		if a.Cron != nil {
			crons++
		}
	}
	words := Plural(int64(len(f.Adds)-crons), "key")
	if crons > 0 {
		words += ", " + Plural(int64(crons), "cron line")
	}
	return words
}

// checker sees what single lines cannot tell.
type checker struct {
	file   *File
	groups map[string]int // the line of each name
	keys   map[string]int
	late   []late // what can be checked only when all lines are known
}

type late struct {
	line  int
	check func() error
}

func (c *checker) add(cmd Command, line int) error {
	switch cmd := cmd.(type) {
	case *Worker:
		if first, ok := c.groups[cmd.Name]; ok {
			return fmt.Errorf("worker: there is a group %s already, on line %d", cmd.Name, first)
		}
		c.groups[cmd.Name] = line
		c.file.Groups = append(c.file.Groups, cmd.Group)
	case *Add:
		if first, ok := c.keys[cmd.Task.Key]; ok {
			return fmt.Errorf("%s: key %s is added already, on line %d", cmd.Verb(), Safe(cmd.Task.Key), first)
		}
		c.keys[cmd.Task.Key] = line
		cmd.Line = line
		c.file.Adds = append(c.file.Adds, cmd)
		if cmd.Group != "" {
			c.late = append(c.late, late{line, func() error { return known(cmd.Verb()+": no group", cmd.Group, c.groups) }})
		}
	case *Pause:
		cmd.Line = line
		c.file.Pauses = append(c.file.Pauses, cmd)
		for _, key := range cmd.Keys {
			c.late = append(c.late, late{line, func() error { return known("pause: no key", key, c.keys) }})
		}
	case *Help:
		return fmt.Errorf("help has no place in a file; type master help %s", cmd.Topic)
	}
	return nil
}

// known returns an error when name is none of those in the file.
func known(what, name string, in map[string]int) error {
	if _, ok := in[name]; ok {
		return nil
	}
	var names []string
	for n := range in {
		names = append(names, n)
	}
	slices.Sort(names)
	return fmt.Errorf("%s %q in this file%s", what, Safe(name), didYouMean(name, names))
}
