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
	execute  func(ctx context.Context, target, args ipc.Raw) (ipc.Raw, error) // of e
	in       io.Reader
	requests *intake
	enc      *ipc.Encoder
	busy     atomic.Bool // a request is read, and its answer is not written

	running *request            // its handler runs
	options ipc.Raw             // of the last request that had any,
	told    *ipc.RequestOptions // and what they tell; never changed, for the contexts of runs have it, too
	held    bool                // answers wait for a flush; or did, until flushLate came

	writing sync.Mutex  // guards enc and what follows
	since   time.Time   // when the oldest of the answers that are held was
	flusher *time.Timer // flushes answers that are held; nil: none ever was
	armed   bool        // it is going to
	late    error       // what it met

	ended bool  // there is nothing more to do
	err   error // why, when it is not that the input ended
}

func newServer(e Executor, in io.Reader, out io.Writer, wire ipc.Wire) *server {
	s := &server{
		e:        e,
		in:       in,
		requests: newIntake(ipc.NewDecoder(in, ipc.DecoderConfig{Wire: wire})),
		enc:      ipc.NewEncoder(out, wire, ipc.Limits{}),
	}
	if raw, ok := e.(RawExecutor); ok {
		s.execute = raw.ExecuteRaw
	} else {
		s.execute = func(ctx context.Context, target, args ipc.Raw) (ipc.Raw, error) {
			return EncodeResult(e.Execute(ctx, target, args))
		}
	}
	if f, ok := e.(Forgetful); ok {
		s.requests.forgets = f.ForgetsContexts()
	}
	return s
}

func (s *server) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.unblock)()
	persist(func() {
		for !s.ended {
			s.loop(ctx)
		}
	})
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

// loop answers requests until there is no more, or a handler panics or ends its goroutine. One deferred func for all of
// them costs less than one for each.
func (s *server) loop(ctx context.Context) {
	defer func() {
		if s.running == nil {
			return
		}
		err := error(errGoexit)
		if p := recover(); p != nil {
			err = panicked(p)
		}
		s.answer(s.running, nil, err)
	}()
	for !s.ended && ctx.Err() == nil {
		req, err := s.next(ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.err = err
			}
			break
		}
		s.requests.begin(ctx, req)
		s.running = req
		result, err := s.run(req.ctx, req) //nolint:contextcheck // it is made of ctx
		s.answer(req, result, err)
	}
	if err := s.flush(); err != nil && s.err == nil {
		s.err = err
	}
	s.ended = true
}

// next waits for a request. Held answers are written before it waits, and before a request whose own answer must not be
// held: so a worker that dies has begun no such request while an answer was on hold.
func (s *server) next(ctx context.Context) (*request, error) {
	req, err := s.requests.nextNow()
	if req != nil {
		s.heed(req)
	}
	if s.held && (req == nil || !req.batch()) {
		if failed := s.flush(); failed != nil {
			return nil, errors.Join(failed, err)
		}
	}
	if req != nil || err != nil {
		return req, err
	}
	s.busy.Store(false)
	if ctx.Err() != nil { // whoever ended it looks at busy then
		return nil, io.EOF
	}
	if req, err = s.requests.next(); err == nil {
		s.busy.Store(true)
		s.heed(req)
	}
	return req, err
}

// heed reads the options of a request; those of the last one that had any are read already.
func (s *server) heed(req *request) {
	switch {
	case req.Options == nil:
		req.told, req.unread = &noOptions, nil
	case s.options != nil && bytes.Equal(req.Options, s.options):
		req.told, req.unread = s.told, nil
	default:
		told := new(ipc.RequestOptions)
		if err := req.Options.Decode(told); err != nil {
			req.told, req.unread = &noOptions, typeError("the options of the request: "+err.Error())
			return
		}
		s.options, s.told = bytes.Clone(req.Options), told
		req.told, req.unread = told, nil
	}
}

// answer writes the one answer of a request that has run.
func (s *server) answer(req *request, result ipc.Raw, err error) {
	s.running = nil
	s.requests.end()
	req.ctx.end()
	if err := s.write(req, result, err); err != nil {
		s.ended, s.err = true, fmt.Errorf("answer %q: %w", req.Key, err)
	}
}

// run runs a request.
func (s *server) run(ctx context.Context, req *request) (ipc.Raw, error) {
	switch {
	case req.off:
		return nil, errNotBegun
	case req.unread != nil:
		return nil, req.unread
	}
	switch req.Key {
	case ipc.KeyHello:
		return EncodeResult(s.hello(req.Request), nil)
	case ipc.KeyBind:
		binder, ok := s.e.(Binder)
		if !ok {
			return nil, typeError("this worker has no classes to bind")
		}
		return nil, binder.Bind(ctx, req.Target, req.Args)
	case ipc.KeyAlive, ipc.KeyProgress:
		return nil, ipc.Errorf(ipc.KindInput, "this worker does not claim %s", req.Key)
	}
	return s.execute(ctx, req.Target, req.Args)
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
func (s *server) write(req *request, result ipc.Raw, err error) error {
	s.writing.Lock()
	failed := s.late
	if failed == nil {
		failed = s.encode(req.Key, result, err)
	}
	if failed == nil {
		failed = s.send(req.batch())
	}
	s.writing.Unlock()
	return failed
}

// send needs s.writing. It writes the answer that was encoded, or holds it.
func (s *server) send(hold bool) error {
	if !hold || s.enc.Buffered() > heldMost {
		s.held = false
		return s.enc.Flush()
	}
	s.enc.Keep() // a value may be in the buffer that the next request is read into
	if !s.held {
		s.held, s.since = true, time.Now()
	}
	switch {
	case s.armed:
		return nil
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
func (s *server) encode(key string, result ipc.Raw, err error) error {
	switch {
	case err == nil:
		if err = s.enc.Answer(key, result); err == nil {
			return nil
		}
	case ipc.KindOf(err) == ipc.KindInput: // what the encoder says itself names the key, too
		err = ipc.Errorf(ipc.KindInput, "answer of key %q: %w", key, err)
	}
	return s.enc.Failure(key, err)
}

// EncodeResult encodes what Execute has returned. Its error is err, or of kind input: the result cannot be encoded.
func EncodeResult(result any, err error) (ipc.Raw, error) {
	if err != nil {
		return nil, err
	}
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

// panicked makes an error of a panic, and puts its stack on stderr.
func panicked(p any) *ipc.Error {
	stack := debug.Stack()
	fmt.Fprintf(os.Stderr, "panic: %v\n\n%s", p, stack)
	return &ipc.Error{Kind: ipc.KindTask, Type: "panic", Message: fmt.Sprint(p), Trace: string(stack)}
}
