//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// master is the process that all of this is about.
type master struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	mark    string // what its environment has, and that of all its descendants
	reading sync.WaitGroup
	mute    atomic.Bool // its stdout has ended

	mu      sync.Mutex // guards what follows
	summary string     // its last words about the tasks
	readErr error
}

// result is one line of its stdout.
type result struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
	Kind  string          `json:"kind"`

	Worker string    `json:"worker"`
	At     time.Time `json:"at"`
}

// startMaster starts "master run", or the embedder, with this program as its worker. Each result is given to heard, on
// one goroutine; its stderr is copied to log.
func startMaster(c *config, ledger string, log io.Writer, heard func(result)) (*master, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words := []string{"run", "-o", "json", "-j", strconv.Itoa(c.workers), "--timeout", c.timeout.String(), "--grace", "5s"}
	if c.retries > 0 {
		words = append(words, "--retries", strconv.Itoa(c.retries))
	}
	words = append(words, "--", self, workerVerb)
	if c.mode == cancels {
		words = []string{strconv.Itoa(c.workers), c.timeout.String(), strconv.Itoa(c.retries), self, workerVerb}
	}
	m := &master{mark: fmt.Sprintf("CHAOS_MARK=%d-%d", os.Getpid(), time.Now().UnixNano())}
	m.cmd = exec.Command(c.master, words...)
	m.cmd.Env = append(os.Environ(), m.mark, "EVIL_LEDGER="+ledger)
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the master: %w", err)
	}
	m.reading.Go(func() { m.results(stdout, heard) })
	m.reading.Go(func() { m.words(stderr, log) })
	return m, nil
}

func (m *master) pid() int { return m.cmd.Process.Pid }

func (m *master) results(stdout io.Reader, heard func(result)) {
	defer m.mute.Store(true)
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 { //nolint:errorlint // what ReadBytes itself returns
			return
		}
		var r result
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		if err != nil {
			m.mu.Lock()
			m.readErr = fmt.Errorf("the master's stdout has %.200q: %w", line, err)
			m.mu.Unlock()
			_, _ = io.Copy(io.Discard, lines)
			return
		}
		heard(r)
	}
}

func (m *master) words(stderr io.Reader, log io.Writer) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(log, line)
		if summaryLine.MatchString(line) {
			m.mu.Lock()
			m.summary = line
			m.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

var (
	summaryLine = regexp.MustCompile(`^master: [\d ]+ tasks?: `)
	count       = regexp.MustCompile(`(\d[\d ]*) (tasks?|done|failed|not started)\b`)
)

// counts reads the summary.
func counts(summary string) map[string]int {
	found := map[string]int{}
	for _, m := range count.FindAllStringSubmatch(summary, -1) {
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], " ", ""))
		if err == nil {
			found[strings.TrimSuffix(m[2], "s")] = n
		}
	}
	return found
}

// wait waits for its end, but not for ever: then it has to say where it hangs.
func (m *master) wait(most time.Duration) error {
	ended := make(chan error, 1)
	go func() {
		m.reading.Wait()
		ended <- m.cmd.Wait()
	}()
	for _, sig := range []syscall.Signal{0, syscall.SIGQUIT, syscall.SIGKILL} {
		if sig != 0 {
			_ = m.cmd.Process.Signal(sig)
		}
		select {
		case err := <-ended:
			if sig != 0 {
				return fmt.Errorf("the master did not end in %v", most)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.readErr != nil {
				return m.readErr
			}
			return err
		case <-time.After(most):
		}
	}
	return errors.New("the master cannot be killed")
}
