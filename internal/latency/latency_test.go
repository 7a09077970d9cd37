package latency

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestPercentiles(t *testing.T) {
	var h Histogram
	if h.At(0.5) != 0 || h.Max() != 0 || h.N() != 0 {
		t.Errorf("an empty one: p50 %v, max %v, n %d", h.At(0.5), h.Max(), h.N())
	}
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for part, want := range map[float64]time.Duration{
		0: time.Millisecond, 0.5: 500 * time.Millisecond, 0.95: 950 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second,
	} {
		if got := h.At(part); math.Abs(float64(got-want)/float64(want)) > 0.035 {
			t.Errorf("At(%v) = %v, want %v within 3 %%", part, got, want)
		}
	}
	if h.At(0.9999) > h.Max() {
		t.Errorf("%v of them are above the longest, %v", h.At(0.9999), h.Max())
	}
	if h.Max() != time.Second || h.N() != 1000 {
		t.Errorf("max %v, n %d; want exactly 1s and 1000", h.Max(), h.N())
	}
}

func TestBuckets(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-1, 0, 1, 63, 64, 65, math.MaxInt64} {
		b := bucket(uint64(max(d, 0)))
		if m := middle(b); d > 0 && math.Abs(float64(m-d)/float64(d)) > 0.035 {
			t.Errorf("middle(bucket(%d)) = %d", d, m)
		}
		h.Add(d)
	}
	if h.N() != 7 || h.Max() != math.MaxInt64 {
		t.Errorf("n %d, max %d", h.N(), h.Max())
	}
}

func TestOctaves(t *testing.T) {
	type octave struct {
		below time.Duration
		n     int64
	}
	for _, c := range []struct {
		name      string
		durations []time.Duration
		want      []octave
	}{
		{"none", nil, nil},
		{"one", []time.Duration{1024}, []octave{{2048, 1}}},
		{"a border and what is below it", []time.Duration{1023, 1024}, []octave{{1024, 1}, {2048, 1}}},
		{"a gap is told", []time.Duration{600, 3000}, []octave{{1024, 1}, {2048, 0}, {4096, 1}}},
		{"the shortest", []time.Duration{0, 31, 32, 63, 64}, []octave{{32, 2}, {64, 2}, {128, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h Histogram
			for _, d := range c.durations {
				h.Add(d)
			}
			var got []octave
			for below, n := range h.Octaves() {
				got = append(got, octave{below, n})
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("octaves of %v = %v, want %v", c.durations, got, c.want)
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Add(31 * time.Microsecond)
	}
}
