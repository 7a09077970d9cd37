package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fandango/executor"
	"fandango/ipc"
)

// conversation is a worker in this process, served over two pipes.
type conversation struct {
	t       *testing.T
	in      *ipc.Encoder
	answers chan ipc.Answer
}

// converse serves e until hangUp, which waits until nothing of it is left.
func converse(t *testing.T, e executor.Executor) (c *conversation, hangUp func()) {
	t.Helper()
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c = &conversation{t: t, in: ipc.NewEncoder(in, ipc.Msgpack, ipc.Limits{}), answers: make(chan ipc.Answer, 10_000)}
	var serving, reading sync.WaitGroup
	serving.Go(func() {
		if err := executor.Serve(context.Background(), e, theirIn, theirOut, ipc.Msgpack); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	reading.Go(func() {
		dec := ipc.NewDecoder(out, ipc.DecoderConfig{})
		for {
			a, err := dec.Answer()
			if err != nil {
				return
			}
			a.Key, a.Value = slices.Clone(a.Key), slices.Clone(a.Value)
			c.answers <- a
		}
	})
	return c, func() {
		_ = in.Close()
		serving.Wait()
		_ = theirOut.Close()
		reading.Wait()
		_ = out.Close()
		_ = theirIn.Close()
	}
}

func (c *conversation) send(key, target string, args any) {
	c.t.Helper()
	if err := c.in.Request(key, encoded(c.t, target), encoded(c.t, args)); err != nil {
		c.t.Fatal(err)
	}
	if err := c.in.Flush(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *conversation) cancel(key string) { c.send(ipc.KeyCancel, ipc.KeyCancel, key) }

// want takes the next answer, which must be this one.
func (c *conversation) want(key, says string) {
	c.t.Helper()
	select {
	case a := <-c.answers:
		said := a.Value.String()
		if a.Err != nil {
			said = a.Err.Error()
		}
		if string(a.Key) != key || !strings.Contains(said, says) {
			c.t.Errorf("answer %s %s, want %s %s", a.Key, said, key, says)
		}
	case <-time.After(20 * time.Second):
		c.t.Fatalf("no answer to %s", key)
	}
}

// patient has handlers that end when they are told to.
func patient(begun chan<- string) *executor.Registry {
	var r executor.Registry
	executor.Handle(&r, "wait", func(ctx context.Context, name string) (string, error) {
		begun <- name
		<-ctx.Done()
		return "", fmt.Errorf("%s was told: %w", name, ctx.Err())
	})
	executor.Handle(&r, "say", func(_ context.Context, word string) (string, error) { return word, nil })
	executor.Handle(&r, "work", func(ctx context.Context, ms float64) (string, error) {
		select {
		case <-time.After(time.Duration(ms * float64(time.Millisecond))):
			return "worked", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	return &r
}

func TestCancelReachesTheTaskThatRuns(t *testing.T) {
	begun := make(chan string, 1)
	c, hangUp := converse(t, patient(begun))
	defer hangUp()
	for i := range 3 {
		key := fmt.Sprint("k", i)
		c.send(key, "wait", key)
		<-begun
		c.cancel("somebody else")
		c.cancel(key)
		c.want(key, key+" was told: context canceled")
		c.send("next", "say", "word")
		c.want("next", `"word"`)
	}
}

func TestCancelOfWhatIsStillToRun(t *testing.T) {
	begun := make(chan string, 10)
	c, hangUp := converse(t, patient(begun))
	defer hangUp()
	c.send("a", "wait", "a")
	<-begun
	c.send("b", "wait", "b")
	c.send("c", "say", "c")
	c.cancel("b")
	c.cancel("a")
	c.want("a", "a was told")
	c.want("b", "cancelled before it began")
	c.want("c", `"c"`)
	if len(begun) > 0 {
		t.Errorf("%s ran", <-begun)
	}
}

func TestCancelThatComesTooLateHarmsNobody(t *testing.T) {
	c, hangUp := converse(t, patient(nil))
	defer hangUp()
	c.send("k", "say", 1)
	c.cancel("k")
	c.send("k", "work", 30)
	c.want("k", "want string")
	c.want("k", `"worked"`)
}

func TestStdinThatEndsWhileATaskRunsLetsItFinish(t *testing.T) {
	c, hangUp := converse(t, patient(nil))
	c.send("k", "work", 100)
	c.send("behind", "say", "behind")
	hangUp()
	c.want("k", `"worked"`)
	c.want("behind", `"behind"`)
}

// TestEveryRequestIsAnsweredOnceAndInOrder: short and long tasks, cancels of all sorts, whoever reads.
func TestEveryRequestIsAnsweredOnceAndInOrder(t *testing.T) {
	c, hangUp := converse(t, patient(nil))
	defer hangUp()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	const tasks = 300
	for i := range tasks {
		ms := 0.0
		if dice.IntN(10) == 0 {
			ms = dice.Float64() * 40
		}
		c.send(strconv.Itoa(i), "work", ms)
		if dice.IntN(5) == 0 {
			c.cancel(strconv.Itoa(max(0, i-dice.IntN(20))))
		}
		if dice.IntN(20) == 0 {
			<-time.After(time.Duration(dice.IntN(30)) * time.Millisecond)
		}
	}
	for i := range tasks {
		c.want(strconv.Itoa(i), "")
	}
}

// forgetful has one context for all its calls.
type forgetful struct{ *executor.Registry }

func (forgetful) ForgetsContexts() bool { return true }

func TestEachCallOfAForgetfulExecutorEndsByItself(t *testing.T) {
	begun := make(chan string, 1)
	c, hangUp := converse(t, forgetful{patient(begun)})
	defer hangUp()
	for range 3 {
		c.send("cancelled", "wait", "it")
		<-begun
		c.cancel("cancelled")
		c.want("cancelled", "it was told: context canceled")
		for range 3 {
			c.send("next", "work", 1)
			c.want("next", "worked")
		}
		c.send("longer", "work", 30) // somebody reads beside it
		c.send("behind", "work", 1)
		c.want("longer", "worked")
		c.want("behind", "worked")
	}
}

func TestContextEndsWithItsCall(t *testing.T) {
	kept := make(chan context.Context, 2)
	var r executor.Registry
	executor.Handle(&r, "keep", func(ctx context.Context, ask bool) (int, error) {
		if ask && ctx.Done() == nil {
			return 0, errors.New("a context without an end")
		}
		kept <- ctx
		return 1, ctx.Err()
	})
	for _, ask := range []bool{false, true} {
		c, hangUp := converse(t, &r)
		c.send("k", "keep", ask)
		c.want("k", "1")
		ctx := <-kept
		<-ctx.Done()
		below, cancel := context.WithCancel(ctx)
		<-below.Done()
		cancel()
		if ctx.Err() == nil || context.Cause(ctx) == nil {
			t.Errorf("ask %v: Err = %v", ask, ctx.Err())
		}
		hangUp()
	}
}
