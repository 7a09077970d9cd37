package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/pool"
)

func TestWordsForWorkers(t *testing.T) {
	s := &session{}
	n := &narrator{session: s, command: []string{"python3", "w.py"}, wire: ipc.Msgpack, told: map[string]bool{}}
	segv := ipc.Exit{Code: -1, Signal: 11, Name: "SIGSEGV", Served: 31, Stderr: []string{"pyscopes: device 4 timeout", "\x1b[31mFatal"}}
	for _, c := range []struct{ got, want string }{
		{
			n.exited(pool.Exited{Worker: "main/2", Exit: segv, Key: "b"}),
			`master: worker main/2 died (signal 11, SIGSEGV) on key "b", after 31 tasks; its last words:
          | pyscopes: device 4 timeout
          | \x1b[31mFatal
`,
		},
		{n.exited(pool.Exited{Worker: "main/2", Exit: ipc.Exit{Served: 2031}}), "master: worker main/2 died (exit code 0), after 2 031 tasks\n"},
		{n.exited(pool.Exited{Worker: "main/2", Exit: ipc.Exit{Served: 100}, Retired: true}), ""},
		{n.exited(pool.Exited{Worker: "main/1", Err: ipc.Errorf(ipc.KindTimeout, "x"), Key: "b", Exit: segv}), ""},
		{n.exited(pool.Exited{Worker: "main/1", Err: ipc.Errorf(ipc.KindProtocol, "x"), Key: "b"}), ""},
		{
			n.exited(pool.Exited{Worker: "main/1", Err: ipc.Errorf(ipc.KindProtocol, "it answered \a"), Key: ""}),
			`master: worker main/1 was ended: it answered \x07` + "\n",
		},
		{
			n.slow(pool.SlowStart{Worker: "main/1", After: 5 * time.Second}),
			`master: worker main/1 (python3 w.py) has not answered its first request for 5 s
        does it flush stdout after each answer? does it speak JSON lines (then: --wire json)?
`,
		},
		{
			n.text(pool.Text{Worker: "main/1", Text: []byte("connected to device 12\n")}),
			`master: worker main/1 (python3 w.py) wrote text to stdout, which is for answers:
          | connected to device 12
        Logged and skipped; no answer was lost. Print to stderr instead.
`,
		},
		{
			n.failed(pool.StartFailed{Worker: "main/1", Err: errors.New("no such file"), Next: 200 * time.Millisecond}),
			"master: worker main/1 could not be started: no such file; next try in 200 ms\n",
		},
		{
			n.failed(pool.StartFailed{Worker: "main/1", Err: errors.New("exit code 1"), Next: -1, Renewal: true}),
			"master: worker main/1 could not be started: exit code 1; the one that it was to replace goes on\n",
		},
		{
			n.failed(pool.StartFailed{Worker: "main/1", Err: errors.New("exit code 78"), Next: -1}),
			"master: worker main/1 could not be started: exit code 78; it will not be tried again\n",
		},
		{
			n.neverReady(pool.NeverReady{Starts: 2}),
			`master: no worker could be started: python3 w.py
        2 starts, and no answer to the first request
        does it flush stdout after each answer? does it speak JSON lines (then: --wire json)?
`,
		},
		{
			n.neverReady(pool.NeverReady{Starts: 5, Err: ipc.Errorf(ipc.KindTimeout, "it did not answer its first request in 2s")}),
			`master: no worker could be started: python3 w.py
        5 starts; the last one: it did not answer its first request in 2s
        does it flush stdout after each answer? does it speak JSON lines (then: --wire json)?
        or does it need longer? (then: --start-timeout)
`,
		},
		{
			unhealthy(pool.Unhealthy{
				Group: "main", Failed: 10, Within: time.Minute,
				Reason: &ipc.Error{Kind: ipc.KindCrash, Message: "it ended with exit code 7", Exit: &ipc.Exit{Code: 7, Stderr: []string{"no \adevice"}}},
			}),
			`master: group main is unhealthy: 10 lives of workers within 60 s came to nothing; it goes on trying, slowly. The last one:
        it ended with exit code 7
          | no \x07device
`,
		},
		{
			setAside(pool.SetAside{
				Group: "main", Key: "b\a", Crashes: 3, Until: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local),
				Err: errors.New("its worker died (signal 11, SIGSEGV)"),
			}),
			`master: key "b\x07" is set aside until 03:04:05: its tasks have killed 3 workers in a row; the last one:
        its worker died (signal 11, SIGSEGV)
`,
		},
	} {
		if c.got != c.want {
			t.Errorf("got\n%swant\n%s", c.got, c.want)
		}
	}
	many := n.text(pool.Text{Text: []byte(strings.Repeat("x\n", 1000))})
	if lines := strings.Count(many, "\n"); lines != mostWords+2 {
		t.Errorf("%d lines of a worker that prints much", lines)
	}
	s.ending.Store(true)
	if got := n.exited(pool.Exited{Worker: "main/1"}); got != "" {
		t.Errorf("of a worker that was told to end: %q", got)
	}
}
