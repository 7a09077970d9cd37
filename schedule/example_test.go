package schedule_test

import (
	"context"
	"fmt"
	"time"

	"fandango/schedule"
)

func ExampleEvery() {
	every, err := schedule.NewEvery(3 * time.Second)
	if err != nil {
		panic(err)
	}
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	next, missed := every.Next(start, start.Add(10*time.Second)) // a run that began 10 s late
	fmt.Println(next.Format(time.TimeOnly), "missed:", missed)
	// Output: 12:00:12 missed: 3
}

func ExampleStagger() {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := schedule.Stagger{Phase: time.Second, Spread: time.Minute}
	for _, name := range []string{"pressure", "current", "valves"} { // they would all run at the same moment
		fmt.Println(name, s.First(start, name).Format("15:04:05.000"))
	}
	// Output:
	// pressure 12:00:42.246
	// current 12:00:41.335
	// valves 12:00:05.600
}

func ExampleCron() {
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		panic(err)
	}
	c, err := schedule.ParseCron("*/20 9-17 * * 1-5", madrid)
	if err != nil {
		panic(err)
	}
	fmt.Println(c.Describe())
	for _, at := range c.Upcoming(time.Date(2026, 11, 22, 12, 0, 0, 0, madrid), 3) {
		fmt.Println(at.Format("Mon 2 Jan 15:04"))
	}
	_, err = schedule.ParseCron("0 0 30 2 *", nil)
	fmt.Println(err)
	// Output:
	// Every 20 minutes from 09:00 to 17:40, Monday to Friday (Europe/Madrid)
	// Mon 23 Nov 09:00
	// Mon 23 Nov 09:20
	// Mon 23 Nov 09:40
	// cron line "0 0 30 2 *": there is no such day: day of the month "30", month "2", day of the week "*"
}

// In the spring night, a fixed time in the gap comes at its end; in the autumn night, one that is shown twice comes once.
func ExampleCron_clockChange() {
	c, err := schedule.ParseCron("CRON_TZ=Europe/Madrid 30 2 * * *", nil)
	if err != nil {
		panic(err)
	}
	for _, night := range []string{"2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"} {
		from, _ := time.Parse(time.RFC3339, night)
		for _, at := range c.Upcoming(from, 2) {
			fmt.Println(at)
		}
	}
	// Output:
	// 2026-03-29 03:00:00 +0200 CEST
	// 2026-03-30 02:30:00 +0200 CEST
	// 2026-10-25 02:30:00 +0200 CEST
	// 2026-10-26 02:30:00 +0100 CET
}

// A laptop slept from two to ten.
func ExampleCursor() {
	c, err := schedule.ParseCron("0 * * * *", time.UTC)
	if err != nil {
		panic(err)
	}
	clocks := schedule.Reading{Wall: time.Date(2026, 11, 22, 2, 1, 0, 0, time.UTC)}
	cursor := c.From(clocks, schedule.Missed{Runs: schedule.MissedAll, Most: 2})
	clocks.Wall, clocks.Passed = clocks.Wall.Add(8*time.Hour), clocks.Passed+8*time.Hour
	due, missed := cursor.Look(clocks)
	for _, at := range due {
		fmt.Println(at.Format(time.TimeOnly))
	}
	fmt.Println("missed:", missed, "next:", cursor.Next().Format(time.TimeOnly))
	// Output:
	// 09:00:00
	// 10:00:00
	// missed: 6 next: 11:00:00
}

func ExampleLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	loop := schedule.NewLoop(func(item string, _ time.Time) {
		fmt.Println(item)
		if item == "end" {
			cancel()
		}
	})
	loop.Add("end", time.Now().Add(2*time.Millisecond))
	loop.Add("tea", time.Now().Add(time.Millisecond))
	loop.Run(ctx)
	// Output:
	// tea
	// end
}

func ExampleParseDuration() {
	for _, s := range []string{"250ms", "2d", "1.5", "-3s"} {
		d, err := schedule.ParseDuration(s)
		fmt.Println(d, err)
	}
	// Output:
	// 250ms <nil>
	// 48h0m0s <nil>
	// 1.5s <nil>
	// 0s duration "-3s": must not be negative
}
