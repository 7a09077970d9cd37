// Package tasklet runs one thing in the background and gives its result to whoever asks.
//
// [Go] runs a func on a goroutine, Fandango's AsynchronousFunction; [Subprocess] runs one call in a worker process of its
// own, Fandango's SubprocessMethod. Both return a [Call]: a typed result, an error, a channel that tells its end, a
// callback if wanted, and Cancel.
package tasklet

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"fandango/ipc"
)

// Call is one func or process in the background. Its methods may be used by any goroutine.
type Call[R any] struct {
	cancel context.CancelCauseFunc
	done   chan struct{}

	// Written before done is closed, and never after.
	value    R
	err      error
	returned bool
}

// Config says how a call begins and who is told of its end. The zero value begins at once and tells nobody.
type Config[R any] struct {
	// Delay is the wait before the start; Cancel and the end of the context end it at once.
	Delay time.Duration
	// Then is called once with what became of the call, also when that is an error or a cancelled start, on the call's own
	// goroutine and before Done is closed: so it must not wait for the call. A panic in it is joined to the call's error.
	Then func(R, error)
}

// ErrGoexit is the error of a func that ended its goroutine with runtime.Goexit, as the FailNow of a test does.
var ErrGoexit = errors.New("it called runtime.Goexit")

// PanicError is the error of a func that panicked.
type PanicError struct {
	Value any    // what it panicked with; when that is an error, errors.Is and errors.As find it
	Stack []byte // of the goroutine, for a person
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap returns the value when it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

var errCancel = errors.New("Cancel was called")

// Go runs f on a goroutine of its own and returns at once. The context of f ends with ctx, and when Cancel is called; f
// has to obey it, for nothing can end a goroutine from outside. A call that ends before f has begun, in its delay or
// because ctx has ended already, has an error of kind cancelled. A panic in f is a [*PanicError].
func Go[R any](ctx context.Context, f func(context.Context) (R, error), cfg Config[R]) *Call[R] {
	if f == nil {
		panic("tasklet: Go without a func")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := &Call[R]{cancel: cancel, done: make(chan struct{})}
	go c.run(ctx, f, cfg)
	return c
}

// Done is closed when the call has ended and its callback has returned.
func (c *Call[R]) Done() <-chan struct{} { return c.done }

// Wait returns the result when the call has ended. When ctx ends first, it returns why, and the call goes on.
func (c *Call[R]) Wait(ctx context.Context) (R, error) {
	select {
	case <-c.done:
		return c.value, c.err
	default:
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none R
		return none, fmt.Errorf("the call has not ended: %w", context.Cause(ctx))
	}
}

// Cancel tells the call to end, and does not wait until it has. After its end it does nothing.
func (c *Call[R]) Cancel() { c.cancel(errCancel) }

func (c *Call[R]) run(ctx context.Context, f func(context.Context) (R, error), cfg Config[R]) {
	defer close(c.done)
	defer c.cancel(nil)
	defer c.tell(cfg.Then) // deferred, because f may end the goroutine
	if c.err = pause(ctx, cfg.Delay); c.err != nil {
		return
	}
	defer c.catch()
	c.value, c.err = f(ctx)
	c.returned = true
}

// pause waits for the start.
func pause(ctx context.Context, delay time.Duration) error {
	if delay > 0 {
		wait := time.NewTimer(delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ipc.Errorf(ipc.KindCancelled, "cancelled before it started: %w", context.Cause(ctx))
	}
	return nil
}

// catch makes an error of an f that did not return.
func (c *Call[R]) catch() {
	if !c.returned {
		c.err = without(recover())
	}
}

// without is the error of a func that did not return: it panicked with v, or ended its goroutine.
func without(v any) error {
	if v == nil {
		return ErrGoexit
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}

func (c *Call[R]) tell(then func(R, error)) {
	if then == nil {
		return
	}
	returned := false
	defer func() {
		if !returned {
			c.err = errors.Join(c.err, fmt.Errorf("callback: %w", without(recover())))
		}
	}()
	then(c.value, c.err)
	returned = true
}
