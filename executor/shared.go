package executor

import (
	"context"
	"sync"

	"fandango/ipc"
)

// Running is a runner with its life, such as a [LocalRunner] or a pool.
type Running interface {
	ipc.Runner
	Run(ctx context.Context) error
}

// SharedRunner is one of several handles to a runner that parts of a program share by its name: Fandango's
// SingletonWorker. Make one with [Shared].
type SharedRunner struct {
	name string
	make func() (Running, error)

	mu  sync.Mutex // guards what follows
	ran bool
	in  *common
}

// common is a runner that is shared.
type common struct {
	make  func() (Running, error) // makes it once
	after <-chan struct{}         // closed: the one of this name before it has ended; nil: there was none
	ended chan struct{}           // closed: it has ended
	err   error                   // of its Run; written before ended is closed

	// Guarded by names.mu.
	users int // handles whose Run has begun and not ended
	end   context.CancelFunc
	over  bool // nobody joins it any more
}

// names has the runners that are shared now.
var names struct {
	mu     sync.Mutex
	common map[string]*common
}

// Shared returns a handle to the runner of a name, which makes makes when there is none. It lives while there is a handle
// whose Run has not ended: the first Run starts it, the last one ends it and waits until it is over. Then the name is
// free, and the next one gets a new runner. Tasks may be submitted through a handle before its Run.
//
// The error is that of makes; the name is free then, too.
func Shared(name string, makes func() (Running, error)) (*SharedRunner, error) {
	s := &SharedRunner{name: name, make: makes}
	var err error
	s.in, err = s.find(false)
	return s, err
}

// find returns the runner of the name, and joins it if wanted.
func (s *SharedRunner) find(join bool) (*common, error) {
	names.mu.Lock()
	c := names.common[s.name]
	if c == nil || c.over {
		next := &common{make: sync.OnceValues(s.make), ended: make(chan struct{})}
		if c != nil {
			next.after = c.ended
		}
		if names.common == nil {
			names.common = map[string]*common{}
		}
		c = next
		names.common[s.name] = c
	}
	if join {
		c.users++
	}
	names.mu.Unlock()
	if _, err := c.make(); err != nil {
		names.mu.Lock()
		defer names.mu.Unlock()
		c.forget(s.name)
		return nil, err
	}
	return c, nil
}

// forget needs names.mu. It frees a name.
func (c *common) forget(name string) {
	c.over = true
	if names.common[name] == c {
		delete(names.common, name)
	}
}

// Submit gives a task to the runner; see [ipc.Runner].
func (s *SharedRunner) Submit(ctx context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	s.mu.Lock()
	c := s.in
	s.mu.Unlock()
	r, err := c.make() // it was made
	if err != nil {
		return err
	}
	return r.Submit(ctx, t, done)
}

// Run keeps the runner alive until ctx ends. The last Run of the name returns when the runner has ended, with its error;
// any other one at once. When the runner ends by itself, each of them returns its error. Call it once.
func (s *SharedRunner) Run(ctx context.Context) error {
	c, err := s.join()
	if err != nil {
		return err
	}
	names.mu.Lock()
	if c.end == nil {
		life, end := context.WithCancel(context.WithoutCancel(ctx))
		c.end = end
		go c.live(life, s.name)
	}
	names.mu.Unlock()

	select {
	case <-ctx.Done():
	case <-c.ended:
	}
	names.mu.Lock()
	c.users--
	last := c.users == 0
	c.over = c.over || last
	names.mu.Unlock()
	if last {
		c.end()
		<-c.ended
	}
	select {
	case <-c.ended:
		return c.err
	default:
		return nil
	}
}

// join joins the runner of this handle; or the one of its name, when that has ended meanwhile.
func (s *SharedRunner) join() (*common, error) {
	s.mu.Lock()
	again := s.ran
	s.ran = true
	c := s.in
	s.mu.Unlock()
	if again {
		return nil, ipc.Errorf(ipc.KindClosed, "executor: Run of shared runner %q was called before on this handle", s.name)
	}
	names.mu.Lock()
	joined := !c.over
	if joined {
		c.users++
	}
	names.mu.Unlock()
	if joined {
		return c, nil
	}
	c, err := s.find(true)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.in = c
	s.mu.Unlock()
	return c, nil
}

// live is the life of a runner that is shared. The last Run waits for it.
func (c *common) live(ctx context.Context, name string) {
	defer close(c.ended)
	if c.after != nil {
		<-c.after // there are no two of a name at a time
	}
	r, err := c.make()
	if err == nil {
		err = r.Run(ctx)
	}
	c.err = err
	names.mu.Lock()
	defer names.mu.Unlock()
	c.forget(name)
}
