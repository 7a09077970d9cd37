//go:build linux

package proc_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"fandango/internal/proc"
	"fandango/internal/proctest"
)

// reading reads once, beside its caller.
func reading(o *proc.Output) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := o.Read(make([]byte, 64))
		done <- err
	}()
	return done
}

// TestAHurryEndsAWait: whether it comes before the read or meanwhile; and after it, a read waits as before.
func TestAHurryEndsAWait(t *testing.T) {
	p := mustStart(t, spawner(t), proctest.Command("cat"))
	for range 200 {
		done := reading(p.Stdout)
		p.Stdout.Hurry(true)
		p.Stdout.Hurry(true)
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a read in a hurry: %v", err)
		}
		p.Stdout.Hurry(false)
		done = reading(p.Stdout)
		if _, err := p.Stdin.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatalf("a read with time to wait: %v", err)
		}
	}
	if _, err := p.Stdin.WriteString("last"); err != nil {
		t.Fatal(err)
	}
	_ = p.Stdin.Close()
	<-p.Exited()
	p.Stdout.Hurry(true)
	if b, err := io.ReadAll(p.Stdout); string(b) != "last" || err != nil {
		t.Errorf("in a hurry, what is there is %q, %v", b, err)
	}
	p.Reap()
}

// TestWhatIsReadFollowsWhatWasWritten: who has the answer may change what he has sent. The race detector has to know it, in
// any program that has it watch.
func TestWhatIsReadFollowsWhatWasWritten(t *testing.T) {
	p := mustStart(t, spawner(t), proctest.Command("cat"))
	b := []byte("sent")
	for _, write := range []func(f *os.File, b []byte) (int, error){proc.WriteNow, (*os.File).Write} {
		go func() { _, _ = write(p.Stdin, bytes.Clone(b)) }()
		if n, err := p.Stdout.Read(make([]byte, 64)); n != len(b) || err != nil {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		b[0]++
	}
	p.Kill()
	p.Reap()
}

func TestACloseEndsAWait(t *testing.T) {
	s := spawner(t)
	for range 20 {
		p := mustStart(t, s, proctest.Command("cat"))
		done := reading(p.Stdout)
		_ = p.Stdout.Close()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Errorf("a read of what is closed: %v", err)
		}
		p.Stdout.Hurry(true) // touches no descriptor that is somebody else's by now
		if _, err := p.Stdout.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a later read: %v", err)
		}
		p.Kill()
		p.Reap() // closes it again
	}
}

// TestSilentProcessesCostNoThread: who reads what they write waits for a bell in the runtime's poller, and not in the system.
func TestSilentProcessesCostNoThread(t *testing.T) {
	const processes = 20
	s := spawner(t)
	for range processes {
		p := mustStart(t, s, proctest.Command("cat"))
		done := reading(p.Stdout)
		t.Cleanup(func() {
			p.Kill()
			<-done
			p.Reap()
		})
	}
	for bells := 0; bells < processes; runtime.Gosched() { // as many as are on; the test's timeout ends this
		files, _ := filepath.Glob("/proc/self/fdinfo/*")
		bells = 0
		for _, name := range files {
			if b, _ := os.ReadFile(name); bytes.Contains(b, []byte(" events:       19 ")) {
				bells++
			}
		}
	}
}
