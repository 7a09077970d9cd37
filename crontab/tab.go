package crontab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fandango/schedule"
)

// Config is what the lines of a Tab have in common. Its zero value works.
type Config struct {
	Zone   *time.Location // of lines that name none; nil: time.Local
	Result func(Result)   // is told each result, on the goroutine of the run; nil: nobody is
}

// Line says when something runs, and what.
type Line struct {
	Name string // of the job; "": When, with a number where another job has that name
	When string // see schedule.Cron
	Task Task

	Overlap schedule.Overlap // of a run with the one before; the zero value skips it
	Missed  schedule.Missed  // the zero value makes one run of those that were missed
	Keep    int              // how many results are remembered. 0: 10; below 0: none
	Stopped bool             // nothing runs before Start
}

// Task is what a job does. Its context ends with the Tab. What it returns is in the Result, beside its error. A panic is an
// error, too: a *tasklet.PanicError.
type Task func(ctx context.Context) (any, error)

// Tab is a number of jobs. Its methods may be called from many goroutines, before, while and after it runs, also from inside
// a task.
type Tab struct {
	cfg  Config
	loop *schedule.Loop[*Job]

	mu    sync.Mutex // guards what follows, and the jobs
	jobs  []*Job     // in the order of Add
	ctx   context.Context
	ran   bool
	ended bool
	runs  sync.WaitGroup // the runs, which are begun while not ended
}

// ErrEnded is the error of Add when the Tab has ended.
var ErrEnded = errors.New("the crontab has ended")

// New makes a Tab, which Run brings to life.
func New(cfg Config) *Tab {
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	t := &Tab{cfg: cfg}
	t.loop = schedule.NewLoop(func(j *Job, _ time.Time) { j.ring() })
	return t
}

// Add checks a line and makes it a job, which follows its times from now on, or from when Run begins.
func (t *Tab) Add(line Line) (*Job, error) {
	cron, err := schedule.ParseCron(line.When, t.cfg.Zone)
	if err != nil {
		return nil, err
	}
	switch {
	case line.Task == nil:
		return nil, fmt.Errorf("crontab line %q has no task", line.When)
	case line.Overlap < schedule.OverlapSkip || line.Overlap > schedule.OverlapAllow:
		return nil, fmt.Errorf("crontab line %q: %d is no way to deal with runs that overlap", line.When, line.Overlap)
	}
	if err := line.Missed.Check(); err != nil {
		return nil, fmt.Errorf("crontab line %q: %w", line.When, err)
	}
	if line.Keep == 0 {
		line.Keep = 10
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, ErrEnded
	}
	if line.Name, err = t.name(line); err != nil {
		return nil, err
	}
	j := &Job{tab: t, line: line, cron: cron, started: !line.Stopped}
	t.jobs = append(t.jobs, j)
	j.id = t.loop.Add(j, time.Time{})
	if t.ctx != nil {
		j.follow()
	}
	return j, nil
}

// name finds one that no other job has.
func (t *Tab) name(line Line) (string, error) {
	taken := func(name string) bool {
		return slices.ContainsFunc(t.jobs, func(j *Job) bool { return j.line.Name == name })
	}
	if line.Name != "" {
		if taken(line.Name) {
			return "", fmt.Errorf("there is a job %q already", line.Name)
		}
		return line.Name, nil
	}
	first := strings.Join(strings.Fields(line.When), " ")
	name := first
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("%s #%d", first, n)
	}
	return name, nil
}

// Remove takes a job out, and reports whether it was there. A run goes on to its end.
func (t *Tab) Remove(j *Job) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.jobs, j)
	if at < 0 {
		return false
	}
	t.jobs = slices.Delete(t.jobs, at, at+1)
	t.loop.Remove(j.id)
	j.removed = true
	j.halt()
	return true
}

// Jobs returns the jobs, in the order of Add.
func (t *Tab) Jobs() []*Job {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.jobs)
}

// Run is the life of the Tab: it runs the jobs when they are due, until ctx ends; @reboot is now. Then the contexts of the
// runs end, too, and it returns nil when all of them have returned. It runs once.
func (t *Tab) Run(ctx context.Context) error {
	t.mu.Lock()
	if t.ran {
		t.mu.Unlock()
		return errors.New("a crontab runs once")
	}
	t.ran, t.ctx = true, ctx
	for _, j := range t.jobs {
		j.follow()
	}
	t.mu.Unlock()

	t.loop.Run(ctx)
	t.mu.Lock()
	t.ended = true
	for _, j := range t.jobs {
		j.halt()
	}
	t.mu.Unlock()
	t.runs.Wait()
	return nil
}
