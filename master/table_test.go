package master_test

import (
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"fandango/master"
)

var tableKeys = flag.Int("keys", 100_000, "how many keys the table of BenchmarkTable has")

// BenchmarkTable is what a large table costs, of 100,000 keys or of so many (-args -keys 1000000): memory of a key beyond
// its name and value (B/key), and each way to it. Where all keys are looked at, held-µs is the longest time for which
// somebody who asks for one key meanwhile had to wait, and held-p99-µs what 99 of 100 did not exceed.
func BenchmarkTable(b *testing.B) {
	n := *tableKeys
	keys := names(n)
	ns := func(b *testing.B, start time.Time) {
		b.ReportMetric(float64(time.Since(start))/float64(b.N)/float64(n), "ns/key")
	}
	b.Run("fill", func(b *testing.B) {
		for b.Loop() {
			before, start := heap(), time.Now()
			m := table(b, keys)
			b.ReportMetric(float64(time.Since(start))/float64(n), "ns/key")
			b.ReportMetric(float64(heap()-before)/float64(n), "B/key")
			_, _ = m.Value("") // it is there until now
		}
	})
	m := table(b, keys)
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			set(b, m, keys[i%n])
			i += 7919 // the next one is elsewhere in memory
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := m.Get(keys[i%n]); err != nil {
				b.Fatal(err)
			}
			i += 7919
		}
	})
	b.Run("value", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, ok := m.Value(keys[i%n]); !ok {
				b.Fatal("no " + keys[i%n])
			}
			i += 7919
		}
	})
	b.Run("values", func(b *testing.B) {
		b.ReportAllocs()
		held, start := probe(b, m, "held-"), time.Now()
		for b.Loop() {
			if len(m.Values()) != n {
				b.Fatal("some are missing")
			}
		}
		ns(b, start)
		held()
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		held, start := probe(b, m, "held-"), time.Now()
		for b.Loop() {
			got := 0
			for range m.All() {
				got++
			}
			if got != n {
				b.Fatal("some are missing")
			}
		}
		ns(b, start)
		held()
	})
	b.Run("watch", func(b *testing.B) { // the present values
		for b.Loop() {
			held := probe(b, m, "held-")
			before, start := heap(), time.Now()
			got := 0
			for range m.Watch(b.Context()) {
				if got++; got == n {
					b.ReportMetric(float64(time.Since(start))/float64(n), "ns/key")
					held()
					b.ReportMetric(float64(heap()-before)/float64(n), "B/key")
					break
				}
			}
		}
	})
	b.Run("watch/set", func(b *testing.B) { // a change while somebody watches all
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		told, ready, over := 0, make(chan struct{}), make(chan struct{})
		go func() {
			defer close(over)
			for v := range m.Watch(ctx) {
				if told++; told == n {
					close(ready)
				}
				if v.Key == "last" {
					return
				}
			}
		}()
		<-ready
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			set(b, m, keys[i%n])
			i += 7919
		}
		start := time.Now()
		set(b, m, "last")
		<-over
		b.ReportMetric(float64(told-n)/float64(b.N+1), "told/op")
		b.ReportMetric(float64(time.Since(start).Microseconds()), "behind-µs") // how far the reader was behind the writer
		if _, err := m.Pop("last"); err != nil {
			b.Fatal(err)
		}
	})
}

// probe asks for one key again and again, until the func it returns says how long that took.
func probe(b *testing.B, m *master.Master, name string) (held func()) {
	b.Helper()
	stop, all := make(chan struct{}), make(chan []time.Duration)
	go func() {
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		waits := make([]time.Duration, 0, 1<<20)
		for {
			select {
			case <-stop:
				all <- waits
				return
			case <-tick.C:
			}
			start := time.Now()
			m.Value("key 0")
			for wait := time.Since(start); wait >= 0; wait -= 100 * time.Microsecond { // who would have come meanwhile waits, too
				waits = append(waits, wait)
			}
		}
	}()
	return func() {
		close(stop)
		waits := <-all
		if len(waits) == 0 {
			return // it was over before one tick
		}
		slices.Sort(waits)
		b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), name+"µs")
		b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), name+"p99-µs")
	}
}
