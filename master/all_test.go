package master_test

import (
	"cmp"
	"slices"
	"strconv"
	"testing"

	"fandango/ipc"
	"fandango/master"
)

// table is a master with so many kept keys, over a runner that answers at once with the target.
func table(tb testing.TB, keys []string) *master.Master {
	tb.Helper()
	m := master.New(answered, master.Config{})
	set(tb, m, keys...)
	return m
}

func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "key " + strconv.Itoa(i)
	}
	return keys
}

func set(tb testing.TB, m *master.Master, keys ...string) {
	tb.Helper()
	t := ipc.Task{Target: ipc.Raw{0xa1, 'x'}}
	t.Keep = true
	for _, t.Key = range keys {
		if err := m.Send(bg, t, nil); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestAllIsTheTable(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 999, 1000, 1025, 5000} {
		m := table(t, names(n))
		if err := m.Send(bg, ipc.Task{Key: "not kept"}, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 { // it can be ranged over more than once
			got := slices.SortedFunc(m.All(), func(a, b master.Value) int { return cmp.Compare(a.Key, b.Key) })
			want := m.Values()
			same := func(a, b master.Value) bool {
				return a.Key == b.Key && a.Value.String() == b.Value.String() && a.State == b.State && a.At.Equal(b.At)
			}
			if len(got) != n || !slices.EqualFunc(got, want, same) {
				t.Errorf("of %d keys, All has %d and Values %d, or others", n, len(got), len(want))
			}
		}
	}
}

// The table grows from 3,000 keys to 30,000 and half of the first ones are popped, all in the loop itself.
func TestAllWhileKeysComeAndGo(t *testing.T) {
	t.Parallel()
	const n = 3000
	keys := names(n)
	m := table(t, keys)
	stays := map[string]bool{}
	for _, key := range keys {
		stays[key] = true
	}
	seen, more := map[string]bool{}, 0
	for v := range m.All() {
		if seen[v.Key] {
			t.Fatalf("%s comes twice", v.Key)
		}
		seen[v.Key] = true
		for end := min(more+10, 9*n); more < end; more++ {
			set(t, m, "more "+strconv.Itoa(more))
		}
		i := len(seen) * 7 % n
		if i%2 == 0 {
			continue
		}
		if _, err := m.Pop(keys[i]); err == nil {
			delete(stays, keys[i])
		}
		if len(seen)%3 == 0 {
			set(t, m, keys[i]) // one of the same name
		}
	}
	for key := range stays {
		if !seen[key] {
			t.Errorf("%s was there all the time, and did not come", key)
		}
	}
	if len(stays) != n/2 || more < 9*n {
		t.Errorf("%d of %d keys stay, %d came", len(stays), n, more)
	}
}

func TestAllEndsWithItsLoop(t *testing.T) {
	t.Parallel()
	m := table(t, names(5000))
	for _, stop := range []int{1, 1500} {
		n := 0
		for v := range m.All() {
			if _, ok := m.Value(v.Key); !ok { // nobody holds the lock
				t.Errorf("no %s", v.Key)
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d came, want %d", n, stop)
		}
	}
}

func TestAllDoesNotUseUpAValue(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		if err := h.Add(master.Entry{Task: task(t, "k", "f"), Once: true}); err != nil {
			t.Fatal(err)
		}
		h.started()
		for range 2 {
			for v := range h.All() {
				if v.Key != "k" || v.Value.String() != `"f"` {
					t.Errorf("got %s, %s", v.Key, say(v))
				}
			}
		}
	})
}
