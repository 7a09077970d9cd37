package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"fandango/ipc"
)

// Serve reads requests from in and writes answers to out, one at a time: each is written before the next one begins. It
// returns nil when in ends, and otherwise why it could not go on. Answers to requests with the option batch may share a
// write, within a millisecond, as long as more such requests are at hand. When ctx ends, it returns nil after the task at
// hand; a Read that waits is interrupted only when in has a SetReadDeadline, as a pipe of os.Pipe has, and is waited for.
//
// The context of each call ends with it, or earlier: when ctx does, or when the master cancels the task. What a handler
// then returns is answered, and the next task begins; so one that heeds its context lets its worker live on.
//
// A panic of e is an answer, an error of type "panic", with its stack on stderr. So is a value that cannot be encoded or
// is larger than the wire's limits.
func Serve(ctx context.Context, e Executor, in io.Reader, out io.Writer, wire ipc.Wire) error {
	s := newServer(e, in, out, wire)
	err := s.serve(ctx)
	s.unblock()
	s.requests.join()
	return err
}

// server answers the requests of one stream.
type server struct {
	e        Executor
	in       io.Reader
	requests *intake
	enc      *ipc.Encoder
	busy     atomic.Bool // a request is read, and its answer is not written

	options ipc.Raw            // of the last request that had any,
	told    ipc.RequestOptions // and what they tell
	batch   bool               // the answer to the request at hand may be held
	held    bool               // answers wait for a flush; or did, until flushLate came

	writing sync.Mutex  // guards enc and what follows
	since   time.Time   // when the oldest of the answers that are held was
	flusher *time.Timer // flushes answers that are held; nil: none ever was
	armed   bool        // it is going to
	late    error       // what it met

	ended bool  // there is nothing more to do
	err   error // why, when it is not that the input ended
}

func newServer(e Executor, in io.Reader, out io.Writer, wire ipc.Wire) *server {
	return &server{
		e:        e,
		in:       in,
		requests: newIntake(ipc.NewDecoder(in, ipc.DecoderConfig{Wire: wire})),
		enc:      ipc.NewEncoder(out, wire, ipc.Limits{}),
	}
}

func (s *server) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.unblock)()
	persist(func() { s.loop(ctx) })
	if s.flusher != nil {
		s.flusher.Stop()
	}
	return s.err
}

// unblock ends a Read that waits, where that can be done.
func (s *server) unblock() {
	if in, ok := s.in.(interface{ SetReadDeadline(t time.Time) error }); ok {
		_ = in.SetReadDeadline(time.Unix(1, 0))
	}
}

func (s *server) loop(ctx context.Context) {
	for !s.ended && ctx.Err() == nil {
		req, err := s.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.err = err
			}
			break
		}
		if !s.busy.Load() { // a look costs less than a store
			s.busy.Store(true)
		}
		s.answer(ctx, req)
	}
	if err := s.flush(); err != nil && s.err == nil {
		s.err = err
	}
	s.ended = true
}

// next waits for a request. Held answers are written before it waits, and before a request whose own answer must not be
// held: so a worker that dies has begun no such request while an answer was on hold.
func (s *server) next() (*request, error) {
	if s.held {
		req, err := s.requests.nextNow()
		if req != nil && s.mayHold(req) {
			return req, nil
		}
		if failed := s.flush(); failed != nil || req != nil || err != nil {
			return req, errors.Join(failed, err)
		}
	}
	s.busy.Store(false)
	return s.requests.next()
}

// mayHold says that the answer to req may be held.
func (s *server) mayHold(req *request) bool {
	return req.Options != nil && s.read(req.Options) == nil && s.told.Batch
}

// read reads options; those of the last request are read already.
func (s *server) read(options ipc.Raw) error {
	if s.options != nil && bytes.Equal(options, s.options) {
		return nil
	}
	s.options, s.told = nil, ipc.RequestOptions{}
	if err := options.Decode(&s.told); err != nil {
		return typeError("the options of the request: " + err.Error())
	}
	s.options = bytes.Clone(options)
	return nil
}

// answer runs a request and writes its one answer.
func (s *server) answer(ctx context.Context, req *request) {
	s.requests.begin(ctx, req)
	conclude(
		func() (any, error) { return s.run(req.ctx, req) }, //nolint:contextcheck // it is made of ctx
		func(result any, err error) {
			s.requests.end()
			req.ctx.end()
			if err := s.write(req, result, err); err != nil {
				s.ended, s.err = true, fmt.Errorf("answer %q: %w", req.Key, err)
			}
		},
	)
}

func (s *server) run(ctx context.Context, req *request) (any, error) {
	s.batch = false
	if req.off {
		return nil, errNotBegun
	}
	if req.Options != nil {
		if err := s.read(req.Options); err != nil {
			return nil, err
		}
		req.ctx.told, s.batch = s.told, s.told.Batch
	}
	switch req.Key {
	case ipc.KeyHello:
		return s.hello(req.Request), nil
	case ipc.KeyBind:
		binder, ok := s.e.(Binder)
		if !ok {
			return nil, typeError("this worker has no classes to bind")
		}
		return nil, binder.Bind(ctx, req.Target, req.Args)
	case ipc.KeyAlive, ipc.KeyProgress:
		return nil, ipc.Errorf(ipc.KindInput, "this worker does not claim %s", req.Key)
	}
	return s.e.Execute(ctx, req.Target, req.Args)
}

func (s *server) hello(req ipc.Request) ipc.Hello {
	var greeting ipc.Greeting
	_ = req.Args.Decode(&greeting) // whoever greets otherwise tells nothing of himself
	var h ipc.Hello
	if greeter, ok := s.e.(Greeter); ok {
		h = greeter.Greet(greeting)
	}
	if h.Name == "" {
		h.Name = filepath.Base(os.Args[0])
	}
	h.Protocol = ipc.Protocol
	h.Ordered = true
	h.Options = true
	h.Batch = true
	h.Cancel = true
	if runtime.GOOS != "windows" {
		h.Diagnose = "SIGQUIT" // Run prints all stacks and goes on; without Run, the Go runtime prints them and exits
	}
	return h
}

// heldMost is how much of held answers waits for a write, about, and heldTime how long.
const (
	heldMost = 64 << 10
	heldTime = time.Millisecond
)

// write writes the answer to req, or holds it.
func (s *server) write(req *request, result any, err error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.late != nil {
		return s.late
	}
	if err := s.encode(req.Key, result, err); err != nil {
		return err
	}
	if !s.batch || s.enc.Buffered() > heldMost {
		s.held = false
		return s.enc.Flush()
	}
	s.enc.Keep() // a value may be in the buffer that the next request is read into
	if !s.held {
		s.held, s.since = true, time.Now()
	}
	switch {
	case s.armed:
	case s.flusher == nil:
		s.flusher = time.AfterFunc(heldTime, s.flushLate)
	default:
		s.flusher.Reset(heldTime)
	}
	s.armed = true
	return nil
}

// flush writes what is held.
func (s *server) flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.held = false
	if s.late != nil {
		return s.late
	}
	return s.enc.Flush()
}

// flushLate writes what has been held long enough: the next request takes its time. As a rule, what was held when it was
// armed has been written meanwhile: then it looks again when the last answers that were held would be late. To be armed
// by who writes them would wake the runtime's poller.
func (s *server) flushLate() {
	s.writing.Lock()
	defer s.writing.Unlock()
	left := heldTime - time.Since(s.since)
	if s.armed = left > 0 && s.late == nil; s.armed {
		s.flusher.Reset(left)
	} else if s.late == nil {
		s.late = s.enc.Flush()
	}
}

// encode appends an answer.
func (s *server) encode(key string, result any, err error) error {
	var raw ipc.Raw
	if err == nil {
		raw, err = toRaw(result)
	}
	if ipc.KindOf(err) == ipc.KindInput { // what the encoder says itself names the key, too
		err = ipc.Errorf(ipc.KindInput, "answer of key %q: %w", key, err)
	}
	if err == nil {
		err = s.enc.Answer(key, raw)
	}
	if err != nil {
		return s.enc.Failure(key, err)
	}
	return nil
}

// toRaw encodes a result.
func toRaw(result any) (ipc.Raw, error) {
	switch raw := result.(type) {
	case ipc.Raw:
		return raw, nil
	case *ipc.Raw:
		if raw != nil {
			return *raw, nil
		}
	}
	raw, err := ipc.Encode(result)
	if err != nil {
		return nil, ipc.Errorf(ipc.KindInput, "the result cannot be encoded: %w", err)
	}
	return raw, nil
}

// persist runs loop on a goroutine of its own until it returns. A handler that calls runtime.Goexit, as t.FailNow does,
// ends the goroutine that it runs on: then there is a new one.
func persist(loop func()) {
	for returned := false; !returned; {
		var wg sync.WaitGroup
		wg.Go(func() {
			loop()
			returned = true
		})
		wg.Wait()
	}
}

var errGoexit = &ipc.Error{Kind: ipc.KindTask, Type: "goexit", Message: "the handler ended its goroutine (runtime.Goexit)"}

// conclude runs f and calls done once with what became of it, even when f panics or ends its goroutine.
func conclude(f func() (any, error), done func(any, error)) {
	var result any
	err := error(errGoexit)
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, panicked(p)
		}
		done(result, err)
	}()
	result, err = f()
}

// panicked makes an error of a panic, and puts its stack on stderr.
func panicked(p any) *ipc.Error {
	stack := debug.Stack()
	fmt.Fprintf(os.Stderr, "panic: %v\n\n%s", p, stack)
	return &ipc.Error{Kind: ipc.KindTask, Type: "panic", Message: fmt.Sprint(p), Trace: string(stack)}
}
