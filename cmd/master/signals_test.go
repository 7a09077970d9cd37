//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running master whose words can be waited for.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     *lines
	err     *lines
	readAll sync.WaitGroup
}

// lines collects what a process writes, and wakes who waits for it.
type lines struct {
	mu   sync.Mutex
	more sync.Cond
	all  []string
	end  bool
}

func (l *lines) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		l.mu.Lock()
		if line != "" {
			l.all = append(l.all, line)
		}
		l.end = err != nil
		l.mu.Unlock()
		l.more.Broadcast()
		if err != nil {
			return
		}
	}
}

// await waits until n lines have contained text.
func (l *lines) await(t *testing.T, text string, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.count(text) < n {
		if l.end {
			t.Fatalf("%d lines with %q, want %d, in:\n%s", l.count(text), text, n, strings.Join(l.all, ""))
		}
		l.more.Wait()
	}
}

// count needs l.mu, or the end.
func (l *lines) count(text string) int {
	n := 0
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "")
}

// heedSignals sees to it that a master can be signalled though these tests were begun with signals ignored, by nohup or
// by the & of a script: a child inherits what is ignored, but not what is handled.
var heedSignals = sync.OnceFunc(func() {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
})

func prepare(t *testing.T, args ...string) *process {
	t.Helper()
	heedSignals()
	p := &process{t: t, cmd: exec.Command("master", args...), out: &lines{}, err: &lines{}}
	p.out.more.L, p.err.more.L = &p.out.mu, &p.err.mu
	return p
}

// start starts it with some text on a stdin that stays open.
func (p *process) start(stdin string) {
	p.t.Helper()
	in, err := p.cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.cmd.Stderr == nil {
		stderr, err := p.cmd.StderrPipe()
		if err != nil {
			p.t.Fatal(err)
		}
		p.readAll.Go(func() { p.err.read(stderr) })
	}
	if p.cmd.Stdout == nil {
		stdout, err := p.cmd.StdoutPipe()
		if err != nil {
			p.t.Fatal(err)
		}
		p.readAll.Go(func() { p.out.read(stdout) })
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	if _, err := io.WriteString(in, stdin); err != nil {
		p.t.Fatal(err)
	}
}

func startMaster(t *testing.T, stdin string, args ...string) *process {
	t.Helper()
	p := prepare(t, args...)
	p.start(stdin)
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end, and checks the exit code and what stderr must hold.
func (p *process) exit(code int, words ...string) {
	p.t.Helper()
	p.readAll.Wait()
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d; stderr:\n%s", got, code, p.err)
	}
	for _, w := range words {
		if !strings.Contains(p.err.String(), w) {
			p.t.Errorf("stderr has no %q:\n%s", w, p.err)
		}
	}
}

var oneOdd = []string{"run", "-v", "-j", "1", "--wire", "json", "-", "--", "oddworker"}

// M07: once, what runs may finish; twice, or TERM and its grace, it is killed. The codes are those of the README.

func TestCtrlCOnceLetsTheRunningTaskFinish(t *testing.T) {
	t.Parallel()
	fifo := t.TempDir() + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	p := startMaster(t, "a: read "+fifo+"\nb: last 1\nc: last 2\n", oneOdd...)
	p.err.await(t, "reading", 1) // and stdin stays open: its end is not waited for
	p.signal(syscall.SIGINT)
	p.err.await(t, "stopping", 1)
	if err := os.WriteFile(fifo, []byte("read "), 0o600); err != nil {
		t.Fatal(err)
	}
	p.exit(exitInterrupt, "master: stopping: 1 running task will finish (Ctrl-C again to kill it)\n",
		"master: 3 tasks: 1 done, 2 not started in ")
	if got := p.out.String(); got != "a\tread <nil>\n" {
		t.Errorf("stdout %q", got)
	}
}

// TestCtrlCPrintsWhatWasMeasured is "master bench" that would go on for hours.
func TestCtrlCPrintsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	p := startMaster(t, "", "bench", "-v", "-n", "1000000000", "-j", "1")
	p.err.await(t, "worker ready", 1)
	for asked := 1; !strings.Contains(p.err.String(), " left\n"); asked++ {
		p.signal(syscall.SIGUSR1)
		p.err.await(t, "master:  ", asked)
	}
	p.signal(syscall.SIGINT)
	p.exit(exitInterrupt, "master:  starting\n", "/1 000 000 000   ")
	for _, row := range []string{"mode\tpipelined\n", "failed\t0\n", "\nrate\t", "\np99\t", "\n< "} {
		if !strings.Contains(p.out.String(), row) {
			t.Errorf("stdout has no %q:\n%s", row, p.out)
		}
	}
}

func TestCtrlCTwiceKills(t *testing.T) {
	t.Parallel()
	p := startMaster(t, "a: hang\nb: last 1\n", oneOdd...)
	p.err.await(t, "hanging", 1)
	p.signal(syscall.SIGINT)
	p.err.await(t, "stopping", 1)
	p.signal(syscall.SIGINT)
	p.exit(exitInterrupt, "master: FAILED a: ", "master: 2 tasks: 1 failed, 1 not started in ")
}

func TestTermKillsAfterTheGrace(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		p := startMaster(t, "a: hang\nb: last 1\n", append([]string{"run", "--grace", "50ms"}, oneOdd[1:]...)...)
		p.err.await(t, "hanging", 1)
		p.signal(s)
		p.exit(exitTerm, "may finish within 50 ms", "master: 2 tasks: 1 failed, 1 not started in ")
	}
}

func TestCtrlCWhileThereIsNothingToDo(t *testing.T) {
	t.Parallel()
	p := startMaster(t, "last 1\n", oneOdd...)
	p.out.await(t, "last 1", 1)
	p.signal(syscall.SIGINT)
	p.exit(exitInterrupt, "master: 1 task: 1 done in ")
}

// M10: a master that was stopped longer than a timeout does not take its workers for hung, for it cannot know what they
// could do meanwhile: each has its whole time again, and no more.
func TestM10AStoppedMasterTakesNobodyForHung(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	dir := t.TempDir()
	input, fifos := []string{"hung: hang\n"}, []string{dir + "/1", dir + "/2", dir + "/3"}
	for i, fifo := range fifos {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Skip(err)
		}
		input = append(input, fmt.Sprintf("k%d: read %s\n", i, fifo))
	}
	p := startMaster(t, strings.Join(input, ""), "run", "-v", "-j", "4", "--timeout", timeout.String(), "--wire", "json", "-", "--", "oddworker")
	p.err.await(t, "reading", len(fifos))
	p.err.await(t, "hanging", 1)
	p.signal(syscall.SIGSTOP)
	<-time.After(timeout + 2*time.Second)
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGUSR1)
	p.err.await(t, " running", 1)
	<-time.After(timeout / 6) // whom it took for hung would have been killed
	for _, fifo := range fifos {
		f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatalf("the worker that reads it is gone: %v; stderr:\n%s", err, p.err)
		}
		if _, err := f.WriteString("late"); err != nil {
			t.Error(err)
		}
		_ = f.Close()
	}
	p.err.await(t, "FAILED hung: no answer after 3s", 1)
	p.signal(syscall.SIGINT)
	p.exit(exitInterrupt, "master: 4 tasks: 3 done, 1 failed in ")
}

// M10, of the grace: what it stops in does not count, for the workers may have been stopped with it.
func TestM10AStoppedMasterGivesTheWholeGrace(t *testing.T) {
	t.Parallel()
	const grace = 3 * time.Second
	fifo := t.TempDir() + "/1"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	p := startMaster(t, fmt.Sprintf("k: read %s\n", fifo), "run", "-v", "-j", "1", "--grace", grace.String(), "--wire", "json", "-", "--", "oddworker")
	p.err.await(t, "reading", 1)
	p.signal(syscall.SIGTERM)
	p.err.await(t, "stopping", 1)
	p.signal(syscall.SIGSTOP)
	<-time.After(grace + 2*time.Second)
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGUSR1)
	p.err.await(t, " running", 1)
	<-time.After(grace / 6)
	f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("the worker that reads it is gone: %v; stderr:\n%s", err, p.err)
	}
	if _, err := f.WriteString("late"); err != nil {
		t.Error(err)
	}
	_ = f.Close()
	p.exit(exitTerm, "master: 1 task: 1 done in ")
}

func TestUSR1ShowsProgress(t *testing.T) {
	t.Parallel()
	p := startMaster(t, "a: last 1\nb: hang\n", oneOdd...)
	p.out.await(t, "a", 1)
	p.err.await(t, "hanging", 1)
	p.signal(syscall.SIGUSR1)
	p.err.await(t, "  1 done   1 running", 1)
	p.signal(syscall.SIGINT)
	p.err.await(t, "stopping", 1)
	p.signal(syscall.SIGTERM)
	p.exit(exitInterrupt)
}

func TestCtrlCTwiceEndsThoughNobodyReadsTheOutput(t *testing.T) {
	t.Parallel()
	r, full, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer full.Close()
	if err := full.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Skip(err)
	}
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	p := prepare(t, "run", "-v", "-j", "1", "-t", "echo")
	p.cmd.Stdout = full
	p.start("a\n")
	p.err.await(t, "worker ready", 1)
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGTERM) // not INT: two pending ones would be one
	p.readAll.Wait()
	_ = p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != exitInterrupt && code != exitTerm {
		t.Errorf("exit code %d", code)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	write := func(format string, args ...any) {
		if err := os.WriteFile(file, fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("worker odd -j 1 --wire json -- oddworker\nworker own -j 1\n" +
		"add a last 1 --every 20ms\nadd b add 2 3 --every 30ms -w own\nadd c nope --every 40ms\nadd once last x\n")
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startMaster(t, "", "serve", file)
		p.err.await(t, "master: 2 workers, 4 keys", 1)
		p.out.await(t, "a\t1\n", 3)
		p.out.await(t, "b\t5\n", 3)
		p.out.await(t, "once\tx\n", 1)
		p.err.await(t, "master: FAILED c: LookupError: no such target: nope\n", 2)
		p.signal(syscall.SIGUSR1)
		p.err.await(t, "2/2 workers   4 keys", 1)
		p.signal(s)
		p.exit(exitOK, "master: stopped after ")
		if strings.Contains(p.err.String(), "ended before it ran") {
			t.Errorf("the end is told as failures:\n%s", p.err)
		}
		if n := p.out.count("once"); n != 1 {
			t.Errorf("a key without --every had %d values", n)
		}
	}
	p := startMaster(t, "", "serve", "-q", "-o", "json", file)
	p.out.await(t, `{"key":"a","value":1,"ms":`, 2)
	p.out.await(t, `{"key":"c","error":"LookupError: no such target: nope","kind":"task","ms":`, 1)
	p.signal(syscall.SIGTERM)
	p.exit(exitOK)
	if got := p.err.String(); strings.Contains(got, "keys") || strings.Contains(got, "stopped") {
		t.Errorf("stderr with -q: %q", got)
	}
}

func TestServeTellsOfAValueThatHasExpired(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	if err := os.WriteFile(file, []byte("worker odd -j 1 --wire json -- oddworker\nadd k last 1 --expire 10ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startMaster(t, "", "serve", "-q", file)
	p.out.await(t, "k\t1\n", 1)
	p.err.await(t, ", and good for 10 ms\n", 1)
	p.signal(syscall.SIGUSR1)
	p.err.await(t, "1 key   1 expired   1 run ", 1)
	p.signal(syscall.SIGTERM)
	p.exit(exitOK, "master: EXPIRED k: its value is ")
}

func TestServeRunsCronLines(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	write := func(lines string) {
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const odd = "worker odd -j 1 --wire json -- oddworker\n"
	write(odd + "cron boot @reboot last 1\ncron second '* * * * * *' last 2\ncron far '0 0 29 2 *' last 3 --zone UTC\nadd k last 4\n")
	p := startMaster(t, "", "serve", file)
	p.err.await(t, "master: 1 worker, 1 key, 3 cron lines\n", 1)
	p.out.await(t, "boot\t1\n", 1)
	p.out.await(t, "second\t2\n", 2)

	// Read again, what has not changed goes on: @reboot does not run a second time.
	write(odd + "cron boot @reboot last 1\ncron second '* * * * * *' last 5\ncron new '@every 50ms' last 6\nadd k last 4\n")
	p.signal(syscall.SIGHUP)
	p.err.await(t, "lab.master was read again: added new; changed second; removed far\n", 1)
	p.out.await(t, "second\t5\n", 2)
	p.out.await(t, "new\t6\n", 3)
	write(odd + "cron boot '@reboot' last 1\ncron new '0 25 * * *' last 6\n")
	p.signal(syscall.SIGHUP)
	p.err.await(t, `lab.master:3: cron: cron line "0 25 * * *": hour "25": 25 is not between 0 and 23`, 1)
	p.err.await(t, "nothing has changed, because of what is wrong\n", 1)
	p.signal(syscall.SIGTERM)
	p.exit(exitOK)
	if boot, far := p.out.count("boot"), p.out.count("far"); boot != 1 || far != 0 {
		t.Errorf("@reboot ran %d times, what comes on a 29th of February %d times", boot, far)
	}
}

// M13: nobody reads stdout any more, and the end is one in order; nobody reads stderr, and it goes on.
func TestM13TheReaderOfAnOutputLeaves(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	text := "worker odd -j 2 --wire json -- oddworker\nadd a last 1 --every 20ms\nadd b say --every 20ms\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"stdout", "stderr"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := prepare(t, "serve", "-v", file)
		if output == "stdout" {
			p.cmd.Stdout = w
		} else {
			p.cmd.Stderr = w
		}
		p.start("")
		_ = w.Close()
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		if output == "stdout" {
			p.exit(exitPipe)
			continue
		}
		p.out.await(t, "a\t1\n", 50) // with lines for stderr between them
		p.signal(syscall.SIGTERM)
		p.exit(exitOK)
	}
}

// M13 of a batch: nobody reads stderr, and all results come; only a failure, which nobody would learn of, ends it.
func TestM13TheReaderOfABatchsWordsLeaves(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, "run", "-v", "-j", "2", "--wire", "json", "-", "--", "oddworker")
	p.cmd.Stderr = w
	p.start(strings.Repeat("a: say\nb: last 1\n", 50))
	_ = w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	p.out.await(t, "b\t1\n", 50)
	p.signal(syscall.SIGTERM)
	p.exit(exitTerm)
}

func TestServePausesAndKills(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	text := "worker odd -j 1 --wire json -- oddworker\nadd a last 1 --every 10ms\nadd b hang --every 10ms\npause 1h a\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startMaster(t, "", "serve", "-v", file)
	p.err.await(t, "hanging", 1)
	p.signal(syscall.SIGINT)
	p.err.await(t, "stopping: 1 running task may finish within 10 s (Ctrl-C again to kill it)", 1)
	p.signal(syscall.SIGINT)
	p.exit(exitInterrupt)
	if got := p.out.String(); got != "" {
		t.Errorf("a paused key ran: %q", got)
	}
}

func TestServeRecycles(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	text := "worker odd -j 1..2 --recycle-tasks 3 --window 1 --clean-env --wire json -- oddworker\nadd a last 1 --every 10ms\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startMaster(t, "", "serve", "-v", file)
	p.err.await(t, "worker is being renewed: worker=odd/1 why=tasks", 2)
	p.err.await(t, "worker retired: worker=odd/1 served=", 2)
	p.out.await(t, "a\t1\n", 10)
	p.signal(syscall.SIGTERM)
	p.exit(exitOK, " 0 failed")
	if got := p.err.String(); strings.Contains(got, "died") || strings.Contains(got, "was ended") {
		t.Errorf("a retirement is told as a fault:\n%s", got)
	}
}

// TestServeUnderNohupReadsItsFileAgain: nohup keeps a hang-up from ending what it starts. It does not end serve anyhow.
func TestServeUnderNohupReadsItsFileAgain(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	if err := os.WriteFile(file, []byte("worker odd -j 1 --wire json -- oddworker\nadd a last 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := prepare(t)
	p.cmd = exec.Command("sh", "-c", `trap "" HUP && exec master serve "$0"`, file)
	p.start("")
	p.out.await(t, "a\t1\n", 1)
	p.signal(syscall.SIGHUP)
	p.err.await(t, "lab.master was read again: nothing has changed\n", 1)
	p.signal(syscall.SIGTERM)
	p.exit(exitOK)
}

// M11: a file that cannot be read, or whose workers do not start, changes nothing, and the next HUP works.
func TestServeReadsItsFileAgain(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/lab.master"
	write := func(lines string) {
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const odd, own = "worker odd -j 1 --wire json -- oddworker\n", "worker own -j 1\n"
	write(odd + own + "add a last 1 --every 20ms\nadd b add 2 3 --every 20ms -w own\nadd c last 3 --every 20ms\n")
	p := startMaster(t, "", "serve", file)
	p.out.await(t, "a\t1\n", 2)
	p.out.await(t, "b\t5\n", 2)
	p.out.await(t, "c\t3\n", 2)
	again := func(lines, words string) {
		t.Helper()
		write(lines)
		p.signal(syscall.SIGHUP)
		p.err.await(t, words, 1)
	}

	again(odd+own+"add a last 1 --every 20ms\nadd b add 2 4 --every 20ms -w own\nadd d last 4 --every 20ms\n",
		"lab.master was read again: added d; changed b; removed c\n")
	p.out.await(t, "b\t6\n", 2)
	p.out.await(t, "d\t4\n", 2)

	// What is wrong changes nothing: a line, a program that is not there, one that does not start.
	again("add a last\nwroker x\n", `lab.master:2: no command "wroker"`)
	again("worker odd -- nosuchworker\nadd a last 1 --every 20ms\n", "worker nosuchworker: not found in PATH")
	again("worker odd -j 1 --wire json -- oddworker quits\nadd a last 1 --every 20ms\n", "reload of odd/1: it ended with exit code 7")
	again(odd+"worker more --start-timeout 50ms --wire json -j 1 -- oddworker mute\nadd a last 9 --every 20ms\n",
		"worker more: its workers do not start")
	p.err.await(t, "lab.master was read again; nothing has changed, because of what is wrong\n", 4)
	if strings.Contains(p.out.String(), "a\t9") {
		t.Error("a broken file has changed a key")
	}
	p.out.await(t, "a\t1\n", strings.Count(p.out.String(), "a\t1\n")+2)

	// A new command, another size, another option, a group less; the tasks go on.
	again("worker odd -j 2 --wire json -- oddworker more\nadd a last 1 --every 20ms\n",
		"was read again: group odd has a new command; group odd has 2 workers, 1 before; removed b, d; group own ended\n")
	again("worker odd -j 2 --timeout 5s --wire json -- oddworker more\nadd a last 2 --every 20ms\npause 1h a\n",
		"was read again: group odd started anew; changed a; other pauses\n")
	again("worker odd -j 2 --timeout 5s --wire json -- oddworker more\nadd a last 2 --every 20ms\n",
		"was read again: other pauses\n")
	p.out.await(t, "a\t2\n", 2)
	p.signal(syscall.SIGTERM)
	p.exit(exitOK, " 0 failed")
}
