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
