package schedule_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"fandango/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bell notes what rings, and when.
type bell struct {
	start time.Time
	rung  []rung
}

type rung struct {
	item  string
	after time.Duration
}

func (b *bell) ring(item string, now time.Time) {
	b.rung = append(b.rung, rung{item, now.Sub(b.start)})
}

// during runs a loop for a while of a bubble's time, and do beside it.
func during[T any](t *testing.T, l *schedule.Loop[T], d time.Duration, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	if do != nil {
		do()
	}
	time.Sleep(d) // in a bubble: no time passes
	synctest.Wait()
	cancel()
	wg.Wait()
}

func TestLoopRingsInOrderAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bell{start: time.Now()}
		l := schedule.NewLoop(b.ring)
		l.Add("c", b.start.Add(3*time.Second))
		l.Add("past", b.start.Add(-time.Hour))
		l.Add("never", time.Time{})
		a := l.Add("a", b.start.Add(9*time.Second))
		gone := l.Add("gone", b.start.Add(time.Second))
		l.Set(a, b.start.Add(2*time.Second))
		l.Remove(gone)
		during(t, l, 10*time.Second, func() {
			l.Add("b", b.start.Add(2500*time.Millisecond)) // while the loop sleeps for longer
		})
		want := []rung{{"past", 0}, {"a", 2 * time.Second}, {"b", 2500 * time.Millisecond}, {"c", 3 * time.Second}}
		if !slices.Equal(b.rung, want) {
			t.Errorf("rung %v, want %v", b.rung, want)
		}
	})
}

func TestBatchLoopRingsAllThatIsDueInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 3*schedule.BatchSize + 1
		start := time.Now()
		var sizes, rung []int
		var l *schedule.Loop[int]
		ids := make([]schedule.ID, many)
		l = schedule.NewBatchLoop(func(items []int, now time.Time) {
			sizes, rung = append(sizes, len(items)), append(rung, items...)
			if len(rung) == many {
				l.Set(ids[0], now.Add(time.Second))
				l.Remove(ids[1])
			}
		})
		for i := range ids {
			ids[i] = l.Add(i, start.Add(-time.Duration(i)))
		}
		during(t, l, time.Minute, nil)
		want := []int{schedule.BatchSize, schedule.BatchSize, schedule.BatchSize, 1, 1}
		if !slices.Equal(sizes, want) {
			t.Fatalf("batches of %v, want %v", sizes, want)
		}
		if !slices.IsSortedFunc(rung[:many], func(a, b int) int { return b - a }) || rung[many] != 0 {
			t.Errorf("rung %v, want the earliest first, and 0 again", rung)
		}
	})
}

func TestLoopNeedsNoTimeToSetAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var l *schedule.Loop[int]
		var id schedule.ID
		n := 0
		e, err := schedule.NewEvery(time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		due := start
		l = schedule.NewLoop(func(_ int, now time.Time) {
			if now.Before(due) {
				t.Errorf("rang %v early", due.Sub(now))
			}
			n++
			due, _ = e.Next(due, now)
			l.Set(id, due)
		})
		id = l.Add(1, due)
		during(t, l, 100*time.Second, nil)
		if n != 100_001 {
			t.Errorf("%d runs in 100 s at 1 ms, want 100,001", n)
		}
	})
}

func TestLoopKeepsWhatIsDueAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bell{start: time.Now()}
		l := schedule.NewLoop(b.ring)
		l.Add("x", b.start.Add(5*time.Second))
		during(t, l, time.Second, nil)
		if len(b.rung) != 0 {
			t.Fatalf("rung %v", b.rung)
		}
		during(t, l, 10*time.Second, nil)
		if want := []rung{{"x", 5 * time.Second}}; !slices.Equal(b.rung, want) {
			t.Errorf("rung %v, want %v", b.rung, want)
		}
	})
}

func TestLoopEndsWhileItRings(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	l := schedule.NewLoop(func(int, time.Time) { n++; cancel() })
	for i := range 100 {
		l.Add(i, time.Now())
	}
	l.Run(ctx)
	if n != 1 {
		t.Errorf("%d items rang after the end, want none", n-1)
	}
}

func TestAnIDOfARemovedItemNamesNothing(t *testing.T) {
	t.Parallel()
	l := schedule.NewLoop(func(string, time.Time) {})
	old := l.Add("old", time.Now())
	if !l.Remove(old) || l.Remove(old) {
		t.Error("Remove does not say that it was done before")
	}
	id := l.Add("new", time.Now()) // takes the place
	if l.Set(old, time.Now()) || l.Remove(old) || l.Remove(schedule.ID{}) || l.Set(schedule.ID{}, time.Now()) {
		t.Error("an old ID names a new item")
	}
	if !l.Set(id, time.Time{}) {
		t.Error("the new ID names nothing")
	}
}

// Whatever is added, moved and removed: each item rings at the last time that was set for it, and in order.
func TestLoopAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var got []int64
		base := time.Now().Add(-time.Hour) // all is due
		ctx, cancel := context.WithCancel(t.Context())
		l := schedule.NewLoop(func(due func() int64, _ time.Time) {
			if at := due(); at >= 0 {
				got = append(got, at)
			} else {
				cancel()
			}
		})
		l.Add(func() int64 { return -1 }, time.Now()) // the last
		type item struct {
			id schedule.ID
			at int64
		}
		var model []*item
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				first := rapid.Int64Range(0, 1000).Draw(rt, "at")
				for n := range rapid.SampledFrom([]int64{1, 1, 1, 700}).Draw(rt, "items") { // few, or more than a page
					i := &item{at: first ^ n}
					i.id = l.Add(func() int64 { return i.at }, base.Add(time.Duration(i.at)))
					model = append(model, i)
				}
			},
			"set": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip()
				}
				i := rapid.SampledFrom(model).Draw(rt, "item")
				i.at = rapid.Int64Range(0, 1000).Draw(rt, "at")
				l.Set(i.id, base.Add(time.Duration(i.at)))
			},
			"remove": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip()
				}
				n := rapid.IntRange(0, len(model)-1).Draw(rt, "item")
				l.Remove(model[n].id)
				model = slices.Delete(model, n, n+1)
			},
		})
		var want []int64
		for _, i := range model {
			want = append(want, i.at)
		}
		slices.Sort(want)
		l.Run(ctx)
		if !slices.Equal(got, want) {
			rt.Fatalf("rung %v, want %v", got, want)
		}
	})
}
