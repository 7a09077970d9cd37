package shell

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time as a person writes it: "250ms", "3s", "5m", "6h", "2d", also "1h30m"; a bare number is
// seconds. It is a flag's value.
type Duration time.Duration

// ParseDuration reads a Duration. It refuses what is negative, not a number, or longer than 100 years.
func ParseDuration(s string) (time.Duration, error) {
	const longest = 100 * 365 * 24 * time.Hour
	bad := fmt.Errorf("%q is no duration: write 250ms, 3s, 5m, 6h, 2d, or seconds", s)
	var total float64
	for rest, first := s, true; first || rest != ""; first = false {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		value, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, bad
		}
		rest = rest[n:]
		unit := rest[:len(rest)-len(strings.TrimLeft(rest, "µabcdefghijklmnopqrstuvwxyz"))]
		rest = rest[len(unit):]
		length, ok := units[unit]
		if !ok || unit == "" && (!first || rest != "") {
			return 0, bad
		}
		total += value * float64(length)
	}
	if total > float64(longest) {
		return 0, fmt.Errorf("%q is longer than 100 years", s)
	}
	return time.Duration(math.Round(total)), nil
}

var units = map[string]time.Duration{
	"": time.Second, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// Set reads s.
func (d *Duration) Set(s string) error {
	v, err := ParseDuration(s)
	*d = Duration(v)
	return err
}

// Type names the value in a help text.
func (d *Duration) Type() string { return "D" }

// String writes the duration so that Set reads it; zero, which means none, is empty.
func (d *Duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Size is a number of bytes as a person writes it: "512MiB", "512M", "1G", "65536". Units are powers of 1024. It is a
// flag's value.
type Size int64

// ParseSize reads a Size of at least one byte.
func ParseSize(s string) (Size, error) {
	n := len(s) - len(strings.TrimLeft(s, "0123456789."))
	value, err := strconv.ParseFloat(s[:n], 64)
	unit := strings.ToUpper(strings.TrimSpace(s[n:]))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I")
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	by, ok := shift[unit]
	value *= float64(int64(1) << by)
	if err != nil || !ok || value < 1 || value > 1<<60 {
		return 0, fmt.Errorf("%q is no size: write 512MiB, 2G, or bytes", s)
	}
	return Size(value), nil
}

// Set reads s.
func (z *Size) Set(s string) error {
	v, err := ParseSize(s)
	*z = v
	return err
}

// Type names the value in a help text.
func (z *Size) Type() string { return "SIZE" }

// String writes the size so that Set reads it; zero, which means none, is empty.
func (z *Size) String() string {
	if *z == 0 {
		return ""
	}
	for _, u := range []struct {
		by   int
		name string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if one := Size(1) << u.by; *z >= one && *z%one == 0 {
			return strconv.FormatInt(int64(*z/one), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*z), 10)
}

// Human writes a duration for a person, in two digits: "0.21 ms", "41 ms", "1.2 s", "3 min", "15 h 26 min".
func Human(d time.Duration) string {
	switch {
	case d < 999500*time.Microsecond:
		return twoDigits(float64(d)/1e6) + " ms"
	case d < 100*time.Second:
		return seconds(d)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// seconds writes a duration in seconds, at least 0.01: "0.01 s", "9.4 s", "5 s", "132 s".
func seconds(d time.Duration) string {
	return twoDigits(max(math.Round(d.Seconds()*100)/100, 0.01)) + " s"
}

// twoDigits writes x with the two digits that count, without an exponent: "0", "0.01", "9.4", "86", "1 204".
func twoDigits(x float64) string {
	decimals := 3
	switch {
	case x >= 9.95:
		return grouped(int64(math.Round(x)))
	case x >= 0.995:
		decimals = 1
	case x >= 0.0995:
		decimals = 2
	}
	s := strings.TrimRight(strconv.FormatFloat(x, 'f', decimals, 64), "0")
	return strings.TrimSuffix(s, ".")
}

// grouped writes a count with a blank between thousands: "2 031".
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// Plural writes a count and its word: "1 task", "2 031 tasks".
func Plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return grouped(n) + " " + word + "s"
}
