package pool

import (
	"fmt"
	"strings"
	"testing"

	"fandango/ipc"
)

// TestPrintBetweenAnswersOfOneReadHidesNone: half a character, printed between two answers that come together, must not
// take the second one with it.
func TestPrintBetweenAnswersOfOneReadHidesNone(t *testing.T) {
	for _, c := range []struct {
		wire    ipc.Wire
		written string
	}{
		{ipc.Msgpack, "\x92\xa2k0\x00" + "caf\xc3" + "\x92\xa2k1\x01" + "\xe2\x82" + "\x92\xa2k2\x02"},
		{ipc.JSON, `["k0", 0]` + "\n" + `no line end: ["k1", 1]` + "\n" + `nor here: ["k2", 2]` + "\n"},
	} {
		t.Run(string(c.wire), func(t *testing.T) {
			p := &Pool{cfg: Config{Wire: c.wire, Event: func(Event) {}}}
			w := &worker{pool: p, slot: &slot{pool: p}}
			var got []string
			for i := range 3 {
				key := fmt.Sprintf("k%d", i)
				p.pending.Add(1)
				w.assign(p.newCall(ipc.Task{Key: key}, func(o ipc.Outcome) { got = append(got, fmt.Sprintf("%s=%v", key, o.Value)) }))
				w.flight.at(i).written = true
			}
			w.in = ipc.NewDecoder(strings.NewReader(c.written), ipc.DecoderConfig{Wire: c.wire, Oldest: w.oldest, Text: func([]byte) {}})
			err := w.hear()
			if all := strings.Join(got, " "); err != nil || all != "k0=0 k1=1 k2=2" {
				t.Errorf("heard %q, %v; want all three answers", all, err)
			}
		})
	}
}
