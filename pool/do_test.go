//go:build unix

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/pool"
)

// calm makes the reader of the only worker rest: its callers read by themselves from now on.
func calm(t *testing.T, p *pool.Pool) {
	t.Helper()
	for i := range 3 {
		if got, err := ipc.Do(t.Context(), p, task(t, "calm", "echo", i)); err != nil || got.String() != "["+strconv.Itoa(i)+"]" {
			t.Fatalf("Do = %s, %v", got, err)
		}
	}
}

// TestCallersThatReadMeetEveryFault: a caller that reads its worker's answer by itself learns what became of its task
// whatever the worker does, and the slot serves the next one.
func TestCallersThatReadMeetEveryFault(t *testing.T) {
	for _, tt := range []struct {
		deed string
		args []any
		kind ipc.Kind // "": it is answered
	}{
		{"x:half", nil, ""},
		{"x:bytes", nil, ""},
		{"x:late", nil, ""},
		{"x:replyexit", nil, ""},
		{"x:text", nil, ""},
		{"x:chatter", []any{[]byte("before"), []byte("behind")}, ""},
		{"x:stderr", nil, ""},
		{"x:nostdin", nil, ""},
		{"x:answerhang", nil, ""},
		{"no such name", nil, ipc.KindTask},
		{"x:exit", nil, ipc.KindCrash},
		{"x:kill9", nil, ipc.KindCrash},
		{"x:trunc", nil, ipc.KindCrash},
		{"x:closeout", nil, ipc.KindProtocol},
		{"x:unknown", nil, ipc.KindProtocol},
		{"x:arr3", nil, ipc.KindProtocol},
		{"x:lenbomb", nil, ipc.KindProtocol},
		{"x:hang", nil, ipc.KindTimeout},
		{"x:stall", nil, ipc.KindTimeout},
		{"x:stop", nil, ipc.KindTimeout},
	} {
		t.Run(tt.deed, func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 1, Env: with("EVIL_CLAIM=ordered")})
			calm(t, p)
			deed, next := task(t, "deed", tt.deed, tt.args...), task(t, "next", "echo")
			next.Timeout = time.Second
			if tt.kind == ipc.KindTimeout {
				deed.Timeout = time.Second
			}
			_, err := ipc.Do(t.Context(), p, deed)
			if ipc.KindOf(err) != tt.kind {
				t.Errorf("error %v, want of kind %q", err, tt.kind)
			}
			if tt.deed == "x:nostdin" || tt.deed == "x:answerhang" { // it is this task that finds it out
				if _, err := ipc.Do(t.Context(), p, next); ipc.KindOf(err) != ipc.KindTimeout {
					t.Errorf("after it: %v, want a timeout", err)
				}
			}
			calm(t, p)
		})
	}
}

func TestCallerThatReadsIsCancelled(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	for range 3 {
		calm(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := ipc.Do(ctx, p, task(t, "k", "x:cpu")); !errors.Is(err, ipc.ErrCancelled) {
			t.Errorf("error %v, want cancelled", err)
		}
	}
}

// TestRetryOfACallerThatReads: the worker that it reads from dies, and another one gives the outcome.
func TestRetryOfACallerThatReads(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	calm(t, p)
	again := task(t, "k", "x:kill9")
	again.Retries = 1
	if _, err := ipc.Do(t.Context(), p, again); !errors.Is(err, ipc.ErrCrash) {
		t.Errorf("error %v, want a crash", err)
	}
	calm(t, p)
}

// TestWhatIsWrittenWhileTheReaderRestsIsNoticed: nobody has asked, and nobody asks again.
func TestWhatIsWrittenWhileTheReaderRestsIsNoticed(t *testing.T) {
	p, l := start(t, pool.Config{Workers: 1})
	calm(t, p)
	if _, err := ipc.Do(t.Context(), p, task(t, "k", "x:dup", 1)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, l, func(e pool.Exited) bool { return ipc.KindOf(e.Err) == ipc.KindProtocol })
	calm(t, p)
}

// TestCallersAndSubmittersTogether mixes those who read by themselves with those who do not, on workers that die.
func TestCallersAndSubmittersTogether(t *testing.T) {
	for _, claim := range []string{"", "ordered"} {
		t.Run("claims "+claim, func(t *testing.T) {
			p, _ := start(t, pool.Config{Workers: 2, Env: with("EVIL_CLAIM=" + claim)})
			var all sync.WaitGroup
			for caller := range 4 {
				all.Go(func() {
					for i := range 300 {
						key := strconv.Itoa(caller) + "." + strconv.Itoa(i)
						target := "echo"
						if i%100 == 50 {
							target = "x:kill9"
						}
						got, err := ipc.Do(t.Context(), p, task(t, key, target, key))
						switch {
						case target == "echo" && (err != nil || got.String() != `["`+key+`"]`):
							t.Errorf("Do(%s) = %s, %v", key, got, err)
						case target != "echo" && !errors.Is(err, ipc.ErrCrash):
							t.Errorf("Do(%s): %v, want a crash", key, err)
						}
						if caller == 0 && i%10 == 0 {
							all.Add(1)
							if err := p.Submit(t.Context(), task(t, key, "echo", i), func(o ipc.Outcome) {
								if o.Err != nil || o.Value.String() != "["+strconv.Itoa(i)+"]" {
									t.Errorf("outcome of %s = %+v", key, o)
								}
								all.Done()
							}); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// TestDoAllocatesLittle is a guard on the shortest road: the call, where its outcome goes, and the value.
func TestDoAllocatesLittle(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 1})
	calm(t, p)
	echo := task(t, "k", "echo", "0123456789")
	if n := testing.AllocsPerRun(200, func() {
		if _, err := ipc.Do(t.Context(), p, echo); err != nil {
			t.Fatal(err)
		}
	}); n > 8 {
		t.Errorf("%v allocations per call", n)
	}
}

// TestARetryIsReadThoughItsCallerDoesNotKnow: a task whose worker had died went to one whose reader rested, for callers of
// Do read there; its own caller still waited for the other one, and nobody read its answer.
func TestARetryIsReadThoughItsCallerDoesNotKnow(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2, Poison: pool.Poison{Suspect: 1 << 30}})
	waitReady(t, p, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 40 {
		gate := filepath.Join(t.TempDir(), "gate")
		one := task(t, fmt.Sprint("retry ", i), "until", gate)
		one.Retries = 3
		outcome := make(chan error, 1)
		go func() {
			_, err := ipc.Do(ctx, p, one)
			outcome <- err
		}()
		pid := 0
		for pid == 0 && ctx.Err() == nil {
			for _, w := range p.Workers() {
				if w.Key == one.Key {
					pid = w.PID
				}
			}
		}
		if pid == 0 {
			t.Fatalf("round %d: it does not begin", i)
		}
		stop := make(chan struct{})
		var calling sync.WaitGroup
		calling.Go(func() { // the other worker's answers are read by its caller, again and again
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond): // and idle most of the time
					if _, err := ipc.Do(ctx, p, task(t, "other", "echo")); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		if err := os.WriteFile(gate, nil, 0o600); err != nil { // not before: its worker might be the other one's next
			t.Error(err)
		}
		err := <-outcome
		close(stop)
		calling.Wait()
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
}
