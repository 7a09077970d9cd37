package pool

import (
	"math/rand/v2"
	"time"
)

// recycling is what a worker's watch waits for, when its pool recycles. The zero value waits for nothing.
type recycling struct {
	age  <-chan time.Time
	look <-chan time.Time // time to look at memory and idleness

	ageTimer *time.Timer
	ticker   *time.Ticker
	asked    bool
	memory   int64 // 0: it is not looked at
}

// lookEvery is how often memory and idleness are looked at.
const lookEvery = time.Second

// recycling begins when the worker is ready.
func (w *worker) recycling() recycling {
	cfg, r := &w.pool.cfg, recycling{}
	if n := cfg.Recycle.Tasks; n > 0 {
		w.pool.mu.Lock()
		w.limit = max(1, int(jitter(float64(n))))
		w.pool.mu.Unlock()
	}
	if cfg.Recycle.Age > 0 {
		r.ageTimer = time.NewTimer(time.Duration(jitter(float64(cfg.Recycle.Age))))
		r.age = r.ageTimer.C
	}
	r.memory = cfg.Recycle.Memory
	if r.memory > 0 {
		if rss, ok := w.process.RSS(); !ok || rss >= r.memory {
			cfg.Log.Warn("memory limit is ignored: a fresh worker is above it, or the system does not tell",
				"worker", w.slot.name, "limit", r.memory, "resident", rss)
			r.memory = 0
		}
	}
	if r.memory > 0 || cfg.Recycle.Idle > 0 || cfg.MaxWorkers > cfg.Workers || w.slot.canary {
		r.ticker = time.NewTicker(min(lookEvery, max(shortest(cfg.IdleAfter, cfg.Recycle.Idle)/2, time.Millisecond)))
		r.look = r.ticker.C
	}
	return r
}

func (r *recycling) stop() {
	if r.ageTimer != nil {
		r.ageTimer.Stop()
	}
	if r.ticker != nil {
		r.ticker.Stop()
	}
}

// look asks for a successor when the worker has grown too large, and lets an idle worker go that the pool has grown by.
func (w *worker) look(r *recycling) {
	if r.memory > 0 && !r.asked {
		if rss, ok := w.process.RSS(); ok && rss > r.memory {
			r.asked = true
			w.slot.ask("memory")
		}
	}
	p := w.pool
	idle := time.Duration(0)
	p.mu.Lock()
	if w.flight.n == 0 && w.open {
		idle = time.Since(w.since)
	}
	p.mu.Unlock()
	if after := p.cfg.Recycle.Idle; after > 0 && idle >= after && !r.asked {
		r.asked = true
		w.slot.ask("idle")
	}
	switch {
	case idle < p.cfg.IdleAfter:
	case w.slot.canary:
		p.dropCanary(w.slot)
	default:
		p.shrink(w.slot)
	}
}

// shortest is the shorter of two times, of which 0 is none.
func shortest(a, b time.Duration) time.Duration {
	if b == 0 {
		return a
	}
	return min(a, b)
}

// jitter spreads a number by ± 10 %.
func jitter(x float64) float64 { return x * (0.9 + 0.2*rand.Float64()) } //nolint:gosec // no secret
