package pool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// asNobody runs a role of this binary as a user who has no processes, since the system counts those of a user, and root's
// not at all.
func asNobody(t *testing.T, role string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("to become another user takes root")
	}
	proctest.NoLeftovers(t)
	dir, err := os.MkdirTemp("", "fandango") //nolint:usetesting // a test's own directory is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "program")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile(program, proctest.Command(role)[0])); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		cmd := exec.Command(program, proctest.Command(role)[1])
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if errors.Is(err, syscall.ETXTBSY) && time.Now().Before(end) { // another test forks at this moment
			continue
		}
		if err != nil {
			t.Errorf("%v\n%s", err, &out)
		}
		return
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// TestO06NoMoreProcesses: no process can be started for a while; the workers that there are go on, and the pool recovers.
func TestO06NoMoreProcesses(t *testing.T) { asNobody(t, "o06") }

// TestO07O22AForkBombHitsItsWorkerOnly: a worker's bound is below its master's, which can still start threads and workers.
func TestO07O22AForkBombHitsItsWorkerOnly(t *testing.T) { asNobody(t, "o07") }

func init() {
	systemRoles["o06"], systemRoles["o07"] = playO06, playO07
}

func playO06([]string) {
	live(pool.Config{Workers: 2, Command: proctest.Command("worker")}, func(p *pool.Pool, events <-chan pool.Event) {
		ready(events, 2)
		parkThreads(32) // from now on Go needs no new ones, which could not be had either
		var limit unix.Rlimit
		must(unix.Getrlimit(unix.RLIMIT_NPROC, &limit))
		must(unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: limit.Max}))
		must(syscall.Kill(-p.Workers()[0].PID, syscall.SIGKILL))
		for failed := 0; failed < 3; {
			switch e := (<-events).(type) {
			case pool.StartFailed:
				failed++
				if !errors.Is(e.Err, syscall.EAGAIN) {
					must(fmt.Errorf("the start failed of %w; want EAGAIN", e.Err))
				}
				echo(p, 10) // the other one goes on
			case pool.Ready:
				must(errors.New("a worker was started beyond the limit"))
			}
		}
		must(unix.Setrlimit(unix.RLIMIT_NPROC, &limit))
		ready(events, 1)
		echo(p, 10)
	})
}

func playO07([]string) {
	cfg := pool.Config{Workers: 2, Command: proctest.Command("worker"), Confine: &pool.Confine{Processes: 150}}
	live(cfg, func(p *pool.Pool, events <-chan pool.Event) {
		ready(events, 2)
		for range 3 {
			o := submitted(p, "bomb", "x:kids", 10_000)
			if !errors.Is(o.Err, ipc.ErrCrash) {
				must(fmt.Errorf("the bomb ended as %v, %w; want a crash", o.Value, o.Err))
			}
			echo(p, 10)
			ready(events, 1)
		}
	})
}

// live runs a pool around work, which ends the process when it fails.
func live(cfg pool.Config, work func(p *pool.Pool, events <-chan pool.Event)) {
	events := make(chan pool.Event, 10_000)
	cfg.Event = func(e pool.Event) { events <- e }
	cfg.Poison = pool.Poison{Suspect: 1 << 30}
	p, err := pool.New(cfg)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { must(p.Run(ctx)) })
	work(p, events)
	cancel()
	running.Wait()
}

// ready waits until n more workers are.
func ready(events <-chan pool.Event, n int) {
	for late := time.After(60 * time.Second); n > 0; {
		select {
		case e := <-events:
			if _, is := e.(pool.Ready); is {
				n--
			}
		case <-late:
			must(errors.New("no worker became ready"))
		}
	}
}

func echo(p *pool.Pool, n int) {
	for range n {
		if o := submitted(p, "k", "echo"); o.Err != nil {
			must(fmt.Errorf("an innocent task: %w", o.Err))
		}
	}
}

func submitted(p *pool.Pool, key, target string, args ...any) ipc.Outcome {
	t, err := ipc.NewTask(key, target, args)
	must(err)
	outcome := make(chan ipc.Outcome, 1)
	must(p.Submit(context.Background(), t, func(o ipc.Outcome) { outcome <- o }))
	return <-outcome
}

// parkThreads makes so many threads, and leaves them to Go.
func parkThreads(n int) {
	var there, all sync.WaitGroup
	there.Add(n)
	meet := make(chan struct{})
	for range n {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			there.Done()
			<-meet
		})
	}
	there.Wait()
	close(meet)
	all.Wait()
	// Go has others make threads for a thread that is locked, when they come to it: none may be on its way.
	for late := time.Now().Add(30 * time.Second); ; <-time.After(time.Millisecond) {
		made, err := os.ReadDir("/proc/self/task")
		must(err)
		wanted := []metrics.Sample{{Name: "/sched/threads/total:threads"}}
		if metrics.Read(wanted); len(made) >= int(wanted[0].Value.Uint64()) {
			return
		}
		if time.Now().After(late) {
			must(fmt.Errorf("%d threads of %d have been made", len(made), wanted[0].Value.Uint64()))
		}
	}
}

// must ends a role that has failed.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
