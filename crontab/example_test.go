//go:build unix

package crontab_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fandango/crontab"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	tab := crontab.New(crontab.Config{Result: func(crontab.Result) { cancel() }})
	job, err := tab.Add(crontab.Line{
		Name: "greet", When: "* * * * * *", // every second
		Task: func(context.Context) (any, error) { return "good morning", nil },
	})
	if err != nil {
		panic(err)
	}
	if err := tab.Run(ctx); err != nil {
		panic(err)
	}
	r, _ := job.Get()
	fmt.Println(job.Cron().Describe()[:12], r.Job, r.Value, r.Err)
	// Output: Every second greet good morning <nil>
}

// Fandango's CronTab('30 4 * * 0 make backup'): do_task runs it at once; what it printed and its exit code are kept.
func ExampleParseLine() {
	line, err := crontab.ParseLine("30 4 * * 0  echo $((6*7)); exit 3", time.UTC)
	if err != nil {
		panic(err)
	}
	job, err := crontab.New(crontab.Config{}).Add(line)
	if err != nil {
		panic(err)
	}
	r := job.Do(context.Background(), nil)
	out, _ := r.Value.(crontab.Output)
	fmt.Printf("%q %d %v\n", out.Stdout, out.Code, r.Err)
	fmt.Println(job.Match(time.Date(2026, 11, 22, 4, 30, 59, 0, time.UTC))) // a Sunday
	// Output:
	// "42\n" 3 exit code 3
	// true
}

func ExampleParse() {
	lines, err := crontab.Parse(strings.NewReader(`# the night shift
CRON_TZ=Europe/Madrid
30 2 * * *   make backup
@weekly      mail -s report%All is well.
0 25 * * *   make tea
`), "night", nil)
	fmt.Println(len(lines), err)
	// Output:
	// 0 night:5: cron line "CRON_TZ=Europe/Madrid 0 25 * * *": hour "25": 25 is not between 0 and 23
}

func ExampleRange() {
	for at := range crontab.Range(context.Background(), 30*time.Millisecond, 10*time.Millisecond) {
		fmt.Println(at)
	}
	// Output:
	// 0s
	// 10ms
	// 20ms
}

func ExampleWait() {
	ctx, cancel := context.WithCancel(context.Background())
	for range crontab.Wait(ctx, time.Millisecond) {
		fmt.Println("a millisecond has passed")
	}
	cancel()
	for range crontab.Wait(ctx, time.Hour) {
		fmt.Println("an hour has passed")
	}
	// Output: a millisecond has passed
}
