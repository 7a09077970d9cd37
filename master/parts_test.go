package master_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// Keys come and go while Resume goes through them. Each that was due runs once.
func TestResumeWhileKeysComeAndGo(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		const n = 3000
		h.set(func() { h.auto = true })
		add := func(key string) { must(t, h.Add(master.Entry{Task: task(t, key, key), Every: time.Hour})) }
		must(t, h.Pause(0))
		keys := names(n)
		for _, key := range keys {
			add(key)
		}
		if ran := h.started(); len(ran) > 0 {
			t.Errorf("%d keys ran while all were paused", len(ran))
		}
		var changing sync.WaitGroup
		changing.Go(func() {
			for i := range n / 3 {
				if _, err := h.Pop(keys[3*i]); err != nil {
					t.Error(err)
				}
				add("more " + keys[i])
			}
		})
		must(t, h.Resume())
		changing.Wait()
		ran := h.started()
		slices.Sort(ran)
		if once := slices.Compact(slices.Clone(ran)); len(once) != len(ran) {
			t.Errorf("%d keys ran %d times", len(once), len(ran))
		}
		for _, v := range h.Values() {
			if v.State != master.Fresh {
				t.Errorf("%s was due, and is %s", v.Key, v.State)
			}
		}
		if len(h.Keys()) != n {
			t.Errorf("there are %d keys, want %d", len(h.Keys()), n)
		}
	})
}

func TestWatchTellsOfEachKeyThatIsPausedWithAll(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		const n = 1000
		h.set(func() { h.auto = true })
		for _, key := range names(n) {
			must(t, h.Add(master.Entry{Task: ipc.Task{Key: key}, Every: time.Hour}))
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		told := map[bool]int{}
		var mu sync.Mutex // guards told
		go func() {
			for v := range h.Watch(ctx) {
				mu.Lock()
				told[v.Paused]++
				mu.Unlock()
			}
		}()
		for i, change := range []func() error{
			func() error { return nil },
			func() error { return h.Pause(0) },
			func() error { return h.Resume() },
			func() error { return h.Pause(0, names(n)...) },
			func() error { return h.Resume() },
		} {
			must(t, change())
			synctest.Wait()
			mu.Lock()
			if told[i%2 == 1] != n || len(told) != 1 {
				t.Errorf("change %d was told so: %v, want %d", i, told, n)
			}
			clear(told)
			mu.Unlock()
		}
		cancel()
		synctest.Wait()
	})
}

// BenchmarkHeld is how long others wait while somebody does something with each of 100,000 entries, or of so many (-args -keys
// 1000000): held-µs is the longest time in which one value could not be looked at, and held-p99-µs what 99 of 100 did not
// exceed who wanted to, one each 0.1 ms.
func BenchmarkHeld(b *testing.B) {
	keys := names(*tableKeys)
	for b.Loop() {
		ctx, end := context.WithCancel(bg)
		var back sync.WaitGroup // what is held back
		m := master.New(submit(func(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
			if !strings.HasPrefix(t.Key, "held back") {
				return answered(ctx, t, done)
			}
			back.Add(1)
			context.AfterFunc(ctx, func() {
				defer back.Done()
				done(ipc.Outcome{Err: ipc.Errorf(ipc.KindCancelled, "cancelled")})
			})
			return nil
		}), master.Config{Queue: len(keys)})
		over := make(chan error, 1)
		go func() { over <- m.Run(ctx) }()
		held := func(name string, do func()) {
			told := probe(b, m, name+"-")
			do()
			told()
		}
		held("add", func() {
			for _, key := range keys {
				must(b, m.Add(master.Entry{Task: ipc.Task{Key: key, Target: ipc.Raw{0xa1, 'x'}}, Every: time.Hour, Then: func(master.Value) {}}))
			}
		})
		held("values", func() { m.Values() })
		held("keys", func() { m.Keys() })
		held("callbacks", func() { m.Callbacks() })
		held("all", func() {
			for range m.All() {
			}
		})
		held("watch", func() { watchAll(m, len(keys))() })
		held("pause", func() { must(b, m.Pause(0)) })
		held("resume", func() { must(b, m.Resume()) })
		unwatch := watchAll(m, len(keys))
		held("pause-watched", func() { must(b, m.Pause(0)) })
		held("resume-watched", func() { must(b, m.Resume()) })
		unwatch()
		held("pause-named", func() { must(b, m.Pause(0, keys...)) })
		held("resume-named", func() { must(b, m.Resume(keys...)) })
		held("command", func() {
			given, giveUp := context.WithCancel(bg)
			must(b, m.Send(given, ipc.Task{Key: "held back"}, nil))
			over, stop := context.WithCancel(bg)
			stop()
			_, _ = m.Command(over, "x", nil)
			giveUp()
		})
		back.Wait()
		held("withdraw", func() {
			given, withdraw := context.WithCancel(bg)
			for i := range min(len(keys)-1, 100_000) {
				must(b, m.Send(given, ipc.Task{Key: "held back " + keys[i]}, nil))
			}
			withdraw()
			for m.Stats().Pending > 0 {
				time.Sleep(time.Millisecond)
			}
		})
		back.Wait()
		held("pop", func() {
			for _, key := range keys[1:] {
				_, err := m.Pop(key)
				must(b, err)
			}
		})
		end()
		<-over
	}
}

// watchAll watches all keys, until it is told to stop; it returns when they were told once.
func watchAll(m *master.Master, n int) (stop func()) {
	ctx, cancel := context.WithCancel(bg)
	ready, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for range m.Watch(ctx) {
			if n--; n == 0 {
				close(ready)
			}
		}
	}()
	<-ready
	return func() { cancel(); <-over }
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
