package shell

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"fandango/schedule"
)

// CheckCron asks what a cron line means.
type CheckCron struct {
	Cron  *schedule.Cron
	Count int // how many of its next times
	JSON  bool
}

func (*CheckCron) command() {}

// Answer is the line in words, and when it comes next.
func (c *CheckCron) Answer(now time.Time) string {
	next := c.Cron.Upcoming(now, c.Count)
	if c.JSON {
		times := make([]string, len(next))
		for i, at := range next {
			times[i] = at.Format(time.RFC3339)
		}
		text, err := json.Marshal(struct {
			Line  string   `json:"line"`
			Words string   `json:"words"`
			Zone  string   `json:"zone"`
			Next  []string `json:"next"`
		}{c.Cron.String(), c.Cron.Describe(), c.Cron.Zone().String(), times})
		if err != nil {
			return err.Error() // strings are always JSON
		}
		return string(text) + "\n"
	}
	return c.Cron.Describe() + "\nnext: " + upcoming(next, now.In(c.Cron.Zone())) + "\n"
}

// upcoming writes times one after another; what is as in the one before is left out.
func upcoming(times []time.Time, now time.Time) string {
	if len(times) == 0 {
		return "not known before it starts"
	}
	var words []string
	before, year := "", now.Year()
	_, offset := times[0].Zone()
	for _, at := range times {
		date, clock := at.Format("Mon 2 Jan"), at.Format("15:04")
		if at.Year() != year {
			date += at.Format(" 2006")
		}
		year = at.Year()
		if at.Second() != 0 {
			clock = at.Format(time.TimeOnly)
		}
		if date != before {
			clock = date + " " + clock
		}
		before = date
		if _, o := at.Zone(); o != offset { // the clocks have changed in between
			clock += at.Format(" -07:00")
			offset = o
		}
		words = append(words, clock)
	}
	return strings.Join(words, ", ")
}

const checkCronText = `The line has five fields: minute, hour, day of the month, month, day of the week; or six, with the second in front.

  */20 9-17 * * 1-5       every 20 minutes from 9 to 17:40, Monday to Friday
  0 3 * * SUN             Sundays at 3
  30 2 L * *              on the last day of the month; L-1, 15W, LW and, in the last field, 5L and MON#2
  @daily @hourly @weekly @monthly @yearly @every 90m @reboot
  CRON_TZ=Europe/Madrid 0 3 * * *

A time that is given as plain hours comes once a day, also when the clocks change: in the hour that is left out, at its
end; in the hour that comes twice, the first time. With *, a step or a range in the hour it comes in every hour that
passes. A line that can never come is wrong.`

func newCheckCron() *builder {
	b, c := newBuilder(), &CheckCron{Count: 5}
	f := b.flags
	line := f.String("check", "", "the `LINE` to put into words, in quotes")
	zone := f.String("zone", "", "the time zone of a line that names none, as Europe/Madrid (default: the local one)")
	f.IntVarP(&c.Count, "count", "n", c.Count, "tell `N` times")
	format := "text"
	f.VarP(choice{&format, []string{"text", "json"}}, "output", "o", "how it is printed")
	b.finish = func(words, after []string) (Command, error) {
		switch {
		case !f.Changed("check"):
			return nil, errors.New("write master cron --check 'LINE'; a line that runs something stands in a file for master serve")
		case len(words) > 0 || after != nil:
			return nil, fmt.Errorf("the line stands in quotes: master cron --check %s", quoted(append([]string{*line}, words...)))
		case c.Count < 1 || c.Count > 1000:
			return nil, fmt.Errorf("-n %d: it is 1 to 1000", c.Count)
		}
		var err error
		c.JSON = format == "json"
		c.Cron, err = parseCron(*line, *zone)
		return c, err
	}
	return b
}

// quoted is how words that belong together are typed.
func quoted(words []string) string { return "'" + Safe(strings.Join(words, " ")) + "'" }

// parseCron reads a line in a zone; "": the local one.
func parseCron(line, zone string) (*schedule.Cron, error) {
	if zone == "" {
		return schedule.ParseCron(line, nil)
	}
	z, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("--zone: no time zone %q here; write a name like Europe/Madrid, or UTC", Safe(zone))
	}
	return schedule.ParseCron(line, z)
}

const cronText = `The task runs when the line says so, as crontab lines do: master help cron tells how it is written. Its value is kept under
NAME as that of an added key, and pause holds it back, too. Runs never overlap: one that is due while the one before has
not ended begins when it has. What was missed, because the machine slept or the clock was put forward, becomes one run.

  cron nightly '0 3 * * *' clean_tmp /var/spool/archiving --days 7

Words are typed as in master run. An option that is none of those below is an argument by its name, --days 7 or --dry;
alone these are the named arguments, behind other words they are one object, the last argument.`

func newCron() *builder {
	b, a := newBuilder(), &Add{}
	f := b.flags
	b.named = map[string]string{}
	zone := f.String("zone", "", "the time zone of the line, as Europe/Madrid (default: the local one)")
	missed := "one"
	f.Var(choice{&missed, []string{"one", "skip"}}, "missed", "what becomes of runs that were missed")
	f.Var((*Duration)(&a.Missed.Window), "missed-window", "how late one that was missed may still begin (default: ever)")
	strs := a.flags(f)
	b.finish = func(words, after []string) (Command, error) {
		switch {
		case after != nil:
			return nil, errors.New("nothing may follow --")
		case len(words) < 2:
			return nil, errors.New("needs a name, a line and a target: cron nightly '0 3 * * *' TARGET WORDS…")
		case len(words) == 2:
			words = append(words, words[0])
		}
		if missed == "skip" {
			a.Missed.Runs = schedule.MissedSkip
		}
		var err error
		if a.Cron, err = parseCron(words[1], *zone); err != nil {
			if !strings.ContainsAny(strings.TrimSpace(words[1]), " @") {
				err = fmt.Errorf("%w; the line stands in quotes: cron %s '0 3 * * *' TARGET", err, Safe(words[0]))
			}
			return nil, err
		}
		a.When = strings.TrimSpace(*zone + " " + words[1])
		return a, a.task(words[0], words[2:], *strs, b.named)
	}
	return b
}

// takeNamed takes the options out that no flag has: they are arguments by their names. The value of one is what follows =, or
// the next word; true, when that is an option, too. What looks like a mistyped flag is left to be told as one.
func takeNamed(words []string, b *builder) (left []string) {
	var known []string
	for i := 0; i < len(words); i++ {
		name, isOption := strings.CutPrefix(words[i], "--")
		name, value, hasValue := strings.Cut(name, "=")
		if known == nil {
			known = flagNames(b.flags)
		}
		switch {
		case !isOption, name == "", name == "help", b.flags.Lookup(name) != nil, didYouMean(name, known) != "":
			left = append(left, words[i])
			if isOption && !hasValue && i+1 < len(words) && takesValue(words[i], b.flags) {
				i++
				left = append(left, words[i])
			}
			continue
		case hasValue:
		case i+1 < len(words) && !strings.HasPrefix(words[i+1], "--"):
			i++
			value = words[i]
		default:
			value = "true"
		}
		b.named[name] = value
	}
	return left
}
