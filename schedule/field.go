package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// macros are the lines that have a name.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// ParseCron reads a line. Zone is where its times are meant, when no CRON_TZ= or TZ= in front says so; nil: time.Local. The
// error says what is wrong, where, and what to write instead; a line that can never come, such as one for the 30th of
// February, is wrong.
func ParseCron(line string, zone *time.Location) (*Cron, error) {
	if zone == nil {
		zone = time.Local
	}
	c, err := parseCron(line, zone)
	if err != nil {
		return nil, fmt.Errorf("cron line %q: %w", line, err)
	}
	return c, nil
}

// longest is how long a line may be: one with every number of every field is shorter.
const longest = 2000

func parseCron(line string, zone *time.Location) (*Cron, error) {
	if len(line) > longest {
		return nil, fmt.Errorf("it is longer than %d characters", longest)
	}
	words := strings.Fields(line)
	for len(words) > 0 {
		name, isZone := cutZone(words[0])
		if !isZone {
			break
		}
		var err error
		if zone, err = loadZone(name); err != nil {
			return nil, err
		}
		words = words[1:]
	}
	c := &Cron{text: strings.Join(words, " "), zone: zone}
	if len(words) > 0 && words[0][0] == '@' {
		if words[0] == "@every" || words[0] == "@reboot" {
			return c, c.byName(words)
		}
		fields, ok := macros[words[0]]
		if !ok || len(words) > 1 {
			return nil, fmt.Errorf("%q is none of @yearly, @monthly, @weekly, @daily, @hourly, @every 90m, @reboot", c.text)
		}
		words = strings.Fields(fields)
	}
	return c, c.fields(words)
}

// cutZone returns the zone that a word like TZ=UTC names.
func cutZone(word string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(word, "CRON_TZ="); !ok {
		name, ok = strings.CutPrefix(word, "TZ=")
	}
	return name, ok
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errors.New("it has no time zone after =; write CRON_TZ=Europe/Madrid, or nothing for the local one")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("no time zone %q here: write a name like Europe/Madrid or UTC; when it is right, this "+
			"system lacks its time zones (package tzdata): %w", name, err)
	}
	return zone, nil
}

// byName reads @every and @reboot.
func (c *Cron) byName(words []string) error {
	switch {
	case words[0] == "@reboot" && len(words) == 1:
		c.once = true
		return nil
	case words[0] == "@reboot":
		return fmt.Errorf("@reboot stands alone, without %q", strings.Join(words[1:], " "))
	case len(words) != 2:
		return errors.New("@every has one duration: @every 90m")
	}
	period, err := ParseDuration(words[1])
	if err != nil {
		return err
	}
	_, err = NewEvery(period)
	c.every = period
	return err
}

// fields reads the five or six.
func (c *Cron) fields(words []string) error {
	switch len(words) {
	case 5:
		words = append([]string{"0"}, words...)
	case 6:
	case 0:
		return errors.New("it is empty; write minute, hour, day of the month, month, day of the week: 0 3 * * *")
	case 7:
		return errors.New("it has 7 fields; a year has no place: write 5 fields (minute hour day month weekday), or 6 with " +
			"the second in front")
	default:
		return fmt.Errorf("it has %d %s; write 5 (minute hour day month weekday), or 6 with the second in front", len(words),
			plural(len(words), "field"))
	}
	d := &c.days
	var second, minute, hour, date, month, day field
	for i, f := range []*field{&second, &minute, &hour, &date, &month, &day} {
		f.kind = &kinds[i]
		if f.special = nil; i == 3 {
			f.special = d.dateWord
		} else if i == 5 {
			f.special = d.dayWord
		}
		if err := f.read(words[i]); err != nil {
			return fmt.Errorf("%s %q: %w", f.name, words[i], err)
		}
	}
	c.second, c.minute, c.hour, c.clock = second.set, minute.set, hour.set, !hour.plain
	d.months, d.anyDate, d.anyDay = month.set, date.star, day.star
	d.dates = date.set
	d.weekdays = day.set&0x7f | day.set>>7&1 // 7 is Sunday, too
	return c.possible(words)
}

// kind is what the fields of one place have in common.
type kind struct {
	name        string
	first, last int
	names       string // three letters for each, from first on
	larger      string // what to write for a step that is too large
}

var kinds = [...]kind{
	{"second", 0, 59, "", "@every 90s"},
	{"minute", 0, 59, "", "@every 90m"},
	{"hour", 0, 23, "", "@every 36h"},
	{"day of the month", 1, 31, "", "@every 45d"},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", ""},
	{"day of the week", 0, 7, "sunmontuewedthufrisat", "@every 10d"},
}

// field is one that has been read.
type field struct {
	*kind
	special func(part string) (known bool, err error) // reads what only days have; nil: nothing

	set   uint64
	plain bool // it has no *, range or step
	star  bool // it begins with *
}

func (f *field) read(text string) error {
	f.plain, f.star = true, text[0] == '*' || text == "?"
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		if f.special != nil {
			if known, err := f.special(part); known || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := f.part(part); err != nil {
			return err
		}
	}
	return nil
}

// part reads *, 5, 9-17, or one of these with a step.
func (f *field) part(part string) error {
	body, by, hasStep := strings.Cut(part, "/")
	low, high, isRange := strings.Cut(body, "-")
	from, to, round := f.first, f.last, f.last+1-f.first
	if f.last == 7 {
		to, round = 6, 7 // once a week is enough
	}
	switch {
	case body == "":
		return fmt.Errorf("something is missing; write a number from %d to %d, or *", f.first, f.last)
	case body == "*", body == "?" && f.special != nil && !hasStep:
		f.plain = false
	default:
		var err error
		if from, err = f.number(low); err != nil {
			return err
		}
		switch {
		case isRange:
			if to, err = f.number(high); err != nil {
				return err
			}
		case !hasStep:
			to = from
		}
	}
	step := 1
	if hasStep {
		var err error
		if step, err = f.step(by); err != nil {
			return err
		}
	}
	if isRange || hasStep {
		f.plain = false
	}
	if to < from {
		to += round
	}
	for n := from; n <= to; n += step {
		m := n
		if m > f.last {
			m -= round
		}
		f.set |= 1 << m
	}
	return nil
}

// number reads a number or a name.
func (f *field) number(s string) (int, error) {
	if len(s) == 3 {
		if i := strings.Index(f.names, s); i >= 0 && i%3 == 0 {
			return f.first + i/3, nil
		}
	}
	n, err := strconv.Atoi(s)
	switch {
	case strings.Trim(s, "0123456789") != "" || s == "" || err != nil && !errors.Is(err, strconv.ErrRange):
		if f.names != "" {
			return 0, fmt.Errorf("%q is neither a number from %d to %d nor one of %s", s, f.first, f.last, f.spelled())
		}
		return 0, fmt.Errorf("%q is no number; write one from %d to %d, a range 1-5, a step */5, or *", s, f.first, f.last)
	case n < f.first, n > f.last, err != nil:
		return 0, fmt.Errorf("%s is not between %d and %d", s, f.first, f.last)
	}
	return n, nil
}

func (f *field) spelled() string {
	var names []string
	for i := 0; i < len(f.names); i += 3 {
		names = append(names, strings.ToUpper(f.names[i:i+3]))
	}
	return strings.Join(names, " ")
}

func (f *field) step(s string) (int, error) {
	n, err := strconv.Atoi(s)
	switch {
	case strings.Trim(s, "0123456789") != "" || s == "":
		return 0, fmt.Errorf("the step %q is no number; write */5", s)
	case n == 0 && err == nil:
		return 0, errors.New("the step is 0, which would never get on; write */1 or *")
	case err != nil, n > f.last:
		hint := ""
		if f.larger != "" {
			hint = "; for a longer period write " + f.larger
		}
		return 0, fmt.Errorf("the step %s is larger than the field, which ends at %d%s", s, f.last, hint)
	}
	return n, nil
}

// dateWord reads L, L-2, LW and 15W.
func (d *days) dateWord(part string) (known bool, err error) {
	number := strings.TrimSuffix(part, "w")
	before, fromLast := strings.CutPrefix(part, "l-")
	switch {
	case part == "l":
		d.fromLast |= 1
	case part == "lw", part == "wl":
		d.lastWeek = true
	case fromLast:
		n, err := strconv.Atoi(before)
		if err != nil || n < 1 || n > 30 {
			return true, fmt.Errorf("%q: write L-1 to L-30, so many days before the last of the month", strings.ToUpper(part))
		}
		d.fromLast |= 1 << n
	case number != part:
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 31 {
			return true, fmt.Errorf("%q: write 1W to 31W, the weekday nearest to that day, or LW", strings.ToUpper(part))
		}
		d.nearest |= 1 << n
	default:
		return false, nil
	}
	return true, nil
}

// dayWord reads MON#2 and 5L.
func (d *days) dayWord(part string) (known bool, err error) {
	f := field{kind: &kinds[5]}
	name, nth, isNth := strings.Cut(part, "#")
	last, isLast := strings.CutSuffix(part, "l")
	switch {
	case part == "l":
		return true, errors.New(`"L" alone names no day of the week; write 5L, the last Friday of the month`)
	case isNth:
		day, err := f.number(name)
		if err != nil {
			return true, err
		}
		n, err := strconv.Atoi(nth)
		if err != nil || n < 1 || n > 5 {
			return true, fmt.Errorf("%q: after # stands a number from 1 to 5", strings.ToUpper(part))
		}
		d.nth |= 1 << (8*n + day%7)
	case isLast:
		day, err := f.number(last)
		if err != nil {
			return true, err
		}
		d.lastOfDay |= 1 << (day % 7)
	default:
		return false, nil
	}
	return true, nil
}

// possible finds out whether there is a day that the line names, looking at every kind of year there is.
func (c *Cron) possible(words []string) error {
	if c.match(0) != never { // horizon holds years of every kind
		return nil
	}
	return fmt.Errorf("there is no such day: day of the month %q, month %q, day of the week %q", words[3], words[4], words[5])
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
