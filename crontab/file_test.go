package crontab_test

import (
	"strings"
	"testing"
	"time"

	"fandango/crontab"
	"fandango/schedule"
)

func TestParseFile(t *testing.T) {
	t.Parallel()
	lines, err := crontab.Parse(strings.NewReader("\ufeff# comment\n\n \t\nSHELL=/bin/bash\r\nMAILTO=\"\"\n'AB' = \"x y\"\n"+
		"*/20 9-17 * * 1-5   make report\nTZ=UTC 0 3 * * * make x=1\n@daily\tmake report\n@every 90m  sync\n"+
		"CRON_TZ=Asia/Tokyo\n0 3 * * * true\nCRON_TZ=UTC 0 3 * * * true\n0 4 * * *\tPATH=/bin x %in\n"), "tab", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, l.When+" | "+l.Name)
	}
	want := []string{
		"*/20 9-17 * * 1-5 | make report", "TZ=UTC 0 3 * * * | make x=1", "@daily | make report #2", "@every 90m | sync",
		"CRON_TZ=Asia/Tokyo 0 3 * * * | true", "CRON_TZ=UTC 0 3 * * * | true #2", "CRON_TZ=Asia/Tokyo 0 4 * * * | PATH=/bin x ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestParseFileSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := crontab.Parse(strings.NewReader("0 3 * * * true\n0 25 * * * true\n0 3 * * *\nCRON_TZ=Mars/Crater\n0 3 * * * %x\n1 2 3\n"+
		"0 0 30 2 * true\n@dayly true\na\x00b\n@every\n"+strings.Repeat("x", 1<<20+1)), "tab", nil)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{
		"tab:2: ", "25 is not between 0 and 23", `tab:3: crontab line "0 3 * * *": no command after`, `tab:4: cron line`, "Mars/Crater",
		"tab:5: ", "no command before the %", "tab:6: ", "it has 3 fields", "tab:7: ", "no such day", "tab:8: ", "tab:9: a NUL", "tab:10: ",
		"tab:11: the line is longer than 1 MiB",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 10 {
		t.Errorf("%d errors:\n%v", n, err)
	}
}

// TestFieldsOfSeconds: a line of six fields ran "* true" every five minutes.
func TestFieldsOfSeconds(t *testing.T) {
	t.Parallel()
	lines, err := crontab.Parse(strings.NewReader("* * * * * 7z a x\nCRON_SECONDS=yes\n*/10 * * * * *  true\nTZ=UTC 30 0 3 * * 1-5 7 %x\n@daily true\n"+
		"CRON_SECONDS=no\n0 3 * * * ./5\n"), "tab", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, l.When+" | "+l.Name)
	}
	want := []string{"* * * * * | 7z a x", "*/10 * * * * * | true", "TZ=UTC 30 0 3 * * 1-5 | 7 ", "@daily | true #2", "0 3 * * * | ./5"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c, err := schedule.ParseCron(lines[1].When, time.UTC)
	if begun := time.Date(2026, 1, 1, 0, 0, 3, 0, time.UTC); err != nil || c.Next(begun).Second() != 10 {
		t.Errorf("after 3 s comes %v, %v", c.Next(begun), err)
	}
	for _, text := range []string{
		"0 */5 * * * * true", "0 */5 * * * */2 true", "0 0 3 * * 1-5 true", "0 0 3 * * 7 true", "0 0 3 * * 1,2 true", "0 0 3 * * ? true",
	} {
		if _, err := crontab.ParseLine(text, nil); err == nil || !strings.Contains(err.Error(), "CRON_SECONDS=yes") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"CRON_SECONDS=1", "CRON_SECONDS=yes\n0 3 * * * true"} {
		if _, err := crontab.Parse(strings.NewReader(text), "tab", nil); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	line, err := crontab.ParseLine("30 4 * * sun  make backup", nil)
	if err != nil || line.When != "30 4 * * sun" || line.Name != "make backup" || line.Task == nil {
		t.Errorf("%+v, %v", line, err)
	}
	for _, text := range []string{"", "# 0 3 * * * true", "A=1", "0 3 * * *", "nightly true"} {
		if _, err := crontab.ParseLine(text, nil); err == nil {
			t.Errorf("%q is a line", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"*/20 9-17 * * 1-5 make report\nA=1\n# x\n", "TZ=UTC @daily a%b\\%c%d", "CRON_TZ=Asia/Tokyo\n@every 3s x", "@reboot %", "= =="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := crontab.Parse(strings.NewReader(text), "tab", nil)
		if err != nil && lines != nil {
			t.Error("lines of a file that is wrong")
		}
		for _, l := range lines {
			if _, err := schedule.ParseCron(l.When, nil); err != nil || l.Task == nil || l.Name == "" {
				t.Errorf("%+v: %v", l, err)
			}
		}
	})
}
