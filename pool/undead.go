package pool

import (
	"time"

	"fandango/internal/proc"
	"fandango/ipc"
)

// killTime is how long a process may take to end after SIGKILL. One that the kernel holds (state D) ends when the kernel
// lets it go, or never; nothing of its own code runs any more.
const killTime = 5 * time.Second

// died waits for the end of a process that was killed, or has ended by itself; false when that does not come.
func (p *Pool) died(process *proc.Process) bool {
	return within(killTime, process.Exited(), p.aborted) || isClosed(p.aborted) && within(abortGrace, process.Exited(), nil)
}

// abandon leaves the worker's process to the system. It is reaped when it ends, however late: nobody waits for that, Run
// neither.
func (w *worker) abandon() ipc.Exit {
	p, s, process := w.pool, w.slot, w.process
	view := process.View()
	process.Close()
	p.addUndead(s, 1)
	p.cfg.Log.Error("worker survives SIGKILL and is left to the system", "worker", s.name, "pid", process.PID(), "view", view)
	p.cfg.Event(Abandoned{Worker: s.name, PID: process.PID(), View: view})
	go func() {
		process.Reap()
		p.addUndead(s, -1)
		p.cfg.Log.Info("worker that survived SIGKILL has ended", "worker", s.name, "pid", process.PID())
	}()
	return ipc.Exit{Code: -1, Alive: true, Uptime: time.Since(w.begun), Stderr: w.stderr.last()}
}

func (p *Pool) addUndead(s *slot, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undead += n
	s.undead += n
}

// crowded is why no process may be started now: there are as many as slots that cannot be ended.
func (p *Pool) crowded() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.undead < len(p.slots) {
		return nil
	}
	return ipc.Errorf(ipc.KindNoWorker, "%d processes of %s survive SIGKILL, and no more are started until one of them ends", p.undead, p.cfg.Name)
}
