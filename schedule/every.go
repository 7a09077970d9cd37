package schedule

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"time"
)

// The shortest and the longest period that Every takes. What is shorter would keep a CPU busy with the schedule alone;
// what is longer comes from a mistake in units.
const (
	MinPeriod = time.Millisecond
	MaxPeriod = 100 * 365 * 24 * time.Hour
)

// Every is an anchored period. The zero Every has no period and is never due; NewEvery makes one that is.
type Every struct{ period time.Duration }

// NewEvery checks a period. What is not between MinPeriod and MaxPeriod is refused.
func NewEvery(period time.Duration) (Every, error) {
	switch {
	case period <= 0:
		return Every{}, fmt.Errorf("a period must be above zero, not %v", period)
	case period < MinPeriod:
		return Every{}, fmt.Errorf("a period of %v is too short; the shortest is %v", period, MinPeriod)
	case period > MaxPeriod:
		return Every{}, fmt.Errorf("a period of %.0f days is too long; the longest is 100 years", period.Hours()/24)
	}
	return Every{period}, nil
}

// Period returns the period; 0 for the zero Every.
func (e Every) Period() time.Duration { return e.period }

// Next says how a schedule goes on when a run that was due at due starts at now: when the next run is due, the first
// time after now that is a whole number of periods after due; and how many due times between the two were missed. One
// run stands for all that were missed. When now is before due, the next run is the one at due.
func (e Every) Next(due, now time.Time) (next time.Time, missed int) {
	late := now.Sub(due)
	if e.period <= 0 || late < 0 {
		return due, 0
	}
	return due.Add(late - late%e.period).Add(e.period), int(late / e.period)
}

// Stagger says when within its periods something runs, so that things with the same period need not run all at once. The
// zero Stagger: the first time at the start, and each time when it is due.
type Stagger struct {
	// Phase is how long after the start the first run is due.
	Phase time.Duration
	// Spread is up to how much later that is for each name: always as much for the same one, evenly over the names.
	Spread time.Duration
	// Jitter is up to how much later than it is due a run begins, each time another. The next one is due as if it had not.
	Jitter time.Duration
}

// Check finds what does not go with a period: each part must be from 0 to the period.
func (s Stagger) Check(e Every) error {
	for _, part := range []struct {
		name string
		d    time.Duration
	}{{"phase", s.Phase}, {"spread", s.Spread}, {"jitter", s.Jitter}} {
		if part.d < 0 || part.d > e.period {
			return fmt.Errorf("the %s must be from 0 to the period of %v, not %v", part.name, e.period, part.d)
		}
	}
	return nil
}

// First returns when the first run of name is due, when it starts at start.
func (s Stagger) First(start time.Time, name string) time.Time {
	return start.Add(s.Phase + share(s.Spread, name, 0))
}

// Begin returns when the run of name that is due at due begins. It is the same each time that one asks.
func (s Stagger) Begin(due time.Time, name string) time.Time {
	return due.Add(share(s.Jitter, name, due.UnixNano()))
}

// share is a part of d, from 0 to less than d, that depends on a name and a number and on nothing else.
func share(d time.Duration, name string, number int64) time.Duration {
	if d <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(number))) //nolint:gosec // any 64 bits will do
	_, _ = io.WriteString(h, name)
	// FNV leaves the high bits of short names alike: mix them, as MurmurHash3 ends.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	part, _ := bits.Mul64(x^x>>33, uint64(d))
	return time.Duration(part) //nolint:gosec // it is less than d
}
