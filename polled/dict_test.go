package polled_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fandango/polled"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is what a dictionary reads. It notes each read.
type source struct {
	start time.Time

	mu     sync.Mutex // guards what follows
	lines  []string
	values map[string]int
	errs   map[string]error
	takes  map[string]time.Duration
	hangs  map[string]chan struct{} // until it is closed, whatever the context says
}

func (s *source) read(ctx context.Context, key string) (int, error) {
	s.mu.Lock()
	s.lines = append(s.lines, fmt.Sprint(time.Since(s.start), " ", key))
	value, err, takes, hangs := s.values[key], s.errs[key], s.takes[key], s.hangs[key]
	s.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return value, err
}

func (s *source) write(_ context.Context, key string, value int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
	return value * 10, s.errs[key]
}

func (s *source) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// expect compares what was read since the last call.
func (s *source) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.lines, want) {
		t.Errorf("read %q\nwant %q", s.lines, want)
	}
	s.lines = nil
}

// pass lets a bubble's time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type dict = polled.Dict[string, int]

type config = polled.Config[string, int]

// live runs a dictionary in a bubble while do takes. The funcs of cfg are those of the source unless there are others. Its
// keys are due together.
func live(t *testing.T, cfg config, do func(t *testing.T, d *dict, s *source)) {
	t.Helper()
	cfg.Together = true
	liveSpread(t, cfg, do)
}

// liveSpread is live with keys that are spread over their period.
func liveSpread(t *testing.T, cfg config, do func(t *testing.T, d *dict, s *source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &source{
			start: time.Now(), values: map[string]int{}, errs: map[string]error{},
			takes: map[string]time.Duration{}, hangs: map[string]chan struct{}{},
		}
		if cfg.Read == nil && cfg.ReadMany == nil {
			cfg.Read = s.read
		}
		if cfg.Write == nil {
			cfg.Write = s.write
		}
		d, err := polled.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		synctest.Wait()
		do(t, d, s)
		cancel()
		wg.Wait()
		if n := d.Stats().Reading; n != 0 {
			t.Errorf("%d reads after the end", n)
		}
	})
}

func appendKeys(t *testing.T, d *dict, period time.Duration, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := d.Append(key, period); err != nil {
			t.Fatal(err)
		}
	}
}

func wantGet(t *testing.T, d *dict, key string, want int, wantErr error) {
	t.Helper()
	if got, err := d.Get(t.Context(), key); got != want || !errors.Is(err, wantErr) {
		t.Errorf("Get(%q) = %v, %v; want %v, %v", key, got, err, want, wantErr)
	}
}

func TestBUG110ASecondAppendChangesThePeriod(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		appendKeys(t, d, 10*time.Second, "k")
		pass(12 * time.Second)
		appendKeys(t, d, 3*time.Second, "k") // from the last read on
		pass(5 * time.Second)
		s.expect(t, "0s k", "10s k", "13s k", "16s k")
		appendKeys(t, d, 0, "k") // Config.Period; it has passed, so now
		s.expect(t, "17s k")
		pass(time.Second)
		s.expect(t, "18s k")
		appendKeys(t, d, time.Minute, "k")
		pass(time.Minute)
		s.expect(t, "1m18s k")
		if n := d.Len(); n != 1 {
			t.Errorf("%d keys", n)
		}
	})
}

func TestRow111ThePeriodIsTheOneThatWasAskedFor(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.takes["k"] = 150 * time.Millisecond
		appendKeys(t, d, 200*time.Millisecond, "k")
		pass(time.Second)
		s.expect(t, "0s k", "200ms k", "400ms k", "600ms k", "800ms k", "1s k")
		if v, _ := d.Value("k"); v.Missed != 0 || v.Delay != 0 || v.Took != 150*time.Millisecond {
			t.Errorf("%+v", v)
		}
	})
}

func TestAReadThatTakesLongerThanItsPeriod(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.takes["k"] = 2500 * time.Millisecond
		appendKeys(t, d, time.Second, "k")
		pass(6 * time.Second)
		s.expect(t, "0s k", "2.5s k", "5s k") // due at 1 and 2 s: one; at 3, 4 and 5 s: one
		v, _ := d.Value("k")
		if v.Missed != 3 || v.Delay != 2*time.Second || v.Reads != 2 || d.Stats().Missed != 3 {
			t.Errorf("%+v, %+v", v, d.Stats())
		}
	})
}

// Row 112.
func TestThreadedAndUnthreaded(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		wantGet(t, d, "k", 0, polled.ErrNoKey)
		s.values["k"], s.takes["k"] = 7, time.Second
		appendKeys(t, d, 10*time.Second, "k")
		synctest.Wait()
		wantGet(t, d, "k", 0, polled.ErrUnread)
		pass(time.Second)
		s.set(func() { s.values["k"] = 8 })
		wantGet(t, d, "k", 7, nil) // from the cache
		v, _ := d.Value("k")
		pass(2 * time.Second)
		if age := v.Age(); age != 2*time.Second || v.At.Sub(s.start) != time.Second {
			t.Errorf("age %v, at %v", age, v.At)
		}
		s.expect(t, "0s k")
	})
	live(t, config{Unthreaded: true}, func(t *testing.T, d *dict, s *source) {
		appendKeys(t, d, time.Second, "k")
		pass(10 * time.Second)
		s.expect(t) // nothing in the background
		s.values["k"] = 7
		wantGet(t, d, "k", 7, nil)
		s.values["k"] = 8
		wantGet(t, d, "k", 8, nil)
		wantGet(t, d, "other", 0, nil)
		s.expect(t, "10s k", "10s k", "10s other")
		if got := maps.Collect(d.All()); !maps.Equal(got, map[string]int{"k": 8}) {
			t.Errorf("All: %v", got)
		}
	})
}

// Rows 113 and 119.
func TestSetStoresWhatTheWriterReturnsAndDoesNotPoll(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		if err := d.Set(t.Context(), "k", 5); err != nil {
			t.Fatal(err)
		}
		wantGet(t, d, "k", 50, nil)
		s.errs["k"] = errors.New("read-only")
		if err := d.Set(t.Context(), "k", 6); !errors.Is(err, s.errs["k"]) {
			t.Errorf("Set: %v", err)
		}
		wantGet(t, d, "k", 50, nil)
		if err := d.Set(t.Context(), "new", 1); err != nil || !slices.Equal(d.Keys(), []string{"k", "new"}) {
			t.Errorf("%v, keys %q", err, d.Keys())
		}
		pass(time.Minute)
		s.expect(t)
		delete(s.errs, "k")
		s.values["k"] = 7
		appendKeys(t, d, time.Minute, "k")
		synctest.Wait()
		wantGet(t, d, "k", 7, nil)
	})
}

func TestWritesOfAKeyPassOneAtATime(t *testing.T) {
	var writing, most atomic.Int32
	live(t, config{Write: func(_ context.Context, _ string, v int) (int, error) {
		most.Store(max(most.Load(), writing.Add(1)))
		time.Sleep(time.Second)
		writing.Add(-1)
		return v, nil
	}}, func(t *testing.T, d *dict, _ *source) {
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { d.Set(t.Context(), "k", i) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := d.Set(ctx, "k", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Set that waits for others: %v", err)
		}
		wg.Wait()
		if most.Load() != 1 {
			t.Errorf("%d writes at a time", most.Load())
		}
	})
}

func TestRow114AFailedReadKeepsTheLastGoodValueBesideItsError(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		broken := errors.New("broken")
		s.errs["never"] = broken
		s.values["k"] = 7
		appendKeys(t, d, time.Second, "k", "never")
		pass(500 * time.Millisecond)
		s.set(func() { s.errs["k"] = broken })
		pass(time.Second)
		wantGet(t, d, "k", 7, broken)
		wantGet(t, d, "never", 0, broken)
		v, ok := d.Value("k")
		if !ok || !v.OK || v.At != s.start || v.Errors != 1 || v.Reads != 2 {
			t.Errorf("%+v", v)
		}
		if got := maps.Collect(d.All()); !maps.Equal(got, map[string]int{"k": 7}) {
			t.Errorf("All: %v", got)
		}
		s.set(func() { clear(s.errs) })
		pass(time.Second)
		wantGet(t, d, "k", 7, nil)
	})
}

func TestBUG115AReadOfOneKeyDelaysNoOther(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		hang := make(chan struct{})
		s.hangs["hang"] = hang
		appendKeys(t, d, time.Second, "hang", "k")
		var wg sync.WaitGroup
		wg.Go(func() { d.Read(t.Context(), "hang") })
		wg.Go(func() { d.Read(t.Context(), "other") })
		pass(2 * time.Second)
		wantGet(t, d, "hang", 0, polled.ErrUnread)
		if err := d.Set(t.Context(), "hang", 1); err != nil {
			t.Error(err)
		}
		wantGet(t, d, "hang", 10, nil)
		s.expectSorted(t, "0s hang", "0s k", "0s other", "1s k", "2s k")
		close(hang)
		wg.Wait()
	})
}

// expectSorted is expect where things happen at the same time.
func (s *source) expectSorted(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.set(func() { slices.Sort(s.lines) })
	s.expect(t, want...)
}

func TestBUG116PopStopsPolling(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.values["k"] = 7
		appendKeys(t, d, time.Second, "k")
		pass(500 * time.Millisecond)
		s.set(func() { s.takes["k"] = time.Hour })
		pass(time.Second) // a read is under way
		if v, err := d.Pop("k"); v != 7 || err != nil {
			t.Errorf("Pop: %v, %v", v, err)
		}
		synctest.Wait()
		if n := d.Stats().Reading; n != 0 {
			t.Errorf("%d reads go on", n)
		}
		pass(10 * time.Second)
		s.expect(t, "0s k", "1s k")
		wantGet(t, d, "k", 0, polled.ErrNoKey)
		if _, err := d.Pop("k"); !errors.Is(err, polled.ErrNoKey) {
			t.Errorf("Pop again: %v", err)
		}
		s.set(func() { clear(s.takes) })
		appendKeys(t, d, time.Second, "k", "l")
		synctest.Wait()
		d.Clear()
		pass(10 * time.Second)
		s.expectSorted(t, "11.5s k", "11.5s l")
		if d.Len() != 0 {
			t.Errorf("%d keys after Clear", d.Len())
		}
	})
}

func TestWhatAPoppedReadBringsIsDropped(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		hang := make(chan struct{})
		s.hangs["k"], s.values["k"] = hang, 1
		appendKeys(t, d, time.Hour, "k")
		synctest.Wait()
		d.Pop("k")
		s.set(func() { delete(s.hangs, "k"); s.values["k"] = 2 })
		appendKeys(t, d, time.Hour, "k")
		synctest.Wait()
		close(hang)
		synctest.Wait()
		wantGet(t, d, "k", 2, nil)
	})
}

func TestBUG117AKeyThatComesLastMakesNoOtherSkip(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		appendKeys(t, d, time.Second, "a", "b")
		pass(1500 * time.Millisecond)
		appendKeys(t, d, time.Second, "z")
		pass(time.Second)
		s.expectSorted(t, "0s a", "0s b", "1.5s z", "1s a", "1s b", "2.5s z", "2s a", "2s b")
	})
}

func TestBUG118StopAndStartDoNotWait(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		hang := make(chan struct{})
		s.hangs["hang"] = hang
		appendKeys(t, d, time.Second, "hang", "k")
		pass(500 * time.Millisecond)
		d.Stop()
		pass(3 * time.Second)
		s.expectSorted(t, "0s hang", "0s k")
		d.Start()
		if time.Since(s.start) != 3500*time.Millisecond {
			t.Error("it waited")
		}
		s.expect(t, "3.5s k") // once, for all that was due
		pass(time.Second)
		s.expect(t, "4s k")
		close(hang)
	})
}

func TestBUG118RunEndsThoughAReadHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		d, err := polled.New(config{Grace: 3 * time.Second, Read: func(context.Context, string) (int, error) {
			<-hang
			return 0, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		appendKeys(t, d, time.Second, "k")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := d.Run(ctx); err == nil || !strings.Contains(err.Error(), "[k]") || time.Since(start) != 4*time.Second {
			t.Errorf("Run ends after %v: %v", time.Since(start), err)
		}
		if err := d.Run(ctx); err == nil {
			t.Error("it runs twice")
		}
		close(hang)
	})
}

// Row 120: nothing was locked.
func TestBUG120FromFiftyGoroutines(t *testing.T) {
	t.Parallel()
	d, err := polled.New(config{
		Read:    func(_ context.Context, key string) (int, error) { runtime.Gosched(); return len(key), nil },
		Default: func(context.Context, string) (int, error) { return 1, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for n := range 60 {
				key := strings.Repeat("k", 1+(i+n)%7)
				switch (i * n) % 12 {
				case 0, 1, 2:
					d.Append(key, time.Duration(1+n%3)*time.Millisecond)
				case 3:
					d.Pop(key)
				case 4:
					d.Get(ctx, key)
				case 5:
					d.Set(ctx, key, len(key))
				case 6:
					if v, err := d.Read(ctx, key); v != len(key) || err != nil {
						t.Errorf("Read(%q) = %v, %v", key, v, err)
					}
				case 7:
					d.Stop()
				case 8:
					d.Start()
				case 9:
					for key, v := range d.All() {
						if v != len(key) && v != 1 {
							t.Errorf("%q is %v", key, v)
						}
					}
				case 10:
					_, _, _ = d.Stats(), d.Len(), d.Keys()
				case 11:
					for range d.Watch(ctx) {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	d.Start()
	appendKeys(t, d, time.Millisecond, "alive")
	for v := range d.Watch(ctx, "alive") {
		if v.Reads >= 1 && v.OK {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := d.Stats().Reading; n != 0 {
		t.Errorf("%d reads after the end", n)
	}
}

// Row 121.
func TestStats(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.takes["slow"] = 300 * time.Millisecond
		s.errs["bad"] = errors.New("broken")
		appendKeys(t, d, time.Second, "slow", "bad", "k")
		d.Set(t.Context(), "set", 1)
		pass(500 * time.Millisecond)
		want := polled.Stats{
			Keys: 4, Polled: 3, Reads: 3, Errors: 1, AvgTook: 100 * time.Millisecond, Updated: s.start.Add(300 * time.Millisecond),
		}
		if got := d.Stats(); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		v, _ := d.Value("slow")
		if v.Period != time.Second || !v.Next.Equal(s.start.Add(time.Second)) {
			t.Errorf("%+v", v)
		}
	})
}

func TestADefaultIsMadeOnceAndKept(t *testing.T) {
	made := 0
	live(t, config{Default: func(_ context.Context, key string) (int, error) {
		if key == "bad" {
			return 0, errors.ErrUnsupported
		}
		made++
		return made, nil
	}}, func(t *testing.T, d *dict, s *source) {
		wantGet(t, d, "k", 1, nil)
		wantGet(t, d, "k", 1, nil)
		wantGet(t, d, "l", 2, nil)
		wantGet(t, d, "bad", 0, errors.ErrUnsupported)
		if got := d.Keys(); !slices.Equal(got, []string{"k", "l"}) {
			t.Errorf("keys %q", got)
		}
		pass(time.Minute)
		s.expect(t)
	})
}

func TestAReadThatBeganBeforeASetIsDropped(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.values["k"], s.takes["k"] = 1, time.Second
		appendKeys(t, d, 10*time.Second, "k")
		pass(500 * time.Millisecond)
		if err := d.Set(t.Context(), "k", 2); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		wantGet(t, d, "k", 20, nil) // and not 1
		pass(10 * time.Second)
		wantGet(t, d, "k", 2, nil)
		s.expect(t, "0s k", "10s k")
	})
}

func TestReadSeesWhatItsCallerHasSet(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		hang := make(chan struct{})
		s.hangs["k"] = hang
		appendKeys(t, d, 10*time.Second, "k")
		synctest.Wait()
		d.Set(t.Context(), "k", 2)
		s.set(func() { delete(s.hangs, "k") })
		if v, err := d.Read(t.Context(), "k"); v != 2 || err != nil { // does not join the one that hangs
			t.Errorf("Read = %v, %v", v, err)
		}
		close(hang)
	})
}

func TestReadsOfAKeyJoin(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.values["k"], s.takes["k"] = 7, time.Second
		appendKeys(t, d, 3*time.Second, "k")
		synctest.Wait()
		var wg sync.WaitGroup
		for range 5 { // join the polling
			wg.Go(func() {
				if v, err := d.Read(t.Context(), "k"); v != 7 || err != nil {
					t.Errorf("Read = %v, %v", v, err)
				}
			})
		}
		wg.Wait()
		s.expect(t, "0s k")

		pass(1500 * time.Millisecond) // until 2.5 s; the polling joins what is read at 3 s
		short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		wg.Go(func() {
			if _, err := d.Read(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one who left: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { // goes on when the one who began it has left
			if v, err := d.Read(t.Context(), "k"); v != 7 || err != nil {
				t.Errorf("Read = %v, %v", v, err)
			}
		})
		pass(5 * time.Second)
		wg.Wait()
		s.expect(t, "2.5s k", "3.2s k", "6s k")
		wantGet(t, d, "k", 7, nil)
	})
}

func TestAJoinerOfAPoppedReadReadsByItself(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		s.values["k"], s.takes["k"] = 7, time.Second
		appendKeys(t, d, time.Minute, "k")
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() {
			if v, err := d.Read(t.Context(), "k"); v != 7 || err != nil {
				t.Errorf("Read = %v, %v", v, err)
			}
		})
		synctest.Wait()
		d.Pop("k")
		wg.Wait()
		s.expect(t, "0s k", "0s k")
	})
}

func TestTimeout(t *testing.T) {
	live(t, config{Timeout: time.Second}, func(t *testing.T, d *dict, s *source) {
		s.takes["k"] = time.Hour
		appendKeys(t, d, 10*time.Second, "k")
		pass(time.Second)
		wantGet(t, d, "k", 0, context.DeadlineExceeded)
	})
}

func TestAPanicIsAnError(t *testing.T) {
	broken := errors.New("broken")
	live(t, config{
		Read:  func(context.Context, string) (int, error) { panic(broken) },
		Write: func(context.Context, string, int) (int, error) { panic("write") },
	}, func(t *testing.T, d *dict, _ *source) {
		appendKeys(t, d, time.Second, "k")
		synctest.Wait()
		wantGet(t, d, "k", 0, broken)
		var p *polled.PanicError
		if err := d.Set(t.Context(), "k", 1); !errors.As(err, &p) || p.Value != "write" || len(p.Stack) == 0 {
			t.Errorf("Set: %v", err)
		}
	})
}

func TestAReadThatEndsItsGoroutineHasFailed(t *testing.T) {
	exit := func(context.Context, []string, func(string, int, error)) { runtime.Goexit() }
	for _, cfg := range []config{
		{Read: func(context.Context, string) (int, error) { runtime.Goexit(); return 0, nil }},
		{ReadMany: exit},
	} {
		live(t, cfg, func(t *testing.T, d *dict, _ *source) {
			appendKeys(t, d, time.Second, "k")
			pass(1500 * time.Millisecond)
			if v, _ := d.Value("k"); v.Errors != 2 || v.Err == nil {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestOneCallForManyDueKeys(t *testing.T) {
	var s *source
	cfg := config{ReadMany: func(ctx context.Context, keys []string, told func(string, int, error)) {
		slices.Sort(keys)
		all := strings.Join(keys, "+")
		s.set(func() { s.lines = append(s.lines, fmt.Sprint(time.Since(s.start).Truncate(time.Second), " ", all)) })
		for _, key := range keys {
			switch key {
			case "untold":
			case "slow":
				time.Sleep(2500 * time.Millisecond)
				told(key, 1, nil)
			case "bad":
				told(key, 0, errors.ErrUnsupported)
			case "panic":
				panic("batch")
			default:
				told(key, 1, nil)
				told(key, 2, nil) // only the first one counts
				told("foreign", 3, ctx.Err())
			}
		}
	}}
	live(t, cfg, func(t *testing.T, d *dict, src *source) {
		s = src
		appendKeys(t, d, time.Second, "a", "b", "bad", "slow", "untold")
		pass(1500 * time.Millisecond)
		wantGet(t, d, "a", 1, nil)
		wantGet(t, d, "bad", 0, errors.ErrUnsupported)
		wantGet(t, d, "slow", 0, polled.ErrUnread)
		s.expect(t, "0s a+b+bad+slow+untold", "1s a+b+bad") // the slow one delays no other that was told
		pass(2 * time.Second)
		wantGet(t, d, "slow", 1, nil)
		wantGet(t, d, "untold", 0, polled.ErrNotTold)
		s.expect(t, "2s a+b+bad", "2s slow+untold", "3s a+b+bad")
		d.Clear()
		if v, err := d.Read(t.Context(), "one"); v != 1 || err != nil {
			t.Errorf("Read = %v, %v", v, err)
		}
		var p *polled.PanicError
		if _, err := d.Read(t.Context(), "panic"); !errors.As(err, &p) {
			t.Errorf("Read: %v", err)
		}
		pass(3 * time.Second)
		s.expect(t, "3s one", "3s panic")
	})
}

func TestWatchTellsChanges(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		appendKeys(t, d, time.Second, "k")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var told []string
		watch := func(keys ...string) {
			for v := range d.Watch(ctx, keys...) {
				mu.Lock()
				told = append(told, fmt.Sprint(time.Since(s.start), " ", v.Key, " ", v.Value, " ", v.Err, " ", v.Gone))
				mu.Unlock()
			}
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, want) {
				t.Errorf("told %q\nwant %q", told, want)
			}
			told = nil
		}
		var wg sync.WaitGroup
		wg.Go(func() { watch() })
		expect("0s k 0 <nil> false")
		pass(5500 * time.Millisecond)
		expect() // read, but the same
		s.set(func() { s.values["k"] = 1 })
		pass(2 * time.Second)
		expect("6s k 1 <nil> false")
		s.set(func() { s.errs["k"] = errors.New("broken") })
		pass(2 * time.Second)
		expect("8s k 1 broken false")
		s.set(func() { clear(s.errs) })
		pass(time.Second)
		expect("10s k 1 <nil> false")
		d.Pop("k")
		d.Set(t.Context(), "l", 4)
		expect("10.5s k 0 <nil> true", "10.5s l 40 <nil> false")
		wg.Go(func() { watch("m") })
		expect()
		cancel()
		wg.Wait()
	})
}

func TestWatchOfASlowReaderTellsTheNewest(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, _ *source) {
		d.Set(t.Context(), "k", 0)
		var told []int
		for v := range d.Watch(t.Context()) {
			if told = append(told, v.Value); len(told) == 2 {
				break
			}
			for i := range 100 {
				d.Set(t.Context(), "k", i+1)
			}
		}
		if !slices.Equal(told, []int{0, 1000}) {
			t.Errorf("told %v", told)
		}
	})
}

func TestValuesThatGoCannotCompareAlwaysChange(t *testing.T) {
	d, err := polled.New(polled.Config[int, []int]{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	d.Set(t.Context(), 1, nil)
	for range d.Watch(t.Context()) {
		if n++; n == 3 {
			break
		}
		d.Set(t.Context(), 1, nil)
	}
}

func TestAllIsASnapshot(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, _ *source) {
		for _, key := range []string{"c", "a", "b"} {
			d.Set(t.Context(), key, 1)
		}
		var keys []string
		for key := range d.All() {
			keys = append(keys, key)
			d.Clear()
			d.Set(t.Context(), key+"!", 1)
		}
		if !slices.Equal(keys, []string{"c", "a", "b"}) || d.Len() != 1 {
			t.Errorf("%q, %q", keys, d.Keys())
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	for name, cfg := range map[string]config{
		"period": {Period: -1}, "short period": {Period: 1}, "gather": {Gather: -1}, "timeout": {Timeout: -1},
	} {
		if _, err := polled.New(cfg); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	d, err := polled.New(config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Append("k", 0); !errors.Is(err, polled.ErrNoReader) {
		t.Errorf("Append without a reader: %v", err)
	}
	if _, err := d.Read(t.Context(), "k"); !errors.Is(err, polled.ErrNoReader) {
		t.Errorf("Read without a reader: %v", err)
	}
	if err := d.Append("k", -time.Second); err == nil || d.Len() != 0 {
		t.Errorf("a negative period: %v", err)
	}
	numbers, err := polled.New(polled.Config[float64, int]{Read: func(context.Context, float64) (int, error) { return 0, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if numbers.Append(math.NaN(), 0) == nil || numbers.Set(t.Context(), math.NaN(), 0) == nil || numbers.Len() != 0 {
		t.Error("NaN is a key")
	}
}

func TestTenThousandKeysAndOneThatHangs(t *testing.T) {
	live(t, config{}, func(t *testing.T, d *dict, s *source) {
		hang := make(chan struct{})
		s.hangs["0"] = hang
		const keys = 10_000
		for i := range keys {
			appendKeys(t, d, time.Second, strconv.Itoa(i))
		}
		pass(2 * time.Second)
		for _, v := range d.Values() {
			if v.Key != "0" && (v.Reads != 3 || v.Delay != 0 || v.Missed != 0) {
				t.Fatalf("%+v", v)
			}
		}
		if st := d.Stats(); st.Reading != 1 || st.Reads != 3*(keys-1) {
			t.Errorf("%+v", st)
		}
		close(hang)
	})
}

// The first read is at once; then no two keys are due together, and no part of a period has more of them than another.
func TestKeysAreSpreadOverTheirPeriod(t *testing.T) {
	const keys, period = 500, time.Second
	liveSpread(t, config{}, func(t *testing.T, d *dict, s *source) {
		for i := range keys {
			appendKeys(t, d, period, strconv.Itoa(i))
		}
		synctest.Wait()
		if n := d.Stats().Reads; n != keys {
			t.Errorf("%d of %d keys are read at once", n, keys)
		}
		if v, _ := d.Value("0"); !v.Next.Equal(s.start.Add(period)) {
			t.Errorf("the first key is due again after %v, and not after its period", v.Next.Sub(s.start))
		}
		for round := range 3 { // each is read once in each period
			var parts [50]int
			for _, v := range d.Values() {
				due := v.Next.Sub(s.start) - time.Duration(round)*period
				if due <= 0 || due > period || v.Missed != 0 || v.Delay != 0 {
					t.Fatalf("in period %d: %+v", round, v)
				}
				parts[int((due-1)*time.Duration(len(parts))/period)]++
			}
			for i, n := range parts {
				if n < keys/len(parts)-3 || n > keys/len(parts)+3 {
					t.Errorf("%d of %d keys are due in part %d of %d of a period", n, keys, i, len(parts))
				}
			}
			pass(period)
			if n := d.Stats().Reads; n != (round+2)*keys {
				t.Errorf("%d reads after %d periods", n, round+1)
			}
		}
	})
}

func TestKeysThatAreTogether(t *testing.T) {
	for name, cfg := range map[string]config{
		"together": {Together: true},
		"many": {ReadMany: func(_ context.Context, keys []string, told func(string, int, error)) {
			for _, key := range keys {
				told(key, 1, nil)
			}
		}},
	} {
		liveSpread(t, cfg, func(t *testing.T, d *dict, s *source) {
			appendKeys(t, d, time.Second, "a", "b", "c")
			pass(1500 * time.Millisecond)
			for _, v := range d.Values() {
				if v.Reads != 2 || !v.Next.Equal(s.start.Add(2*time.Second)) {
					t.Errorf("%s: %+v", name, v)
				}
			}
		})
	}
}

func TestAnotherPeriodSpreadsKeysAnew(t *testing.T) {
	liveSpread(t, config{}, func(t *testing.T, d *dict, s *source) {
		d.Stop() // else they may have been read in between
		appendKeys(t, d, time.Second, "a", "b", "c")
		appendKeys(t, d, 10*time.Second, "a", "b", "c")
		d.Start()
		pass(10 * time.Second)
		var next []time.Duration
		for _, v := range d.Values() {
			if v.Reads != 2 {
				t.Errorf("%+v", v)
			}
			next = append(next, v.Next.Sub(s.start).Truncate(time.Second))
		}
		if want := []time.Duration{20 * time.Second, 16 * time.Second, 12 * time.Second}; !slices.Equal(next, want) {
			t.Errorf("due after %v, want %v", next, want)
		}
	})
}

// Keys that were spread over a second must not all be read in one second of ten.
func TestAnotherPeriodSpreadsKeysThatWereRead(t *testing.T) {
	const keys, period = 500, 10 * time.Second
	liveSpread(t, config{}, func(t *testing.T, d *dict, s *source) {
		var all []string
		for i := range keys {
			all = append(all, strconv.Itoa(i))
		}
		appendKeys(t, d, time.Second, all...)
		pass(2500 * time.Millisecond)
		appendKeys(t, d, period, all...)
		pass(2 * period)
		var parts [10]int
		for _, v := range d.Values() {
			parts[v.Next.Sub(s.start)%period*time.Duration(len(parts))/period]++
			if v.Missed != 0 || v.Delay != 0 {
				t.Errorf("%+v", v)
			}
		}
		for i, n := range parts { // they are apart by what they were, too
			if n < keys/len(parts)/2 || n > keys/len(parts)*2 {
				t.Errorf("%d of %d keys are due in part %d of %d of a period", n, keys, i, len(parts))
			}
		}
	})
}

// How late 10,000 keys are read on this machine, one of which hangs: all at one moment, and spread over their period.
func BenchmarkTenThousandKeysAndOneThatHangs(b *testing.B) {
	b.Run("together", func(b *testing.B) { tenThousandKeys(b, true) })
	b.Run("spread", func(b *testing.B) { tenThousandKeys(b, false) })
}

func tenThousandKeys(b *testing.B, together bool) {
	b.Helper()
	const keys, period = 10_000, 500 * time.Millisecond
	hang := make(chan struct{})
	d, err := polled.New(polled.Config[int, int]{Together: together, Read: func(_ context.Context, key int) (int, error) {
		if key == 0 {
			<-hang
		}
		return key, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	for key := range keys {
		if err := d.Append(key, period); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(2 * period) // the first reads are at once
	tick := time.NewTicker(period)
	defer tick.Stop()
	var late []time.Duration
	for range b.N {
		<-tick.C
		for _, v := range d.Values()[1:] {
			late = append(late, v.Delay)
		}
	}
	close(hang)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-late-µs")
	b.ReportMetric(float64(d.Stats().Missed), "missed")
}
