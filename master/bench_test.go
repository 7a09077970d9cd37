package master_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/master"
)

// line is a runner that answers on one goroutine of its own, all that has come meanwhile at a time, as a pool's reader does.
type line struct {
	mu    sync.Mutex // guards tasks
	tasks []waiting
	come  chan struct{} // 1-buffered: tasks was empty
}

type waiting struct {
	value ipc.Raw
	done  func(ipc.Outcome)
}

// over makes a master that runs for as long as the benchmark.
func over(b *testing.B, r ipc.Runner) *master.Master {
	b.Helper()
	m := master.New(r, master.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() { cancel(); wg.Wait() })
	return m
}

func newLine(b *testing.B) *line {
	b.Helper()
	l := &line{come: make(chan struct{}, 1)}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var tasks []waiting
		for {
			select {
			case <-l.come:
			case <-over:
				return
			}
			l.mu.Lock()
			tasks, l.tasks = l.tasks, tasks[:0]
			l.mu.Unlock()
			for _, t := range tasks {
				t.done(ipc.Outcome{Value: t.value})
			}
		}
	})
	b.Cleanup(func() { close(over); wg.Wait() })
	return l
}

func (l *line) Submit(_ context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	l.mu.Lock()
	l.tasks = append(l.tasks, waiting{t.Target, done})
	first := len(l.tasks) == 1
	l.mu.Unlock()
	if first {
		select {
		case l.come <- struct{}{}:
		default:
		}
	}
	return nil
}

// window lets so many be under way at a time.
type window struct {
	sent int64
	told atomic.Int64
}

const wide = 1000

func (w *window) send() {
	for w.sent++; w.sent-w.told.Load() > wide; {
		runtime.Gosched()
	}
}

func (w *window) tell() { w.told.Add(1) }

func (w *window) wait() {
	for w.told.Load() < w.sent {
		runtime.Gosched()
	}
}

var answered = submit(func(_ context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	done(ipc.Outcome{Value: t.Target})
	return nil
})

// BenchmarkSend is the way Send → Submit → done → callback.
func BenchmarkSend(b *testing.B) {
	cancellable, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, c := range []struct {
		name   string
		policy ipc.Policy
		ctx    context.Context
		run    func(b *testing.B) ipc.Runner
	}{
		{"each/inline", ipc.PolicyEach, bg, func(*testing.B) ipc.Runner { return answered }},
		{"each", ipc.PolicyEach, bg, func(b *testing.B) ipc.Runner { return newLine(b) }},
		{"each/context", ipc.PolicyEach, cancellable, func(b *testing.B) ipc.Runner { return newLine(b) }},
		{"all", ipc.PolicyAll, bg, func(b *testing.B) ipc.Runner { return newLine(b) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := over(b, c.run(b))
			var w window
			then := func(master.Value) { w.tell() }
			pipeline(b, &w, c.policy, func(t ipc.Task) error { return m.Send(c.ctx, t, then) })
		})
	}
}

// BenchmarkSubmit is the way Submit → Submit → done → done, and what of it is the benchmark's own (bare).
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy ipc.Policy
		run    func(b *testing.B) ipc.Runner
	}{
		{"bare", ipc.PolicyEach, func(b *testing.B) ipc.Runner { return newLine(b) }},
		{"each", ipc.PolicyEach, func(b *testing.B) ipc.Runner { return over(b, newLine(b)) }},
		{"all", ipc.PolicyAll, func(b *testing.B) ipc.Runner { return over(b, newLine(b)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := c.run(b)
			var w window
			done := func(ipc.Outcome) { w.tell() }
			pipeline(b, &w, c.policy, func(t ipc.Task) error { return r.Submit(bg, t, done) })
		})
	}
}

// pipeline sends one task after another.
func pipeline(b *testing.B, w *window, policy ipc.Policy, send func(ipc.Task) error) {
	b.Helper()
	keys := names(2 * wide)
	t := ipc.Task{Target: raw(b, "echo"), Args: raw(b, 1)}
	t.Policy = policy
	b.ReportAllocs()
	b.ResetTimer()
	cpu := proctest.CPU()
	for i := range b.N {
		w.send()
		t.Key = keys[i%len(keys)]
		if err := send(t); err != nil {
			b.Fatal(err)
		}
	}
	w.wait()
	b.ReportMetric(float64(proctest.CPU()-cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkSendSync is the same, one at a time.
func BenchmarkSendSync(b *testing.B) {
	m := over(b, newLine(b))
	t := ipc.Task{Key: "k", Target: raw(b, "echo")}
	back := make(chan struct{})
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Send(bg, t, func(master.Value) { back <- struct{}{} }); err != nil {
			b.Fatal(err)
		}
		<-back
	}
}

// BenchmarkPending says how much memory a pending task takes, beyond its key, target and args.
func BenchmarkPending(b *testing.B) {
	for b.Loop() {
		const n = 100_000
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint("key ", i)
		}
		held := make([]func(ipc.Outcome), 0, n) // 8 bytes each, which are not the master's
		m := master.New(submit(func(_ context.Context, _ ipc.Task, done func(ipc.Outcome)) error {
			held = append(held, done)
			return nil
		}), master.Config{})
		t := ipc.Task{Target: raw(b, "echo")}
		var left atomic.Int64
		left.Add(n)
		over := make(chan struct{})
		then := func(master.Value) {
			if left.Add(-1) == 0 {
				close(over)
			}
		}
		before := heap()
		for _, t.Key = range keys {
			if err := m.Send(bg, t, then); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/n, "B/task")
		for _, done := range held {
			done(ipc.Outcome{Value: t.Target})
		}
		<-over
	}
}

// BenchmarkEntries says how much memory an entry takes, beyond its key, target and args.
func BenchmarkEntries(b *testing.B) {
	for b.Loop() {
		const n = 100_000
		var left atomic.Int64
		left.Add(n)
		ran := make(chan struct{})
		m := master.New(submit(func(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
			err := answered(ctx, t, done)
			if left.Add(-1) == 0 {
				close(ran)
			}
			return err
		}), master.Config{})
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint("key ", i)
		}
		t := ipc.Task{Target: raw(b, "echo")}
		before := heap()
		for _, t.Key = range keys {
			if err := m.Add(master.Entry{Task: t, Every: time.Hour}); err != nil {
				b.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(b.Context())
		over := make(chan error)
		go func() { over <- m.Run(ctx) }()
		<-ran
		b.ReportMetric(float64(heap()-before)/n, "B/key")
		cancel()
		if err := <-over; err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
