package schedule_test

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/schedule"
)

// BenchmarkMillion is a million items with periods of 1 to 60 s, some 69,400 of which are due each second: in a Loop, one
// at a time and in batches, and in the plainest thing that does it, a container/heap with one timer and no lock. It says
// what an item takes (B/item), how late they ring (p50-µs, p99-µs), how many ring too early, and how much of one core
// the whole takes (cpu-%), of five seconds each.
func BenchmarkMillion(b *testing.B) {
	for _, bb := range []struct {
		name string
		make func(*million) (run func(context.Context))
	}{{"heap", (*million).heap}, {"loop", (*million).loop}, {"batches", (*million).batches}} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				m := newMillion()
				before := allocated()
				run := bb.make(m)
				b.ReportMetric(float64(allocated()-before)/float64(len(m.due)), "B/item")
				time.Sleep(time.Until(m.start))
				ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
				cpu, start := proctest.CPU(), time.Now()
				run(ctx)
				took := time.Since(start)
				cancel()
				b.ReportMetric(100*float64(proctest.CPU()-cpu)/float64(took), "cpu-%")
				b.ReportMetric(float64(len(m.late))/took.Seconds(), "rings/s")
				slices.Sort(m.late)
				b.ReportMetric(float64(m.late[len(m.late)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(m.late[len(m.late)*99/100].Microseconds()), "p99-µs")
				b.ReportMetric(float64(m.early), "early")
			}
		})
	}
}

// million is what the benchmark knows of its items.
type million struct {
	start  time.Time
	due    []time.Duration // since start
	period []time.Duration
	id     []schedule.ID
	late   []time.Duration
	early  int
}

func newMillion() *million {
	const n = 1_000_000
	m := &million{due: make([]time.Duration, n), period: make([]time.Duration, n), id: make([]schedule.ID, n)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range m.period {
		m.period[i] = time.Second + time.Duration(random.Int64N(int64(59*time.Second)))
		m.due[i] = time.Duration(random.Int64N(int64(m.period[i])))
	}
	m.late = make([]time.Duration, 0, n)
	m.start = time.Now().Add(time.Second) // when it has been filled
	return m
}

func (m *million) at(i int32) time.Time { return m.start.Add(m.due[i]) }

// rang notes that an item has rung, and says when it is due again.
func (m *million) rang(i int32, now time.Time) time.Time {
	late := now.Sub(m.at(i))
	if late < 0 {
		m.early++
	}
	m.late = append(m.late, late)
	m.due[i] += m.period[i]
	return m.at(i)
}

func (m *million) loop() func(context.Context) {
	var l *schedule.Loop[int32]
	l = schedule.NewLoop(func(i int32, _ time.Time) { l.Set(m.id[i], m.rang(i, time.Now())) })
	return m.fill(l)
}

func (m *million) batches() func(context.Context) {
	var l *schedule.Loop[int32]
	l = schedule.NewBatchLoop(func(all []int32, _ time.Time) {
		now := time.Now()
		for _, i := range all {
			l.Set(m.id[i], m.rang(i, now))
		}
	})
	return m.fill(l)
}

func (m *million) fill(l *schedule.Loop[int32]) func(context.Context) {
	for i := range m.id {
		m.id[i] = l.Add(int32(i), m.at(int32(i)))
	}
	return l.Run
}

// items is a heap of the standard library.
type items []item

type item struct {
	at time.Duration
	i  int32
}

func (h *items) Len() int           { return len(*h) }
func (h *items) Less(a, b int) bool { return (*h)[a].at < (*h)[b].at }
func (h *items) Swap(a, b int)      { (*h)[a], (*h)[b] = (*h)[b], (*h)[a] }
func (h *items) Push(x any)         { *h = append(*h, x.(item)) }
func (h *items) Pop() any           { return nil } // nothing ends

func (m *million) heap() func(context.Context) {
	h := make(items, len(m.due))
	for i, at := range m.due {
		h[i] = item{at, int32(i)}
	}
	heap.Init(&h)
	return func(ctx context.Context) {
		timer := time.NewTimer(0)
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			for first := &h[0]; ; heap.Fix(&h, 0) {
				now := time.Now()
				if wait := m.start.Add(first.at).Sub(now); wait > 0 {
					timer.Reset(wait)
					break
				}
				first.at = m.rang(first.i, now).Sub(m.start)
			}
		}
	}
}

func allocated() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
