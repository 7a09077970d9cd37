package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// ProgressMode says how progress is shown.
type ProgressMode int

// The ways to show progress.
const (
	NoProgress    ProgressMode = iota
	LineProgress               // one line, rewritten five times a second: for a terminal
	PlainProgress              // a line of its own every ten seconds: for a log
)

// Screen owns stderr, and stdout too when that is a terminal: one goroutine writes there, so that a progress line never
// runs into a message or a result. Nothing that is told to it waits for a slow terminal, but for Write.
type Screen struct {
	out, err io.Writer
	color    bool
	mode     ProgressMode
	width    func() int

	writes  chan write
	notes   chan string
	dropped atomic.Int64 // notes that found no room
	ask     chan struct{}
	watch   chan func() string
}

type write struct {
	out  bool
	text []byte
	done chan error // 1-buffered: the screen never waits for the writer
}

// notesKept is how many notes wait for a slow terminal before more are dropped and counted.
const notesKept = 1000

// NewScreen makes a Screen over the two streams. Width returns the terminal's columns.
func NewScreen(out, err io.Writer, color bool, mode ProgressMode, width func() int) *Screen {
	return &Screen{
		out: out, err: err, color: color, mode: mode, width: width,
		writes: make(chan write), notes: make(chan string, notesKept),
		ask: make(chan struct{}, 1), watch: make(chan func() string),
	}
}

// Note shows a message on stderr: whole lines, escaped already. It never waits; what finds no room is counted.
func (s *Screen) Note(text string) {
	select {
	case s.notes <- text:
	default:
		s.dropped.Add(1)
	}
}

// Notef shows one line, with the program's name in front.
func (s *Screen) Notef(format string, args ...any) {
	s.Note("master: " + fmt.Sprintf(format, args...) + "\n")
}

// Log is a writer for log lines that never waits.
func (s *Screen) Log() io.Writer { return logWriter{s} }

type logWriter struct{ screen *Screen }

func (w logWriter) Write(p []byte) (int, error) {
	var b []byte
	for line := range bytes.Lines(p) {
		b = append(appendSafe(b, strings.TrimRight(string(line), "\n")), '\n')
	}
	w.screen.Note(string(b))
	return len(p), nil
}

// Write writes text on stderr, or on stdout, and waits for it. It is for as long as Run runs.
func (s *Screen) Write(toOut bool, text []byte) error {
	w := write{toOut, text, make(chan error, 1)}
	s.writes <- w
	return <-w.done
}

// Watch shows what progress returns from now on; nil ends it. It does nothing when no progress is wanted.
func (s *Screen) Watch(progress func() string) { s.watch <- progress }

// Ask shows one line of progress, whatever the mode.
func (s *Screen) Ask() {
	select {
	case s.ask <- struct{}{}:
	default: // one is on its way
	}
}

// Run writes until ctx ends, then what is still waiting.
func (s *Screen) Run(ctx context.Context) {
	t := terminal{Screen: s}
	var progress func() string
	tick := time.NewTicker(map[ProgressMode]time.Duration{
		NoProgress: time.Hour, LineProgress: time.Second / 5,
		PlainProgress: 10 * time.Second,
	}[s.mode])
	defer tick.Stop()
	for {
		select {
		case w := <-s.writes:
			w.done <- t.write(w)
		case note := <-s.notes:
			t.note(note)
		case progress = <-s.watch:
			if progress == nil {
				t.clear()
			}
		case <-tick.C:
			if progress != nil {
				t.draw(progress())
			}
		case <-s.ask:
			if progress != nil {
				t.note("master:" + progress() + "\n")
			}
		case <-ctx.Done():
			t.clear()
			for len(s.notes) > 0 {
				t.note(<-s.notes)
			}
			if n := s.dropped.Swap(0); n > 0 {
				t.print(s.err, fmt.Sprintf("master: %s left out: the terminal was too slow\n", Plural(n, "message")))
			}
			return
		}
	}
}

// terminal is what the screen's goroutine knows of the terminal.
type terminal struct {
	*Screen
	drawn string // the progress line that stands at the cursor
}

func (t *terminal) write(w write) error {
	defer t.redraw()
	t.hide()
	if w.out {
		_, err := t.out.Write(w.text)
		return err
	}
	_, err := t.err.Write(w.text)
	return err
}

func (t *terminal) note(text string) {
	defer t.redraw()
	t.hide()
	if n := t.dropped.Swap(0); n > 0 {
		text = fmt.Sprintf("master: %s left out: the terminal was too slow\n%s", Plural(n, "message"), text)
	}
	t.print(t.err, text)
}

// draw shows progress: on a terminal in place of the last line, else as a line of its own.
func (t *terminal) draw(line string) {
	if t.mode == PlainProgress {
		t.print(t.err, "master:"+line+"\n")
		return
	}
	if w := t.width() - 1; w > 0 && utf8.RuneCountInString(line) > w {
		line = string([]rune(line)[:w])
	}
	t.drawn = line
	t.print(t.err, "\r"+line+"\x1b[K")
}

// hide takes the progress line away for a moment, redraw brings it back, clear ends it.
func (t *terminal) hide() {
	if t.drawn != "" {
		t.print(t.err, "\r\x1b[K")
	}
}

func (t *terminal) redraw() {
	if t.drawn != "" {
		t.print(t.err, t.drawn)
	}
}

func (t *terminal) clear() {
	t.hide()
	t.drawn = ""
}

// print writes to a person. A person who has closed stderr does not stop the work.
func (t *terminal) print(w io.Writer, text string) { _, _ = io.WriteString(w, text) }
