// Goworker is a worker in Go with typed handlers: what arrives is decoded into their parameters, or refused with a
// message that says what was wanted.
//
//	$ go build -o bin/goworker ./examples/goworker
//	$ printf 'sum 1 2 3.5\nsum 1 two\n' | master run -k -- bin/goworker
//	sum 1 2 3.5  6.5
//	master: FAILED sum 1 two: TypeError: sum: argument 1[1]: want a number, got string "two"
//	master: 2 tasks: 1 done, 1 failed in 0.03 s · 2 workers
//	$ master run -q --csv --named -t growth -o raw testdata/seattle-weather.csv -- bin/goworker | sort -g | tail -n 1
//	16.7
package main

import (
	"context"
	"errors"
	"math"

	"fandango/executor"
)

// day is a row of testdata/seattle-weather.csv: named arguments find their field as temp_max, TempMax or tempmax.
type day struct {
	Date                                  string
	Precipitation, TempMax, TempMin, Wind float64
	Weather                               string
}

// growth tells how much warmth a plant got that grows above 10 °C: the day's growing degrees.
func growth(_ context.Context, d day) (float64, error) {
	if d.TempMax < d.TempMin {
		return 0, errors.New(d.Date + ": temp_max is below temp_min")
	}
	degrees := max(0, (d.TempMax+d.TempMin)/2-10)
	return math.Round(10*degrees) / 10, nil
}

func sum(_ context.Context, numbers []float64) (float64, error) {
	var total float64
	for _, n := range numbers {
		total += n
	}
	return total, nil
}

func main() {
	var names executor.Registry
	executor.Handle(&names, "growth", growth)
	executor.Handle(&names, "sum", sum)
	executor.Main(&names) // serves stdin and stdout until stdin ends
}
