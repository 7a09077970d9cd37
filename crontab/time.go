package crontab

import (
	"context"
	"iter"
	"time"
)

// Range is a loop that takes its time, Fandango's timed_range: it yields at once and then every period, for total, how much
// of total has passed. The k-th time is due k periods after the start, however long the body takes; times that went by
// meanwhile are left out. It ends when ctx does, without waiting any further. A period or a total of 0 or less yields
// nothing.
func Range(ctx context.Context, total, period time.Duration) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		if total <= 0 || period <= 0 {
			return
		}
		start := time.Now()
		timer := time.NewTimer(0)
		defer timer.Stop()
		for due := time.Duration(0); due < total; {
			timer.Reset(due - time.Since(start))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil || !yield(due) {
				return
			}
			due += period
			if late := time.Since(start) - due; late >= period {
				due += late - late%period
			}
		}
	}
}

// Wait is a wait that can be ended, Fandango's wait: the body of a loop over it is run once, after d, with the time then; and
// not at all when ctx ends first.
//
//	for range crontab.Wait(ctx, time.Minute) {
//		// a minute has passed
//	}
func Wait(ctx context.Context, d time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			if ctx.Err() == nil {
				yield(time.Now())
			}
		case <-ctx.Done():
		}
	}
}
