package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"fandango/cmd/master/shell"
	"fandango/executor/evalx"
	"fandango/ipc"
	"fandango/pool"
)

// group is a pool of workers, what it was made of, and who words what happens in it.
type group struct {
	made  shell.Group
	pool  *pool.Pool
	words *narrator
}

// newGroup starts nothing. Its error means that the workers' command cannot be started or, of kind input, that the group's
// options ask for what is not there.
func (s *session) newGroup(g shell.Group) (*group, error) {
	n := &narrator{session: s, command: g.Command, wire: g.Wire, told: map[string]bool{}, never: s.never}
	command, err := commandOf(g)
	if err != nil {
		return nil, err
	}
	cfg := pool.Config{
		Command: command, Name: g.Name, Workers: g.Workers, MaxWorkers: g.MaxWorkers, Wire: g.Wire, Window: g.Window,
		Timeout: g.Timeout, StartTimeout: g.StartTimeout, Grace: s.grace,
		Cgroup:  g.Cgroup,
		Recycle: pool.Recycle{Tasks: g.Recycle.Tasks, Age: g.Recycle.Age, Memory: int64(g.Recycle.Memory)},
		Poison:  pool.Poison{CoolDown: g.CoolDown},
		Log:     s.log, Event: n.tell,
	}
	if g.CoolDown == 0 {
		cfg.Poison.CoolDown = -1 // never
	}
	if g.Cgroup != "" && g.Command != nil && g.Memory > 0 { // a built-in worker bounds itself
		cfg.Confine = &pool.Confine{Memory: int64(g.Memory)}
	}
	if g.CleanEnv {
		cfg.Env = cleanEnvironment(os.Environ())
	}
	made := pool.New
	if g.Exec {
		made = pool.NewExec
	}
	p, err := made(cfg)
	return &group{g, p, n}, err
}

// commandOf is what a group starts.
func commandOf(g shell.Group) ([]string, error) {
	if g.Command != nil {
		return g.Command, nil
	}
	if m := int64(g.Memory); m > 0 && m < evalx.LeastMemory {
		return nil, ipc.Errorf(ipc.KindInput, "--memory: %d bytes are too few: a built-in worker needs at least %dMiB", m, evalx.LeastMemory>>20)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the built-in worker is this program, whose path is not known: %w", err)
	}
	return []string{self, workerVerb, "--memory", strconv.FormatInt(int64(g.Memory), 10)}, nil
}

// cleanEnvironment is what workers see of the environment with --clean-env.
func cleanEnvironment(env []string) []string {
	clean := []string{} // not nil, which would mean all of it
	for _, setting := range env {
		switch name, _, _ := strings.Cut(setting, "="); {
		case slices.Contains([]string{"PATH", "HOME", "LANG", "TZ", "TMPDIR"}, name),
			strings.HasPrefix(name, "LC_"), strings.HasPrefix(name, "MASTER_"):
			clean = append(clean, setting)
		}
	}
	return clean
}

// keep runs a group until it is drained, and reports whether it may: the session has not ended.
func (s *session) keep(ctx context.Context, g *group) bool {
	ctx = context.WithoutCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if !slices.Contains(s.groups, g) {
		s.groups = append(slices.Clone(s.groups), g)
	}
	if s.bind != nil { // nobody is there yet, so each is given it when it starts
		s.report(g.pool.Broadcast(ctx, *s.bind, true, func([]ipc.Outcome) {}))
	}
	s.pooling.Go(func() {
		s.report(g.pool.Run(ctx))
		if s.ending.Load() {
			return // it still counts
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.groups = slices.DeleteFunc(slices.Clone(s.groups), func(other *group) bool { return other == g })
	})
	return true
}

// all are the groups there are.
func (s *session) all() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups // replaced, never changed
}

// wake tells that a worker is ready, or has failed to start.
func (s *session) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// running counts the tasks that run.
func (s *session) running() int {
	n := 0
	for _, g := range s.all() {
		for _, w := range g.pool.Workers() {
			if w.State == pool.StateBusy {
				n++
			}
		}
	}
	return n
}

// workers counts the workers, and those that can take tasks.
func (s *session) workers() (all, ready int) {
	for _, g := range s.all() {
		for _, w := range g.pool.Workers() {
			if w.Canary { // it is there for some keys only, and only for a while
				continue
			}
			all++
			if serves(w) {
				ready++
			}
		}
	}
	return all, ready
}

func serves(w pool.Worker) bool { return w.State == pool.StateBusy || w.State == pool.StateReady }
