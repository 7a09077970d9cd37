package pool

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"fandango/internal/proc"
	"fandango/ipc"
)

// Config says what a pool runs and how. Only Command is needed; each zero field is its default.
type Config struct {
	Command []string // the worker's program and arguments; never given to a shell
	Env     []string // its environment; nil: the caller's. MASTER_WORKER and the like are added
	Dir     string   // its working directory; "": the caller's
	Name    string   // the group's name, without a slash; "main". Workers are Name/1, Name/2 …
	Workers int      // how many processes; 0: the number of CPUs

	Wire   ipc.Wire   // the encoding of the tuples; "": msgpack
	Limits ipc.Limits // of one message, both ways
	// Window is how many tasks a worker that claims `ordered` may have at once: one that runs, and those behind it. 0: as
	// many as it has lately done in a millisecond, at most 4096; 1: one at a time, as all others.
	Window int
	Queue  int // how many tasks may wait for a worker; 0: 100,000

	Timeout      time.Duration // of a task that names none; 0: none
	StartTimeout time.Duration // from a worker's start to its first answer; 0: 30 s
	CancelGrace  time.Duration // from asking a worker that claims cancel to killing it; 0: 500 ms; below 0: none is asked
	Grace        time.Duration // how long running tasks may go on when Run's context ends; 0: 10 s; below 0: no limit

	// Confine bounds what a worker may take: memory, processes, files, CPU time. It needs a call of Shim at the top of the
	// program's main, and Linux. nil: as much as the caller.
	Confine *Confine
	// Cgroup is a directory of cgroup v2 that is delegated to this program's user, and has no processes of its own. Each
	// worker begins in a group of its own in there (Name-1-1 …), with which all ends that it has started, wherever that
	// has put itself; Memory and Processes of Confine then bound the group. Linux only. "": none.
	Cgroup string

	// MaxWorkers lets the pool grow up to that many while tasks wait and no worker is idle; 0: Workers, it never grows.
	// What it has grown by goes again after IdleAfter (0: 1 min) without work.
	MaxWorkers int
	IdleAfter  time.Duration
	Recycle    Recycle   // when a worker that is well is replaced all the same
	Intensity  Intensity // when the group is called unhealthy
	Poison     Poison    // what becomes of a key whose tasks kill their workers

	Log   hclog.Logger // what happens, for whoever looks for a fault; nil: nowhere
	Event func(Event)  // is told what happens, from several goroutines at once, and must not block; nil: nobody
}

// Confine bounds what one worker, and each process that it starts, may take. A zero field sets no bound; any Confine also
// means no core files, the default handling of all signals, and first in line when the system runs out of memory.
type Confine = proc.Confine

// Shim belongs at the very top of the main of a program whose pools confine their workers: the program is started once
// more in between, to set the bounds before the worker begins.
func Shim() { proc.Shim() }

// Recycle says when a worker that is well is replaced. Its successor is started first, and it finishes what it runs. The
// zero value never does it.
type Recycle struct {
	Tasks  int           // after so many answers, ± 10 %, so that the workers of a pool do not go in step
	Age    time.Duration // after so long a life, ± 10 %
	Idle   time.Duration // after so long without a task
	Memory int64         // above so many resident bytes; ignored, with a warning, for a worker that has them when ready
}

// Intensity is how many lives of workers may come to nothing within a time: no answer given, and ready for less than
// 10 s.
type Intensity struct {
	Failures int           // 0: 5 for each of Workers
	Within   time.Duration // 0: 1 min
}

func withDefaults(c Config) (Config, error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return c, ipc.Errorf(ipc.KindInput, "pool: no worker command")
	}
	if c.Dir == "" { // elsewhere the path may mean another file: Start will tell
		if err := proc.Find(c.Command[0]); err != nil {
			return c, ipc.Errorf(ipc.KindNoWorker, "%w", err)
		}
	}
	if strings.ContainsAny(c.Name, "/\n") {
		return c, ipc.Errorf(ipc.KindInput, "pool: group name %q: it may have no slash and no newline", c.Name)
	}
	for name, n := range map[string]int64{
		"Workers": int64(c.Workers), "MaxWorkers": int64(c.MaxWorkers), "Queue": int64(c.Queue), "Window": int64(c.Window), "IdleAfter": int64(c.IdleAfter),
		"Recycle.Tasks": int64(c.Recycle.Tasks), "Recycle.Age": int64(c.Recycle.Age), "Recycle.Memory": c.Recycle.Memory, "Recycle.Idle": int64(c.Recycle.Idle),
		"Intensity.Failures": int64(c.Intensity.Failures), "Intensity.Within": int64(c.Intensity.Within),
		"StartTimeout": int64(c.StartTimeout), "Poison.Suspect": int64(c.Poison.Suspect),
	} {
		if n < 0 {
			return c, ipc.Errorf(ipc.KindInput, "pool: %s is %d; it must not be below 0", name, n)
		}
	}
	switch c.Wire {
	case "":
		c.Wire = ipc.Msgpack
	case ipc.Msgpack, ipc.JSON:
	default:
		return c, ipc.Errorf(ipc.KindInput, "pool: wire %q: it is msgpack or json", c.Wire)
	}
	if c.Cgroup != "" {
		if err := proc.CheckCgroup(c.Cgroup, c.Confine); err != nil {
			return c, ipc.Errorf(ipc.KindInput, "%w", err)
		}
	}
	setDefault(&c.Name, "main")
	setDefault(&c.Limits.Size, 64<<20) // as in ipc, but Submit needs to know it
	setDefault(&c.Workers, runtime.NumCPU())
	setDefault(&c.MaxWorkers, c.Workers)
	if c.MaxWorkers < c.Workers {
		return c, ipc.Errorf(ipc.KindInput, "pool: MaxWorkers is %d, below Workers, %d", c.MaxWorkers, c.Workers)
	}
	setDefault(&c.IdleAfter, time.Minute)
	setDefault(&c.Poison.Suspect, 2)
	setDefault(&c.Poison.CoolDown, time.Minute)
	setDefault(&c.Intensity.Failures, 5*c.Workers)
	setDefault(&c.Intensity.Within, time.Minute)
	setDefault(&c.Queue, 100_000)
	setDefault(&c.StartTimeout, 30*time.Second)
	setDefault(&c.CancelGrace, 500*time.Millisecond)
	setDefault(&c.Grace, 10*time.Second)
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Event == nil {
		c.Event = func(Event) {}
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// spec is what is started for one worker.
func (c *Config) spec(command []string, worker string) proc.Spec {
	return proc.Spec{
		Command: command, Env: c.environment(worker), Dir: c.Dir, Confine: c.Confine, Cgroup: c.Cgroup, Name: worker,
	}
}

// environment is what one worker sees.
func (c *Config) environment(worker string) []string {
	ours := []string{
		"MASTER_WORKER=" + worker,
		"MASTER_WIRE=" + string(c.Wire),
		fmt.Sprintf("MASTER_PROTOCOL=%d", ipc.Protocol),
		"PYTHONUNBUFFERED=1",
	}
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	return append(slices.Clone(env), ours...) // of two settings of a name the last one holds
}
