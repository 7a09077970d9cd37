//go:build linux

package main

import (
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fandango/internal/evilworker"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerVerb {
		playWorker()
		return
	}
	m.Run()
}

// TestTheBookFindsEachFault: a ledger that is always zero would show nothing.
func TestTheBookFindsEachFault(t *testing.T) {
	done := func(b *book, key string) { b.outcome(key, "", `"`+key+`"`) }
	ran := func(b *book, key string) { b.run(evilworker.Entry{Key: key}) }
	for name, c := range map[string]struct {
		what func(b *book)
		want zeros
		says string
	}{
		"all is well":             {func(b *book) { done(b, "0"); ran(b, "0") }, zeros{}, ""},
		"a crash in the quiet":    {func(b *book) { b.outcome("0", "crash", ""); ran(b, "0") }, zeros{hurt: 1}, "failed in a quiet phase"},
		"a retry":                 {func(b *book) { done(b, "0"); ran(b, "0"); ran(b, "0") }, zeros{}, ""},
		"a task that never began": {func(b *book) { b.outcome("0", "closed", "") }, zeros{hurt: 1}, ""},
		"a busy machine":          {func(b *book) { b.outcome("0", "timeout", ""); ran(b, "0") }, zeros{}, "failed: timeout 1"},
		"lost":                    {func(b *book) { ran(b, "0") }, zeros{lost: 1}, "key 0 (work): 0 outcomes, done false, 1 runs: it was lost silently"},
		"twice":                   {func(b *book) { done(b, "0"); done(b, "0"); ran(b, "0") }, zeros{duplicate: 1}, "more than one outcome"},
		"done and crashed":        {func(b *book) { done(b, "0"); b.outcome("0", "crash", ""); ran(b, "0") }, zeros{duplicate: 1, hurt: 1}, "more than one outcome"},
		"done by nobody":          {func(b *book) { done(b, "0") }, zeros{unrun: 1}, "no worker began it"},
		"once too often":          {func(b *book) { done(b, "0"); ran(b, "0"); ran(b, "0"); ran(b, "0") }, zeros{often: 1}, "run too often"},
		"another one's":           {func(b *book) { b.outcome("0", "", `"1"`); ran(b, "0") }, zeros{wrong: 1}, "not its own"},
		"a foreign outcome":       {func(b *book) { done(b, "0"); ran(b, "0"); done(b, "1") }, zeros{foreign: 1}, "nobody submitted"},
		"taken back":              {func(b *book) { b.cancel("0"); b.outcome("0", "cancelled", ""); b.run(evilworker.Entry{Key: cancelKey}) }, zeros{}, "cancels 1, 1 of them in time"},
		"too late":                {func(b *book) { done(b, "0"); ran(b, "0"); b.cancel("0") }, zeros{}, "cancels 1, 0 of them in time"},
		"cancelled by whom":       {func(b *book) { b.outcome("0", "cancelled", "") }, zeros{unasked: 1, hurt: 1}, "nobody has cancelled it"},
		"taken back twice":        {func(b *book) { b.cancel("0"); done(b, "0"); b.outcome("0", "cancelled", ""); ran(b, "0") }, zeros{duplicate: 1}, "more than one outcome"},
		"another's cancel":        {func(b *book) { b.outcome("0", "task", "I was told to"); ran(b, "0") }, zeros{wrong: 1, hurt: 1}, "by its own word"},
		"behind another":          {func(b *book) { b.outcome("0", "crash", "its worker was killed, "+behindText); ran(b, "0") }, zeros{}, "failed: crash 1 (1 behind"},
		"a foreign run":           {func(b *book) { done(b, "0"); ran(b, "0"); ran(b, "nobody asked") }, zeros{foreign: 1}, "nobody submitted"},
	} {
		b := newBook(1)
		if key := b.submit(plain, true); key != "0" {
			t.Fatalf("the first key is %q", key)
		}
		c.what(b)
		z := b.zeros()
		if z != c.want || z.ok() != (c.want == zeros{}) {
			t.Errorf("%s: %+v, want %+v", name, z, c.want)
		}
		var out strings.Builder
		if b.print(&out, z); !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: it says %s, want %q in it", name, out.String(), c.says)
		}
	}
}

func TestTheBookCountsMisdeedsOnTheirWay(t *testing.T) {
	b := newBook(0)
	b.submit("x:exit", false)
	b.submit(plain, false)
	if n := b.raging(); n != 1 {
		t.Errorf("%d are on their way, want 1", n)
	}
	for range 2 {
		b.outcome("0", "crash", "")
	}
	if n := b.raging(); n != 0 {
		t.Errorf("%d are on their way, want 0", n)
	}
}

func TestRecoveryIsTheNextTaskOfAnotherProcess(t *testing.T) {
	begun := time.Now()
	after := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	deaths := []*death{
		{worker: "main/1", pid: 1, at: after(10)},
		{worker: "main/1", pid: 2, at: after(20)}, // before it served
		{worker: "main/2", pid: 9, at: after(10)}, // never comes back
	}
	times, err := recoveries(deaths, func(f func(evilworker.Entry)) error {
		f(evilworker.Entry{Worker: "main/1", PID: 3, At: after(5)})
		f(evilworker.Entry{Worker: "main/1", PID: 1, At: after(11)}) // its last breath
		f(evilworker.Entry{Worker: "main/1", PID: 3, At: after(50)})
		f(evilworker.Entry{Worker: "main/1", PID: 3, At: after(60)})
		return nil
	})
	if err != nil || len(times) != 2 || times[0] != 30*time.Millisecond || times[1] != 40*time.Millisecond {
		t.Errorf("recoveries = %v, %v; want 30 ms and 40 ms", times, err)
	}
	if at(times, 0.5) != times[1] || at(times, 1) != times[1] || at(nil, 0.5) != 0 {
		t.Errorf("p50 %v, max %v", at(times, 0.5), at(times, 1))
	}
}

func TestTheMastersSummaryIsRead(t *testing.T) {
	for line, want := range map[string]map[string]int{
		"master: 45 836 tasks: 45 089 done, 747 failed in 60.0 s · 4 workers · 764/s\n": {"task": 45836, "done": 45089, "failed": 747},
		"master: 1 task: 1 done in 0.01 s · 1 worker\n":                                 {"task": 1, "done": 1},
		"master: 500 tasks: 137 done, 3 failed, 360 not started in 4.1 s\n":             {"task": 500, "done": 137, "failed": 3, "not started": 360},
	} {
		got := counts(line)
		if !summaryLine.MatchString(line) || len(got) != len(want) {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%q: %d %s, want %d", line, got[name], name, n)
			}
		}
	}
}

func TestEveryMisdeedOfTheStormExists(t *testing.T) {
	all := maps.Clone(inside)
	maps.Copy(all, ways)
	for target := range all {
		if evilworker.What(target) == "" {
			t.Errorf("the evil worker knows no %s", target)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-mode", "flood"}, {"-rate", "51"}, {"-rate", "0.5"}, {"-workers", "0"}, {"-retries", "-1"}, {"-n", "0"}, {"-duration", "1ms"}, {"more"},
	} {
		var c config
		if err := c.parse(args, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if err := (&config{}).parse([]string{"-help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
}

// TestAShortStorm and TestAFewOrphans are the whole program, in small; make chaos runs it for a minute.
func TestAShortStorm(t *testing.T) {
	for _, mode := range []string{"storm", cancels} {
		var out strings.Builder
		if err := run(t.Context(), []string{"-mode", mode, "-duration", "3s", "-rate", "20"}, &out); err != nil {
			t.Errorf("%s: %v\n%s", mode, err, &out)
		}
		t.Log(&out)
	}
}

func TestAFewOrphans(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-mode", "orphans", "-n", "2"}, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Log(&out)
}

func TestAMasterThatIsNoneIsSaid(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // what there is to see stays there
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), "/bin/true"} {
		var out strings.Builder
		if err := run(t.Context(), []string{"-duration", "1s", "-master", path}, &out); err == nil {
			t.Errorf("%s passes for a master:\n%s", path, &out)
		}
	}
}
