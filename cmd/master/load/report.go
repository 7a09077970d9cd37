package load

import (
	"time"

	"fandango/internal/latency"
	"fandango/ipc"
)

// Report is what was measured. As JSON it is the line that `make compare` has from each peer.
type Report struct {
	Peer       string  `json:"peer"`
	Mode       Mode    `json:"mode"`
	Workers    int     `json:"workers"`
	Tasks      int64   `json:"tasks"` // that have ended
	Payload    int     `json:"payload"`
	Idempotent bool    `json:"idempotent"`
	Failed     int64   `json:"failed"`
	Seconds    float64 `json:"seconds"`
	TasksPerS  float64 `json:"tasks_per_s"`
	P50        Micros  `json:"p50_us"` // of those that were done; when pipelined, of each 16th
	P90        Micros  `json:"p90_us"`
	P99        Micros  `json:"p99_us"`
	Max        Micros  `json:"max_us"`
	MBPerS     float64 `json:"mb_per_s"`                  // of payload, one way
	RSS        int64   `json:"master_rss_bytes,omitzero"` // at most, so far
	Error      string  `json:"error,omitempty"`           // the first failure
	Kind       string  `json:"kind,omitempty"`            // of Error

	Times *latency.Histogram `json:"-"`
}

// Micros is a time in microseconds.
type Micros float64

// MicrosOf returns d in microseconds.
func MicrosOf(d time.Duration) Micros { return Micros(float64(d.Round(10*time.Nanosecond)) / 1e3) }

// Report returns what Drive has measured; Peer, Workers and RSS are the caller's to fill in. No tasks: nothing was
// measured.
func (l *Load) Report() Report {
	ended := l.ended()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Report{
		Mode: l.Mode, Tasks: ended, Payload: l.Payload, Idempotent: l.Options.Idempotent, Failed: l.failed, Seconds: l.took.Seconds(),
		P50: MicrosOf(l.times.At(0.50)), P90: MicrosOf(l.times.At(0.90)), P99: MicrosOf(l.times.At(0.99)), Max: MicrosOf(l.times.Max()),
		Times: &l.times,
	}
	if l.first != nil {
		r.Error, r.Kind = l.first.Error(), string(ipc.KindOf(l.first))
	}
	if l.took > 0 {
		r.TasksPerS = float64(r.Tasks) / l.took.Seconds()
		r.MBPerS = r.TasksPerS * float64(l.Payload) / 1e6
	}
	return r
}
