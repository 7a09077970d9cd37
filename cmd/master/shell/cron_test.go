package shell

import (
	"strings"
	"testing"
	"time"

	"fandango/schedule"
)

func TestParseCron(t *testing.T) {
	for line, want := range map[string]string{
		`cron nightly '0 3 * * *' clean_tmp /var/spool/archiving --days 7`: `nightly: "clean_tmp" ["/var/spool/archiving",{"days":7}]`,
		`cron nightly '0 3 * * *' clean_tmp --days 7 --dry --to=x`:         `nightly: "clean_tmp" {"days":7,"dry":true,"to":"x"}`,
		`cron nightly @daily clean_tmp 1 -5 --low -7 -R`:                   `nightly: "clean_tmp" ["1","-5",{"low":"-7"}]`,
		`cron nightly @daily`:                      `nightly: "nightly"`,
		`cron nightly @daily clean [1] '{"a": 2}'`: `nightly: "clean" [[1],{"a":2}]`,
	} {
		c, err := parseLine(t, line, InFile)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := c.(*Add).Task.String(); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	c, err := parseLine(t, `cron a '0 3 * * *' f --zone Asia/Tokyo --expire 2d --timeout 5m --once -w lab --missed skip --missed-window 1h`, InFile)
	if err != nil {
		t.Fatal(err)
	}
	a := c.(*Add)
	if a.Cron.Zone().String() != "Asia/Tokyo" || a.When != "Asia/Tokyo 0 3 * * *" || a.Expire != 48*time.Hour || a.Task.Timeout != 5*time.Minute ||
		!a.Once || a.Group != "lab" || a.Missed != (schedule.Missed{Runs: schedule.MissedSkip, Window: time.Hour}) || a.Verb() != "cron" {
		t.Errorf("%+v", a)
	}
}

func TestParseCronRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"cron":                            "cron: needs a name, a line and a target: cron nightly '0 3 * * *' TARGET WORDS…",
		"cron nightly 0 3 * * * clean":    `cron: cron line "0": it has 1 field; write 5 (minute hour day month weekday), or 6 with the second in front; the line stands in quotes: cron nightly '0 3 * * *' TARGET`,
		"cron nightly '0 25 * * *' clean": `cron: cron line "0 25 * * *": hour "25": 25 is not between 0 and 23`,
		"cron a @daily f --zone Mars":     `cron: --zone: no time zone "Mars" here; write a name like Europe/Madrid, or UTC`,
		"cron a @daily f --exprie 3":      "cron: no option --exprie; did you mean --expire?",
		"cron a @daily f --missed all":    `cron: --missed: "all" is none of one, skip`,
		"cron a @daily f -- x":            "cron: nothing may follow --",
		"add k f --jitter 1s":             "add: --phase, --spread and --jitter go with --every",
	} {
		if _, err := parseLine(t, line, InFile); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", line, err, want)
		}
	}
}

func TestCheckCron(t *testing.T) {
	for line, want := range map[string]string{
		"cron --check '*/20 9-17 * * 1-5' --zone Europe/Madrid": "Every 20 minutes from 09:00 to 17:40, Monday to Friday (Europe/Madrid)\n" +
			"next: Mon 23 Nov 09:00, 09:20, 09:40, 10:00, 10:20\n",
		"cron --check '0 0 29 2 *' --zone UTC -n 2": "At 00:00, on day 29 of the month, in February (UTC)\nnext: Tue 29 Feb 2028 00:00, Sun 29 Feb 2032 00:00\n",
		"cron --check 'TZ=UTC 59 59 23 31 12 *' -n 2": "At 23:59:59, on day 31 of the month, in December (UTC)\n" +
			"next: Thu 31 Dec 23:59:59, Fri 31 Dec 2027 23:59:59\n",
		"cron --check @reboot":                             "Once, at the start\nnext: not known before it starts\n",
		"cron --check '0 3 * * *' --zone UTC -n 1 -o json": `{"line":"0 3 * * *","words":"Every day at 03:00 (UTC)","zone":"UTC","next":["2026-11-23T03:00:00Z"]}` + "\n",
	} {
		c, err := parseLine(t, line, InShell)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := c.(*CheckCron).Answer(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("%s:\n%swant\n%s", line, got, want)
		}
	}
	// The hour that comes twice: which of them is told.
	c, err := parseLine(t, "cron --check '0 * * * *' --zone Europe/Madrid -n 3", InShell)
	if err != nil {
		t.Fatal(err)
	}
	got := c.(*CheckCron).Answer(time.Date(2026, 10, 24, 23, 30, 0, 0, time.UTC))
	if !strings.Contains(got, "next: Sun 25 Oct 02:00, 02:00 +01:00, 03:00\n") {
		t.Error(got)
	}
	for line, want := range map[string]string{
		"cron":                      "cron: write master cron --check 'LINE'; a line that runs something stands in a file for master serve",
		"cron --check 0 3 * * *":    "cron: the line stands in quotes: master cron --check '0 3 * * *'",
		"cron --check @daily -n 0":  "cron: -n 0: it is 1 to 1000",
		"cron --check '0 0 30 2 *'": `cron: cron line "0 0 30 2 *": there is no such day: day of the month "30", month "2", day of the week "*"`,
	} {
		if _, err := parseLine(t, line, InShell); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", line, err, want)
		}
	}
}

func TestAFileWithCronLines(t *testing.T) {
	f, errs := ParseFile(strings.NewReader("add k f --every 1s --jitter 100ms\ncron n '0 3 * * *' f\ncron m @hourly\npause 30s n\n"), "lab")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := f.Counts(); got != "1 key, 2 cron lines" {
		t.Error(got)
	}
	_, errs = ParseFile(strings.NewReader("add k f\ncron k '0 3 * * *' f -w x\n"), "lab")
	if len(errs) != 1 || errs[0].Error() != "lab:2: cron: key k is added already, on line 1" {
		t.Error(errs)
	}
}
