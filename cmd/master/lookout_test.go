package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// TestAValueThatIsNoGoodAnyMoreIsTold: a device hung, its run had no end, and serve said nothing for ever.
func TestAValueThatIsNoGoodAnyMoreIsTold(t *testing.T) {
	start := time.Unix(1e9, 0)
	value := func(key string, state master.State, age time.Duration) master.Value {
		return master.Value{Key: key, State: state, Age: age, Every: 3 * time.Second, Expire: time.Minute}
	}
	paused := value("k", master.Never, 0)
	paused.Paused = true
	cron := value("k", master.Stale, time.Hour)
	cron.Every = 0
	once := value("k", master.Never, 0)
	once.Every = 0
	failed := value("k", master.Failed, time.Hour)
	failed.Err = ipc.ErrTask
	type look struct {
		at    int // in seconds
		value master.Value
		told  string
	}
	for name, looks := range map[string][]look{
		"expired, once until it is fresh": {
			{0, value("k", master.Expired, 2*time.Minute), "EXPIRED k: its value is 2 min old, and good for 60 s"},
			{1, value("k", master.Expired, 2*time.Minute), ""},
			{2, value("k", master.Fresh, 0), ""},
			{3, value("k", master.Expired, 2*time.Minute), "EXPIRED k: its value is 2 min old, and good for 60 s"},
		},
		"first stale, then expired": {
			{0, value("k", master.Stale, 5*time.Second), ""},
			{5, value("k", master.Stale, 10*time.Second), "STALE k: its value is 10 s old, and due every 3 s"},
			{6, value("k", master.Stale, 11*time.Second), ""},
			{60, value("k", master.Expired, time.Minute), "EXPIRED k: its value is 60 s old, and good for 60 s"},
		},
		"a cron line": {{0, cron, "STALE k: its value is 60 min old, and a newer one was due"}},
		"no value": {
			{0, value("k", master.Never, 0), ""},
			{9, value("k", master.Never, 0), ""},
			{10, value("k", master.Never, 0), "STALE k: there is no value yet, after 10 s"},
			{11, value("k", master.Never, 0), ""},
		},
		"paused":             {{0, paused, ""}, {100, paused, ""}},
		"without a period":   {{0, once, ""}, {100, once, ""}},
		"failed":             {{0, failed, ""}, {100, failed, ""}},
		"who is running it":  {{0, value("hung", master.Expired, time.Hour), "EXPIRED hung: its value is 60 min old, and good for 60 s; w/1 is running it"}},
		"what is in the key": {{0, value("a\x1b[31m", master.Expired, time.Hour), `EXPIRED a\x1b[31m: its value is 60 min old, and good for 60 s`}},
	} {
		t.Run(name, func(t *testing.T) {
			var told []string
			l := &lookout{
				running: func() map[string]string { return map[string]string{"hung": "w/1"} },
				tell:    func(words string) { told = append(told, words) },
			}
			for _, look := range looks {
				told = nil
				l.look(start.Add(time.Duration(look.at)*time.Second), slices.Values([]master.Value{look.value}))
				if got := strings.Join(told, "\n"); got != look.told {
					t.Errorf("after %d s: told %q, want %q", look.at, got, look.told)
				}
			}
		})
	}
}

func TestManyValuesThatExpireAreToldInFewLines(t *testing.T) {
	var told []string
	l := &lookout{running: func() map[string]string { return nil }, tell: func(words string) { told = append(told, words) }}
	var values []master.Value
	for i := range 1000 {
		values = append(values, master.Value{Key: strconv.Itoa(i), State: master.Expired, Age: time.Minute, Expire: time.Second})
	}
	values = append(values, master.Value{Key: "good", State: master.Fresh})
	l.look(time.Now(), slices.Values(values))
	if len(told) != toldAtOnce+1 || told[toldAtOnce] != "the same holds for 990 other keys" {
		t.Errorf("told %q", told)
	}
	if got := l.summary(); got != "   1000 expired" {
		t.Errorf("summary %q", got)
	}
	told = nil
	l.look(time.Now(), slices.Values(values[:1]))
	if len(told) != 0 || len(l.bad) != 1 {
		t.Errorf("told %q; it remembers %d keys, want 1", told, len(l.bad))
	}
}
