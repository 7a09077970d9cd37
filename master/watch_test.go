package master_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// watch notes what a Watch tells, until the returned func is called. It notes its end.
func (h *house) watch(keys ...string) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for v := range h.Watch(ctx, keys...) {
			h.add("%s", seen(v))
		}
		h.add("end")
	})
	synctest.Wait()
	return func() { cancel(); reader.Wait() }
}

// seen is a value and its state in a few words.
func seen(v master.Value) string {
	s := v.Key + " " + string(v.State)
	if v.Value != nil {
		s += " " + v.Value.String()
	}
	if v.Paused {
		s += " paused"
	}
	return s
}

func TestWatchTellsWhatIsThereAndEachChange(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		quiet := func(master.Value) {}
		h.addKey(master.Entry{Then: quiet}, "b")
		h.addKey(master.Entry{Every: time.Minute, Then: quiet}, "a")
		h.answer("b", 1)
		stopAll, stopSome := h.watch(), h.watch("x", "b", "x")
		h.expect("a never", "b fresh 1", "b fresh 1")
		h.fail("a", "oh")
		h.expect("a failed")
		pass(time.Minute)
		h.answer("a", 2)
		h.expect("a fresh 2")
		kept := task(t, "x", "f")
		kept.Keep = true
		if err := h.Send(bg, kept, nil); err != nil {
			t.Fatal(err)
		}
		h.answer("x", 3)
		h.expect("x fresh 3", "x fresh 3")
		h.send(bg, "other", "f", "sent without keep:") // is not in the table
		h.answer("other", 4)
		h.expect("sent without keep: 4")
		if _, err := h.Pop("x"); err != nil {
			t.Fatal(err)
		}
		h.expect("x gone", "x gone")
		h.addKey(master.Entry{Then: quiet}, "b") // anew
		h.expect("b never", "b never")
		stopSome()
		h.expect("end")
		h.answer("b", 5)
		h.expect("b fresh 5")
		stopAll()
		h.expect("end")
	})
}

// S09: what expires or becomes stale is told at that moment, and not before.
func TestS09WatchTellsWhatTheTimeChanges(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		start := time.Now()
		h.addKey(master.Entry{Every: 10 * time.Second, Expire: time.Minute, Then: func(master.Value) {}}, "k")
		ctx, cancel := context.WithCancel(bg)
		var reader sync.WaitGroup
		for range 2 { // both are told
			reader.Go(func() {
				for v := range h.Watch(ctx, "k") {
					if time.Since(start) > time.Second {
						h.add("%v %s", time.Since(start), seen(v))
					}
				}
			})
		}
		for i := range 6 { // one that is renewed in time
			h.answer("k", i)
			pass(10 * time.Second)
		}
		h.expect(
			"10s k fresh 1", "10s k fresh 1", "20s k fresh 2", "20s k fresh 2", "30s k fresh 3", "30s k fresh 3",
			"40s k fresh 4", "40s k fresh 4", "50s k fresh 5", "50s k fresh 5",
		)
		pass(time.Hour) // its run hangs
		h.expect("1m5.000000001s k stale 5", "1m5.000000001s k stale 5", "1m50s k expired", "1m50s k expired")
		start = time.Now()
		pass(2 * time.Second)
		h.answer("k", 6)
		h.fail("k", "oh") // what was missed runs at once
		got := h.take()
		got = slices.DeleteFunc(got, func(s string) bool { return s == "missed k 359" })
		slices.Sort(got)
		if want := []string{"2s k failed 6", "2s k failed 6", "2s k fresh 6", "2s k fresh 6"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		pass(2 * time.Minute) // a failed one is not stale, but it expires
		h.expect("1m2s k expired", "1m2s k expired")
		cancel()
		reader.Wait()
	})
}

func TestWatchOfAPausedKey(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		quiet := func(master.Value) {}
		h.addKey(master.Entry{Every: 10 * time.Second, Then: quiet}, "k")
		h.answer("k", 1)
		defer h.watch()()
		h.expect("k fresh 1")
		for _, c := range []struct {
			do   func() error
			then time.Duration
			want []string
		}{
			{func() error { return h.Pause(0, "k") }, time.Hour, []string{"k fresh 1 paused"}},
			{func() error { return h.Pause(0) }, time.Hour, nil},
			{func() error { return h.Resume() }, time.Second, []string{"k fresh 1"}}, // and its run hangs
			{func() error { return nil }, 15 * time.Second, []string{"k stale 1"}},
			{func() error { return h.Pause(time.Minute) }, time.Second, []string{"k fresh 1 paused"}}, // nobody expects a new one
			{func() error { return h.Pause(2 * time.Second) }, 3 * time.Second, []string{"k fresh 1"}},
			{func() error { return nil }, time.Hour, []string{"k stale 1"}},
		} {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			pass(c.then)
			h.expect(c.want...)
		}
		h.answer("k", 2)
		if got := h.take(); !slices.Contains(got, "k fresh 2") {
			t.Errorf("got %q", got)
		}
	})
}

func TestWatchSeesAValueBeingRead(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Once: true, Then: func(master.Value) {}}, "k")
		h.answer("k", 1)
		defer h.watch()()
		h.expect("k fresh 1") // to watch is not to read
		if n, err := master.Get[int](h.Master, "k"); n != 1 || err != nil {
			t.Errorf("Get = %v, %v", n, err)
		}
		h.expect("k expired")
	})
}

// Decision 12: a slow reader gets the newest of each key, once.
func TestWatchWithASlowReader(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		quiet := func(master.Value) {}
		for _, key := range []string{"a", "b", "c"} {
			h.addKey(master.Entry{Expire: time.Minute, Then: quiet}, key)
			h.answer(key, 0)
		}
		next, stop := iter.Pull(h.Watch(bg))
		defer stop()
		read := func(want ...string) {
			t.Helper()
			for _, want := range want {
				if v, ok := next(); !ok || seen(v) != want {
					t.Errorf("got %s, %v; want %s", seen(v), ok, want)
				}
			}
		}
		read("a fresh 0")
		for i := range 100 {
			h.send(bg, "b", "read", "b")
			h.answer("b", i)
			h.send(bg, "a", "read", "a")
			h.answer("a", i)
		}
		read("b fresh 99", "c fresh 0", "a fresh 99")
		pass(time.Minute)
		var expired []string
		for range 3 { // in the same moment
			v, _ := next()
			expired = append(expired, seen(v))
		}
		if slices.Sort(expired); !slices.Equal(expired, []string{"a expired", "b expired", "c expired"}) {
			t.Errorf("got %q", expired)
		}
		for _, key := range []string{"b", "b", "a"} {
			h.addKey(master.Entry{Then: quiet}, key)
			h.answer(key, key)
			if _, err := h.Pop(key); err != nil {
				t.Fatal(err)
			}
		}
		read("b gone", "a gone")
		for i := range 10_000 { // nobody has seen these
			key := fmt.Sprint("churn ", i)
			if err := h.Add(master.Entry{Task: task(t, key, "f")}); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Pop(key); err != nil {
				t.Fatal(err)
			}
		}
		h.addKey(master.Entry{Then: quiet}, "d")
		read("d never")
	})
}

func TestWatchEnds(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{Then: func(master.Value) {}}, "k")
		synctest.Wait()
		over, cancel := context.WithCancel(bg)
		cancel()
		for v := range h.Watch(over) {
			t.Errorf("told %s after its end", seen(v))
		}
		all := h.Watch(bg)
		for range 2 { // as often as one likes
			for v := range all {
				if seen(v) != "k never" {
					t.Errorf("told %s", seen(v))
				}
				h.addKey(master.Entry{}, "k") // in the loop
				break
			}
		}
		h.echo()
		h.take()
		h.addKey(master.Entry{Then: func(master.Value) {}}, "k")
		h.watch("k")
		h.cancel()
		h.expect("k never")
		h.answer("k", "read") // in the grace of Run
		h.expect(`k fresh "read"`, "end")
		var left []string
		for v := range h.Watch(bg) { // of a master that has ended
			left = append(left, seen(v))
		}
		if want := []string{`k fresh "read"`}; !slices.Equal(left, want) {
			t.Errorf("got %q, want %q", left, want)
		}
	})
}

func TestWatchSaysWhyAKeyIsGone(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.addKey(master.Entry{}, "k")
		for v := range h.Watch(bg) {
			if v.State == master.Gone {
				if !errors.Is(v.Err, master.ErrNoKey) || ipc.KindOf(v.Err) != ipc.KindInput {
					t.Errorf("its error is %v", v.Err)
				}
				break
			}
			if _, err := h.Pop("k"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A large table is enrolled part by part. Meanwhile keys are set, come and go: each reader sees first what is there, in
// order, then of each key its newest value, and none twice.
func TestWatchWhileKeysComeAndGo(t *testing.T) {
	t.Parallel()
	const n = 5_000
	m := master.New(answered, master.Config{})
	count := 0
	keep := func(key string) { // with a value that no other key has, nor has had
		count++
		k := ipc.Task{Key: key, Target: raw(t, count)}
		k.Keep = true
		if err := m.Send(bg, k, nil); err != nil {
			t.Error(err)
		}
	}
	pop := func(key string) {
		if _, err := m.Pop(key); err != nil {
			t.Error(err)
		}
	}
	for i := range n {
		keep(fmt.Sprintf("stays %06d", i))
		keep(fmt.Sprintf("goes %06d", i))
	}
	const readers = 3
	var begun, over sync.WaitGroup
	begun.Add(readers)
	told := make([]map[string]master.Value, readers)
	for i := range readers {
		over.Go(func() {
			told[i] = follow(t, m, &begun)
		})
	}
	enrolled := make(chan struct{})
	go func() { begun.Wait(); close(enrolled) }()
	meanwhile := 0 // while somebody was enrolled
	for i := 0; i < n || !isClosed(enrolled); i++ {
		if !isClosed(enrolled) {
			meanwhile++
		}
		keep(fmt.Sprintf("stays %06d", i*7919%n))
		if i < n {
			pop(fmt.Sprintf("goes %06d", i*7919%n))
			keep(fmt.Sprintf("comes %06d", i))
		}
		if i%3 == 0 {
			keep("in and out")
			pop("in and out")
		}
	}
	keep("the end")
	over.Wait()
	want := m.Values()
	for i, last := range told {
		if len(last) != len(want) {
			t.Errorf("reader %d knows %d keys of %d", i, len(last), len(want))
		}
		for _, v := range want {
			if got := last[v.Key]; got.Value.String() != v.Value.String() {
				t.Errorf("reader %d: %s is %s, and was told as %s", i, v.Key, v.Value, got.Value)
			}
		}
	}
	t.Logf("%d changes while somebody was enrolled", meanwhile)
}

// follow watches all until the end is told, and returns what it was told last of each key that is there. The key "in and
// out" may be there or not.
func follow(t *testing.T, m *master.Master, begun *sync.WaitGroup) map[string]master.Value {
	t.Helper()
	last, before, first := map[string]master.Value{}, "", true
	values := map[string]string{}
	for v := range m.Watch(bg) {
		if first {
			first = false
			begun.Done()
		}
		old, known := last[v.Key]
		switch {
		case v.State == master.Gone && !known:
			t.Errorf("%s is gone, and was never told", v.Key)
		case v.State == master.Gone:
			delete(last, v.Key)
			continue
		case known && old.Value.String() == v.Value.String():
			t.Errorf("%s %s is told twice", v.Key, v.Value)
		case !known && strings.HasPrefix(v.Key, "stays"): // these were there from the beginning
			if v.Key < before {
				t.Errorf("%s is told after %s", v.Key, before)
			}
			before = v.Key
		}
		if key, taken := values[v.Value.String()]; taken && key != v.Key {
			t.Errorf("%s has the value of %s", v.Key, key)
		}
		values[v.Value.String()] = v.Key
		last[v.Key] = v
		if v.Key == "the end" {
			break
		}
	}
	return last
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
