package ipc

import (
	"context"
	"strconv"
	"sync/atomic"
)

// Target is a named target with typed args and result: a remote function.
//
//	var sum = ipc.NewTarget[[]int, int]("sum")
//	n, err := sum.Call(ctx, pool, []int{1, 2, 3})
type Target[A, R any] struct{ name string }

// NewTarget names a target. Args of type A are sent as they encode: a slice is positional, a struct or a map is named,
// anything else is a single value.
func NewTarget[A, R any](name string) Target[A, R] { return Target[A, R]{name} }

// Task makes a task for this target under a key of the caller's.
func (t Target[A, R]) Task(key string, args A) (Task, error) { return NewTask(key, t.name, args) }

// calls numbers the keys of Call.
var calls atomic.Uint64

// Call runs the target on r with args, waits, and decodes the result.
func (t Target[A, R]) Call(ctx context.Context, r Runner, args A) (R, error) {
	var result R
	task, err := t.Task(t.name+"#"+strconv.FormatUint(calls.Add(1), 10), args)
	if err != nil {
		return result, err
	}
	raw, err := Do(ctx, r, task)
	if err != nil {
		return result, err
	}
	if err := raw.Decode(&result); err != nil {
		return result, Errorf(KindInput, "%s: result: %w", t.name, err)
	}
	return result, nil
}
