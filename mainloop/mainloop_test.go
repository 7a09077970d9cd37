package mainloop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fandango/mainloop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loop is a loop of a user's own: one goroutine that runs what it is sent, and what else it has to do.
type loop struct {
	events chan func()
	id     string // of its goroutine
}

// start runs a loop and a queue for it until the test ends.
func start(t *testing.T, cfg mainloop.Config) (*mainloop.Queue, *loop) {
	t.Helper()
	l := &loop{events: make(chan func())}
	ctx, cancel := context.WithCancel(context.Background())
	q := mainloop.New(l.post(ctx), cfg)
	var running sync.WaitGroup
	began := make(chan string)
	running.Go(func() {
		began <- goroutine()
		l.run(ctx)
	})
	l.id = <-began
	running.Go(func() { _ = q.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return q, l
}

func (l *loop) post(ctx context.Context) func(func()) {
	return func(f func()) {
		select {
		case l.events <- f:
		case <-ctx.Done():
		}
	}
}

func (l *loop) run(ctx context.Context) {
	for {
		select {
		case f := <-l.events:
			survive(f)
		case <-ctx.Done():
			return
		}
	}
}

// survive is what a toolkit does with a callback that panics.
func survive(f func()) {
	defer func() { _ = recover() }()
	f()
}

// goroutine is the name of the one that it is called on: "goroutine 17".
func goroutine() string {
	b := make([]byte, 64)
	name, _, _ := bytes.Cut(b[:runtime.Stack(b, false)], []byte(" ["))
	return string(name)
}

func put(t *testing.T, q *mainloop.Queue, f func()) {
	t.Helper()
	if err := q.Put(f); err != nil {
		t.Error(err)
	}
}

// flush waits until all that was put so far has run.
func flush(t *testing.T, q *mainloop.Queue) {
	t.Helper()
	done := make(chan struct{})
	put(t, q, func() { close(done) })
	<-done
}

// The counter has no lock: the race detector would find a second goroutine, or two funcs at a time.
func TestTheLoopAloneRunsTheCallbacks(t *testing.T) {
	var told []string
	note := func() { told = append(told, goroutine()) }
	q, l := start(t, mainloop.Config{
		Busy:     func(bool) { note() },
		Progress: func(float64) { note() },
		Panic:    func(any) { note() },
	})
	const putters, each = 50, 100
	count := 0
	deliver := mainloop.Deliver(q, func(n int) {
		note()
		if count += n; count%100 == 0 {
			panic("now and then")
		}
	})
	var putting sync.WaitGroup
	for range putters {
		putting.Go(func() {
			for range each {
				deliver(1)
			}
		})
	}
	putting.Wait()
	flush(t, q)
	counted := make(chan int)
	put(t, q, func() { counted <- count })
	if n := <-counted; n != putters*each {
		t.Errorf("%d callbacks ran, want %d", n, putters*each)
	}
	wrong := make(chan int)
	put(t, q, func() {
		n := 0
		for _, id := range told {
			if id != l.id {
				n++
			}
		}
		wrong <- n
	})
	if n := <-wrong; n > 0 {
		t.Errorf("%d calls were on another goroutine than the loop's, %s", n, l.id)
	}
}

func TestCallbacksKeepTheirOrder(t *testing.T) {
	q, _ := start(t, mainloop.Config{})
	var got []int
	for i := range 1000 {
		put(t, q, func() { got = append(got, i) })
	}
	flush(t, q)
	if !slices.IsSorted(got) || len(got) != 1000 {
		t.Errorf("order: %v", got)
	}
}

// The loop gets one func, then its own events have their turn.
func TestOneAtATimeWithTheLoopsOwnEventsBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posted := make(chan func(), 10)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		q := mainloop.New(func(f func()) { posted <- f }, mainloop.Config{})
		go func() { _ = q.Run(ctx) }()
		ran := 0
		for range 5 {
			put(t, q, func() { ran++ })
		}
		for i := range 5 {
			synctest.Wait()
			if len(posted) != 1 || ran != i {
				t.Fatalf("%d posted, %d ran; want 1, %d", len(posted), ran, i)
			}
			f := <-posted
			f()
			f() // a loop that runs twice what it got
		}
		synctest.Wait()
		if ran != 5 || len(posted) != 0 {
			t.Errorf("%d ran, %d posted; want 5, 0", ran, len(posted))
		}
	})
}

// hooks notes in log what is told.
func hooks(log *[]string) mainloop.Config {
	return mainloop.Config{
		Busy:     func(busy bool) { *log = append(*log, fmt.Sprintf("busy %v", busy)) },
		Progress: func(done float64) { *log = append(*log, fmt.Sprintf("%.2f", done)) },
		Panic:    func(v any) { *log = append(*log, fmt.Sprintf("panic %v", v)) },
	}
}

// inBubble gives f a queue whose loop is the goroutine of Run itself, in a bubble of time.
func inBubble(t *testing.T, cfg mainloop.Config, f func(t *testing.T, q *mainloop.Queue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := mainloop.New(func(f func()) { survive(f) }, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx) }()
		f(t, q)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestHooksTellABusyTime(t *testing.T) {
	var log []string
	inBubble(t, hooks(&log), func(t *testing.T, q *mainloop.Queue) {
		t.Helper()
		put(t, q, func() {
			put(t, q, func() {})
			put(t, q, func() {
				put(t, q, func() {})
			})
		})
		synctest.Wait()
		put(t, q, func() {})
		synctest.Wait()
		want := []string{
			"busy true", "0.00", "0.33", "0.67", "0.75", "1.00", "busy false",
			"busy true", "0.00", "1.00", "busy false",
		}
		if !slices.Equal(log, want) {
			t.Errorf("told %q, want %q", log, want)
		}
	})
}

func TestTheEndDropsWhatTheLoopHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late func()
		q := mainloop.New(func(f func()) { late = f }, mainloop.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx) }()
		ran := false
		put(t, q, func() { ran = true })
		put(t, q, func() { ran = true })
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		late() // a loop that still has it
		if ran || q.Len() != 0 {
			t.Errorf("ran %v, %d wait", ran, q.Len())
		}
		if err := q.Put(func() {}); !errors.Is(err, mainloop.ErrEnded) {
			t.Errorf("Put = %v, want ErrEnded", err)
		}
		mainloop.Deliver(q, func(int) { t.Error("delivered after the end") })(1)
	})
}

func TestTheEndWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := mainloop.New(func(f func()) { go f() }, mainloop.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var returned bool
		begun := time.Now()
		put(t, q, func() {
			cancel()
			<-time.After(time.Second)
			returned = true
		})
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
		if after := time.Since(begun); !returned || after != time.Second {
			t.Errorf("Run returned after %v", after)
		}
	})
}

func TestRunIsCalledOnce(t *testing.T) {
	inBubble(t, mainloop.Config{}, func(t *testing.T, q *mainloop.Queue) {
		t.Helper()
		synctest.Wait()
		if err := q.Run(t.Context()); err == nil {
			t.Error("a second Run is no error")
		}
		flush(t, q) // by the first
	})
}

func TestLatestSkipsWhatTheLoopHasNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan func(), 1)
		q := mainloop.New(func(f func()) { events <- f }, mainloop.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = q.Run(ctx) }()
		var seen [][2]int
		show := mainloop.Latest(q, func(v, skipped int) { seen = append(seen, [2]int{v, skipped}) })
		show(1)
		synctest.Wait()
		for i := range 1_000_000 {
			show(i)
		}
		if q.Len() != 1 {
			t.Errorf("%d wait, want 1", q.Len())
		}
		(<-events)()
		show(7)
		synctest.Wait()
		(<-events)()
		if want := [][2]int{{999_999, 1_000_000}, {7, 0}}; !slices.Equal(seen, want) {
			t.Errorf("seen %v, want %v", seen, want)
		}
	})
}

// QWorker.put does not wake a worker that is idle: somebody must call next.
func TestPutWakesAnIdleQueue(t *testing.T) {
	q, _ := start(t, mainloop.Config{})
	for range 5_000 { // each put meets an idle queue, or one that is about to be
		flush(t, q)
	}
}

// QWorker begins with a sleep of 5 s.
func TestNothingWaitsForATimer(t *testing.T) {
	inBubble(t, mainloop.Config{}, func(t *testing.T, q *mainloop.Queue) {
		t.Helper()
		begun := time.Now()
		flush(t, q)
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("the first callback waited %v", waited)
		}
	})
}

// An item of QWorker's that is no callable stalls all that come behind it.
func TestAnItemThatFailsDoesNotStallTheOthers(t *testing.T) {
	var log []string
	inBubble(t, hooks(&log), func(t *testing.T, q *mainloop.Queue) {
		t.Helper()
		put(t, q, func() { panic("oh") })
		flush(t, q)
		synctest.Wait()
		if !slices.Contains(log, "panic oh") || log[len(log)-1] != "busy false" {
			t.Errorf("told %q", log)
		}
	})
	t.Run("without a Panic hook", func(t *testing.T) {
		inBubble(t, mainloop.Config{}, func(t *testing.T, q *mainloop.Queue) {
			t.Helper()
			put(t, q, func() { panic("oh") })
			flush(t, q)
		})
	})
	t.Run("Goexit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := mainloop.New(func(f func()) { go f() }, mainloop.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = q.Run(ctx) }()
			put(t, q, runtime.Goexit)
			flush(t, q)
		})
	})
	t.Run("nil", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("a nil func was put")
			}
		}()
		_ = mainloop.New(func(func()) {}, mainloop.Config{}).Put(nil)
	})
}

// QWorker.getDone falls to 0 when everything is done.
func TestDoneStaysFullAtTheEnd(t *testing.T) {
	inBubble(t, mainloop.Config{}, func(t *testing.T, q *mainloop.Queue) {
		t.Helper()
		var during []float64
		look := func() { during = append(during, q.Done()) }
		put(t, q, func() {
			put(t, q, look)
			put(t, q, look)
			look()
		})
		synctest.Wait()
		if want := []float64{0, 1. / 3, 2. / 3}; !slices.Equal(during, want) || q.Done() != 1 {
			t.Errorf("Done = %v, then %v; want %v, then 1", during, q.Done(), want)
		}
	})
}

// QWorker loses the result of its parent's getQueue, so nobody knows what waits.
func TestLenTellsWhatWaits(t *testing.T) {
	q := mainloop.New(func(func()) {}, mainloop.Config{})
	put(t, q, func() {})
	put(t, q, func() {})
	if n := q.Len(); n != 2 || q.Done() != 0 {
		t.Errorf("Len = %d, Done = %v; want 2, 0", n, q.Done())
	}
}
