//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fandango/internal/evilworker"
)

// stormy is one run of faults against one master.
type stormy struct {
	*config
	m       *master
	book    *book
	places  chan struct{}   // one for each task on its way
	misdeed chan evilTask   // what the submitter is to smuggle in
	quiet   atomic.Bool     // plain tasks of this moment must succeed
	regrets sync.WaitGroup  // cancels that are to come
	heard   atomic.Int64    // when the last result came, in Unix ns
	conts   sync.WaitGroup  // stopped workers that will go on
	done    <-chan struct{} // the end of faults and tasks

	faults map[string]int // how many of each kind; the fault goroutine's
	deaths []*death       // the same
	told   []*os.Process  // the same; to die
	say    func(format string, args ...any)
}

type evilTask struct {
	target string
	args   string // JSON
}

// leastCalm is how long the end of a period must be for a quiet phase in it: in less a busy machine shows nothing.
const leastCalm = 2 * time.Second

// The limits of waiting: for any result while tasks are on their way, and for the master's end.
const (
	silence = 30 * time.Second
	ending  = time.Minute
)

func storm(ctx context.Context, c *config, dir string, out io.Writer) error {
	log, err := os.Create(filepath.Join(dir, "stderr")) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	defer log.Close()
	s := &stormy{
		config: c, book: newBook(c.retries), faults: map[string]int{},
		places: make(chan struct{}, 20*c.workers), misdeed: make(chan evilTask, 1000),
		say: func(string, ...any) {},
	}
	var words io.Writer = log
	if c.verbose {
		s.say = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "chaos: "+format+"\n", args...) }
		words = io.MultiWriter(log, os.Stderr)
	}
	ledger := filepath.Join(dir, "ledger")
	s.heard.Store(time.Now().UnixNano())
	if s.m, err = startMaster(c, ledger, words, s.result); err != nil {
		return err
	}

	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.duration, context.DeadlineExceeded)
	defer cancel()
	s.done = ctx.Done()
	var working sync.WaitGroup
	fed := make(chan error, 1)
	working.Go(func() { fed <- s.feed() })
	first := s.weather()
	s.conts.Wait()
	working.Wait()
	feedErr := <-fed
	s.regrets.Wait()
	last := s.settle(first)
	zombies := until(2*time.Second, func() int { return zombies(s.m.pid()) })

	_ = s.m.in.Close()
	endErr := s.ended()
	took := time.Since(begun)
	left := until(2*time.Second, func() int { return len(everyone(func(pid int) bool { return carries(pid, s.m.mark) })) })

	read := func(f func(evilworker.Entry)) error { return evilworker.ReadLedger(ledger, f) }
	if err := read(s.book.run); err != nil {
		return err
	}
	times, err := recoveries(s.deaths, read)
	if err != nil {
		return err
	}
	z := s.book.zeros()
	s.print(out, took)
	s.book.print(out, z)
	fmt.Fprintf(out, "recovery of %d deaths from outside p50 %v p99 %v max %v · rss %d→%d MiB · fds %d→%d · threads %d→%d · zombies %d · strays %d\n",
		len(times), ms(at(times, 0.5)), ms(at(times, 0.99)), ms(at(times, 1)),
		first.rss, last.rss, first.fds, last.fds, first.threads, last.threads, zombies, left)
	switch {
	case feedErr != nil:
		return feedErr
	case endErr != nil:
		return endErr
	case !z.ok():
		return errors.New("the records differ")
	case zombies > 0 || left > 0:
		return errors.New("processes were left behind")
	case len(s.deaths)-len(times) > c.workers: // but for those who died last
		return fmt.Errorf("%d of %d dead workers were never replaced", len(s.deaths)-len(times), len(s.deaths))
	}
	return nil
}

// settle waits until each task has its outcome and each slot a worker, and returns the master's size then.
func (s *stormy) settle(first size) (last size) {
	until(ending, func() int {
		if s.m.mute.Load() {
			return 0
		}
		return len(s.places)
	})
	until(2*time.Second, func() int {
		last = sizeOf(s.m.pid())
		return (last.fds - first.fds) / 2 // one more or less may be open for a moment
	})
	return last
}

// ended waits for the master's end, and compares its own count with the book.
func (s *stormy) ended() error {
	err := s.m.wait(ending)
	if code := s.m.cmd.ProcessState; code != nil && (code.ExitCode() == 0 || code.ExitCode() == 1) {
		err = nil // 1: some tasks failed
	}
	if err != nil {
		return fmt.Errorf("the master ended: %w", err)
	}
	done, failed := s.book.totals()
	said := counts(s.m.summary)
	if said["task"] != s.book.submitted() || said["done"] != done || said["failed"] != failed || said["not started"] != 0 {
		return fmt.Errorf("the master says %q; %d were submitted, and its results are %d done, %d failed",
			strings.TrimSpace(s.m.summary), s.book.submitted(), done, failed)
	}
	return nil
}

// result takes one result of the master.
func (s *stormy) result(r result) {
	kind := r.Kind
	if kind == "" && r.Error != "" {
		kind = "unknown"
	}
	said := string(r.Value)
	if kind != "" {
		said = fmt.Sprintf("%s, %s, at %s", r.Error, r.Worker, r.At.Format("15:04:05.000"))
	}
	s.book.outcome(r.Key, kind, said)
	s.heard.Store(time.Now().UnixNano())
	select {
	case <-s.places:
	default: // an outcome too many
	}
}

// feed gives tasks to the master, as many as there are places for, until the end.
func (s *stormy) feed() error {
	dice := rand.New(rand.NewPCG(s.seed, 1)) //nolint:gosec // no secret
	watch := time.NewTicker(time.Second)
	defer watch.Stop()
	for {
		select {
		case <-s.done:
			return nil
		case <-watch.C:
			if mute := time.Since(time.Unix(0, s.heard.Load())); mute > silence {
				return fmt.Errorf("no result for %v, with %d tasks on their way", mute.Round(time.Second), len(s.places))
			}
			continue
		case s.places <- struct{}{}:
		}
		t := evilTask{plain, fmt.Sprintf("[%.2f]", min(50, dice.ExpFloat64()*2))}
		select {
		case t = <-s.misdeed:
		default:
		}
		switch t.target {
		case "x:dup":
			t.args = "[5]" // the second answer comes when the worker has its next task
		case "x:forge":
			victim := max(0, s.book.submitted()-1-dice.IntN(4*s.workers))
			t.args = `["` + strconv.Itoa(victim) + `"]`
		}
		if err := s.submit(t, dice); err != nil {
			return err
		}
	}
}

// submit gives one task to the master, and sees to it that some are cancelled.
func (s *stormy) submit(t evilTask, dice *rand.Rand) error {
	key := s.book.submit(t.target, s.quiet.Load())
	if _, err := fmt.Fprintf(s.m.in, `{"key":%q,"target":%q,"args":%s}`+"\n", key, t.target, t.args); err != nil {
		return fmt.Errorf("the master takes no more tasks: %w", err)
	}
	if s.mode != cancels || t.target == plain && dice.IntN(5) > 0 {
		return nil
	}
	// At once, while it waits, is fed ahead or runs, or when it is over.
	after := time.Duration(dice.ExpFloat64() * float64([]time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond}[dice.IntN(4)]))
	s.regrets.Go(func() {
		<-time.After(after)
		s.book.cancel(key)
		_, _ = fmt.Fprintf(s.m.in, `{"cancel":%q}`+"\n", key) // one that has ended takes no more of them
	})
	return nil
}

// weather makes the faults, with a quiet time at the end of each period. It returns the master's size in calm at first.
func (s *stormy) weather() size {
	dice := rand.New(rand.NewPCG(s.seed, 2)) //nolint:gosec // no secret
	period := min(s.duration/3, 5*time.Minute)
	calm := period / 5
	turn := time.Now()
	s.wait(min(2*time.Second, calm))
	first := sizeOf(s.m.pid())
	for ; ; turn = time.Now() {
		for time.Since(turn) < period-calm {
			if !s.wait(time.Duration(dice.ExpFloat64() / s.rate * float64(time.Second))) {
				return first
			}
			s.fault(dice)
		}
		stillness := time.Now()
		ready := calm >= leastCalm
		ready = until(calm/2, s.book.raging) == 0 && ready
		s.conts.Wait()                               // what was sent to a stopped worker meets it when it goes on
		ready = until(calm/2, s.dying) == 0 && ready // until its turn on a processor a killed worker reads on
		over := !s.wait(min(calm/4, 3*s.timeout))    // and what comes after an answer shows itself
		s.quiet.Store(ready)
		over = over || !s.wait(calm-calm/4-time.Since(stillness))
		s.quiet.Store(false)
		over = over || !s.wait(calm/4) // what was submitted in the quiet also ends there
		if over {
			return first
		}
	}
}

// dying counts the processes that were told to die and have not been reaped.
func (s *stormy) dying() int {
	s.told = slices.DeleteFunc(s.told, func(p *os.Process) bool {
		gone := p.Signal(syscall.Signal(0)) != nil
		if gone {
			_ = p.Release()
		}
		return gone
	})
	return len(s.told)
}

// wait is false at the end.
func (s *stormy) wait(d time.Duration) bool {
	select {
	case <-s.done:
		return false
	case <-time.After(d):
		return true
	}
}

// The weights of the faults.
var (
	outside = map[string]int{"kill": 30, "segv": 8, "term": 6, "stop": 10, "stop-cont": 10, "pause-master": 1}
	inside  = map[string]int{
		"x:hdr": 1, "x:trunc": 1, "x:truncout": 1, "x:zero": 1, "x:lenbomb": 1, "x:keybomb": 1, "x:stall": 1, "x:bytes": 1, "x:half": 1,
		"x:map": 1, "x:nonarr": 1, "x:arr1": 1, "x:arr3": 1, "x:keyint": 1, "x:keylong": 1, "x:c1": 1, "x:trailing": 1, "x:deep": 1,
		"x:nest16": 1, "x:dup": 3, "x:unknown": 2, "x:forge": 5, "x:late": 1, "x:flood": 1, "x:utf8": 1, "x:u64": 1, "x:nan": 1,
		"x:ts": 1, "x:mapkeyarr": 1, "x:esc": 1, "x:text": 2, "x:interleave": 1, "x:stderr": 1, "x:stderresc": 1, "x:exit": 3,
		"x:exit3": 3, "x:dump": 1, "x:kill9": 3, "x:segv": 2, "x:replyexit": 4, "x:grand": 2, "x:closein": 1, "x:closeout": 1,
		"x:hang": 1, "x:stop": 1, "x:cpu": 1, "x:ign": 1, "x:nostdin": 1, "x:mem": 1, "x:oom": 1, "x:kids": 1, "x:family": 2,
	}
	// Ways to take a cancel. Each of them waits for it.
	ways = map[string]int{
		"heed": 8, "x:cancelhalf": 4, "x:canceldeaf": 4, "x:cancelkey": 4, "x:cancelunknown": 4, "x:cancelexit": 4,
	}
)

// misdeeds are the weights of the faults inside.
func (c *config) misdeeds() map[string]int {
	if c.mode != cancels {
		return inside
	}
	all := maps.Clone(inside)
	maps.Copy(all, ways)
	for _, outside := range []string{"x:grand", "x:family"} { // whom an embedder does not end: it adopts no orphans
		delete(all, outside)
	}
	return all
}

// choose chooses by weight; the names are sorted, so that a seed always chooses the same.
func choose(dice *rand.Rand, weights map[string]int) string {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := dice.IntN(sum)
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if n -= weights[name]; n < 0 {
			return name
		}
	}
	panic("the weights have a sum")
}

// fault makes one fault.
func (s *stormy) fault(dice *rand.Rand) {
	if dice.IntN(2) == 0 {
		target := choose(dice, s.misdeeds())
		if s.book.raging() >= 2*s.workers { // workers that never answer anything are rightly held back
			return
		}
		select {
		case s.misdeed <- evilTask{target, "[]"}:
			s.faults[target]++
			s.say("misdeed %s", target)
		default: // the submitter is behind
		}
		return
	}
	what := choose(dice, outside)
	pause := time.Duration(50+dice.IntN(800)) * time.Millisecond
	if what == "pause-master" {
		s.faults[what]++
		s.say("the master is stopped for 200 ms")
		s.later(s.m.cmd.Process, 200*time.Millisecond)
		return
	}
	victim, name, pid := s.someone(dice)
	if victim == nil {
		return // all are on their way
	}
	sig := map[string]syscall.Signal{
		"kill": syscall.SIGKILL, "segv": syscall.SIGSEGV, "term": syscall.SIGTERM, "stop": syscall.SIGSTOP,
	}[what]
	s.say("%s %s (%d)", what, name, pid)
	s.faults[what]++
	switch what {
	case "stop-cont":
		s.later(victim, pause)
	default:
		now := time.Now()
		if victim.Signal(sig) != nil || what == "stop" {
			return
		}
		s.told = append(s.told, victim)
		if !strings.HasSuffix(name, "/canary") { // which may have nothing to do
			s.deaths = append(s.deaths, &death{worker: name, pid: pid, at: now})
		}
	}
}

// later stops a process and lets it go on after a while.
func (s *stormy) later(p *os.Process, pause time.Duration) {
	if p.Signal(syscall.SIGSTOP) != nil {
		return
	}
	s.conts.Go(func() {
		<-time.After(pause)
		_ = p.Signal(syscall.SIGCONT)
	})
}

// someone is one of the master's workers, by a handle that cannot come to mean another process; nil: there is none.
func (s *stormy) someone(dice *rand.Rand) (p *os.Process, name string, pid int) {
	pids := children(s.m.pid())
	dice.Shuffle(len(pids), func(i, j int) { pids[i], pids[j] = pids[j], pids[i] })
	for _, pid := range pids {
		p, err := os.FindProcess(pid) // first the handle, then the look
		if err != nil {
			continue
		}
		if name, ok := isWorker(pid); ok {
			return p, name, pid
		}
		_ = p.Release()
	}
	return nil, "", 0
}

// print prints what was done.
func (s *stormy) print(out io.Writer, took time.Duration) {
	all, wrongs := 0, 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(s.faults)) {
		all += s.faults[kind]
		if evilworker.What(kind) != "" {
			wrongs += s.faults[kind]
		} else {
			kinds = append(kinds, fmt.Sprintf("%s %d", kind, s.faults[kind]))
		}
	}
	fmt.Fprintf(out, "seed %d · %.1f s · faults %s (%s, misdeeds %d of %d sorts)\n",
		s.seed, took.Seconds(), grouped(all), strings.Join(kinds, " "), wrongs, len(s.faults)-len(kinds))
}
