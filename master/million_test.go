package master_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/master"
)

var warm = flag.Duration("warm", 0, "let BenchmarkMillion run for so long before it measures")

// BenchmarkMillion is a million entries with periods of 1 to 60 s over a runner that answers at once, for ten seconds,
// while each millisecond an entry is popped and one is added. Since all of them begin at the same time, there are some
// 30,000 runs a second at first, and 69,400 after a minute (-warm 60s). It says what an entry takes, its key, its task
// and its value included (B/entry), how late they run (p50-µs, p99-µs), how many too early, and what the whole costs of
// one core (cpu-%).
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		before := heap()
		m, stop := newMillion(b, func(random *rand.Rand) time.Duration {
			return time.Second + time.Duration(random.Int64N(int64(59*time.Second)))
		})
		b.ReportMetric((float64(heap()-before)-m.own())/entries, "B/entry")
		time.Sleep(*warm)
		m.reset()
		over := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { m.change(b, over) })
		cpu, start := proctest.CPU(), time.Now()
		time.Sleep(10 * time.Second)
		took := time.Since(start)
		b.ReportMetric(100*float64(proctest.CPU()-cpu)/float64(took), "cpu-%")
		close(over)
		wg.Wait()
		late, early := m.lateness(nil)
		b.ReportMetric(float64(len(late))/took.Seconds(), "runs/s")
		b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-µs")
		m.reset()
		collected := collect(5)
		late, more := m.lateness(collected)
		b.ReportMetric(float64(late[len(late)/2].Microseconds()), "gc-p50-µs")
		b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "gc-p99-µs")
		b.ReportMetric(float64(collected.mean().Microseconds())/1000, "gc-ms")
		b.ReportMetric(float64(early+more), "early")
		stop()
	}
}

// BenchmarkMillionIdle is a million entries of which none is due: what that costs of one core.
func BenchmarkMillionIdle(b *testing.B) {
	for b.Loop() {
		_, stop := newMillion(b, func(*rand.Rand) time.Duration { return time.Hour })
		cpu, start := proctest.CPU(), time.Now()
		time.Sleep(2 * time.Second)
		b.ReportMetric(100*float64(proctest.CPU()-cpu)/float64(time.Since(start)), "cpu-%")
		stop()
	}
}

const entries = 1_000_000

// million is a master with a million entries, of which it knows when they are due.
type million struct {
	*master.Master
	period []time.Duration
	added  []time.Duration // when, since base, or a little later

	mu    sync.Mutex // guards what follows
	n     int
	ran   []ran
	early int
}

// ran is one run of an entry: when it was due, since base, and how late it began.
type ran struct{ due, late time.Duration }

// spans are times since base: from, to.
type spans [][2]time.Duration

// collect collects the garbage once a second, and returns when it did.
func collect(times int) (all spans) {
	for range times {
		time.Sleep(time.Second)
		start := time.Since(base)
		runtime.GC()
		all = append(all, [2]time.Duration{start, time.Since(base)})
	}
	return all
}

func (s spans) has(t time.Duration) bool {
	return slices.ContainsFunc(s, func(span [2]time.Duration) bool { return span[0] <= t && t < span[1] })
}

func (s spans) mean() (d time.Duration) {
	for _, span := range s {
		d += span[1] - span[0]
	}
	return d / time.Duration(len(s))
}

var base = time.Now()

// newMillion lets a million entries run, and returns when each has run once.
func newMillion(b *testing.B, period func(*rand.Rand) time.Duration) (m *million, stop func()) {
	b.Helper()
	m = &million{period: make([]time.Duration, entries), added: make([]time.Duration, entries), ran: make([]ran, 0, entries)}
	m.Master = master.New(submit(m.submit), master.Config{})
	random := rand.New(rand.NewPCG(1, 2))
	for i := range m.period {
		m.period[i] = period(random)
		m.added[i] = time.Since(base)
		if err := m.Add(master.Entry{Task: ipc.Task{Key: strconv.Itoa(i), Target: ipc.Raw{0xa1, 'x'}}, Every: m.period[i]}); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	over := make(chan error, 1)
	go func() { over <- m.Run(ctx) }()
	for m.count() < entries {
		time.Sleep(10 * time.Millisecond)
	}
	return m, func() {
		cancel()
		if err := <-over; err != nil {
			b.Fatal(err)
		}
	}
}

// own is what the benchmark itself keeps of its entries.
func (m *million) own() float64 { return entries * 4 * 8 }

func (m *million) submit(_ context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	now := time.Since(base)
	i, err := strconv.Atoi(t.Key)
	if err == nil && i < entries {
		late := (now - m.added[i]) % m.period[i]
		m.mu.Lock()
		m.n++
		m.ran = append(m.ran, ran{now - late, late})
		if late > m.period[i]*9/10 { // nobody is so late
			m.early++
		}
		m.mu.Unlock()
	}
	done(ipc.Outcome{Value: t.Target})
	return nil
}

func (m *million) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

func (m *million) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ran, m.early = m.ran[:0], 0
}

// lateness returns, sorted, how late those were that were due in the given spans, or all with none; and how many were early.
func (m *million) lateness(in spans) (late []time.Duration, early int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.ran {
		if in == nil || in.has(r.due) {
			late = append(late, r.late)
		}
	}
	slices.Sort(late)
	return late, m.early
}

// change pops and adds entries of its own, until it is stopped.
func (m *million) change(b *testing.B, stop <-chan struct{}) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		key := "more " + strconv.Itoa(i)
		if err := m.Add(master.Entry{Task: ipc.Task{Key: key}, Every: time.Second}); err != nil {
			b.Error(err)
		}
		if i > 0 {
			if _, err := m.Pop("more " + strconv.Itoa(i-1)); err != nil {
				b.Error(err)
			}
		}
	}
}
