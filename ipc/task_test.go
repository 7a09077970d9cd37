package ipc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestNewTask(t *testing.T) {
	task, err := NewTask("k", "add", []int{2, 3})
	if err != nil || task.String() != `k: "add" [2,3]` {
		t.Errorf("NewTask = %v, %v", task, err)
	}
	if task, err := NewTask("k", "add", nil); err != nil || task.Args != nil || task.String() != `k: "add"` {
		t.Errorf("NewTask without args = %v, %v", task, err)
	}
	if task, err := NewTask("k", "add", []int(nil)); err != nil || task.Args != nil {
		t.Errorf("NewTask with a nil slice = %v, %v", task, err)
	}
	tests := []struct {
		key          string
		target, args any
		want         string
	}{
		{strings.Repeat("x", 513), "t", nil, "513 bytes"},
		{"\xff", "t", nil, "UTF-8"},
		{KeyHello, "t", nil, "reserved"},
		{KeyProgress, "t", nil, "reserved"},
		{"k", func() {}, nil, `key "k": target`},
		{"k", "t", []any{make(chan int)}, `key "k": args: a chan int cannot be encoded, at [0]`},
	}
	for _, tt := range tests {
		if _, err := NewTask(tt.key, tt.target, tt.args); KindOf(err) != KindInput || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewTask(%.10q, %T, %T): %v, want an input error with %q", tt.key, tt.target, tt.args, err, tt.want)
		}
	}
	for _, key := range []string{"", strings.Repeat("ü", 256), "a\nb\x00", "__OTHER"} {
		if err := CheckKey(key); err != nil {
			t.Errorf("CheckKey(%q): %v", key, err)
		}
	}
}

func TestErrorsHaveAKind(t *testing.T) {
	err := fmt.Errorf("outer: %w", Errorf(KindTimeout, "no answer: %w", context.DeadlineExceeded))
	if !errors.Is(err, ErrTimeout) || errors.Is(err, ErrCrash) || !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != KindTimeout {
		t.Errorf("%v is of kind %q", err, KindOf(err))
	}
	if KindOf(errors.New("x")) != "" || KindOf(nil) != "" {
		t.Error("an error without a kind has one")
	}
	for want, e := range map[string]*Error{
		"task": {Kind: KindTask}, "m": {Message: "m"}, "T": {Type: "T"}, "T: m": {Type: "T", Message: "m"},
	} {
		if e.Error() != want {
			t.Errorf("%#v says %q, want %q", e, e.Error(), want)
		}
	}
	for want, x := range map[string]Exit{
		"exit code 3": {Code: 3}, "signal 11, SIGSEGV": {Code: -1, Signal: 11, Name: "SIGSEGV"}, "signal 40": {Signal: 40},
		"signal 9, SIGKILL, out of memory (its cgroup's limit)": {Code: -1, Signal: 9, Name: "SIGKILL", OOM: true},
	} {
		if x.String() != want {
			t.Errorf("%#v says %q, want %q", x, x.String(), want)
		}
	}
}

// fixed is a runner with one outcome for all.
type fixedRunner struct {
	outcome Outcome
	refuse  error
	task    Task
}

func (r *fixedRunner) Submit(_ context.Context, t Task, done func(Outcome)) error {
	r.task = t
	if r.refuse != nil {
		return r.refuse
	}
	done(r.outcome)
	return nil
}

func TestTargetCall(t *testing.T) {
	sum := NewTarget[[]int, int]("sum")
	r := &fixedRunner{outcome: Outcome{Value: Raw{6}}}
	if n, err := sum.Call(t.Context(), r, []int{1, 2, 3}); n != 6 || err != nil || !strings.HasPrefix(r.task.Key, "sum#") {
		t.Errorf("Call = %d, %v, with key %q", n, err, r.task.Key)
	}
	r.outcome = Outcome{Value: Raw{0xa1, 'x'}}
	if _, err := sum.Call(t.Context(), r, nil); KindOf(err) != KindInput || !strings.Contains(err.Error(), "sum: result: a string cannot become a Go int") {
		t.Errorf("a result of another type: %v", err)
	}
	r.outcome = Outcome{Err: Errorf(KindCrash, "gone")}
	if _, err := sum.Call(t.Context(), r, nil); !errors.Is(err, ErrCrash) {
		t.Errorf("a crash: %v", err)
	}
	r.refuse = Errorf(KindQueueFull, "full")
	if _, err := sum.Call(t.Context(), r, nil); !errors.Is(err, ErrQueueFull) {
		t.Errorf("a full queue: %v", err)
	}
	if _, err := NewTarget[func(), int]("f").Call(t.Context(), r, func() {}); KindOf(err) != KindInput {
		t.Errorf("args that cannot be encoded: %v", err)
	}
}

func TestKeysAreTextOfSomeLength(t *testing.T) {
	for _, n := range []int{0, 1, 31, 32, 33, MaxKey} {
		for key, want := range map[string]bool{
			strings.Repeat("k", n):                                     true,
			strings.Repeat("k", max(0, n-2)) + "ü":                     true,
			strings.Repeat("k", max(0, n-1)) + "\xfc":                  false,
			strings.Repeat("\x80", min(n, 1)) + strings.Repeat("k", n): n == 0,
		} {
			if got := validKey(key); got != want || validKey([]byte(key)) != want {
				t.Errorf("validKey(%q) = %v, want %v", key, got, want)
			}
		}
	}
	long := strings.Repeat("ü", MaxKey/2)
	if n := testing.AllocsPerRun(100, func() { _ = validKey(long) && validKey([]byte(long)[:0]) }); n > 1 { // the test's own
		t.Errorf("%v allocations", n)
	}
}
