package master

import (
	"cmp"
	"errors"
	"time"

	"fandango/schedule"
)

// plan is when an entry runs, if not just every period.
type plan struct {
	cron   *schedule.Cron // nil: it has a period, and stagger
	missed schedule.Missed
	cursor schedule.Cursor
	owed   int // runs of times that went by, which come one after another: schedule.MissedAll

	stagger schedule.Stagger
	anchor  time.Time // when the next run is due; it begins up to stagger.Jitter later
}

// checkPlan finds what is wrong with the parts of an entry that say when it runs, beside its period.
func (e *Entry) checkPlan(every schedule.Every) error {
	switch {
	case e.Cron == nil && e.Every == 0:
		return errors.New("a stagger goes with a period")
	case e.Cron == nil:
		return e.Stagger.Check(every)
	case e.Every != 0:
		return errors.New("a period and a cron line exclude each other")
	case e.Stagger != (schedule.Stagger{}):
		return errors.New("a stagger goes with a period, not with a cron line")
	}
	return e.Missed.Check()
}

// cron is the line of an entry; nil: it has none.
func (e *entry) cron() *schedule.Cron {
	if p := e.plan(); p != nil {
		return p.cron
	}
	return nil
}

// begin says when to look at the plan first; the zero time: never.
func (p *plan) begin(key string, now time.Time) time.Time {
	if p.cron == nil {
		p.anchor = p.stagger.First(now, key)
		return p.stagger.Begin(p.anchor, key)
	}
	p.cursor = p.cron.From(schedule.ReadAt(now), p.missed)
	return p.rest(now)
}

// look says whether there is to be a run now, how many were missed, and when to look again; the zero time: never. Of what
// was due while the entry was paused (late) there is one run.
func (p *plan) look(key string, every schedule.Every, late bool, now time.Time) (due bool, missed int, again time.Time) {
	if p.cron == nil {
		p.anchor, missed = every.Next(p.anchor, now)
		return true, missed, p.stagger.Begin(p.anchor, key)
	}
	times, missed := p.cursor.Look(schedule.ReadAt(now))
	p.owed += len(times)
	if late {
		p.owed = min(p.owed, 1)
	}
	if most := cmp.Or(p.missed.Most, 10); p.owed > most { // they come faster than they end
		missed, p.owed = missed+p.owed-most, most
	}
	if p.owed == 0 {
		return false, missed, p.rest(now)
	}
	if p.owed--; p.owed > 0 {
		return true, missed, now // when this one has ended
	}
	return true, missed, p.rest(now)
}

// rest is when to look at a cron line again: in 30 s at the latest, for the clock on the wall may be set.
func (p *plan) rest(now time.Time) time.Time {
	wait := p.cursor.Wait()
	if wait < 0 {
		return time.Time{}
	}
	return now.Add(wait)
}

// staleAt is until when a value that was good at good is fresh enough: from the first run that was due after it, half of
// the time to the second. The zero time: for ever.
func (p *plan) staleAt(good time.Time) time.Time {
	first := p.cron.Next(good)
	if first.IsZero() {
		return first
	}
	second := p.cron.Next(first)
	if second.IsZero() {
		return second
	}
	return first.Add(second.Sub(first) / 2)
}
