package schedule

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are those of time.Duration and the day. A longer name comes before the one it begins with.
var units = []struct {
	name string
	size time.Duration
}{
	{"ns", time.Nanosecond},
	{"us", time.Microsecond},
	{"µs", time.Microsecond},
	{"ms", time.Millisecond},
	{"s", time.Second},
	{"m", time.Minute},
	{"h", time.Hour},
	{"d", 24 * time.Hour},
}

// ParseDuration reads a duration as a person types it: 250ms, 3s, 5m, 6h, 2d, 1.5h, 1h30m; a bare number is seconds. A
// day is 24 hours. A negative, an infinite or a too large duration is an error, and so is one that is not zero and
// shorter than a nanosecond.
func ParseDuration(s string) (time.Duration, error) {
	d, err := parse(strings.TrimSpace(s))
	if err != nil {
		return 0, fmt.Errorf("duration %q: %w", s, err)
	}
	return d, nil
}

func parse(s string) (time.Duration, error) {
	if s == "" {
		return 0, errors.New("empty; write 250ms, 3s, 5m, 6h or 2d")
	}
	if strings.HasPrefix(s, "-") {
		return 0, errors.New("must not be negative")
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if math.IsNaN(seconds) {
			return 0, errors.New("is not a number")
		}
		if strings.ContainsAny(s, "xXpP_") { // hexadecimal is for programs
			return 0, errors.New("is no duration; write 250ms, 3s, 5m, 6h or 2d")
		}
		if strings.ContainsAny(s, "eEiI") { // an exponent or an infinity
			return scale(seconds, time.Second)
		}
		s += "s"
	}
	var sum time.Duration
	for s = strings.TrimPrefix(s, "+"); s != ""; {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789."))
		number, rest := s[:digits], s[digits:]
		unit := strings.IndexAny(rest, "0123456789.")
		if unit < 0 {
			unit = len(rest)
		}
		part, err := quantity(number, rest[:unit])
		if err != nil {
			return 0, err
		}
		if sum += part; sum < 0 {
			return 0, errors.New("is too long")
		}
		s = rest[unit:]
	}
	return sum, nil
}

// quantity reads one number with its unit. The whole part is exact, however large.
func quantity(number, unit string) (time.Duration, error) {
	size := time.Duration(0)
	for _, u := range units {
		if u.name == unit {
			size = u.size
		}
	}
	if size == 0 || number == "" {
		return 0, errors.New("is no duration; write 250ms, 3s, 5m, 6h or 2d")
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if whole+fraction == "" || strings.Contains(fraction, ".") {
		return 0, fmt.Errorf("%q is no number", number)
	}
	var n int64
	if whole != "" {
		var err error
		if n, err = strconv.ParseInt(whole, 10, 64); err != nil || n > math.MaxInt64/int64(size) {
			return 0, errors.New("is too long")
		}
	}
	sum := time.Duration(n) * size
	if strings.Trim(fraction, "0") == "" {
		return sum, nil
	}
	f, err := strconv.ParseFloat("0."+fraction, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", number)
	}
	part, err := scale(f, size)
	if err != nil && sum == 0 {
		return 0, err
	}
	return sum + part, nil // the caller sees an overflow by its sign
}

// scale is f units as a duration.
func scale(f float64, unit time.Duration) (time.Duration, error) {
	ns := math.Round(f * float64(unit))
	switch {
	case ns >= math.MaxInt64:
		return 0, errors.New("is too long")
	case ns == 0 && f != 0:
		return 0, errors.New("is shorter than a nanosecond")
	}
	return time.Duration(ns), nil
}
