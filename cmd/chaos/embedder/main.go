// Command embedder is a program of the kind that embeds a master, for chaos to hurt: like "master run" it takes tasks as
// JSON lines and prints their results, but it also takes them back. Every second task goes through the master's tables,
// the others straight to the pool: so what each of the two says of a cancelled task is seen.
//
//	embedder WORKERS TIMEOUT RETRIES WORKER [ARG...]
//
//	{"key":"a","target":"echo","args":[1]}    a task
//	{"cancel":"a"}                            nobody waits for it any more
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"fandango/ipc"
	"fandango/master"
	"fandango/pool"
)

func main() {
	failed, err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "embedder: %v\n", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

// run embeds a master until in ends and each task has its outcome.
func run(ctx context.Context, args []string, in io.Reader, out, words io.Writer) (failed int, err error) {
	cfg, retries, err := parse(args)
	if err != nil {
		return 0, err
	}
	p, err := pool.New(cfg)
	if err != nil {
		return 0, err
	}
	e := &embedder{
		pool: p, master: master.New(p, master.Config{}), retries: retries,
		results: make(chan result, 1000), cancels: map[string]context.CancelFunc{},
	}
	begun := time.Now()
	var pooling, ruling, printing sync.WaitGroup
	printing.Go(func() { e.print(out) })
	rule, endRule := context.WithCancel(ctx)
	defer endRule()
	errs := make(chan error, 2)
	pooling.Go(func() { errs <- p.Run(context.WithoutCancel(ctx)) })
	ruling.Go(func() { errs <- e.master.Run(rule) })
	err = e.take(ctx, in)
	e.under.Wait()
	p.Drain(-1)
	pooling.Wait()
	endRule()
	ruling.Wait()
	close(e.results)
	printing.Wait()
	for range cap(errs) {
		if ended := <-errs; !errors.Is(ended, context.Canceled) {
			err = errors.Join(err, ended)
		}
	}
	fmt.Fprintf(words, "master: %d tasks: %d done, %d failed in %.1f s\n",
		e.done+e.failed, e.done, e.failed, time.Since(begun).Seconds())
	return e.failed, errors.Join(err, e.broken)
}

func parse(args []string) (cfg pool.Config, retries int, err error) {
	const least = 4
	if len(args) < least {
		return cfg, 0, errors.New("usage: embedder WORKERS TIMEOUT RETRIES WORKER [ARG...]")
	}
	var timeout time.Duration
	workers, err := strconv.Atoi(args[0])
	if err == nil {
		timeout, err = time.ParseDuration(args[1])
	}
	if err == nil {
		retries, err = strconv.Atoi(args[2])
	}
	return pool.Config{Command: args[3:], Workers: workers, Timeout: timeout}, retries, err
}

// embedder takes tasks and gives results.
type embedder struct {
	pool     *pool.Pool
	master   *master.Master
	retries  int
	under    sync.WaitGroup // tasks under way
	straight bool           // the last one went straight to the pool
	results  chan result    // its buffer has room for all that are under way, so that none waits on a worker's reader

	mu      sync.Mutex                    // guards cancels
	cancels map[string]context.CancelFunc // of tasks under way

	// Of print.
	broken error // why out takes no more
	done   int
	failed int
}

// line is what comes in.
type line struct {
	Key    string `json:"key"`
	Target string `json:"target"`
	Args   any    `json:"args"`
	Cancel string `json:"cancel"`
}

// take reads lines until they end.
func (e *embedder) take(ctx context.Context, in io.Reader) error {
	for lines := json.NewDecoder(bufio.NewReader(in)); ; {
		var l line
		switch err := lines.Decode(&l); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("stdin: %w", err)
		case l.Cancel != "":
			e.cancel(l.Cancel)
		default:
			e.send(ctx, l)
		}
	}
}

func (e *embedder) cancel(key string) {
	e.mu.Lock()
	cancel := e.cancels[key]
	e.mu.Unlock()
	if cancel != nil { // else it has its outcome
		cancel()
	}
}

func (e *embedder) send(ctx context.Context, l line) {
	ctx, cancel := context.WithCancel(ctx)
	e.mu.Lock()
	e.cancels[l.Key] = cancel
	e.mu.Unlock()
	e.under.Add(1)
	task, err := ipc.NewTask(l.Key, l.Target, l.Args)
	task.Retries = e.retries
	e.straight = !e.straight
	switch {
	case err != nil:
	case e.straight:
		err = e.pool.Submit(ctx, task, func(o ipc.Outcome) { e.tell(l.Key, o) })
	default:
		err = e.master.Send(ctx, task, func(v master.Value) { e.tell(l.Key, v.Outcome) })
	}
	if err != nil {
		e.tell(l.Key, ipc.Outcome{Err: err})
	}
}

// result is what goes out, as of "master run -o json".
type result struct {
	Key    string    `json:"key"`
	Value  ipc.Raw   `json:"value,omitempty"`
	Error  string    `json:"error,omitempty"`
	Kind   ipc.Kind  `json:"kind,omitempty"`
	Worker string    `json:"worker"`
	At     time.Time `json:"at"`
}

func (e *embedder) tell(key string, o ipc.Outcome) {
	e.mu.Lock()
	cancel := e.cancels[key]
	delete(e.cancels, key)
	e.mu.Unlock()
	r := result{Key: key, Value: o.Value, Kind: ipc.KindOf(o.Err), Worker: o.Worker, At: time.Now()}
	if o.Err != nil {
		r.Error = o.Err.Error()
	}
	e.results <- r
	if cancel != nil { // else it is an outcome too many, and the book will say so
		cancel()
		e.under.Done()
	}
}

func (e *embedder) print(out io.Writer) {
	lines := json.NewEncoder(out)
	for r := range e.results {
		if r.Kind == "" {
			e.done++
		} else {
			e.failed++
		}
		if err := lines.Encode(r); err != nil && e.broken == nil {
			e.broken = fmt.Errorf("stdout: %w", err)
		}
	}
}
