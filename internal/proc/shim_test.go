//go:build linux

package proc_test

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proc"
	"fandango/internal/proctest"
)

// playAppetite takes more of something than it may have.
func playAppetite(args []string) {
	switch args[0] {
	case "limits":
		limits, _ := os.ReadFile("/proc/self/limits")
		status, _ := os.ReadFile("/proc/self/status")
		score, _ := os.ReadFile("/proc/self/oom_score_adj")
		fmt.Printf("%s%s%s", limits, status, score)
	case "memory":
		block := make([]byte, 8<<30)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
	case "cpu":
		for i := 0; ; i++ {
			_ = i
		}
	case "files":
		for {
			if _, err := os.Open("/dev/null"); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
}

// output runs a confined role to its end.
func output(t *testing.T, s *proc.Spawner, c proc.Confine, what string) (string, proc.Exit) {
	t.Helper()
	p, err := s.Start(proc.Spec{Command: proctest.Command("appetite", what), Env: os.Environ(), Confine: &c})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, p.Stderr) }()
	out, err := io.ReadAll(p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), p.Reap()
}

func TestConfinedProcessSeesItsBounds(t *testing.T) { // X23, O14, O31
	signal.Ignore(syscall.SIGUSR1) // as a launcher may have done
	defer signal.Reset(syscall.SIGUSR1)
	out, exit := output(t, spawner(t), proc.Confine{Processes: 50_000, Files: 77, CPU: 90 * time.Second, FileSize: 1 << 20}, "limits")
	if exit.Code != 0 {
		t.Fatalf("exit = %+v", exit)
	}
	for _, want := range []string{
		"Max core file size        0", "Max processes             50000", "Max open files            77",
		"Max cpu time              90", "Max file size             1048576", "\n500\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	_, mask, _ := strings.Cut(out, "SigIgn:")
	mask, _, _ = strings.Cut(mask, "\n")
	ignored, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
	if err != nil || ignored&(1<<31-1) != 0 { // beyond 31 are those of the C library
		t.Errorf("it ignores the signals %x, %v; want none", ignored, err)
	}
}

func TestConfinedProcessCannotTakeMore(t *testing.T) { // O19, P16
	s := spawner(t)
	if out, _ := output(t, s, proc.Confine{Files: 40}, "files"); !strings.Contains(out, "too many open files") {
		t.Errorf("it says %q", out)
	}
	if _, exit := output(t, s, proc.Confine{CPU: time.Second}, "cpu"); exit.Name != "SIGXCPU" && exit.Name != "SIGKILL" {
		t.Errorf("exit = %+v, want the end of its CPU time", exit)
	}
	if raceEnabled {
		t.Log("the race detector reserves more address space than the bound on memory")
	} else if _, exit := output(t, s, proc.Confine{Memory: 6 << 30}, "memory"); exit.Code == 0 || exit.MaxRSS > 6<<30 {
		t.Errorf("exit = %+v, want it out of memory", exit)
	}
	p, err := s.Start(proc.Spec{Command: []string{"/no/such/program"}, Confine: &proc.Confine{Files: 40}})
	if err != nil {
		t.Fatal(err)
	}
	words, _ := io.ReadAll(p.Stderr)
	if exit := p.Reap(); exit.Code != 126 || !strings.Contains(string(words), "/no/such/program") {
		t.Errorf("exit = %+v, it says %q", exit, words)
	}
}
