package pool

import (
	"slices"
	"time"

	"fandango/ipc"
)

// Poison says what becomes of a key whose tasks kill their workers. Failures, timeouts and workers that others have ended
// do not count; an answer clears the key, and a [Pool.Reload] all keys.
type Poison struct {
	// Suspect is after how many crashes in a row a key's tasks run in a worker of their own, the canary. 0: 2.
	Suspect int
	// CoolDown is how long a key is set aside whose task has killed the canary too: its tasks end at once as `crash`.
	// Then the canary tries again; each further crash doubles it, up to an hour. 0: 1 min; below 0: keys are never
	// set aside.
	CoolDown time.Duration
}

// suspect is a key whose last tasks have killed their workers.
type suspect struct {
	crashes int
	last    error     // the last crash
	aside   int       // how often it has been set aside in a row
	until   time.Time // it is set aside; zero: not
}

const (
	maxSuspects = 10_000 // keys that are remembered
	maxCoolDown = time.Hour
	canaryName  = "canary"
)

// suspected needs p.mu. It is nil for all keys but those whose tasks must run in the canary.
func (p *Pool) suspected(key string) *suspect {
	if len(p.suspects) == 0 {
		return nil
	}
	if s := p.suspects[key]; s != nil && s.crashes >= p.cfg.Poison.Suspect {
		return s
	}
	return nil
}

// asideNow is the error of a task whose key is set aside at this moment; nil when it may run.
func (p *Pool) asideNow(key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.suspected(key)
	if s == nil || !time.Now().Before(s.until) {
		return nil
	}
	return &ipc.Error{
		Kind: ipc.KindCrash, Cause: s.last,
		Message: "set aside until " + s.until.Format(time.TimeOnly) + ", because its tasks keep killing their workers: " + s.last.Error(),
	}
}

// needCanary needs p.mu. It starts the canary when there is none.
func (p *Pool) needCanary() {
	if p.canary != nil {
		return
	}
	p.canary = newSlot(p, 0)
	p.canary.name, p.canary.canary = p.cfg.Name+"/"+canaryName, true
	if p.phase == running {
		p.living.Go(p.canary.life())
	}
}

// idleCanary needs p.mu. It is nil when the canary is busy or not ready.
func (p *Pool) idleCanary() *worker {
	p.needCanary()
	if w := p.canary.worker; w != nil && w.ready && w.open && w.flight.n == 0 {
		return w
	}
	return nil
}

// dropCanary lets an idle canary go.
func (p *Pool) dropCanary(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.canary == s && p.cage.n == 0 && p.phase == running {
		p.canary = nil
		close(s.dropped)
	}
}

// places needs p.mu. It is all slots, the canary's too.
func (p *Pool) places() []*slot {
	if p.canary == nil {
		return p.slots
	}
	return append(slices.Clone(p.slots), p.canary)
}

// crashed takes into account that a task of key has killed its worker.
func (p *Pool) crashed(w *worker, key string, err error) {
	p.mu.Lock()
	s := p.suspects[key]
	if s == nil {
		if len(p.suspects) >= maxSuspects {
			for other := range p.suspects { // any one: a flood of crashes is no poison of one key
				delete(p.suspects, other)
				break
			}
		}
		s = &suspect{}
		p.suspects[key] = s
	}
	s.crashes++
	s.last = err
	aside := w.slot.canary && p.cfg.Poison.CoolDown > 0
	if aside {
		s.until = time.Now().Add(min(p.cfg.Poison.CoolDown<<min(s.aside, 20), maxCoolDown))
		s.aside++
	}
	event := SetAside{Group: p.cfg.Name, Key: key, Crashes: s.crashes, Until: s.until, Err: err}
	p.mu.Unlock()
	if aside {
		p.cfg.Log.Warn("key is set aside", "group", p.cfg.Name, "key", key, "crashes", event.Crashes, "until", event.Until)
		p.cfg.Event(event)
	}
}

// cleared needs p.mu. A task of key was answered.
func (p *Pool) cleared(key string) {
	if len(p.suspects) > 0 {
		delete(p.suspects, key)
	}
}
