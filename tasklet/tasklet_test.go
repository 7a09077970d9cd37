package tasklet_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/tasklet"
)

func returns[R any](v R, err error) func(context.Context) (R, error) {
	return func(context.Context) (R, error) { return v, err }
}

func TestGoGivesResultAndError(t *testing.T) {
	oh := errors.New("oh")
	c := tasklet.Go(t.Context(), returns(7, oh), tasklet.Config[int]{})
	for range 2 { // it may be asked for more than once
		if v, err := c.Wait(t.Context()); v != 7 || !errors.Is(err, oh) {
			t.Errorf("Wait = %v, %v", v, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if v, _ := c.Wait(ended); v != 7 {
		t.Errorf("Wait = %v after the end; want the result, whatever the context", v)
	}
}

func TestGoWaitIsGivenUpAndTheCallGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c := tasklet.Go(t.Context(), func(context.Context) (int, error) {
			<-time.After(time.Minute)
			return 1, nil
		}, tasklet.Config[int]{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if v, err := c.Wait(t.Context()); v != 1 || err != nil {
			t.Errorf("Wait = %v, %v", v, err)
		}
	})
}

func TestGoDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c := tasklet.Go(t.Context(), func(context.Context) (time.Duration, error) {
			return time.Since(begun), nil
		}, tasklet.Config[time.Duration]{Delay: time.Hour})
		if after, err := c.Wait(t.Context()); after != time.Hour || err != nil {
			t.Errorf("it began after %v, %v", after, err)
		}
	})
}

func TestGoCancel(t *testing.T) {
	obedient := func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	t.Run("in the delay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun, told := time.Now(), error(nil)
			c := tasklet.Go(t.Context(), func(context.Context) (int, error) {
				t.Error("it ran")
				return 0, nil
			}, tasklet.Config[int]{Delay: time.Hour, Then: func(_ int, err error) { told = err }})
			synctest.Wait()
			c.Cancel()
			_, err := c.Wait(t.Context())
			if !errors.Is(err, ipc.ErrCancelled) || !errors.Is(told, ipc.ErrCancelled) || time.Since(begun) > 0 {
				t.Errorf("after %v: %v, callback %v", time.Since(begun), err, told)
			}
			c.Cancel()
		})
	})
	t.Run("while it runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := tasklet.Go(t.Context(), obedient, tasklet.Config[int]{})
			synctest.Wait()
			c.Cancel()
			if _, err := c.Wait(t.Context()); err == nil || err.Error() != "Cancel was called" {
				t.Errorf("error %v", err)
			}
		})
	})
	t.Run("by its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			c := tasklet.Go(ctx, obedient, tasklet.Config[int]{})
			cancel(why)
			if _, err := c.Wait(t.Context()); !errors.Is(err, why) {
				t.Errorf("error %v", err)
			}
			c = tasklet.Go(ctx, returns(1, nil), tasklet.Config[int]{})
			if _, err := c.Wait(t.Context()); !errors.Is(err, why) || !errors.Is(err, ipc.ErrCancelled) {
				t.Errorf("begun with a context that had ended: %v", err)
			}
		})
	})
}

func TestGoPanicAndGoexitAreErrors(t *testing.T) {
	oh := errors.New("oh")
	for name, c := range map[string]struct {
		f    func(context.Context) (int, error)
		says string
		is   error
	}{
		"text":   {func(context.Context) (int, error) { panic("text") }, "panic: text", nil},
		"error":  {func(context.Context) (int, error) { panic(oh) }, "panic: oh", oh},
		"Goexit": {func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, "it called runtime.Goexit", tasklet.ErrGoexit},
	} {
		var told error
		call := tasklet.Go(t.Context(), c.f, tasklet.Config[int]{Then: func(_ int, err error) { told = err }})
		_, err := call.Wait(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if !errors.Is(told, err) {
			t.Errorf("%s: the callback was told %v", name, told)
		}
		if p, ok := errors.AsType[*tasklet.PanicError](err); ok && !strings.Contains(string(p.Stack), "tasklet_test.go") {
			t.Errorf("%s: the stack does not show where:\n%s", name, p.Stack)
		}
	}
}

// A callback that fails ends neither the program nor the wait.
func TestACallbackThatFailsIsAnError(t *testing.T) {
	oh := errors.New("oh")
	for name, then := range map[string]func(int, error){
		"panic":  func(int, error) { panic("in it") },
		"Goexit": func(int, error) { runtime.Goexit() },
	} {
		v, err := tasklet.Go(t.Context(), returns(3, oh), tasklet.Config[int]{Then: then}).Wait(t.Context())
		if v != 3 || !errors.Is(err, oh) || !strings.Contains(err.Error(), "callback: ") {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func TestDoneComesAfterTheCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := tasklet.Go(t.Context(), returns("v", nil), tasklet.Config[string]{Then: func(string, error) {
			<-time.After(time.Second)
			calls++
		}})
		<-c.Done()
		if calls != 1 {
			t.Errorf("%d calls before Done, want 1", calls)
		}
	})
}

func TestGoWithoutAFunc(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	tasklet.Go[int](t.Context(), nil, tasklet.Config[int]{})
}

// AsynchronousFunction calls its callback without the argument when there was an error, or when the result is None.
func TestTheCallbackIsToldAnErrorAndANilResult(t *testing.T) {
	oh := errors.New("oh")
	for _, want := range []error{oh, nil} {
		told := errors.New("nothing")
		c := tasklet.Go(t.Context(), returns[any](nil, want), tasklet.Config[any]{Then: func(v any, err error) {
			if told = err; v != nil {
				t.Errorf("callback with %v", v)
			}
		}})
		if _, err := c.Wait(t.Context()); !errors.Is(err, want) || !errors.Is(told, want) {
			t.Errorf("result %v, callback %v; want %v for both", err, told, want)
		}
	}
}
