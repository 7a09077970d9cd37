//go:build linux

package proc_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proc"
	"fandango/internal/proctest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == proc.SweepVerb {
		proc.Sweep(os.Stdin, os.Args[2])
		return
	}
	proctest.Main(m, map[string]func([]string){
		"master":   playMaster,
		"setsid":   playSetsid,
		"appetite": playAppetite,
		"cat":      func([]string) { _, _ = io.Copy(os.Stdout, os.Stdin) },
		"info": func([]string) {
			fds, _ := filepath.Glob("/proc/self/fd/*")
			open := []string{}
			for _, fd := range fds {
				to, err := os.Readlink(fd)
				// Not inherited: the listing itself, Go's poller, and the cgroup files from which Go takes GOMAXPROCS.
				own := strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "anon_inode") || strings.HasPrefix(to, "/sys/fs/cgroup/")
				if err == nil && !own {
					open = append(open, filepath.Base(fd))
				}
			}
			sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
			fmt.Printf("fds %v session-leader %v env %v\n", open, int(sid) == os.Getpid(), os.Getenv("X") == "1")
			status, _ := os.ReadFile("/proc/self/status")
			_, _ = os.Stdout.Write(status)
		},
		"family": func([]string) {
			attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}}
			if _, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, attr); err != nil {
				panic(err)
			}
			fmt.Println("ready")
			for { // select {} alone is a deadlock, which Go ends
				<-time.After(time.Hour)
			}
		},
	})
}

func spawner(t *testing.T) *proc.Spawner {
	t.Helper()
	proctest.NoLeftovers(t)
	s, stop := proc.NewSpawner(2), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(stop) })
	t.Cleanup(func() { close(stop); wg.Wait() })
	return s
}

func mustStart(t *testing.T, s *proc.Spawner, command []string) *proc.Process {
	t.Helper()
	p, err := s.Start(proc.Spec{Command: command, Env: append(os.Environ(), "X=1")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChildHasThreeDescriptorsAndASessionOfItsOwn(t *testing.T) { // O30, O32, O33
	if err := proc.SealDescriptors(); err != nil { // go test may have inherited some itself
		t.Fatal(err)
	}
	p := mustStart(t, spawner(t), proctest.Command("info"))
	first, err := bufio.NewReader(p.Stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if want := "fds [0 1 2] session-leader true env true\n"; first != want {
		t.Errorf("child says %q, want %q", first, want)
	}
	if exit := p.Reap(); exit.Code != 0 || exit.Signal != 0 || exit.MaxRSS == 0 {
		t.Errorf("exit = %+v", exit)
	}
}

func TestExitIsSeenBeforeItIsReaped(t *testing.T) {
	p := mustStart(t, spawner(t), []string{"/bin/sh", "-c", "echo last; exit 7"})
	<-p.Exited()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil || !strings.Contains(string(stat), ") Z ") {
		t.Errorf("after Exited it is %q, %v; want a zombie that keeps its number", stat, err)
	}
	if b, err := io.ReadAll(p.Stdout); string(b) != "last\n" || err != nil {
		t.Errorf("its stdout is %q, %v", b, err)
	}
	if exit := p.Reap(); exit.Code != 7 {
		t.Errorf("exit = %+v, want code 7", exit)
	}
	p.Kill() // nobody is hit
}

func TestReapTakesTheGroupAlong(t *testing.T) { // O21, O27
	p := mustStart(t, spawner(t), proctest.Command("family"))
	if _, err := bufio.NewReader(p.Stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Kill() // reaches a stopped group
	if exit := p.Reap(); exit.Signal != 9 || exit.Name != "SIGKILL" || exit.Code != -1 {
		t.Errorf("exit = %+v, want signal 9", exit)
	}
}

// TestThreadsThatEndTakeNoChild holds O29: a parent-death signal comes when the thread that started the child ends.
func TestThreadsThatEndTakeNoChild(t *testing.T) {
	p := mustStart(t, spawner(t), proctest.Command("cat"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { runtime.LockOSThread() }) // ends its thread
	}
	wg.Wait()
	if _, err := p.Stdin.WriteString("still here\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(p.Stdout).ReadString('\n'); line != "still here\n" {
		t.Errorf("child answers %q, %v", line, err)
	}
	_ = p.Stdin.Close()
	if exit := p.Reap(); exit.Code != 0 {
		t.Errorf("exit = %+v", exit)
	}
}

func TestUnreadAndReadNow(t *testing.T) {
	p := mustStart(t, spawner(t), []string{"/bin/sh", "-c", "head -c 4; exec sleep 300"})
	if _, err := p.Stdin.WriteString("12345678"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, err := io.ReadAtLeast(p.Stdout, b, 4); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if n, ok := p.Unread(); n != 4 || !ok {
		t.Errorf("Unread = %d, %v; want 4", n, ok)
	}
	if n, err := p.Stdout.ReadNow(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadNow = %d, %v; want nothing there", n, err)
	}
	p.Kill()
	if rest, err := io.ReadAll(p.Stdout); len(rest) > 0 || err != nil {
		t.Errorf("its stdout ends with %q, %v", rest, err)
	}
	if n, err := p.Stdout.ReadNow(b); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadNow = %d, %v; want EOF", n, err)
	}
	p.Reap()
}

func TestStartErrorsSayWhy(t *testing.T) { // O01, O02, O03, O04
	s, dir := spawner(t), t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ command, says string }{
		{filepath.Join(dir, "none"), "no such file"},
		{dir, "permission denied"},
		{script("plain", "#!/bin/sh\n", 0o644), "permission denied"},
		{script("elf", "\x7fELF\x02\x01\x01", 0o755), "it is no program for this machine"},
		{script("bare", "exit\n", 0o755), "or a script without a first line like #!/bin/sh"},
		{script("missing", "#!/no/such/interpreter -x\n", 0o755), `its interpreter "/no/such/interpreter -x" is not there`},
		{script("crlf", "#!/bin/sh\r\nexit\r\n", 0o755), "carriage return"},
	} {
		_, err := s.Start(proc.Spec{Command: []string{c.command}})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Start(%s) = %v, want %q in it", c.command, err, c.says)
		}
	}
}

// TestAMissingDirectoryIsNoMissingInterpreter: a script that was started in a directory that is not there was said to have
// no interpreter.
func TestAMissingDirectoryIsNoMissingInterpreter(t *testing.T) {
	s, dir := spawner(t), t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh -e\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for in, says := range map[string]string{
		filepath.Join(dir, "none"): "its working directory: stat " + filepath.Join(dir, "none") + ": no such file",
		script:                     "its working directory " + script + " is none",
	} {
		_, err := s.Start(proc.Spec{Command: []string{script}, Dir: in})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Start in %s = %v, want %q in it", in, err, says)
		}
	}
}

// TestAProgramThatMovesIsFoundAgain: where it was found is kept for a second, but nobody is to notice.
func TestAProgramThatMovesIsFoundAgain(t *testing.T) {
	s, first, second := spawner(t), t.TempDir(), t.TempDir()
	t.Setenv("PATH", first+string(os.PathListSeparator)+second)
	start := func() (int, error) {
		p, err := s.Start(proc.Spec{Command: []string{"moving"}})
		if err != nil {
			return 0, err
		}
		return p.Reap().Code, nil
	}
	write := func(dir, script string) {
		if err := os.WriteFile(filepath.Join(dir, "moving"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(first, "#!/bin/sh\nexit 1\n")
	for range 2 {
		if code, err := start(); code != 1 || err != nil {
			t.Fatalf("exit code %d, %v; want 1", code, err)
		}
	}
	if err := os.Rename(filepath.Join(first, "moving"), filepath.Join(second, "moving")); err != nil {
		t.Fatal(err)
	}
	if code, err := start(); code != 1 || err != nil {
		t.Errorf("moved: exit code %d, %v; want 1", code, err)
	}
	if err := os.Remove(filepath.Join(second, "moving")); err != nil {
		t.Fatal(err)
	}
	if _, err := start(); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("removed: %v, want that it is not there", err)
	}
	write(first, "#!/bin/sh\nexit 2\n")
	if code, err := start(); code != 2 || err != nil {
		t.Errorf("back: exit code %d, %v; want 2", code, err)
	}
	write(second, "#!/bin/sh\nexit 3\n")
	t.Setenv("PATH", second)
	if code, err := start(); code != 3 || err != nil {
		t.Errorf("in another PATH: exit code %d, %v; want 3", code, err)
	}
}

func TestFailedStartLeaksNothing(t *testing.T) { // O08
	s := spawner(t)
	before, _ := os.ReadDir("/proc/self/fd")
	for range 100 {
		if _, err := s.Start(proc.Spec{Command: []string{"/no/such/program"}}); err == nil {
			t.Fatal("it started")
		}
	}
	if after, _ := os.ReadDir("/proc/self/fd"); len(after) > len(before) {
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
}

func TestStartAfterTheEnd(t *testing.T) {
	s, stop := proc.NewSpawner(2), make(chan struct{})
	close(stop)
	s.Run(stop)
	if _, err := s.Start(proc.Spec{Command: []string{"/bin/true"}}); !errors.Is(err, proc.ErrSpawnerEnded) {
		t.Errorf("Start = %v, want ErrSpawnerEnded", err)
	}
}

func TestPeakRSS(t *testing.T) {
	before, ok := proc.PeakRSS()
	if !ok || before < 1<<20 || before > 1<<40 {
		t.Fatalf("PeakRSS = %d, %v", before, ok)
	}
	touched := make([]byte, before+32<<20) // more than it ever had: what a test before this one has freed is used again
	for i := 0; i < len(touched); i += 4096 {
		touched[i] = 1
	}
	if after, _ := proc.PeakRSS(); after < int64(len(touched)) {
		t.Errorf("PeakRSS = %d after %d more bytes were touched; it was %d", after, len(touched), before)
	}
	runtime.KeepAlive(touched)
}

// TestWidenedPipesAreBounded: large traffic gets wide pipes, many processes at once do not, and an end gives back.
func TestWidenedPipesAreBounded(t *testing.T) {
	s := spawner(t)
	var all []*proc.Process
	wide := 0
	for range 12 { // 24 pipes
		p := mustStart(t, s, proctest.Command("cat"))
		all = append(all, p)
		if bytes, ok := p.Widen(); ok {
			wide++
			if bytes != 1<<20 {
				t.Errorf("%d bytes", bytes)
			}
			one := make([]byte, bytes) // it takes that at once, and nobody need read
			if n, err := proc.WriteNow(p.Stdin, one); err != nil || n != len(one) {
				t.Errorf("wrote %d of %d: %v", n, len(one), err)
			}
		}
	}
	if wide == 0 {
		t.Skip("the system allows no wide pipes here")
	}
	if wide > 8 {
		t.Errorf("%d processes have wide pipes", wide)
	}
	for _, p := range all {
		p.Kill()
		p.Reap()
	}
	p := mustStart(t, s, proctest.Command("cat"))
	if _, ok := p.Widen(); !ok {
		t.Error("the pipes of processes that have ended still count")
	}
	p.Kill()
	p.Reap()
}
