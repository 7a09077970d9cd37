package pool

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"fandango/internal/proc"
)

// The bounds of what is kept and shown of a worker's words.
const (
	lineSize  = 64 << 10 // a longer line is cut
	lastLines = 200      // kept for a crash
	lastBytes = 64 << 10
	rate      = 64 << 10 // bytes a second that are reported; the rest is read and counted
)

// listen reads the worker's stderr to its end. It always reads, so that no worker ever waits for it.
func (w *worker) listen() {
	if w.lines == nil {
		w.lines = bufio.NewReaderSize(nil, lineSize)
	}
	w.lines.Reset(proc.Rest{File: w.process.Stderr})
	var limit limiter
	for {
		line, isPrefix, err := w.lines.ReadLine()
		if err != nil {
			return // its end, or the end of the process
		}
		text := strings.ToValidUTF8(string(line), "\uFFFD")
		for isPrefix && err == nil { // the rest of a long line
			line, isPrefix, err = w.lines.ReadLine()
			limit.lost += len(line)
		}
		w.stderr.add(text)
		if allowed, lost := limit.allow(len(text)); allowed {
			w.heard(text, lost)
		}
	}
}

// heard reports one line.
func (w *worker) heard(line string, lost int) {
	w.pool.mu.Lock()
	key := ""
	if c := w.head(); c != nil && w.ready {
		key = c.key
	}
	w.pool.mu.Unlock()
	level, message, facts := parseLog(line)
	w.pool.cfg.Log.Log(level, message, append(facts, "worker", w.slot.name, "lost", lost)...)
	w.pool.cfg.Event(Stderr{Worker: w.slot.name, Line: line, Level: level, Key: key, Lost: lost})
}

// parseLog reads an hclog JSON line; any other line is its own message at level Info.
func parseLog(line string) (level hclog.Level, message string, facts []any) {
	if !strings.HasPrefix(line, "{") || !strings.Contains(line, `"@message"`) {
		return hclog.Info, line, nil
	}
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return hclog.Info, line, nil
	}
	message, ok := fields["@message"].(string)
	if !ok {
		return hclog.Info, line, nil
	}
	name, _ := fields["@level"].(string)
	if level = hclog.LevelFromString(name); level == hclog.NoLevel {
		level = hclog.Info
	}
	for k, v := range fields {
		if !strings.HasPrefix(k, "@") {
			facts = append(facts, k, v)
		}
	}
	return level, message, facts
}

// stderrLog keeps a worker's last lines, and the one that begins a dump: a stack of every goroutine may be longer than
// what is kept, and the reason stands before it.
type stderrLog struct {
	mu     sync.Mutex
	lines  []string
	size   int
	total  int
	reason string // "": none, or still among lines
	at     int    // how many lines later it leaves lines; 0: there is none
}

// dumps begin the lines with which runtimes announce their last words.
var dumps = []string{"fatal error: ", "panic: ", "runtime: out of memory", "Fatal Python error: ", "Traceback (most recent call last)"}

func (l *stderrLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.total++
	l.size += len(line) + 1
	if l.at == 0 && slices.ContainsFunc(dumps, func(d string) bool { return strings.HasPrefix(line, d) }) {
		l.at = len(l.lines)
	}
	for len(l.lines) > 1 && (len(l.lines) > lastLines || l.size > lastBytes) {
		if l.at > 0 {
			if l.at--; l.at == 0 && l.reason == "" {
				l.reason = l.lines[0]
			}
		}
		l.size -= len(l.lines[0]) + 1
		l.lines = l.lines[1:]
	}
}

// count is how many lines there have been.
func (l *stderrLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func (l *stderrLog) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == "" {
		return slices.Clone(l.lines)
	}
	return append([]string{l.reason, "…"}, l.lines...)
}

// limiter lets rate bytes a second through and counts the others. One goroutine uses it.
type limiter struct {
	window time.Time // when this second began
	used   int
	lost   int
}

func (l *limiter) allow(n int) (allowed bool, lost int) {
	if now := time.Now(); now.Sub(l.window) >= time.Second {
		l.window, l.used = now, 0
	}
	if l.used >= rate {
		l.lost += n
		return false, 0
	}
	l.used += n
	lost, l.lost = l.lost, 0
	return true, lost
}
