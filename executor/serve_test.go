package executor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"fandango/executor"
	"fandango/ipc"
)

// evil is an object whose methods misbehave.
type evil struct{ calls int }

func (e *evil) Panic(v any) any    { panic(v) }
func (e *evil) Index() any         { return [1]int{}[e.calls+1] }
func (e *evil) Goexit() any        { runtime.Goexit(); return nil }
func (e *evil) Channel() any       { return make(chan int) }
func (e *evil) Large(n int) string { return strings.Repeat("x", n) }
func (e *evil) Count() int         { e.calls++; return e.calls }
func (e *evil) Typed() error {
	return &ipc.Error{Kind: ipc.KindTask, Type: "DeviceError", Message: "off", Trace: "here"}
}
func (e *evil) Wrapped() error         { return errors.Join(errors.New("a"), errors.New("b")) }
func (e *evil) Echo(v any) any         { return v }
func (e *evil) Error() (string, error) { return "dropped", errors.New("with a value") }

// ask serves requests (key, target, args) and returns the answers.
func ask(t *testing.T, e executor.Executor, wire ipc.Wire, requests ...[3]any) []ipc.Answer {
	t.Helper()
	var in, out bytes.Buffer
	enc := ipc.NewEncoder(&in, wire, ipc.Limits{})
	for _, r := range requests {
		var args ipc.Raw
		if r[2] != nil {
			args = encoded(t, r[2])
		}
		if err := enc.Request(r[0].(string), encoded(t, r[1]), args); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := executor.Serve(t.Context(), e, &in, &out, wire); err != nil {
		t.Fatalf("Serve: %v", err)
	}
	dec := ipc.NewDecoder(&out, ipc.DecoderConfig{Wire: wire})
	var answers []ipc.Answer
	for {
		a, err := dec.Answer()
		if errors.Is(err, io.EOF) {
			return answers
		}
		if err != nil {
			t.Fatal(err)
		}
		a.Key, a.Value = slices.Clone(a.Key), slices.Clone(a.Value)
		answers = append(answers, a)
	}
}

// quiet drops what the test's own panics write to stderr.
func quiet(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = null
	t.Cleanup(func() { os.Stderr = stderr; null.Close() })
}

func TestServeAnswersEachRequestOnce(t *testing.T) {
	quiet(t)
	for _, wire := range []ipc.Wire{ipc.Msgpack, ipc.JSON} {
		answers := ask(t, executor.Object(&evil{}), wire,
			[3]any{"a", "count", nil},
			[3]any{"b", "panic", []any{"boom"}},
			[3]any{"c", "index", nil},
			[3]any{"d", "goexit", nil},
			[3]any{"e", "channel", nil},
			[3]any{"g", "typed", nil},
			[3]any{"h", "wrapped", nil},
			[3]any{"i", "error", nil},
			[3]any{"j", "count", nil},
			[3]any{"ключ\n", "echo", []any{map[string]any{"a": []any{1, nil, 2.5, "ü"}}}},
		)
		want := []string{
			`a 1`,
			`b task panic: boom`,
			`c task panic: runtime error: index out of range`,
			`d task goexit: the handler ended its goroutine (runtime.Goexit)`,
			`e input answer of key "e": the result cannot be encoded`,
			`g task DeviceError: off`,
			"h task a\nb",
			`i task with a value`,
			`j 2`,
			"ключ\n {\"a\":[1,null,2.5,\"ü\"]}",
		}
		if len(answers) != len(want) {
			t.Fatalf("%s: %d answers, want %d", wire, len(answers), len(want))
		}
		for i, a := range answers {
			got := string(a.Key) + " " + a.Value.String()
			if a.Err != nil {
				got = string(a.Key) + " " + string(a.Err.Kind) + " " + a.Err.Error()
			}
			if !strings.HasPrefix(got, want[i]) {
				t.Errorf("%s: answer %d = %q, want %q", wire, i, got, want[i])
			}
		}
		if !strings.Contains(answers[1].Err.Trace, "evil).Panic") || answers[5].Err.Trace != "here" {
			t.Errorf("%s: traces %q, %q", wire, answers[1].Err.Trace, answers[5].Err.Trace)
		}
	}
}

// TestARawArgumentIsWhatADecodedOneIs: a handler that takes an undecoded argument is given what it would get by way of
// decoding it.
func TestARawArgumentIsWhatADecodedOneIs(t *testing.T) {
	var names executor.Registry
	executor.Handle(&names, "raw", func(_ context.Context, v ipc.Raw) (ipc.Raw, error) { return v, nil })
	executor.Handle(&names, "any", func(_ context.Context, v any) (any, error) { return v, nil })
	for _, args := range []any{
		nil, 5, -1, true, 2.5, "text", strings.Repeat("ü", 200),
		[]byte{0, 0xff},
		make([]byte, 300),
		[]any{},
		[]any{nil},
		[]any{5},
		[]any{"x"},
		[]any{[]any{1, 2}},
		[]any{map[string]any{"a": 1}},
		[]any{1, 2},
		make([]int, 20),
		map[string]any{},
		map[string]any{"a": []any{1}},
		map[string]any{"a": nil, "b": "c"},
	} {
		var got [2]string
		for i, target := range []string{"raw", "any"} {
			a := ask(t, &names, ipc.Msgpack, [3]any{"k", target, args})[0]
			if got[i] = a.Value.String(); a.Err != nil {
				got[i] = strings.ReplaceAll(a.Err.Error(), target, "…")
			}
		}
		if got[0] != got[1] {
			t.Errorf("args %.40v: raw %s, decoded %s", args, got[0], got[1])
		}
	}
}

// TestServeAllocatesLittle is a guard: a request costs its name's string and what the handler makes; keys and contexts are
// allocated by the dozen.
func TestServeAllocatesLittle(t *testing.T) {
	var names executor.Registry
	executor.Handle(&names, "echo", func(_ context.Context, v ipc.Raw) (ipc.Raw, error) { return v, nil })
	var in bytes.Buffer
	enc := ipc.NewEncoder(&in, ipc.Msgpack, ipc.Limits{})
	const n = 1000
	for range n {
		if err := enc.Request("a key", encoded(t, "echo"), encoded(t, make([]byte, 64))); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Flush(); err != nil {
		t.Fatal(err)
	}
	allocated := testing.AllocsPerRun(10, func() {
		if err := executor.Serve(t.Context(), &names, bytes.NewReader(in.Bytes()), io.Discard, ipc.Msgpack); err != nil {
			t.Fatal(err)
		}
	})
	if each := allocated / n; each > 3.1 {
		t.Errorf("%.2f allocations per request", each)
	}
}

func TestServeLargeAnswerNamesKeySizeAndLimit(t *testing.T) {
	answers := ask(t, executor.Object(&evil{}), ipc.Msgpack, [3]any{"big one", "large", []any{65 << 20}})
	for _, part := range []string{`"big one"`, "68157", "67108864"} {
		if got := answers[0].Err.Error(); !strings.Contains(got, part) {
			t.Errorf("error %q does not name %s", got, part)
		}
	}
}

func TestServeGreets(t *testing.T) {
	var reg executor.Registry
	executor.Class(&reg, "Device", func(context.Context, string) (*device, error) { return &device{Unit: "K"}, nil })
	executor.Handle(&reg, "one", func(context.Context, struct{}) (int, error) { return 1, nil })
	answers := ask(t, &reg, ipc.Msgpack,
		[3]any{ipc.KeyHello, ipc.KeyHello, ipc.Greeting{Protocol: 1, Of: 2}},
		[3]any{ipc.KeyBind, "Device", []any{"K"}},
		[3]any{"k", "unit", nil},
		[3]any{ipc.KeyBind, "Nothing", nil},
		[3]any{ipc.KeyAlive, nil, nil},
		[3]any{ipc.KeyHello, ipc.KeyHello, "not a greeting"},
	)
	var hello ipc.Hello
	if err := answers[0].Value.Decode(&hello); err != nil {
		t.Fatal(err)
	}
	if !hello.Ordered || !hello.Options || hello.Protocol != 1 || hello.Name == "" || !slices.Equal(hello.Targets, []string{"one"}) ||
		!slices.Equal(hello.Classes, []string{"Device"}) || runtime.GOOS != "windows" && hello.Diagnose != "SIGQUIT" {
		t.Errorf("hello = %+v", hello)
	}
	if a := answers[1]; a.Err != nil || !a.Value.IsNil() {
		t.Errorf("bind = %v, %v", a.Value, a.Err)
	}
	if got := answers[2].Value.String(); got != `"K"` {
		t.Errorf("unit = %s", got)
	}
	for _, i := range []int{3, 4} {
		if answers[i].Err == nil {
			t.Errorf("answer %d is no error: %v", i, answers[i].Value)
		}
	}
	if answers[5].Err != nil {
		t.Errorf("a strange greeting: %v", answers[5].Err)
	}
	if a := ask(t, executor.Object(&evil{}), ipc.Msgpack, [3]any{ipc.KeyBind, "Device", nil}); a[0].Err == nil {
		t.Error("a worker without classes was bound")
	}
}

func TestServeTellsTheOptions(t *testing.T) {
	f := executor.Func(func(ctx context.Context, _ ipc.Raw) (any, error) { return executor.RequestOptions(ctx), nil })
	in := strings.NewReader(`["a","x",null,{"all":true,"attempt":2,"later":[1]}]
["b","x",null]
["c","x",null,{}]
["d","x",null,7]
["e","x",null,{"attempt":"two"}]
["f","x",null,null]
`)
	var out bytes.Buffer
	if err := executor.Serve(t.Context(), f, in, &out, ipc.JSON); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`["a",{"all":true,"attempt":2}]`, `["b",{}]`, `["c",{}]`,
		`["d",null,{"message":"the options of the request: `,
		`["e",null,{"message":"the options of the request: `,
		`["f",{}]`,
	} {
		if got := strings.Split(out.String(), "\n")[i]; !strings.HasPrefix(got, want) {
			t.Errorf("answer %s, want %s", got, want)
		}
	}
}

func TestServeEnds(t *testing.T) {
	e := executor.Object(&evil{})
	if err := executor.Serve(t.Context(), e, strings.NewReader("\x93\xa1k\xa5cou"), io.Discard, ipc.Msgpack); !errors.Is(err, ipc.ErrProtocol) {
		t.Errorf("a request cut short: %v", err)
	}
	if err := executor.Serve(t.Context(), e, strings.NewReader("\x93\xa1k\xa5count\xc0"), failing{}, ipc.Msgpack); err == nil || !strings.Contains(err.Error(), "pipe is gone") {
		t.Errorf("nobody reads: %v", err)
	}
	slow := iotest.OneByteReader(strings.NewReader("\x93\xa1k\xa5count\xc0\x93\xa1k\xa5count\xc0"))
	var out bytes.Buffer
	if err := executor.Serve(t.Context(), e, slow, &out, ipc.Msgpack); err != nil || out.String() != "\x92\xa1k\x02\x92\xa1k\x03" {
		t.Errorf("one byte at a time: % x, %v", out.Bytes(), err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("the pipe is gone") }

func TestServeEndsWithItsContext(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- executor.Serve(ctx, executor.Object(&evil{}), r, io.Discard, ipc.Msgpack) }()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// A child counted its idle loops, and left when it had counted enough of them, sooner or later than its timeout; and as it
// held its master's end of the pipe too, it did not see when that was gone.
func TestBUG10And11AnIdleWorkerWaitsForItsMasterAndEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, requests := io.Pipe()
		answers, out := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- executor.Serve(t.Context(), executor.Object(&evil{}), in, out, ipc.Msgpack) }()
		e := ipc.NewEncoder(requests, ipc.Msgpack, ipc.Limits{})
		d := ipc.NewDecoder(answers, ipc.DecoderConfig{})
		for range 3 {
			time.Sleep(1000 * time.Hour) // in a bubble: no time passes
			if err := errors.Join(e.Request("k", encoded(t, "count"), nil), e.Flush()); err != nil {
				t.Fatal(err)
			}
			if a, err := d.Answer(); err != nil || a.Err != nil {
				t.Fatal(err, a.Err)
			}
		}
		begun := time.Now()
		requests.Close() // the master is gone
		if err := <-ended; err != nil || time.Since(begun) != 0 {
			t.Errorf("Serve = %v, %v after the end", err, time.Since(begun))
		}
	})
}

// writes is the sizes of what was written, one after the other.
type writes struct {
	mu   sync.Mutex
	each [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.each = append(w.each, bytes.Clone(p))
	return len(p), nil
}

// keys is the keys of the answers in each write.
func (w *writes) keys(t *testing.T) (list []string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.each {
		var keys []string
		for d := ipc.NewDecoder(bytes.NewReader(b), ipc.DecoderConfig{}); ; {
			a, err := d.Answer()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, string(a.Key))
		}
		list = append(list, strings.Join(keys, " "))
	}
	return list
}

// feed writes requests at once; those whose keys begin with b have the option batch.
func feed(t *testing.T, in io.Writer, keys ...string) {
	t.Helper()
	enc := ipc.NewEncoder(in, ipc.Msgpack, ipc.Limits{})
	for _, key := range keys {
		var options ipc.Raw
		if strings.HasPrefix(key, "b") {
			options = encoded(t, ipc.RequestOptions{Batch: true})
		}
		if err := enc.RequestWith(key, encoded(t, "do"), encoded(t, key), options); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestBatchedAnswersShareAWrite: they wait for each other, and for nobody else: a request that is none of them begins
// when they are written, and so does a wait for more.
func TestBatchedAnswersShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names executor.Registry
		var out writes
		executor.Handle(&names, "do", func(_ context.Context, key string) (string, error) {
			if key == "x1" {
				if got := out.keys(t); len(got) != 1 {
					t.Errorf("x1 begins with %q written", got)
				}
			}
			return key, nil
		})
		in, master := io.Pipe()
		served := make(chan error, 1)
		go func() { served <- executor.Serve(t.Context(), &names, in, &out, ipc.Msgpack) }()
		feed(t, master, "b1", "b2", "b3", "x1", "x2", "b4", "b5") // a pipe of io's: the next write waits until this is read
		feed(t, master, "b6")
		master.Close()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if got, want := out.keys(t), []string{"b1 b2 b3", "x1", "x2", "b4 b5", "b6"}; !slices.Equal(got, want) {
			t.Errorf("writes of %q, want %q", got, want)
		}
	})
}

// heldTime is how long an answer may wait for others.
const heldTime = time.Millisecond

// TestBatchedAnswersAreHeldAMillisecondAtMost: a slow request behind them does not keep them.
func TestBatchedAnswersAreHeldAMillisecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names executor.Registry
		var out writes
		executor.Handle(&names, "do", func(_ context.Context, key string) (string, error) {
			if want, slow := map[string]string{"b2": "b1", "b4": "b2 b3"}[key]; slow {
				<-time.After(heldTime)
				synctest.Wait()
				if got := out.keys(t); got[len(got)-1] != want {
					t.Errorf("while %s runs, %q are written", key, got)
				}
			}
			return key, nil
		})
		var in bytes.Buffer
		feed(t, &in, "b1", "b2", "b3", "b4")
		if err := executor.Serve(t.Context(), &names, &in, &out, ipc.Msgpack); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBatchedAnswersAreNotWrittenForThoseBeforeThem: the clock of answers that have been written cuts no later write short.
func TestBatchedAnswersAreNotWrittenForThoseBeforeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names executor.Registry
		var out writes
		executor.Handle(&names, "do", func(_ context.Context, key string) (string, error) {
			<-time.After(map[string]time.Duration{"x": heldTime - 10, "b3": heldTime / 2}[key]) // b2 is held until after b1's time
			return key, nil
		})
		var in bytes.Buffer
		feed(t, &in, "b1", "x", "b2", "b3")
		if err := executor.Serve(t.Context(), &names, &in, &out, ipc.Msgpack); err != nil {
			t.Fatal(err)
		}
		if got, want := out.keys(t), []string{"b1", "x", "b2 b3"}; !slices.Equal(got, want) {
			t.Errorf("writes of %q, want %q", got, want)
		}
	})
}

// TestBatchedAnswerThatCannotBeWritten ends the server, whoever met it.
func TestBatchedAnswerThatCannotBeWritten(t *testing.T) {
	for _, slow := range []time.Duration{0, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var names executor.Registry
			executor.Handle(&names, "do", func(_ context.Context, key string) (string, error) {
				<-time.After(slow)
				return key, nil
			})
			var in bytes.Buffer
			feed(t, &in, "b1", "b2", "b3")
			err := executor.Serve(t.Context(), &names, &in, failing{}, ipc.Msgpack)
			if err == nil || !strings.Contains(err.Error(), "pipe is gone") {
				t.Errorf("slow %v: %v", slow, err)
			}
		})
	}
}
