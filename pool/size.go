package pool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// Resize changes the number of workers, at least 1, which a pool that grows by itself does not go below from now on.
// Workers that go finish what they run. It does not wait.
func (p *Pool) Resize(n int) error {
	if n < 1 {
		return ipc.Errorf(ipc.KindInput, "pool %s: %d workers; at least 1 is needed", p.cfg.Name, n)
	}
	p.mu.Lock()
	if err := p.refusal(); err != nil && p.phase >= drains {
		p.mu.Unlock()
		return err
	}
	from := len(p.slots)
	p.least, p.most = n, n
	if p.cfg.MaxWorkers > p.cfg.Workers {
		p.most = max(n, p.cfg.MaxWorkers)
	}
	for len(p.slots) < n {
		p.addSlot()
	}
	for len(p.slots) > n {
		p.removeSlot(p.slots[len(p.slots)-1])
	}
	tell := p.disappoint() // of those that are left, all may have given up
	p.mu.Unlock()
	tell()
	p.tellResized(from, n, "Resize")
	return nil
}

// addSlot needs p.mu. The new slot takes the lowest number that is free.
func (p *Pool) addSlot() {
	number, at := 1, 0
	for at < len(p.slots) && p.slots[at].number == number {
		number++
		at++
	}
	s := newSlot(p, number)
	p.slots = slices.Insert(p.slots, at, s)
	if p.phase == running {
		p.living.Go(s.life())
	}
}

// removeSlot needs p.mu.
func (p *Pool) removeSlot(s *slot) {
	at := slices.Index(p.slots, s)
	if at < 0 {
		return
	}
	p.slots = slices.Delete(p.slots, at, at+1)
	if s.final {
		p.given--
		s.final = false
	}
	close(s.dropped)
}

func (p *Pool) tellResized(from, to int, why string) {
	if from == to {
		return
	}
	p.cfg.Log.Info("pool resized", "group", p.cfg.Name, "from", from, "to", to, "why", why)
	p.cfg.Event(Resized{Group: p.cfg.Name, From: from, To: to, Why: why})
}

func (p *Pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots)
}

// wantsMore needs p.mu. Tasks wait, and no slot is about to take one: each that is not serving yet will first show what
// it brings.
func (p *Pool) wantsMore() bool {
	if p.phase != running || len(p.slots) >= p.most {
		return false
	}
	for _, s := range p.slots {
		if s.worker == nil || !s.worker.ready {
			return false
		}
	}
	return true
}

// grow adds one slot.
func (p *Pool) grow() {
	p.mu.Lock()
	from := len(p.slots)
	if p.wantsMore() {
		p.addSlot()
	}
	to := len(p.slots)
	p.mu.Unlock()
	p.tellResized(from, to, "tasks wait")
}

// shrink drops a slot that has been idle, when the pool has grown.
func (p *Pool) shrink(s *slot) {
	p.mu.Lock()
	from := len(p.slots)
	if from > p.least && p.waiting == 0 {
		p.removeSlot(s)
	}
	to := len(p.slots)
	p.mu.Unlock()
	p.tellResized(from, to, s.name+" was idle")
}

// Reload changes the worker command, one worker after the other: each new one is ready before the old one goes. When a
// new one does not become ready, the command stays what it was, the workers that have been replaced are put back, and
// the error says which one and why; another Reload may follow. When ctx ends, that is so, too, but Reload does not wait for
// it. Reloads do not overlap: a second one waits. Keys that are set aside (see [Poison]) are not any more afterwards.
func (p *Pool) Reload(ctx context.Context, command []string) error {
	if len(command) == 0 || command[0] == "" {
		return ipc.Errorf(ipc.KindInput, "pool %s: no worker command", p.cfg.Name)
	}
	if p.cfg.Dir == "" {
		if err := proc.Find(command[0]); err != nil {
			return ipc.Errorf(ipc.KindNoWorker, "%w", err)
		}
	}
	if p.exec {
		return ipc.Errorf(ipc.KindInput, "pool %s starts one process per task: there is no worker to reload", p.cfg.Name)
	}
	p.reloading.Lock()
	defer p.reloading.Unlock()
	command = slices.Clone(command) // which tells it from all others, also from itself
	p.mu.Lock()
	old, slots := p.command, slices.Clone(p.places())
	p.command = command
	p.mu.Unlock()
	for _, s := range slots {
		if err := s.reload(ctx); err != nil {
			p.mu.Lock()
			p.command = old
			slots = slices.DeleteFunc(slices.Clone(p.places()), func(s *slot) bool { return !s.runs(command) })
			p.mu.Unlock()
			for _, changed := range slots { // also those that have started by themselves meanwhile
				if ctx.Err() != nil {
					changed.ask("a reload was taken back")
					continue
				}
				_ = changed.reload(ctx) // its old command has worked before; if not, the slot tells
			}
			return fmt.Errorf("reload of %s: %w; the old workers go on", s.name, err)
		}
	}
	p.mu.Lock()
	clear(p.suspects) // they have killed other workers
	p.mu.Unlock()
	return nil
}

// runs needs pool.mu. It says whether a process of the slot was started with this very command.
func (s *slot) runs(command []string) bool {
	return slices.ContainsFunc(s.processes, func(w *worker) bool { return &w.command[0] == &command[0] && !isClosed(w.leave) })
}

// reload renews the slot's worker, and waits until the new one is ready. A renewal that is under way already ends first.
func (s *slot) reload(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case s.renewals <- renewal{why: "reload", reply: reply}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.dropped:
		return nil // nothing is left to renew
	case <-s.pool.draining:
		return ipc.Errorf(ipc.KindClosed, "%s has ended", s.pool.cfg.Name)
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.dropped:
		return nil
	case <-s.pool.draining:
		return ipc.Errorf(ipc.KindClosed, "%s has ended", s.pool.cfg.Name)
	}
}

// Health says whether lives of workers come to nothing more often than the intensity allows, and why.
func (p *Pool) Health() (ok bool, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sickSince == nil {
		return true, nil
	}
	return false, p.lastErr
}

// count takes a life into account.
func (p *Pool) count(l life) {
	if l.healthy || l.retired {
		return
	}
	now := time.Now()
	p.mu.Lock()
	if l.err == nil {
		l.err = ipc.Errorf(ipc.KindCrash, "it ended with %s before it had answered a task", &l.exit)
	}
	p.lastErr = l.err
	p.failures = append(p.failures, now)
	most := p.cfg.Intensity
	if len(p.failures) > most.Failures {
		p.failures = slices.Delete(p.failures, 0, len(p.failures)-most.Failures)
	}
	sick := p.sickSince == nil && len(p.failures) == most.Failures && now.Sub(p.failures[0]) <= most.Within
	if sick {
		p.sickSince = &now
	}
	p.mu.Unlock()
	if sick {
		p.cfg.Log.Error("group is unhealthy", "group", p.cfg.Name, "failures", most.Failures, "within", most.Within, "err", l.err)
		p.cfg.Event(Unhealthy{Group: p.cfg.Name, Reason: l.err, Failed: most.Failures, Within: most.Within})
	}
}

// recovered ends the unhealthy state: a worker has answered a task.
func (p *Pool) recovered() {
	p.mu.Lock()
	since := p.sickSince
	p.sickSince, p.failures = nil, nil
	p.mu.Unlock()
	if since == nil {
		return
	}
	p.cfg.Log.Info("group is healthy again", "group", p.cfg.Name)
	p.cfg.Event(Healthy{Group: p.cfg.Name, After: time.Since(*since)})
}
