//go:build unix

package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/master"
	"fandango/pool"
)

// BenchmarkPeriodic is 10,000 entries with a period of a second, which come one after the other, so that there are 10,000
// runs a second through two workers; for five seconds. How late a run is given to the pool after it was due is begin, and
// how late its outcome is there, end. Missed is how many due times had no run of their own; cpu-% is what the master and
// the pool cost of one core, and workers-cpu-% what the workers do together.
func BenchmarkPeriodic(b *testing.B) {
	const entries = 10_000
	for b.Loop() {
		p := start(b, 2)
		r := &timed{Pool: p, added: make([]time.Time, entries)}
		m := master.New(r, master.Config{})
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()

		r.addAll(b, m)
		time.Sleep(time.Second)
		r.take()
		own, workers, begun := proctest.CPU(), workersCPU(b, p), time.Now()
		time.Sleep(5 * time.Second)
		begin, end, failed := r.take()
		took := time.Since(begun)
		own, workers = proctest.CPU()-own, workersCPU(b, p)-workers
		if failed != nil || len(end) == 0 {
			b.Fatalf("%d runs: %v", len(end), failed)
		}
		missed := 0
		for v := range m.All() {
			missed += v.Missed
		}
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}

		b.ReportMetric(float64(len(end))/took.Seconds(), "runs/s")
		for _, late := range []struct {
			name  string
			times []time.Duration
		}{{"begin", begin}, {"end", end}} {
			slices.Sort(late.times)
			for _, part := range []int{50, 99} {
				at := late.times[len(late.times)*part/100]
				b.ReportMetric(float64(at.Microseconds()), fmt.Sprintf("%s-p%d-µs", late.name, part))
			}
		}
		b.ReportMetric(float64(missed), "missed")
		b.ReportMetric(100*float64(own)/float64(took), "cpu-%")
		b.ReportMetric(100*float64(workers)/float64(took), "workers-cpu-%")
	}
}

// timed is a pool and how late it is given what.
type timed struct {
	*pool.Pool
	added []time.Time // of each entry, or a little later

	mu         sync.Mutex // guards what follows
	begin, end []time.Duration
	failed     error
}

// addAll adds the entries in the course of a second.
func (r *timed) addAll(b *testing.B, m *master.Master) {
	b.Helper()
	start := time.Now()
	for i := range r.added {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(len(r.added)))))
		t := task(b, make([]byte, 64), uint64(i))
		t.Key = strconv.Itoa(i)
		r.mu.Lock()
		r.added[i] = time.Now()
		r.mu.Unlock()
		if err := m.Add(master.Entry{Task: t, Every: time.Second}); err != nil {
			b.Fatal(err)
		}
	}
}

func (r *timed) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	i, err := strconv.Atoi(t.Key)
	if err != nil {
		return err
	}
	now := time.Now()
	r.mu.Lock()
	late := now.Sub(r.added[i]) % time.Second
	r.begin = append(r.begin, late)
	r.mu.Unlock()
	return r.Pool.Submit(ctx, t, func(o ipc.Outcome) {
		r.mu.Lock()
		r.end = append(r.end, late+time.Since(now))
		if o.Err != nil && ipc.KindOf(o.Err) != ipc.KindClosed {
			r.failed = o.Err
		}
		r.mu.Unlock()
		done(o)
	})
}

// take returns what was noted since the last time.
func (r *timed) take() (begin, end []time.Duration, failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin, end, failed = r.begin, r.end, r.failed
	r.begin, r.end, r.failed = make([]time.Duration, 0, 100_000), make([]time.Duration, 0, 100_000), nil
	return begin, end, failed
}

// workersCPU is how much time on a processor all workers have used so far.
func workersCPU(b *testing.B, p *pool.Pool) (sum time.Duration) {
	b.Helper()
	answers := make(chan []ipc.Outcome, 1)
	t, err := ipc.NewTask("cpu", "cpu", "")
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Broadcast(b.Context(), t, false, func(o []ipc.Outcome) { answers <- o }); err != nil {
		b.Fatal(err)
	}
	for _, o := range <-answers {
		var n int64
		if o.Err != nil {
			b.Fatal(o.Err)
		}
		if err := o.Value.Decode(&n); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}
