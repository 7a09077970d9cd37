package pool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"fandango/internal/proc"
	"fandango/ipc"
)

// NewExec makes a pool that keeps no workers: it starts the command once per task, up to Workers at a time. A task's
// target must be a string, which stands for {} in the words of the command; {/} is its last path element and {.} is it
// without its extension; without any of them it is added as the last word. Nothing is ever given to a shell.
//
// A process that exits 0 has its stdout as value: a string, or bytes where it is not UTF-8. Another exit code is an error
// of kind task with the code, and with the last lines of stderr, in its Exit; its message ends with the last one, of stdout
// when stderr has none. A signal is an error of kind crash.
func NewExec(cfg Config) (*Pool, error) {
	p, err := New(cfg)
	if err != nil {
		return nil, err
	}
	p.exec = true
	return p, nil
}

// execLoop is the life of a slot that starts one process per task.
func (s *slot) execLoop() {
	p := s.pool
	w := newWorker(s, nil)
	w.copies = make([]byte, 32<<10)
	p.mu.Lock()
	w.ready, w.open, p.ready = true, p.phase == running, true
	s.worker, s.state, s.since = w, StateReady, time.Now()
	w.fill()
	w.hold()
	p.mu.Unlock()
	for {
		c := w.nextExec()
		if c != nil {
			w.exec(c)
			continue
		}
		select {
		case <-w.feed:
			continue
		case <-p.draining:
		case <-s.dropped:
		}
		w.shut()
		if c = w.nextExec(); c == nil { // else it was given in the last moment, and still runs
			s.enter(nil, StateStopped)
			return
		}
		w.exec(c)
	}
}

// nextExec is the call that the slot has been given; nil: none.
func (w *worker) nextExec() *call {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.head()
}

// startExec starts the process of a call. While the system has no room for one more, because there are too many processes or
// files, the call waits for its turn; but not for ever where the pool has started none for long and none runs.
func (w *worker) startExec(c *call, command []string) (*proc.Process, error) {
	p := w.pool
	pause := time.NewTimer(0)
	defer pause.Stop()
	for began, next := time.Now(), leastPause; ; next = min(2*next, mostPause) {
		process, err := p.spawner.Start(p.cfg.spec(command, w.slot.name))
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			w.process, w.begun = process, time.Now()
			w.slot.starts++
			c.written = true
			w.beginHead()
			return process, nil
		}
		if !noRoom(err) || time.Since(began) > roomTime && p.stuck() {
			return nil, ipc.Errorf(ipc.KindNoWorker, "%w", err)
		}
		if next == leastPause {
			p.cfg.Log.Warn("no room for a process; it waits", "worker", w.slot.name, "err", err)
		}
		for pause.Reset(next); ; {
			select {
			case <-pause.C:
			case <-w.poked:
				if !w.overdue() {
					continue
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				return nil, c.fate()
			case <-p.draining:
				return nil, ipc.Errorf(ipc.KindClosed, "%s ended before it ran", p.cfg.Name)
			}
			break
		}
	}
}

// How long a call waits for room: from one try to the next, and in all, when nothing happens that could make some.
const (
	leastPause = 25 * time.Millisecond
	mostPause  = 200 * time.Millisecond
	roomTime   = 5 * time.Second
)

// noRoom reports whether a start failed by what others have taken. EBADF is what a child meets that moves its pipes to
// where the limit of descriptors is.
func noRoom(err error) bool {
	return slices.ContainsFunc([]error{syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EBADF}, func(why error) bool {
		return errors.Is(err, why)
	})
}

// stuck reports whether no process of a task runs, and none has begun for long.
func (p *Pool) stuck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.slots, func(s *slot) bool {
		return s.worker != nil && (s.worker.process != nil || time.Since(s.worker.begun) < roomTime)
	})
}

// exec runs one task in a process of its own.
func (w *worker) exec(c *call) {
	p := w.pool
	o := ipc.Outcome{Worker: w.slot.name, Attempts: int(c.attempts), Queued: c.waited()}
	command, err := fill(p.cfg.Command, c.target)
	if err != nil {
		o.Err = ipc.Errorf(ipc.KindInput, "key %q: %w", c.key, err)
		w.after(c, o)
		return
	}
	if err := p.crowded(); err != nil {
		o.Err = err
		w.after(c, o)
		return
	}
	process, err := w.startExec(c, command)
	if err != nil {
		o.Err = err
		w.after(c, o)
		return
	}
	o.Attempts, o.Queued = int(c.attempts), c.begun.since(c.queued)
	_ = process.Stdin.Close()

	out := &bounded{most: p.cfg.Limits.Size, rest: process.Kill}
	w.stderr = stderrLog{}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.CopyBuffer(out, process.Stdout, w.copies) })
	reading.Go(w.listen)
	aborted := p.aborted
	graceOver := p.graceOver
	var survives <-chan time.Time
	undead := false
	for running := true; running; {
		select {
		case <-process.Exited():
			running = false
		case <-w.poked:
			if w.overdue() {
				process.Kill()
				if survives == nil {
					survives = time.After(killTime)
				}
			}
		case <-survives:
			running, undead = false, true
		case <-graceOver:
			graceOver = nil
			w.condemn(ipc.Errorf(ipc.KindClosed, "%s ended while it ran, and it did not finish in the grace", p.cfg.Name))
		case <-aborted:
			aborted = nil
			survives = time.After(abortGrace)
			w.condemn(ipc.Errorf(ipc.KindClosed, "%s was stopped while it ran", p.cfg.Name))
		}
	}
	process.Kill() // what is left of its group, so that the end of its output comes
	past := time.Now()
	process.Stdout.Hurry(true)
	_ = process.Stderr.SetReadDeadline(past)
	reading.Wait()
	var exit ipc.Exit
	if undead {
		exit = w.abandon()
	} else {
		exit = exitOf(process.Reap(), &w.stderr)
	}

	p.mu.Lock()
	fate := c.fate()
	w.process = nil
	again := c.state == callRunning && int(c.attempts) <= c.limits().retries && (fate != nil && fate.Kind == ipc.KindTimeout || fate == nil && exit.Signal != 0)
	if again {
		c.endRun()
	}
	p.mu.Unlock()
	if again && p.requeue(c, false) == nil {
		w.after(nil, ipc.Outcome{})
		return
	}
	o.Ran = p.now().since(c.begun)
	switch {
	case fate != nil:
		o.Err = verdict(fate, nil, &exit)
	case out.over:
		o.Err = &ipc.Error{Kind: ipc.KindProtocol, Message: fmt.Sprintf("it wrote more than %d bytes to stdout and was ended", out.most), Exit: &exit}
	case exit.Signal != 0:
		o.Err = &ipc.Error{Kind: ipc.KindCrash, Message: fmt.Sprintf("it died (%s)", &exit), Exit: &exit}
	case exit.Code != 0:
		o.Err = &ipc.Error{Kind: ipc.KindTask, Message: exit.String() + cmp.Or(lastWords(exit.Stderr), lastWords(out.lines())), Exit: &exit}
	default:
		o.Value, o.Err = out.value()
	}
	w.after(c, o)
}

// after finishes c, when it is not nil, and makes room for the next call.
func (w *worker) after(c *call, o ipc.Outcome) {
	p := w.pool
	p.mu.Lock()
	if c != nil {
		c.state = callFinished
	}
	w.drop(w.head())
	w.release() // execLoop looks itself for what there is to do
	p.mu.Unlock()
	if c != nil {
		c.finish(o)
	}
}

func lastWords(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimSpace(line); line != "" {
			return ": " + line
		}
	}
	return ""
}

// fill puts a task's target into the words of a command.
func fill(command []string, target ipc.Raw) ([]string, error) {
	text, ok := target.Text()
	if !ok {
		var b []byte
		if target.Decode(&b) != nil {
			return nil, errors.New("its target must be a string: it stands for {} in the command")
		}
		text = string(b)
	}
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("its target has a NUL in it, which no command line can hold")
	}
	base := filepath.Base(text)
	stem := strings.TrimSuffix(text, filepath.Ext(text))
	places := strings.NewReplacer("{}", text, "{/}", base, "{.}", stem)
	words, filled := make([]string, len(command), len(command)+1), false
	words[0] = command[0] // what runs is the caller's choice alone
	for i, word := range command[1:] {
		words[i+1] = places.Replace(word)
		filled = filled || words[i+1] != word || strings.Contains(word, "{}")
	}
	if !filled {
		words = append(words, text)
	}
	return words, nil
}

// bounded keeps what a process writes, up to a limit; over it, it calls rest once and keeps nothing more.
type bounded struct {
	buf  bytes.Buffer
	most int
	over bool
	rest func()
}

func (b *bounded) Write(p []byte) (int, error) {
	switch {
	case b.over:
	case b.buf.Len()+len(p) > b.most:
		b.over = true
		b.rest()
	default:
		b.buf.Write(p)
	}
	return len(p), nil
}

// lines are the last ones of what it keeps.
func (b *bounded) lines() []string {
	out := b.buf.Bytes()
	return strings.Split(string(out[max(0, len(out)-8<<10):]), "\n")
}

func (b *bounded) value() (ipc.Raw, error) {
	out := b.buf.Bytes()
	if utf8.Valid(out) {
		return ipc.Encode(string(out))
	}
	return ipc.Encode(out)
}
