package schedule_test

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fandango/schedule"
)

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

func cron(tb testing.TB, line string, z *time.Location) *schedule.Cron {
	tb.Helper()
	c, err := schedule.ParseCron(line, z)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// stamps writes times as they stand on the wall.
func stamps(times []time.Time) string {
	var words []string
	for _, at := range times {
		words = append(words, at.Format("01-02T15:04:05"))
	}
	return strings.ReplaceAll(strings.Join(words, " "), ":00 ", " ")
}

// Each line, from Sunday 2026-11-22 12:00:00 on.
func TestCronNext(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"* * * * *":                    "11-22T12:01 11-22T12:02 11-22T12:03",
		"*/20 9-17 * * 1-5":            "11-23T09:00 11-23T09:20 11-23T09:40",
		"0 12 * * *":                   "11-23T12:00 11-24T12:00 11-25T12:00",
		"7/20 * * * *":                 "11-22T12:07 11-22T12:27 11-22T12:47",
		"*/10 * * * * *":               "11-22T12:00:10 11-22T12:00:20 11-22T12:00:30",
		"59 59 23 31 12 *":             "12-31T23:59:59 12-31T23:59:59 12-31T23:59:59",
		"0 22-2 * * *":                 "11-22T22:00 11-22T23:00 11-23T00:00",
		"0 0 * * fri-MON":              "11-23T00:00 11-27T00:00 11-28T00:00",
		"0 0 * * 5-7":                  "11-27T00:00 11-28T00:00 11-29T00:00",
		"0 0 * * 7":                    "11-29T00:00 12-06T00:00 12-13T00:00",
		"0 0 1 JAN,mar-may/2 *":        "01-01T00:00 03-01T00:00 05-01T00:00",
		"0 0 29 2 *":                   "02-29T00:00 02-29T00:00 02-29T00:00",
		"0 0 31 * *":                   "12-31T00:00 01-31T00:00 03-31T00:00",
		"0 0 L * *":                    "11-30T00:00 12-31T00:00 01-31T00:00",
		"0 0 L-1 2 *":                  "02-27T00:00 02-28T00:00 02-27T00:00",
		"0 0 15W * *":                  "12-15T00:00 01-15T00:00 02-15T00:00",
		"0 0 28w * *":                  "11-27T00:00 12-28T00:00 01-28T00:00",
		"0 0 1W 5 *":                   "05-03T00:00 05-01T00:00 05-01T00:00", // a Saturday in 2027
		"0 0 31W 1 *":                  "01-29T00:00 01-31T00:00 01-31T00:00", // a Sunday in 2027
		"0 0 LW * *":                   "11-30T00:00 12-31T00:00 01-29T00:00",
		"0 0 * * MON#2":                "12-14T00:00 01-11T00:00 02-08T00:00",
		"0 0 * * 5L":                   "11-27T00:00 12-25T00:00 01-29T00:00",
		"0 0 * * 0#5":                  "11-29T00:00 01-31T00:00 05-30T00:00",
		"0 0 13 * FRI":                 "11-27T00:00 12-04T00:00 12-11T00:00", // both restricted: either
		"0 0 */2 * MON":                "11-23T00:00 12-07T00:00 12-21T00:00", // begins with *: both
		"0 0 ? * MON":                  "11-23T00:00 11-30T00:00 12-07T00:00",
		"@weekly":                      "11-29T00:00 12-06T00:00 12-13T00:00",
		"@monthly":                     "12-01T00:00 01-01T00:00 02-01T00:00",
		"@yearly":                      "01-01T00:00 01-01T00:00 01-01T00:00",
		"@every 90m":                   "11-22T13:30 11-22T15:00 11-22T16:30",
		"@reboot":                      "",
		"TZ=UTC 0 12 * * *":            "11-22T12:00 11-23T12:00 11-24T12:00", // 13:00 in Madrid
		"CRON_TZ=Asia/Tokyo 0 * * * *": "11-22T21:00 11-22T22:00 11-22T23:00",
	} {
		z := zone(t, "Europe/Madrid")
		got := stamps(cron(t, line, z).Upcoming(time.Date(2026, 11, 22, 12, 0, 0, 0, z), 3))
		if got = strings.TrimSuffix(got, ":00"); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestCronNextIsAfterAndWithinTheSecond(t *testing.T) {
	t.Parallel()
	c := cron(t, "* * * * * *", time.UTC)
	after := time.Date(2026, 11, 22, 12, 0, 0, 999_999_999, time.UTC)
	if got := c.Next(after).Sub(after); got != 1 {
		t.Errorf("the next second is %v later, want 1ns", got)
	}
	if got := c.Next(after.Add(1)).Sub(after); got != time.Second+1 {
		t.Errorf("after a whole second, the next one is %v later", got-1)
	}
}

func TestCronNextEndsWithTheCalendar(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<62, 0), time.Unix(1<<40, 0)} {
		if next := cron(t, "* * * * *", time.UTC).Next(at); !next.IsZero() {
			t.Errorf("after the year %d comes %v", at.Year(), next)
		}
	}
	for _, at := range []time.Time{{}, time.Unix(-1<<40, 0), time.Unix(-1<<62, 0)} {
		for _, line := range []string{"* * * * *", "0 3 * * *"} {
			if next := cron(t, line, zone(t, "Europe/Madrid")).Next(at); !next.After(at) || next.IsZero() {
				t.Errorf("%s after %v: %v", line, at, next)
			}
		}
	}
}

// Where a line is wrong, what is wrong, and what to write instead.
func TestS11CronLinesThatAreRefused(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                                       "it is empty; write minute, hour",
		"* * * *":                                "it has 4 fields; write 5",
		"0 0 * * * * 2026":                       "a year has no place",
		"61 * * * *":                             `minute "61": 61 is not between 0 and 59`,
		"* 24 * * *":                             `hour "24": 24 is not between 0 and 23`,
		"* * 0 * *":                              `day of the month "0": 0 is not between 1 and 31`,
		"* * * 13 *":                             `month "13": 13 is not between 1 and 12`,
		"* * * * 8":                              `day of the week "8": 8 is not between 0 and 7`,
		"*/0 * * * *":                            "the step is 0",
		"*/61 * * * *":                           "for a longer period write @every 90m",
		"*/x * * * *":                            `the step "x" is no number`,
		"1- * * * *":                             `"" is no number`,
		"-5 * * * *":                             `"" is no number`,
		"+5 * * * *":                             `"+5" is no number`,
		"1,,2 * * * *":                           "something is missing",
		"99999999999999999999 * * * *":           "is not between 0 and 59",
		"? * * * *":                              `"?" is no number`,
		"* * * foo *":                            "nor one of JAN FEB MAR",
		"* * * * monday":                         "nor one of SUN MON TUE",
		"* * * anf *":                            "nor one of JAN",
		"0 0 30 2 *":                             `there is no such day: day of the month "30", month "2"`,
		"0 0 31 4,6,9,11 *":                      "there is no such day",
		"0 0 31W 2 *":                            "there is no such day",
		"0 0 L-30 4 *":                           "there is no such day",
		"0 0 L-31 * *":                           "write L-1 to L-30",
		"0 0 32W * *":                            "write 1W to 31W",
		"0 0 W * *":                              "write 1W to 31W",
		"0 0 * * L":                              "write 5L, the last Friday",
		"0 0 * * MON#0":                          "a number from 1 to 5",
		"0 0 * * #2":                             `"" is neither a number`,
		"CRON_TZ=Mars/Crater * * * * *":          `no time zone "Mars/Crater" here: write a name like Europe/Madrid`,
		"TZ=0 * * * * *":                         `no time zone "0"`,
		"TZ= * * * * *":                          "no time zone after =",
		"TZ=../../etc/passwd * * * * *":          "no time zone",
		"@dayly":                                 "none of @yearly",
		"@daily now":                             "none of @yearly",
		"@every":                                 "@every has one duration",
		"@every 0":                               "must be above zero",
		"@every 3x":                              "is no duration",
		"@every -3s":                             "must not be negative",
		"@reboot now":                            "@reboot stands alone",
		"TZ=UTC":                                 "it is empty",
		strings.Repeat("1,", 1000) + "1 * * * *": "longer than 2000",
	} {
		_, err := schedule.ParseCron(line, time.UTC)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v; want %s", line, err, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"*/20 9-17 * * 1-5":           "Every 20 minutes from 09:00 to 17:40, Monday to Friday",
		"0 3 * * *":                   "Every day at 03:00",
		"0 3 * * SUN":                 "At 03:00, Sunday",
		"30 8,20 * * 6,0":             "At 08:30 and 20:30, Saturday and Sunday",
		"* * * * *":                   "Every minute",
		"@hourly":                     "Every hour",
		"5,35 * * * *":                "Every hour at minutes 5 and 35",
		"*/7 * * * *":                 "Every hour at every 7th minute from minute 0 on",
		"0 */2 * * *":                 "Every 2 hours from 00:00 to 22:00",
		"15 9-17 * * *":               "Every hour from 09:15 to 17:15",
		"*/15 2 * * *":                "Every 15 minutes from 02:00 to 02:45",
		"1,2,7 3,4,9,11,22 * 1-3,6 *": "At minutes 1, 2 and 7 of hours 3, 4, 9, 11 and 22, in January to March and June",
		"*/30 1-3,7 * * *":            "Every day at 01:00, 01:30, 02:00, 02:30, 03:00, 03:30, 07:00 and 07:30",
		"*/10 1-3,7 * * *":            "Every 10 minutes of hours 1 to 3 and 7",
		"0 0 1,15 * *":                "At 00:00, on days 1 and 15 of the month",
		"0 0 13 * 5":                  "At 00:00, on day 13 of the month and also on Friday",
		"0 0 */2 * 1":                 "At 00:00, on every 2nd day from day 1 on of the month, if it is Monday",
		"0 0 1-31 * 1":                "Every day at 00:00",
		"0 0 13 * 0-6":                "Every day at 00:00",
		"0 0 1-31 6 *":                "At 00:00, in June",
		"0 0 L,L-1,L-3 * *":           "At 00:00, on the last day of the month, the last day but one of the month and the day 3 days before the last of the month",
		"0 0 15W,LW * *":              "At 00:00, on the weekday nearest to day 15 of the month and the last weekday of the month",
		"0 0 * * 5L,MON#2":            "At 00:00, on the second Monday of the month and the last Friday of the month",
		"*/10 * * * * *":              "Every 10 seconds",
		"5 * * * * *":                 "Every minute at second 5",
		"15 30 3 * * *":               "Every day at 03:30:15",
		"5,10 */15 9-17 * * 1-5":      "At seconds 5 and 10 of a minute: every 15 minutes from 09:00 to 17:45, Monday to Friday",
		"*/2 0 3 * * *":               "Every 2 seconds of the minute 03:00",
		"* 0,20,30 3 * * *":           "Every second of the minutes 03:00, 03:20 and 03:30",
	} {
		if got := cron(t, line, zone(t, "Europe/Madrid")).Describe(); got != want+" (Europe/Madrid)" {
			t.Errorf("%s: %s\nwant %s", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"@every 90m": "Every 90 minutes", "@every 1d": "Every day", "@every 1.5s": "Every 1.5s", "@reboot": "Once, at the start",
	} {
		if got := cron(t, line, nil).Describe(); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// TestDescribeNamesTheLocalZone: of a TZ that Go does not know, and takes for UTC, the words had the name of the machine's.
func TestDescribeNamesTheLocalZone(t *testing.T) {
	if want, ok := os.LookupEnv("WANT_ZONE"); ok { // started below, for TZ is looked at once
		if got := cron(t, "0 3 * * *", nil).Describe(); got != "Every day at 03:00 ("+want+")" {
			t.Error(got)
		}
		return
	}
	if runtime.GOOS == "windows" {
		t.Skip("TZ says nothing there")
	}
	for tz, want := range map[string]string{
		"Europe/Madrid": "Europe/Madrid", ":Europe/Madrid": "Europe/Madrid", "": "UTC", "UTC": "UTC", "JST-9": "UTC", "Mars/Crater": "UTC",
	} {
		again := exec.Command(os.Args[0], "-test.run=^TestDescribeNamesTheLocalZone$")
		again.Env = append(os.Environ(), "TZ="+tz, "WANT_ZONE="+want)
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("TZ=%s: %v\n%s", tz, err, out)
		}
	}
}

// The nights that others got wrong: London on 2025-03-30 and 2025-10-26, and Lord Howe, whose clocks move by half an hour.
func TestS10NightsOfTheClockChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, line, from, want string }{
		{"Europe/London", "30 1 * * *", "2025-03-29T12:00", "03-30T02:00+0100 03-31T01:30+0100"},
		{"Europe/London", "0,30 1 * * *", "2025-03-29T12:00", "03-30T02:00+0100 03-31T01:00+0100"},
		{"Europe/London", "0 1,2 * * *", "2025-03-29T12:00", "03-30T02:00+0100 03-31T01:00+0100"},
		{"Europe/London", "30 * * * *", "2025-03-30T00:00", "03-30T00:30+0000 03-30T02:30+0100"},
		{"Europe/London", "30 1 * * *", "2025-10-26T00:00", "10-26T01:30+0100 10-27T01:30+0000"},
		{"Europe/London", "30 * * * *", "2025-10-26T00:00", "10-26T00:30+0100 10-26T01:30+0100 10-26T01:30+0000 10-26T02:30+0000"},
		{"Europe/London", "30 1-3 * * *", "2025-10-26T00:00", "10-26T01:30+0100 10-26T01:30+0000 10-26T02:30+0000"},
		{"Australia/Lord_Howe", "15 2 * * *", "2025-10-04T12:00", "10-05T02:30+1100 10-06T02:15+1100"},
		{"Australia/Lord_Howe", "45 1 * * *", "2025-04-05T12:00", "04-06T01:45+1100 04-07T01:45+1030"},
		{"Australia/Lord_Howe", "45 * * * *", "2025-04-06T01:00", "04-06T01:45+1100 04-06T01:45+1030 04-06T02:45+1030"},
		{"Pacific/Apia", "0 3 * * *", "2011-12-29T12:00", "12-31T00:00+1400 12-31T03:00+1400"}, // it had no 30th
		{"America/Santiago", "0 0 * * *", "2025-09-06T12:00", "09-07T01:00-0300 09-08T00:00-0300"},
		{"America/Havana", "0 0 * * *", "2025-11-01T12:00", "11-02T00:00-0400 11-03T00:00-0500"},
	} {
		z := zone(t, c.zone)
		from, err := time.ParseInLocation("2006-01-02T15:04", c.from, z)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(c.want)
		var got []string
		for _, at := range cron(t, c.line, z).Upcoming(from, len(want)) {
			got = append(got, at.Format("01-02T15:04-0700"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, %s: %v, want %v", c.zone, c.line, got, want)
		}
	}
}

// From within the second pass of a repeated hour, the fixed times of the first pass are over.
func TestS10AStartInTheRepeatedHourRepeatsNothing(t *testing.T) {
	t.Parallel()
	z := zone(t, "Europe/London")
	second := time.Date(2025, 10, 26, 1, 10, 0, 0, time.UTC).In(z) // 01:10 for the second time
	if got := cron(t, "30 1 * * *", z).Next(second); got.Day() != 27 {
		t.Errorf("next %v", got)
	}
	if got := cron(t, "30 1-2 * * *", z).Next(second); got.Sub(second) != 20*time.Minute {
		t.Errorf("next %v", got)
	}
}

func FuzzCron(f *testing.F) {
	for _, line := range []string{
		"*/20 9-17 * * 1-5", "CRON_TZ=Europe/Madrid 30 2 L * *", "59 59 23 29W 2 5#5", "@every 1.5h", "@reboot", "TZ=Asia/Gaza 0 0 * * *",
		"0 0 30 2 *", "22-2/3 7/8 ? JAN-MAR SUN", "* * * * * *", "TZ=Pacific/Apia 0 3 30 12 *",
	} {
		f.Add(line, int64(1_763_000_000))
	}
	f.Add("0 0 29 2 */7", int64(-1<<62))
	f.Fuzz(func(t *testing.T, line string, at int64) {
		c, err := schedule.ParseCron(line, time.UTC)
		if err != nil {
			return
		}
		if words := c.Describe(); words == "" {
			t.Errorf("%q has no words", line)
		}
		again, err := schedule.ParseCron("TZ="+c.Zone().String()+" "+c.String(), nil)
		if err != nil || again.Describe() != c.Describe() {
			t.Errorf("%q reads as %q: %v", line, c, err)
		}
		after := time.Unix(at, 0)
		for range 20 {
			next := c.Next(after)
			if next.IsZero() {
				return
			}
			if !next.After(after) {
				t.Fatalf("%q: after %v comes %v", line, after, next)
			}
			after = next
		}
	})
}

func BenchmarkCronNext(b *testing.B) {
	z := zone(b, "Europe/Madrid")
	for _, line := range []string{"*/20 9-17 * * 1-5", "30 2 * * *", "0 0 29 2 *"} {
		c := cron(b, line, z)
		b.Run(strings.ReplaceAll(line, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, z)
			for b.Loop() {
				if at = c.Next(at); at.Year() > 2100 {
					at = time.Date(2026, 1, 1, 0, 0, 0, 0, z)
				}
			}
		})
	}
}
