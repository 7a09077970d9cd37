package crontab

import (
	"context"
	"time"

	"fandango/schedule"
	"fandango/tasklet"
)

// Job is a line at work.
type Job struct {
	tab  *Tab
	line Line
	cron *schedule.Cron
	id   schedule.ID

	// The tab's mutex guards what follows.
	cursor  schedule.Cursor
	started bool
	removed bool
	running int         // all runs
	busy    int         // those that were due
	wait    []time.Time // due, and to begin when what runs has ended
	queued  bool        // the last of them came while others ran
	results []Result    // the oldest first
	stats   Stats
}

// Result is what became of a run.
type Result struct {
	Job   string
	Due   time.Time // when it was due; of a Do, when it was called
	Began time.Time
	Took  time.Duration
	Value any // what the task returned: of a Command an Output, of a Send an ipc.Raw
	Err   error
}

// Stats is how a job does.
type Stats struct {
	Alive   bool      // it will run again: the Tab runs, and it is started and was not removed
	Started bool      // Stop was not called last
	Running int       // runs that have not ended, those of Do included
	Count   int       // runs that have ended
	Errors  int       // of them with an error
	Missed  int       // times that went by without a run of their own
	Skipped int       // runs that did not take place because of the one before
	Last    time.Time // when a run was last due; zero: never yet
	Next    time.Time // when the next one is due; zero: never, or stopped
	Err     error     // the last error; nil: there was none
}

// Name returns the name of the job.
func (j *Job) Name() string { return j.line.Name }

// Cron returns when it runs: in words, and what comes next.
func (j *Job) Cron() *schedule.Cron { return j.cron }

// Start lets the job follow its times again after Stop, from now on. Times that went by meanwhile are not made up for.
func (j *Job) Start() {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	if j.started || j.removed {
		return
	}
	j.started = true
	if j.tab.ctx != nil && !j.tab.ended {
		j.follow()
	}
}

// Stop lets nothing begin any more. A run goes on to its end, and Stop does not wait for it.
func (j *Job) Stop() {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	j.started = false
	j.halt()
}

// Alive reports whether the job will run again: its Tab runs, it is started, and its line has a time to come.
func (j *Job) Alive() bool { return j.Stats().Alive }

// Stats returns how the job does now.
func (j *Job) Stats() Stats {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	s := j.stats
	s.Started, s.Running, s.Next = j.started && !j.removed, j.running, j.cursor.Next()
	s.Alive = s.Started && j.tab.ctx != nil && !j.tab.ended && !s.Next.IsZero()
	return s
}

// Match reports whether the line names the minute of at; or the second, when it names seconds. It only looks: asking
// changes nothing of what will run.
func (j *Job) Match(at time.Time) bool { return j.cron.Match(at) }

// Changed reports whether at lies in another minute than the time for which there was a run last. It only looks.
func (j *Job) Changed(at time.Time) bool {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	last := j.stats.Last
	return last.IsZero() || !at.Truncate(time.Minute).Equal(last.Truncate(time.Minute))
}

// Results returns those that are remembered, the oldest first.
func (j *Job) Results() []Result {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	return append([]Result(nil), j.results...)
}

// Get takes the oldest result that is remembered out, and returns false when there is none.
func (j *Job) Get() (Result, bool) {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	if len(j.results) == 0 {
		return Result{}, false
	}
	r := j.results[0]
	j.results = j.results[1:]
	return r, true
}

// Do runs a task now, whatever is due or runs already, and returns its result, which is remembered as any other. The task
// is the job's own when it is nil.
func (j *Job) Do(ctx context.Context, task Task) Result {
	if task == nil {
		task = j.line.Task
	}
	j.tab.mu.Lock()
	j.running++
	j.tab.mu.Unlock()
	r := j.do(ctx, task, time.Now())
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	j.running--
	return r
}

// follow begins to wait for the times of the line. It needs the mutex, as all below do that say nothing.
func (j *Job) follow() {
	if j.started {
		j.cursor = j.cron.From(schedule.Read(), j.line.Missed)
		j.rest(time.Now())
	}
}

// halt waits no longer.
func (j *Job) halt() {
	j.stats.Skipped += len(j.wait)
	j.wait, j.queued, j.cursor = nil, false, schedule.Cursor{}
	j.tab.loop.Set(j.id, time.Time{})
}

// rest sets when to look again.
func (j *Job) rest(now time.Time) {
	if wait := j.cursor.Wait(); wait >= 0 {
		j.tab.loop.Set(j.id, now.Add(wait))
	}
}

// ring is called by the loop when the job asked to be looked at, without the mutex.
func (j *Job) ring() {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	if !j.started || j.removed || j.tab.ended || j.tab.ctx.Err() != nil {
		return
	}
	now := time.Now()
	due, missed := j.cursor.Look(schedule.Read())
	j.stats.Missed += missed
	if len(due) > 0 {
		j.stats.Last = due[len(due)-1]
		j.arrive(due)
	}
	j.rest(now)
}

// arrive deals with runs that are due.
func (j *Job) arrive(due []time.Time) {
	busy := j.busy > 0
	switch {
	case j.line.Overlap == schedule.OverlapAllow:
		for _, at := range due {
			j.begin(at)
		}
		return
	case busy && j.line.Overlap == schedule.OverlapSkip:
		j.stats.Skipped += len(due)
		return
	case busy && j.queued: // one waits: the newest
		j.stats.Skipped += len(due)
		j.wait[len(j.wait)-1] = due[len(due)-1]
		return
	case busy:
		j.stats.Skipped += len(due) - 1
		j.wait, j.queued = append(j.wait, due[len(due)-1]), true
		return
	}
	j.wait = due[1:] // those that were missed take their turns
	j.begin(due[0])
}

// begin starts the goroutine of a run.
func (j *Job) begin(due time.Time) {
	j.running++
	j.busy++
	j.tab.runs.Go(func() { j.run(due) })
}

// run is one run, and those that wait for its end, without the mutex.
func (j *Job) run(due time.Time) {
	for more := true; more; {
		j.do(j.tab.ctx, j.line.Task, due)
		due, more = j.next()
	}
}

// next is what is to run after a run, without the mutex.
func (j *Job) next() (due time.Time, more bool) {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	if len(j.wait) == 0 || j.tab.ctx.Err() != nil {
		j.running--
		j.busy--
		return due, false
	}
	due, j.wait = j.wait[0], j.wait[1:]
	if len(j.wait) == 0 {
		j.queued = false
	}
	return due, true
}

// do calls a task and keeps its result, without the mutex. A panic is the task's error, and Goexit ends no goroutine of ours.
func (j *Job) do(ctx context.Context, task Task, due time.Time) Result {
	r := Result{Job: j.line.Name, Due: due, Began: time.Now()}
	call := tasklet.Go(ctx, task, tasklet.Config[any]{Then: func(value any, err error) {
		r.Value, r.Err, r.Took = value, err, time.Since(r.Began)
		j.keep(r)
		if j.tab.cfg.Result != nil {
			j.tab.cfg.Result(r)
		}
	}})
	if _, err := call.Wait(context.WithoutCancel(ctx)); err != nil {
		j.tab.mu.Lock()
		j.stats.Err = err // that of Config.Result, too
		j.tab.mu.Unlock()
	}
	return r
}

func (j *Job) keep(r Result) {
	j.tab.mu.Lock()
	defer j.tab.mu.Unlock()
	j.stats.Count++
	if r.Err != nil {
		j.stats.Errors++
	}
	if j.line.Keep < 0 {
		return
	}
	if len(j.results) >= j.line.Keep {
		j.results = append([]Result(nil), j.results[len(j.results)-j.line.Keep+1:]...)
	}
	j.results = append(j.results, r)
}
