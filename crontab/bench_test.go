package crontab_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"fandango/crontab"
)

// How late the runs of a line begin on this machine, beside a bare timer that is set to the same times.
func BenchmarkLateness(b *testing.B) {
	const period = 10 * time.Millisecond
	b.Run("timer", func(b *testing.B) {
		due := time.Now().Add(period)
		timer := time.NewTimer(period)
		late := make([]time.Duration, 0, b.N)
		for range b.N {
			<-timer.C
			late = append(late, time.Since(due))
			due = due.Add(period)
			timer.Reset(time.Until(due))
		}
		report(b, late)
	})
	b.Run("crontab", func(b *testing.B) {
		ctx, cancel := context.WithCancel(b.Context())
		late := make([]time.Duration, 0, b.N)
		tab := crontab.New(crontab.Config{Result: func(r crontab.Result) {
			if late = append(late, r.Began.Round(0).Sub(r.Due)); len(late) == b.N {
				cancel()
			}
		}})
		j, err := tab.Add(crontab.Line{When: "@every 10ms", Keep: -1, Task: func(context.Context) (any, error) { return nil, nil }})
		if err != nil {
			b.Fatal(err)
		}
		if err := tab.Run(ctx); err != nil {
			b.Fatal(err)
		}
		report(b, late)
		b.ReportMetric(float64(j.Stats().Missed), "missed")
	})
}

func report(b *testing.B, late []time.Duration) {
	b.Helper()
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-µs")
}
