//go:build unix

// Package fandango_test holds the documentation to what the code does.
package fandango_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDocs runs every command of the documentation, that is every line that begins with "$ ", in a copy of the checkout
// with master on the PATH, and compares what it prints with what the page shows. CONTRIBUTING.md says what a page may
// leave open.
func TestDocs(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every command of the documentation, which takes some seconds")
	}
	home := t.TempDir()
	checkout := filepath.Join(home, "fandango")
	copyCheckout(t, checkout)
	build := exec.Command("go", "build", "-o", filepath.Join(home, "bin", "master"), "./cmd/master")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build master: %v\n%s", err, out)
	}
	t.Setenv("PATH", filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("LC_ALL", "C.UTF-8")

	if signal.Ignored(os.Interrupt) { // as behind the & of a script: a child would inherit that, and no ^C would end it
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}

	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := parse(page, string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			t.Run(fmt.Sprintf("%s:%d", page, b.line), func(t *testing.T) { b.run(t, checkout) })
		}
	}
}

// TestExamplesSayHowToRunThem: the commands in an example's head are its test, so each must have some.
func TestExamplesSayHowToRunThem(t *testing.T) {
	for _, page := range pages(t) {
		if !strings.HasPrefix(page, "examples/") {
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := parse(page, string(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks) == 0 {
			t.Errorf("%s shows no command that runs it", page)
		}
	}
}

// TestCIRunsTheTestCommand: the README's test command cannot run inside itself. So it is CI that runs it, word by word,
// and this test sees to it that CI does.
func TestCIRunsTheTestCommand(t *testing.T) {
	for file, want := range map[string]string{"README.md": "\n$ " + testCommand + "\n", ".ci/run": "\n" + testCommand + "\n"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not have the line %q", file, strings.TrimSpace(want))
		}
	}
}

const testCommand = "go test ./..."

var testedPackage = regexp.MustCompile(`(?m)^ok\s+fandango/(\S+)`)

// pages lists the files whose commands are run.
func pages(t *testing.T) []string {
	t.Helper()
	list := []string{"README.md", "CONTRIBUTING.md", "DESIGN.md", "ipc/PROTOCOL.md"}
	for _, room := range []string{"docs", "examples", "cmd"} {
		err := filepath.WalkDir(room, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (slices.Contains([]string{"testdata", "__pycache__"}, d.Name()) || isModule(path)):
				return fs.SkipDir
			case !d.IsDir() && !strings.HasSuffix(path, "_test.go"):
				list = append(list, filepath.ToSlash(path))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// isModule reports whether a folder is a module of its own, which wants more than this one: make runs what it shows.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// A block is a stretch of commands that share a shell's working directory and exit code, or a file that the page asks
// its reader to write.
type block struct {
	line     int
	commands []command
	file     string // where the text goes, from the checkout's root
	text     string
}

// A command is what a reader types, and what the page says that he will see.
type command struct{ typed, shown string }

var (
	fence    = regexp.MustCompile("^```(\\w*)$")
	fileName = regexp.MustCompile(`^(?://|#) (\S+\.(?:go|py|master))$`)
)

// parse finds the blocks of a page. In Markdown they are fenced: console for commands, go, python and text for a file,
// when the first line is a comment with its name. In any other file, commands stand in a comment: what is before the
// first "$ " stands before each line of the block, too.
func parse(page, text string) ([]block, error) {
	lines := strings.Split(text, "\n")
	if !strings.HasSuffix(page, ".md") {
		return parseComments(lines), nil
	}
	var blocks []block
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			continue
		}
		start := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("%s:%d: the block has no end", page, start)
		}
		body := lines[start:i]
		switch name := fileName.FindStringSubmatch(first(body)); {
		case open[1] == "console":
			blocks = append(blocks, block{line: start, commands: commands(body)})
		case slices.ContainsFunc(body, func(l string) bool { return strings.HasPrefix(l, "$ ") }):
			return nil, fmt.Errorf("%s:%d: commands stand in a ```console block, so that they are tested", page, start)
		case name != nil:
			blocks = append(blocks, block{line: start, file: name[1], text: strings.Join(body[1:], "\n") + "\n"})
		}
	}
	return blocks, nil
}

func parseComments(lines []string) []block {
	var blocks []block
	for i := 0; i < len(lines); i++ {
		prefix, _, found := strings.Cut(lines[i], "$ ")
		if !found || strings.Trim(prefix, "/# \t") != "" {
			continue
		}
		b := block{line: i + 1}
		var body []string
		for ; i < len(lines) && strings.HasPrefix(lines[i], prefix) && strings.TrimSpace(lines[i]) != strings.TrimSpace(prefix); i++ {
			body = append(body, strings.TrimPrefix(lines[i], prefix))
		}
		b.commands = commands(body)
		blocks = append(blocks, b)
	}
	return blocks
}

func commands(body []string) []command {
	var list []command
	for i := 0; i < len(body); i++ {
		typed, found := strings.CutPrefix(body[i], "$ ")
		if !found {
			if len(list) > 0 {
				list[len(list)-1].shown += body[i] + "\n"
			}
			continue
		}
		for i+1 < len(body) && unfinished(typed) {
			i++
			typed += "\n" + body[i]
		}
		list = append(list, command{typed: typed})
	}
	return list
}

// unfinished reports whether bash would ask for another line.
func unfinished(typed string) bool {
	return strings.HasSuffix(typed, "\\") || exec.Command("bash", "-n", "-c", typed).Run() != nil
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// run does what the reader is asked to do.
func (b block) run(t *testing.T, checkout string) {
	t.Helper()
	if b.file != "" {
		path := filepath.Join(checkout, b.file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	sh := &shell{dir: checkout}
	for _, c := range b.commands {
		if c.typed == testCommand { // see TestCIRunsTheTestCommand
			for _, found := range testedPackage.FindAllStringSubmatch(c.shown, -1) {
				if _, err := os.Stat(filepath.Join(checkout, found[1])); err != nil {
					t.Errorf("$ %s\nshows a package that is none: %v", c.typed, err)
				}
			}
			continue
		}
		need(t, c.typed)
		before, after, interrupted := strings.Cut(c.shown, "^C\n")
		if !interrupted {
			before = c.shown
		}
		out := sh.run(t, c.typed, before, interrupted)
		if !pattern(before + after).MatchString(plain(out)) {
			t.Errorf("$ %s\n%s\nthe page shows:\n%s", c.typed, out, c.shown)
		}
	}
}

// need skips a test for want of a program, except in CI, which has them all.
func need(t *testing.T, typed string) {
	t.Helper()
	var probe []string
	switch {
	case strings.Contains(typed, "/usr/bin/python3"):
		probe = []string{"/usr/bin/python3", "-c", "import msgpack"}
	case strings.Contains(typed, "python3"):
		probe = []string{"python3", "-c", ""}
	default:
		return
	}
	if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
		missing := fmt.Sprintf("%q does not run here: %v %s", strings.Join(probe, " "), err, bytes.TrimSpace(out))
		if os.Getenv("FANDANGO_NO_SKIP") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
}

// A shell runs one command after another, as a terminal does: the working directory and $? carry over.
type shell struct {
	dir  string
	exit int
}

func (sh *shell) run(t *testing.T, typed, until string, interrupt bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	pwd := filepath.Join(t.TempDir(), "pwd")
	script := fmt.Sprintf("(exit %d)\n%s\nexit=$?; pwd >%q; exit $exit", sh.exit, typed, pwd)
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	seen := &screen{wrote: make(chan struct{}, 1)}
	cmd.Dir, cmd.Stdout, cmd.Stderr = sh.dir, seen, seen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signal := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	cmd.Cancel = func() error { return signal(syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for want := pattern(until); interrupt && !want.MatchString(plain(seen.String())); {
		select {
		case <-seen.wrote:
		case <-ctx.Done():
			interrupt = false
		}
	}
	if interrupt {
		if err := signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait() // an exit code is no fault here: the page shows it, or not
	if ctx.Err() != nil {
		t.Errorf("$ %s\ndid not end", typed)
	}
	sh.exit = cmd.ProcessState.ExitCode()
	if dir, err := os.ReadFile(pwd); err == nil {
		sh.dir = strings.TrimSpace(string(dir))
	}
	return seen.String()
}

// A screen collects what a command prints and tells when there is more.
type screen struct {
	mu    sync.Mutex // guards text
	text  bytes.Buffer
	wrote chan struct{} // 1-buffered: one note is enough
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

var (
	blanks     = regexp.MustCompile(`[ \t]+`)
	downloads  = regexp.MustCompile(`(?m)^go: (downloading|finding|found|added) .*\n`)
	open       = regexp.MustCompile(`…|\d[\d.,]* (?:µs|ms|s|min)\b|\d[\d.,]*(?: \d{3})*/s\b|\d+ workers?\b`)
	blankLines = regexp.MustCompile(`\n{2,}`)
)

// plain takes from a text what a page need not show: how far columns stand apart, blank lines, Go's downloads.
func plain(text string) string {
	text = downloads.ReplaceAllString(text, "")
	lines := strings.Split(blanks.ReplaceAllString(text, " "), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \r")
	}
	return strings.Trim(blankLines.ReplaceAllString(strings.Join(lines, "\n"), "\n"), "\n") + "\n"
}

// pattern matches a plain text that shown describes: "…" stands for anything in a line, or alone for any lines; times,
// rates and the number of workers may differ.
func pattern(shown string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(plain(shown)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "…" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		at := 0
		for _, m := range open.FindAllStringIndex(line, -1) {
			b.WriteString(regexp.QuoteMeta(line[at:m[0]]))
			switch found := line[m[0]:m[1]]; {
			case found == "…":
				b.WriteString(`.*`)
			case strings.HasSuffix(found, "/s"):
				b.WriteString(`\d[\d.,]*(?: \d{3})*/s`)
			case strings.Contains(found, "worker"):
				b.WriteString(`\d+ workers?`)
			default:
				b.WriteString(`\d[\d.,]* (?:µs|ms|s|min)`)
			}
			at = m[1]
		}
		b.WriteString(regexp.QuoteMeta(line[at:]) + `\n`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

// copyCheckout copies what a clone would have, and what is not committed yet.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, path)
		switch {
		case slices.Contains([]string{".git", "bin", "build", "__pycache__"}, d.Name()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPattern tests the test.
func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		shown, printed string
		want           bool
	}{
		{"5\n", "5\n", true},
		{"5\n", "6\n", false},
		{"5\n", "5\n6\n", false},
		{"", "", true},
		{"", "x\n", false},
		{"add 2 3     5\n", "add 2 3\t5\n", true},
		{"a … c\n", "a b c\n", true},
		{"a …\n", "a b\nc\n", false},
		{"a\n…\nz\n", "a\nz\n", true},
		{"a\n…\nz\n", "a\nb\nc\nz\n", true},
		{"a\n…\nz\n", "a\nb\nc\n", false},
		{"3 tasks: 3 done in 0.01 s · 2 workers\n", "3 tasks: 3 done in 12 ms · 1 worker\n", true},
		{"3 tasks: 3 done in 0.01 s\n", "3 tasks: 2 done in 0.01 s\n", false},
		{"86/s · median 41 ms\n", "1 461/s · median 2.1 s\n", true},
		{"1 461/s\n", "86/s\n", true},
		{"ok\n", "go: downloading example.com/x v1.0.0\nok\n", true},
	} {
		if got := pattern(tt.shown).MatchString(plain(tt.printed)); got != tt.want {
			t.Errorf("shown %q, printed %q: match = %v, want %v", tt.shown, tt.printed, got, tt.want)
		}
	}
}

// TestParse tests it, too.
func TestParse(t *testing.T) {
	text := "```console\n$ echo 'a\n  b' |\n  cat\na\n  b\n$ true \\\n  x\n```\n```text\n# a.master\nadd x\n```\n"
	blocks, err := parse("x.md", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 2 || blocks[1].file != "a.master" || blocks[1].text != "add x\n" {
		t.Fatalf("blocks = %+v", blocks)
	}
	want := []command{{"echo 'a\n  b' |\n  cat", "a\n  b\n"}, {"true \\\n  x", ""}}
	if !slices.Equal(blocks[0].commands, want) {
		t.Errorf("commands = %q, want %q", blocks[0].commands, want)
	}
	if _, err := parse("x.md", "```\n$ true\n```\n"); err == nil {
		t.Error("commands outside a console block are not refused")
	}
	comments, err := parse("x.go", "// X does.\n//\n//\t$ echo a\n//\ta\n//\n//\tno command\n//\t$ false\npackage x\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(comments) != 2 || comments[0].commands[0] != (command{"echo a", "a\n"}) || comments[1].commands[0].typed != "false" {
		t.Errorf("blocks of comments = %+v", comments)
	}
}
