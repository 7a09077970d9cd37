//go:build unix

package pool_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

const lentBytes = 8 << 20 // more than any pipe holds

// playReluctant reads each request byte by byte, and so nothing of the next one. Its targets: echo; "behind", which waits
// for the gate and then tells of the request behind it; "early", after which it answers the key "early" when it has read a
// little of that, waits for the gate, reads the rest, and tells of that when it is asked next.
func playReluctant(args []string) {
	gate := args[0]
	slow := iotest.OneByteReader(os.Stdin)
	in, out := ipc.NewDecoder(slow, ipc.DecoderConfig{}), ipc.NewEncoder(os.Stdout, ipc.Msgpack, ipc.Limits{})
	answer := func(key string, v any) {
		raw, err := ipc.Encode(v)
		if errors.Join(err, out.Answer(key, raw), out.Flush()) != nil {
			os.Exit(1)
		}
	}
	changed := -1
	for {
		r, err := in.Request()
		if err != nil {
			return
		}
		switch target, _ := r.Target.Text(); target {
		case ipc.KeyHello:
			answer(r.Key, ipc.Hello{Name: "reluctant", Ordered: true})
		case "behind":
			_, _ = os.ReadFile(gate) // a fifo
			if n, _ := unix.Poll([]unix.PollFd{{Fd: 0, Events: unix.POLLIN}}, 0); n < 1 {
				answer(r.Key, "nothing")
				return
			}
			next, err := ipc.NewDecoder(os.Stdin, ipc.DecoderConfig{}).Request()
			if err != nil {
				changed = lentBytes
			} else {
				changed = lentBytes - bytes.Count(next.Args, []byte("x"))
			}
			answer(r.Key, changed)
			return
		case "early":
			answer(r.Key, nil)
			rest := make([]byte, len("\x93\xa5early\xa4echo\xc6....")+lentBytes)
			_, _ = io.ReadFull(os.Stdin, rest[:100])
			answer("early", nil)
			_, _ = os.ReadFile(gate)
			_, _ = io.ReadFull(os.Stdin, rest[100:])
			changed = lentBytes - bytes.Count(rest[len(rest)-lentBytes:], []byte("x"))
		case "changed":
			answer(r.Key, changed)
		default:
			answer(r.Key, r.Args)
		}
	}
}

// startReluctant returns a pool of one such worker and what opens its gate.
func startReluctant(t *testing.T, window int) (p *pool.Pool, open func()) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	p, _ = start(t, pool.Config{Workers: 1, Command: proctest.Command("reluctant", gate), Env: os.Environ(), Window: window})
	return p, func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

// lentTask is a large task and the bytes that its caller may change once he has its outcome.
func lentTask(t *testing.T, key string) (ipc.Task, []byte) {
	t.Helper()
	one := task(t, key, "echo")
	args, err := ipc.Encode(bytes.Repeat([]byte("x"), lentBytes))
	if err != nil {
		t.Fatal(err)
	}
	one.Args = args
	return one, args
}

// TestBytesOfAWithdrawnTaskAreItsCallersAgain: its worker is not reading while it is withdrawn, and half of it is written.
// What the caller does with its bytes from then on is not what the worker reads.
func TestBytesOfAWithdrawnTaskAreItsCallersAgain(t *testing.T) {
	t.Run("its writer writes", func(t *testing.T) { withdrawHalfWritten(t, 0, 0) })
	t.Run("its submitter writes, to wide pipes", func(t *testing.T) { withdrawHalfWritten(t, 0, 30_000) })
	t.Run("its reader writes, to wide pipes", func(t *testing.T) { withdrawHalfWritten(t, 2, 30_000) })
}

func withdrawHalfWritten(t *testing.T, window, wide int) {
	t.Helper()
	p, open := startReluctant(t, window)
	waitReady(t, p, 1)
	for i := range 100 { // its pipes are wide after large ones, and it is fed ahead after many quick ones
		if o := run(t, p, task(t, strconv.Itoa(i), "echo", strings.Repeat("x", wide*max(0, 3-i)))); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	large, args := lentTask(t, "large")
	large.Deadline = 300 * time.Millisecond
	outcomes := [3]chan ipc.Outcome{make(chan ipc.Outcome, 2), make(chan ipc.Outcome, 2), make(chan ipc.Outcome, 2)}
	if n, err := p.SubmitAll(t.Context(), []ipc.Task{task(t, "first", "echo"), task(t, "head", "behind"), large}, func(i int, o ipc.Outcome) {
		o.Value = bytes.Clone(o.Value)
		outcomes[i] <- o
	}); n != 3 || err != nil {
		t.Fatalf("SubmitAll = %d, %v", n, err)
	}
	if o := <-outcomes[2]; ipc.KindOf(o.Err) != ipc.KindExpired {
		t.Fatalf("outcome = %+v, want expired", o)
	}
	for i := range args {
		args[i] = 0xc1
	}
	open()
	switch o := <-outcomes[1]; {
	case o.Err == nil && o.Value.String() == `"nothing"`:
		t.Skip("the worker was too slow to be fed ahead")
	case o.Err != nil || o.Value.String() != "0":
		t.Errorf("outcome = %s, %v; want no bytes changed", o.Value, o.Err)
	}
}

// TestAnAnswerBeforeItsRequestIsRead: the caller has it while the worker is not reading, and may use his bytes again.
func TestAnAnswerBeforeItsRequestIsRead(t *testing.T) {
	p, open := startReluctant(t, 0)
	if o := run(t, p, task(t, "k", "early")); o.Err != nil {
		t.Fatal(o.Err)
	}
	large, args := lentTask(t, "early")
	if o := run(t, p, large); o.Err != nil {
		t.Fatal(o.Err)
	}
	for i := range args {
		args[i] = 0xc1
	}
	open()
	if o := run(t, p, task(t, "k", "changed")); o.Err != nil || o.Value.String() != "0" {
		t.Errorf("outcome = %s, %v; want no bytes changed", o.Value, o.Err)
	}
}

// TestLargeTasksComeBackWhole: pipelined through pipes that are wide by then, written by who reads, while some are
// withdrawn; and each caller uses his bytes again as soon as he has an outcome.
func TestLargeTasksComeBackWhole(t *testing.T) {
	const callers, each, size = 6, 30, 1_200_000
	p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("echoer"), Env: os.Environ()})
	var all sync.WaitGroup
	var done atomic.Int32
	for caller := range callers {
		all.Go(func() {
			one := task(t, "k"+strconv.Itoa(caller), "echo")
			bytesOf := make([]byte, size)
			for i := range each {
				for k := range bytesOf {
					bytesOf[k] = byte(i)
				}
				one.Args = append(ipc.Raw{0xc6, 0, 0x12, 0x4f, 0x80}, bytesOf...)
				ctx, cancel := context.WithCancel(t.Context())
				told := make(chan error, 1)
				_, err := p.SubmitAll(ctx, []ipc.Task{one}, func(_ int, o ipc.Outcome) {
					if o.Err == nil && (len(o.Value) != len(one.Args) || bytes.Count(o.Value, []byte{byte(i)}) < size) {
						o.Err = errors.New("it came back as something else")
					}
					told <- o.Err
				})
				if err != nil {
					t.Error(err)
				}
				if i%3 == 2 {
					cancel()
				}
				switch err := <-told; {
				case err == nil:
					done.Add(1)
				case i%3 != 2 || !errors.Is(err, ipc.ErrCancelled):
					t.Errorf("task %d of %d: %v", i, caller, err)
				}
				cancel()
				for k := range one.Args {
					one.Args[k] = 0xc1
				}
			}
		})
	}
	all.Wait()
	if n := done.Load(); n < callers*each*2/3 {
		t.Errorf("%d are done", n)
	}
}

// TestBytesOfAWithdrawnTaskAreNotBeingEncoded: nor are those of one too small to be lent, which the race detector sees.
func TestBytesOfAWithdrawnTaskAreNotBeingEncoded(t *testing.T) {
	const rounds, together, size = 60, 32, 8 << 10
	p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("echoer"), Env: os.Environ()})
	tasks := make([]ipc.Task, together)
	for round := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Add(together)
		for i := range tasks {
			tasks[i] = task(t, "k"+strconv.Itoa(i), "echo")
			tasks[i].Args = append(ipc.Raw{0xc5, size >> 8, 0}, bytes.Repeat([]byte{byte(round)}, size)...)
		}
		args := make([]ipc.Raw, together) // the pool has the tasks
		for i := range tasks {
			args[i] = tasks[i].Args
		}
		go cancel() // somewhere on their way
		n, _ := p.SubmitAll(ctx, tasks, func(i int, o ipc.Outcome) {
			if o.Err == nil && !bytes.Equal(o.Value, args[i]) {
				t.Error("it came back as something else")
			}
			for k := range args[i] {
				if o.Attempts > 0 {
					break // its way leads through the worker, which the race detector does not see
				}
				args[i][k] = 0xc1
			}
			all.Done()
		})
		all.Add(n - together)
		all.Wait()
	}
}
