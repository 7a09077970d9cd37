package master_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// misdeeds are what callbacks may do that they had better not. until ends those that wait.
var misdeeds = []struct {
	name string
	do   func(m *master.Master, stop func(), until <-chan struct{})
}{
	{"nothing", func(*master.Master, func(), <-chan struct{}) {}},
	{"panic", func(*master.Master, func(), <-chan struct{}) { panic("oh") }},
	{"goexit", func(*master.Master, func(), <-chan struct{}) { runtime.Goexit() }},
	{"block", func(_ *master.Master, _ func(), until <-chan struct{}) { <-until }},
	{"send again", func(m *master.Master, _ func(), _ <-chan struct{}) {
		for _, policy := range []ipc.Policy{ipc.PolicyEach, ipc.PolicyAll} {
			t := ipc.Task{Key: "bad"}
			t.Policy = policy
			_ = m.Send(bg, t, nil) // refused when the master has ended
		}
	}},
	{"add and pop", func(m *master.Master, _ func(), _ <-chan struct{}) {
		_ = m.Add(master.Entry{Task: ipc.Task{Key: "bad"}})
		_, _ = m.Pop("bad")
	}},
	{"stop the master", func(_ *master.Master, stop func(), _ <-chan struct{}) { stop() }},
}

// M01 to M04: whatever callbacks do, those of the other keys are called, each once and in the order of its key; and so is
// each of their own.
func TestM01ToM04OthersAreServed(t *testing.T) {
	for _, bad := range misdeeds {
		t.Run(bad.name, func(t *testing.T) {
			bubble(t, master.Config{}, func(t *testing.T, h *house) {
				h.set(func() { h.auto = true })
				until := make(chan struct{})
				var called atomic.Int64
				var mu sync.Mutex
				told := map[string][]int{}
				accepted, wrongs := map[string][]int{}, int64(0)
				for i := range 300 {
					key := strconv.Itoa(i % 6)
					if i%6 == 0 {
						if h.Send(bg, task(t, "bad", i, ipc.PolicyEach), func(master.Value) {
							called.Add(1)
							bad.do(h.Master, h.cancel, until)
						}) == nil {
							wrongs++
						}
						continue
					}
					if h.Send(bg, task(t, key, i), func(master.Value) {
						mu.Lock()
						defer mu.Unlock()
						told[key] = append(told[key], i)
					}) == nil {
						accepted[key] = append(accepted[key], i)
					}
				}
				pass(time.Minute)
				mu.Lock()
				for key, want := range accepted {
					if bad.name == "stop the master" { // what has not begun ends before what runs
						slices.Sort(told[key])
					}
					if !slices.Equal(told[key], want) {
						t.Errorf("key %s was told %v, want %v", key, told[key], want)
					}
				}
				mu.Unlock()
				close(until)
				pass(time.Minute)
				if n := called.Load(); n != wrongs {
					t.Errorf("%d of %d bad callbacks were called", n, wrongs)
				}
				if s := h.Stats(); s.Held+s.Undelivered+s.Pending != 0 {
					t.Errorf("left: %+v", s)
				}
			})
		})
	}
}

// BenchmarkDelivery is how long an outcome waits for its callback, from the runner's done to the first line of the
// callback, at 32,000 a second beside 4,000 that misbehave, or 500 that hang. Tenths of a second with and without
// misdeeds take turns, so that both see the same machine; the figures are medians over them of the 99th percentile, and
// ratio is how many times the baseline it is.
func BenchmarkDelivery(b *testing.B) {
	for _, bad := range misdeeds[1 : len(misdeeds)-1] {
		often := 8
		if bad.name == "block" {
			often = 64 // each takes a goroutine of its own
		}
		b.Run(bad.name, func(b *testing.B) {
			start := time.Now()
			l := newLine(b)
			m := over(b, submit(func(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
				return l.Submit(ctx, t, func(o ipc.Outcome) {
					o.Ran = time.Since(start)
					done(o)
				})
			}))
			tenth := func(do func(m *master.Master, stop func(), until <-chan struct{})) (p99 time.Duration) {
				until := make(chan struct{})
				waits := make([]time.Duration, 3200)
				var called sync.WaitGroup
				begin := time.Now()
				for i := range waits {
					if i%32 == 0 {
						time.Sleep(time.Until(begin.Add(time.Duration(i/32) * time.Millisecond)))
					}
					if i%often == 0 {
						if err := m.Send(bg, ipc.Task{Key: fmt.Sprint("bad ", i)}, func(master.Value) { do(m, nil, until) }); err != nil {
							b.Fatal(err)
						}
					}
					called.Add(1)
					if err := m.Send(bg, ipc.Task{Key: strconv.Itoa(i % 512)}, func(v master.Value) {
						waits[i] = time.Since(start) - v.Ran
						called.Done()
					}); err != nil {
						b.Fatal(err)
					}
				}
				called.Wait()
				close(until)
				slices.Sort(waits)
				return waits[len(waits)*99/100]
			}
			var base, beside []time.Duration
			for range b.N {
				base = append(base, tenth(misdeeds[0].do))
				beside = append(beside, tenth(bad.do))
			}
			slices.Sort(base)
			slices.Sort(beside)
			b.ReportMetric(float64(base[b.N/2])/1e3, "base-µs")
			b.ReportMetric(float64(beside[b.N/2])/1e3, "p99-µs")
			b.ReportMetric(float64(beside[b.N/2])/float64(base[b.N/2]), "ratio")
		})
	}
}
