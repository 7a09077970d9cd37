//go:build unix

package executor_test

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// bound is a pool of two workers to bind.
type bound struct {
	*pool.Pool
	ready chan int // process ids, as they become ready
}

func startBound(t *testing.T, role string) *bound {
	t.Helper()
	proctest.NoLeftovers(t)
	b := &bound{ready: make(chan int, 100)}
	var err error
	b.Pool, err = pool.New(pool.Config{
		Command: proctest.Command(role), Workers: 2,
		Event: func(e pool.Event) {
			switch e := e.(type) {
			case pool.Ready:
				b.ready <- e.PID
			case pool.StartFailed:
				t.Logf("%s: %v", e.Worker, e.Err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

// waitReady waits until two more workers are ready, and returns their process ids.
func (b *bound) waitReady(t *testing.T) []int {
	t.Helper()
	late := time.After(20 * time.Second)
	var pids []int
	for len(pids) < 2 {
		select {
		case pid := <-b.ready:
			pids = append(pids, pid)
		case <-late:
			t.Fatalf("no two workers are ready: %+v", b.Workers())
		}
	}
	return pids
}

// all gives a task to every worker and returns what each one answered.
func (b *bound) all(t *testing.T, keep bool, key, target string, args any) []string {
	t.Helper()
	task, err := ipc.NewTask("k", target, args)
	if err != nil {
		t.Fatal(err)
	}
	task.Key = key
	done := make(chan []ipc.Outcome, 1)
	if err := b.Broadcast(t.Context(), task, keep, func(o []ipc.Outcome) { done <- o }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range <-done {
		if o.Err != nil {
			got = append(got, o.Err.Error())
		} else {
			got = append(got, o.Value.String())
		}
	}
	return got
}

// TestBindThroughAPool holds that a kept bind is there in every worker, also in one that starts after it and in one that
// takes the place of another.
func TestBindThroughAPool(t *testing.T) {
	t.Parallel()
	type bind struct {
		target string
		args   any
	}
	for _, tt := range []struct {
		name, role string
		bind       bind
		target     string
		args       any
		want       string
		again      bind // a second one
		wantAgain  string
	}{
		{
			"class of a registry", "registry",
			bind{"Device", []any{"T1", "K"}},
			"unit", nil, `"T1 in K"`,
			bind{"Device", map[string]any{"name": "T2", "unit": "mm"}},
			`"T2 in mm"`,
		},
		{
			"name that is not of the class", "registry",
			bind{"Device", []any{"T1", "K"}},
			"unbound", nil, `"here"`,
			bind{"Device", []any{"T2", "K"}},
			`"here"`,
		},
		{
			"class of the evaluator's executor", "evaluator",
			bind{"Device", []any{"T1", "K"}},
			"executor.unit + '!'", nil, `"T1 in K!"`,
			bind{"Device", []any{"T2", "K"}},
			`"T2 in K!"`,
		},
		{"expression", "evaluator", bind{"[1, 2, 3]", nil}, "index", []any{3}, `2`, bind{"[3]", nil}, `0`},
		{"expression, as executor", "evaluator", bind{"[1, 2, 3]", nil}, "sum(executor)", nil, `6`, bind{"[1]", nil}, `1`},
		{"expression, called", "evaluator", bind{"dict", map[string]any{"a": 1}}, "get", "a", `1`, bind{"dict", map[string]any{"a": 2}}, `2`},
		{"function", "evaluator", bind{"lambda q: ['got', q]", nil}, "any text", nil, `["got","any text"]`, bind{"len", nil}, `8`},
		{"def", "evaluator", bind{"def twice(s): return s + s", nil}, "ab", nil, `"abab"`, bind{"def thrice(s): return 3 * s", nil}, `"ababab"`},
		{"import", "evaluator", bind{"import math", nil}, "sqrt", 16, `4.0`, bind{"from random import choice", nil}, `NameError: name "sqrt" is not defined`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBound(t, tt.role)
			check := func(when, want string) {
				t.Helper()
				if got := b.all(t, false, "k", tt.target, tt.args); !slices.Equal(got, []string{want, want}) {
					t.Errorf("%s, the workers answer %q, want %s", when, got, want)
				}
			}
			kill := func(pids []int) {
				t.Helper()
				for _, pid := range pids {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
			}
			b.all(t, true, ipc.KeyBind, tt.bind.target, tt.bind.args) // of none, one or two workers
			pids := b.waitReady(t)
			check("started after the bind", tt.want)
			kill(pids)
			pids = b.waitReady(t)
			check("after a death", tt.want)
			if got := b.all(t, true, ipc.KeyBind, tt.again.target, tt.again.args); !slices.Equal(got, []string{"null", "null"}) {
				t.Errorf("bind again: %q", got)
			}
			check("bound again", tt.wantAgain)
			kill(pids)
			b.waitReady(t)
			check("bound again, after a death", tt.wantAgain)
		})
	}
}

// Names that every worker is given are kept as binds are; those that one worker would have are refused.
func TestNamesThroughAPool(t *testing.T) {
	t.Parallel()
	b := startBound(t, "evaluator")
	pids := b.waitReady(t)
	b.all(t, true, "x", "x = 20", nil)
	b.all(t, true, "f", "def f(n): return n + x", nil)
	b.all(t, true, "x", "x = 40", nil) // takes the place of the first, behind f
	b.all(t, false, "gone", "gone = 1", nil)
	if got := b.all(t, false, "k", "f(2) + gone", nil); !slices.Equal(got, []string{"43", "43"}) {
		t.Errorf("the workers answer %q", got)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	b.waitReady(t)
	if got := b.all(t, false, "k", "f(2)", nil); !slices.Equal(got, []string{"42", "42"}) {
		t.Errorf("after a death, the workers answer %q", got)
	}
	for _, got := range b.all(t, false, "k", "gone", nil) {
		if !strings.HasPrefix(got, "NameError") {
			t.Errorf("what was not kept is there: %s", got)
		}
	}
	task, err := ipc.NewTask("k", "y = 1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ipc.Do(t.Context(), b, task); err == nil || !strings.Contains(err.Error(), "reaches one of 2 workers: use -j 1 or --all") {
		t.Errorf("a name that one worker would have: %v", err)
	}
}

// A bind that fails says why, and the workers go on with what they had.
func TestBindThroughAPoolFails(t *testing.T) {
	t.Parallel()
	for role, binds := range map[string]map[string]string{
		"registry": {
			"Devices": `NameError: class name "Devices" is not defined; did you mean Device? (known: Device)`,
			"Device":  `DeviceError: no name`,
		},
		"evaluator": {
			"Devices":           `NameError: name "Devices" is not defined`,
			"Device":            `DeviceError: no name`,
			"1 +":               `SyntaxError: column 4: got end of file, want primary expression`,
			"a, b = 1, 2":       `TypeError: bind: want an expression, or a statement that gives one name a value`,
			"for i in []: pass": `TypeError: bind: want an expression, or`,
		},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			b := startBound(t, role)
			b.waitReady(t)
			if got := b.all(t, false, ipc.KeyBind, "Device", []any{"T1", "K"}); !slices.Equal(got, []string{"null", "null"}) {
				t.Fatalf("bind: %q", got)
			}
			for target, want := range binds {
				for _, got := range b.all(t, false, ipc.KeyBind, target, nil) {
					if !strings.HasPrefix(got, want) {
						t.Errorf("bind %s: %q, want %s", target, got, want)
					}
				}
			}
			if got := b.all(t, false, "k", "unit", nil); !slices.Equal(got, []string{`"T1 in K"`, `"T1 in K"`}) {
				t.Errorf("then the workers answer %q", got)
			}
		})
	}
}
