//go:build unix

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fandango/executor"
	"fandango/ipc"
	"fandango/pool"
)

// sleeper is a runner whose tasks last as many milliseconds as their args say and answer them; below 0 they fail.
type sleeper struct {
	queue   int // more than so many at a time are refused; 0: no limit
	running atomic.Int64
	most    atomic.Int64
	ended   atomic.Int64
}

func (s *sleeper) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	var ms int
	if err := t.Args.Decode(&ms); err != nil {
		return ipc.Errorf(ipc.KindInput, "%w", err)
	}
	n := s.running.Add(1)
	if s.queue > 0 && n > int64(s.queue) {
		s.running.Add(-1)
		return ipc.Errorf(ipc.KindQueueFull, "full")
	}
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	go func() {
		wait := time.NewTimer(time.Duration(max(ms, -ms)) * time.Millisecond)
		defer wait.Stop()
		o := ipc.Outcome{Value: t.Args}
		select {
		case <-wait.C:
			if ms < 0 {
				o = ipc.Outcome{Err: ipc.Errorf(ipc.KindTask, "%d ms are too few", ms)}
			}
		case <-ctx.Done():
			o = ipc.Outcome{Err: ipc.Errorf(ipc.KindCancelled, "cancelled: %w", context.Cause(ctx))}
		}
		s.running.Add(-1)
		s.ended.Add(1)
		done(o)
	}()
	return nil
}

var sleep = ipc.NewTarget[int, int]("sleep")

// results goes through a Map to its end.
func results(seq iter.Seq2[int, error]) (values []int, errs []error) {
	for v, err := range seq {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		values = append(values, v)
	}
	return values, errs
}

// sleeps makes the tasks of an Each.
func sleeps(t *testing.T, ms ...int) iter.Seq[ipc.Task] {
	t.Helper()
	tasks := make([]ipc.Task, len(ms))
	for i, n := range ms {
		var err error
		if tasks[i], err = sleep.Task("the same key", n); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Values(tasks)
}

func TestMapOrder(t *testing.T) {
	in := []int{55, 10, 40, 20, 30}
	for _, c := range []struct {
		batch pool.Batch
		want  []int
	}{
		{pool.Batch{}, in},
		{pool.Batch{Window: 2}, in},
		{pool.Batch{Unordered: true}, []int{10, 20, 30, 40, 55}},
		{pool.Batch{Unordered: true, Window: 1}, in},
		{pool.Batch{Unordered: true, Window: 2}, []int{10, 40, 55, 20, 30}},
	} {
		synctest.Test(t, func(t *testing.T) {
			got, errs := results(pool.Map(t.Context(), &sleeper{}, sleep, slices.Values(in), c.batch))
			if !slices.Equal(got, c.want) || errs != nil {
				t.Errorf("%+v: %v, %v; want %v", c.batch, got, errs, c.want)
			}
		})
	}
}

func TestMapOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got, errs := results(pool.Map(t.Context(), &sleeper{}, sleep, slices.Values[[]int](nil), pool.Batch{})); got != nil || errs != nil {
			t.Errorf("got %v, %v", got, errs)
		}
	})
}

func TestMapKeepsItsWindow(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &sleeper{}
			var given atomic.Int64
			source := func(yield func(int) bool) {
				for taken := range int64(1000) {
					// Beyond the window are the one that the loop has in hand and the one that waits for room.
					if n := given.Load(); taken > n+8+1 {
						t.Errorf("%d items taken with %d results given", taken+1, n)
					}
					if !yield(10) {
						return
					}
				}
			}
			for _, err := range pool.Map(t.Context(), s, sleep, source, pool.Batch{Window: 8, Unordered: unordered}) {
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the source has stopped at its bound
				given.Add(1)
			}
			if given.Load() != 1000 || s.most.Load() != 8 {
				t.Errorf("%d results, %d at a time; want 1000, 8", given.Load(), s.most.Load())
			}
		})
	}
}

func TestMapEndsAtTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sleeper{}
		begun := time.Now()
		got, errs := results(pool.Map(t.Context(), s, sleep, slices.Values([]int{10, -20, 3_600_000, 30}), pool.Batch{}))
		if !slices.Equal(got, []int{10}) || len(errs) != 1 || !errors.Is(errs[0], ipc.ErrTask) || errs[0].Error() != "item 2: -20 ms are too few" {
			t.Errorf("got %v, %v", got, errs)
		}
		if s.running.Load() != 0 || s.ended.Load() != 4 || time.Since(begun) != 20*time.Millisecond {
			t.Errorf("after %v: %d still run, %d have ended", time.Since(begun), s.running.Load(), s.ended.Load())
		}
	})
}

func TestMapGivesAllErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, errs := results(pool.Map(t.Context(), &sleeper{}, sleep, slices.Values([]int{10, -20, 30, -5}), pool.Batch{AllErrors: true}))
		if !slices.Equal(got, []int{10, 30}) || fmt.Sprint(errs) != "[item 2: -20 ms are too few item 4: -5 ms are too few]" {
			t.Errorf("got %v, %v", got, errs)
		}
	})
}

// An item that cannot be encoded and a result of another type are errors of their own item.
func TestMapNamesTheItemThatDoesNotFit(t *testing.T) {
	echo := executor.Func(func(_ context.Context, v any) (any, error) { return v, nil })
	synctest.Test(t, func(t *testing.T) {
		r := executor.Local(echo, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		defer running.Wait()
		defer cancel()
		items := []any{1, make(chan int), "three", 4} // a channel has no encoding
		ints := ipc.NewTarget[any, int]("echo")
		var kinds []ipc.Kind
		for _, err := range pool.Map(ctx, forArgs{r}, ints, slices.Values(items), pool.Batch{AllErrors: true}) {
			kinds = append(kinds, ipc.KindOf(err))
		}
		if want := []ipc.Kind{"", ipc.KindInput, ipc.KindInput, ""}; !slices.Equal(kinds, want) {
			t.Errorf("kinds %q, want %q", kinds, want)
		}
	})
}

// forArgs makes the args of a task its target.
type forArgs struct{ ipc.Runner }

func (f forArgs) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	t.Target, t.Args = t.Args, nil
	return f.Runner.Submit(ctx, t, done)
}

func TestBreakingOutCancelsAndWaits(t *testing.T) {
	endless := func(yield func(int) bool) {
		for yield(1) && yield(3_600_000) {
		}
	}
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &sleeper{}
			begun := time.Now()
			for range pool.Map(t.Context(), s, sleep, endless, pool.Batch{Window: 10, Unordered: unordered}) {
				break
			}
			if s.running.Load() != 0 || time.Since(begun) != time.Millisecond {
				t.Errorf("after %v %d tasks still run", time.Since(begun), s.running.Load())
			}
		})
	}
}

func TestAPanicInTheLoopCancelsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sleeper{}
		defer func() {
			if v := recover(); v != "oh" || s.running.Load() != 0 {
				t.Errorf("recovered %v, %d tasks still run", v, s.running.Load())
			}
		}()
		for range pool.Map(t.Context(), s, sleep, slices.Values([]int{1, 3_600_000}), pool.Batch{}) {
			panic("oh")
		}
	})
}

func TestTheEndOfTheContextIsTold(t *testing.T) {
	why := errors.New("enough")
	t.Run("under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(why) })
			got, errs := results(pool.Map(ctx, &sleeper{}, sleep, slices.Values([]int{1, 3_600_000, 1}), pool.Batch{}))
			if !slices.Equal(got, []int{1}) || len(errs) != 1 || !errors.Is(errs[0], ipc.ErrCancelled) || !errors.Is(errs[0], why) {
				t.Errorf("got %v, %v", got, errs)
			}
		})
	})
	t.Run("between two", func(t *testing.T) { // nothing is cancelled, and yet there was more to do
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			source := func(yield func(int) bool) {
				if yield(1) {
					<-time.After(time.Second)
					cancel(why)
					yield(2)
				}
			}
			for _, all := range []bool{false, true} {
				got, errs := results(pool.Map(ctx, &sleeper{}, sleep, source, pool.Batch{AllErrors: all}))
				if len(errs) != 1 || !errors.Is(errs[0], why) {
					t.Errorf("got %v, %v", got, errs)
				}
			}
		})
	})
}

// A loop may feed itself: results come while the next item is not there yet.
func TestResultsComeWhileTheInputWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := make(chan int, 1)
		found <- 5
		source := func(yield func(int) bool) {
			for n := range found {
				if !yield(n) {
					return
				}
			}
		}
		count := 0
		for n, err := range pool.Map(t.Context(), &sleeper{}, sleep, source, pool.Batch{}) {
			if err != nil {
				t.Fatal(err)
			}
			if count++; n == 1 {
				close(found)
				continue
			}
			found <- n - 1
		}
		if count != 5 {
			t.Errorf("%d results, want 5", count)
		}
	})
}

func TestAFullQueueIsWaitedForOnlyWhereItIsOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sleeper{queue: 3}
		in := slices.Repeat([]int{10, 20}, 50)
		got, errs := results(pool.Map(t.Context(), s, sleep, slices.Values(in), pool.Batch{}))
		if !slices.Equal(got, in) || errs != nil || s.most.Load() != 3 {
			t.Errorf("%d results, %v, %d at a time", len(got), errs, s.most.Load())
		}
		s.running.Store(3) // of others, who will not be told of our end
		_, errs = results(pool.Map(t.Context(), s, sleep, slices.Values(in), pool.Batch{}))
		if len(errs) != 1 || !errors.Is(errs[0], ipc.ErrQueueFull) {
			t.Errorf("errors %v, want that the queue is full", errs)
		}
	})
}

func TestEachProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told [][2]int
		progress := func(done, pending int) { told = append(told, [2]int{done, pending}) }
		for range pool.Each(t.Context(), &sleeper{}, sleeps(t, 10, 30, 20), pool.Batch{Progress: progress}) {
			synctest.Wait()
		}
		if want := [][2]int{{1, 2}, {2, 1}, {3, 0}}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

func TestMapOnProcesses(t *testing.T) {
	p, _ := start(t, pool.Config{Workers: 2})
	echo := ipc.NewTarget[int, int]("echo")
	want := make([]int, 300)
	for i := range want {
		want[i] = i
	}
	if got, errs := results(pool.Map(t.Context(), p, echo, slices.Values(want), pool.Batch{})); !slices.Equal(got, want) || errs != nil {
		t.Errorf("%d results, %v", len(got), errs)
	}
	hang := ipc.NewTarget[int, int]("x:hang")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, errs := results(pool.Map(ctx, p, hang, slices.Values(want), pool.Batch{})); len(errs) != 1 || !errors.Is(errs[0], ipc.ErrCancelled) {
		t.Errorf("errors %v, want one, cancelled", errs)
	}
}

// Fandango's Pool cannot be created: its constructor raises NameError.
func TestMapNeedsNoMoreThanARunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got, errs := results(pool.Map(t.Context(), &sleeper{}, sleep, slices.Values([]int{1}), pool.Batch{})); len(got) != 1 || errs != nil {
			t.Errorf("got %v, %v", got, errs)
		}
	})
}

// Fandango's Pool ends its workers when the queue is empty, and loses what is put in at that moment: 20 of 200.
func TestNoTaskIsLostWhenTheQueueRunsEmpty(t *testing.T) {
	r := executor.Local(executor.Func(func(_ context.Context, n int) (int, error) { return n, nil }), 5)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	const most = 10_000
	seen := make([]int, most)
	trickle := func(yield func(int) bool) {
		for i := range most {
			if i%3 == 0 {
				runtime.Gosched() // the workers find nothing to do
			}
			if !yield(i) {
				return
			}
		}
	}
	for n, err := range pool.Map(ctx, forArgs{r}, sleep, trickle, pool.Batch{Unordered: true, Window: 7}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[n]++
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("task %d ran %d times", n, times)
		}
	}
}

// Fandango's Pool knows its tasks by str(task), and has no results.
func TestTasksThatLookAlikeEachHaveTheirResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := 0
		for task, o := range pool.Each(t.Context(), &sleeper{}, sleeps(t, 10, 10, 10, 10), pool.Batch{}) {
			if o.Err != nil || o.Value.String() != "10" || task.Key != "the same key" {
				t.Errorf("%v: %+v", task, o)
			}
			count++
		}
		if count != 4 {
			t.Errorf("%d results, want 4", count)
		}
	})
}

// Squares of a sequence, four at a time, in its order. Any Runner will do: a pool of processes, or this process.
func ExampleMap() {
	ctx, cancel := context.WithCancel(context.Background())
	reg := &executor.Registry{}
	executor.Handle(reg, "square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	r := executor.Local(reg, 2)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	square := ipc.NewTarget[int, int]("square")
	for n, err := range pool.Map(ctx, r, square, slices.Values([]int{1, 2, 3, 4, 5}), pool.Batch{Window: 4}) {
		fmt.Println(n, err)
	}
	cancel()
	fmt.Println(<-ended)
	// Output:
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
	// 16 <nil>
	// 25 <nil>
	// <nil>
}

// Tasks with keys of their own, and what became of each.
func ExampleEach() {
	ctx, cancel := context.WithCancel(context.Background())
	reg := &executor.Registry{}
	executor.Handle(reg, "half", func(_ context.Context, n int) (int, error) {
		if n%2 != 0 {
			return 0, fmt.Errorf("%d is odd", n)
		}
		return n / 2, nil
	})
	r := executor.Local(reg, 2)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	tasks := func(yield func(ipc.Task) bool) {
		for i, key := range []string{"zero", "one", "two"} {
			if t, err := ipc.NewTask(key, "half", i); err != nil || !yield(t) {
				return
			}
		}
	}
	for t, o := range pool.Each(ctx, r, tasks, pool.Batch{AllErrors: true}) {
		fmt.Println(t.Key, o.Value, o.Err)
	}
	cancel()
	fmt.Println(<-ended)
	// Output:
	// zero 0 <nil>
	// one null 1 is odd
	// two 1 <nil>
	// <nil>
}
