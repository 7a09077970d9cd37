package periodic

import (
	"runtime"
	"sync"
	"weak"
)

// Registry stops or kills all its objects together. It keeps none of them alive: an object that nobody else refers to,
// and that does not run, is collected. The zero Registry is empty and works.
type Registry struct {
	mu      sync.Mutex // guards what follows
	last    uint64
	objects map[uint64]func() life
}

// life is what a registry can do with an object.
type life interface {
	Stop()
	Kill()
}

// everything has each object whose Config names no registry.
var everything Registry

// StopAll stops every object of the program whose Config names no registry.
func StopAll() { everything.StopAll() }

// KillAll kills every object of the program whose Config names no registry. It does not wait for their Run to return.
func KillAll() { everything.KillAll() }

// StopAll stops every object of the registry.
func (r *Registry) StopAll() {
	for _, o := range r.living() {
		o.Stop()
	}
}

// KillAll kills every object of the registry. It does not wait for their Run to return.
func (r *Registry) KillAll() {
	for _, o := range r.living() {
		o.Kill()
	}
}

// Len returns how many objects there are: those whose Run has not ended, and that have not been collected.
func (r *Registry) Len() int { return len(r.living()) }

// living returns the objects. They are called without the mutex.
func (r *Registry) living() []life {
	r.mu.Lock()
	defer r.mu.Unlock()
	objects := make([]life, 0, len(r.objects))
	for _, get := range r.objects {
		if o := get(); o != nil {
			objects = append(objects, o)
		}
	}
	return objects
}

// register puts o in, until it is collected or removed.
func register[A any](r *Registry, o *Object[A]) (entry uint64) {
	pointer := weak.Make(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.objects == nil {
		r.objects = map[uint64]func() life{}
	}
	r.last++
	r.objects[r.last] = func() life {
		if o := pointer.Value(); o != nil {
			return o
		}
		return nil
	}
	runtime.AddCleanup(o, r.remove, r.last)
	return r.last
}

func (r *Registry) remove(entry uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.objects, entry)
}
