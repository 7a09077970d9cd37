package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// oracle finds the end of the first value in b the naive way. It returns 0 when b ends before it, and an error when
// the value is malformed or breaks a limit, no matter whether a later byte would show it first.
func oracle(b []byte, lim Limits) (int, error) {
	o := oracleState{lim: lim.orDefault()}
	n, err := o.value(b, 1)
	if err == nil && n > o.lim.Size {
		err = errOracle
	}
	return n, err
}

var (
	errOracle = errors.New("refused")
	errShort  = errors.New("cut off")
)

type oracleState struct {
	lim                  Limits
	containers, elements int
}

func (o *oracleState) value(b []byte, depth int) (int, error) {
	if o.elements++; o.elements > o.lim.Elements {
		return 0, errOracle
	}
	if len(b) == 0 {
		return 0, errShort
	}
	length := func(size int) (int, error) {
		if len(b) < 1+size {
			return 0, errShort
		}
		var wide [8]byte
		copy(wide[8-size:], b[1:1+size])
		return int(binary.BigEndian.Uint64(wide[:])), nil
	}
	data := func(head, n int) (int, error) {
		if n < 0 || len(b)-head < n { // below 0: beyond an int, on 32 bits
			return 0, errShort
		}
		return head + n, nil
	}
	extension := func(head, n int) (int, error) { // behind its length comes the type, which is -1 for timestamps
		size, err := data(head+1, n)
		if err != nil || b[head] != 0xff {
			return size, err
		}
		switch body := b[head+1 : size]; {
		case n == 4:
		case n == 8 && binary.BigEndian.Uint64(body)>>34 < 1e9:
		case n == 12 && binary.BigEndian.Uint32(body) < 1e9:
		default:
			return 0, errOracle
		}
		return size, nil
	}
	items := func(head, n int) (int, error) {
		if o.containers++; o.containers > o.lim.Containers || depth > o.lim.Depth {
			return 0, errOracle
		}
		if n < 0 {
			return 0, errOracle // beyond an int, on 32 bits
		}
		at := head
		for range n {
			size, err := o.value(b[at:], depth+1)
			if err != nil {
				return 0, err
			}
			at += size
		}
		return at, nil
	}
	c := b[0]
	switch {
	case c < 0x80 || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3:
		return 1, nil
	case c < 0x90:
		return items(1, 2*int(c-0x80))
	case c < 0xa0:
		return items(1, int(c-0x90))
	case c < 0xc0:
		return data(1, int(c-0xa0))
	case c == 0xc1:
		return 0, errOracle
	case c >= 0xd4 && c <= 0xd8:
		return extension(1, 1<<(c-0xd4))
	case c >= 0xd0 && c <= 0xd3:
		return data(1, 1<<(c-0xd0))
	case c >= 0xcc && c <= 0xcf:
		return data(1, 1<<(c-0xcc))
	case c == 0xca || c == 0xcb:
		return data(1, 4<<(c-0xca))
	}
	sizes := map[byte]int{0xc4: 1, 0xc5: 2, 0xc6: 4, 0xc7: 1, 0xc8: 2, 0xc9: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4}
	n, err := length(sizes[c])
	if err != nil {
		return 0, err
	}
	head := 1 + sizes[c]
	switch c {
	case 0xc7, 0xc8, 0xc9:
		return extension(head, n)
	case 0xdc, 0xdd:
		return items(head, n)
	case 0xde, 0xdf:
		return items(head, 2*n)
	}
	return data(head, n)
}

// checkAgainstOracle scans b in pieces as cuts says and compares with the oracle.
func checkAgainstOracle(t *testing.T, b, cuts []byte, lim Limits) {
	t.Helper()
	want, wantErr := oracle(b, lim)
	s := NewScanner(lim)
	total, done := 0, false
	var err error
	for i := 0; total < len(b) && !done && err == nil; i++ {
		piece := b[total:]
		if len(cuts) > 0 {
			piece = piece[:min(len(piece), 1+int(cuts[i%len(cuts)]))]
		}
		var n int
		n, done, err = s.Scan(piece)
		if !done && err == nil && n != len(piece) {
			t.Fatalf("Scan took %d of %d bytes and is not done", n, len(piece))
		}
		total += n
	}
	switch {
	case wantErr == nil && (!done || total != want):
		t.Fatalf("% x: scanned %d bytes, done %v, err %v; the oracle says %d", preview(b), total, done, err, want)
	case errors.Is(wantErr, errOracle) && err == nil:
		t.Fatalf("% x: done %v after %d bytes; the oracle refuses it", preview(b), done, total)
	case errors.Is(wantErr, errShort) && done:
		t.Fatalf("% x: done after %d bytes; the oracle says that it is cut off", preview(b), total)
	}
	if err != nil && wantErr == nil {
		t.Fatalf("% x: %v; the oracle takes it", preview(b), err)
	}
}

var scanLimits = Limits{Size: 64, Depth: 4, Containers: 6, Elements: 24}

func TestScannerAgainstOracle(t *testing.T) {
	// All heads, with lengths 0, 1, 2 and some payload, whole and in pieces.
	for c := range 256 {
		for _, tail := range [][]byte{nil, {0}, {1, 0}, {0, 1, 0}, {0, 0, 0, 2, 0, 0}, bytes.Repeat([]byte{1}, 60), bytes.Repeat([]byte{0x91}, 10), {0xff, 0xff, 0xff, 0xff}} {
			b := append([]byte{byte(c)}, tail...)
			for _, cuts := range [][]byte{nil, {0}, {1}, {2, 0}} {
				checkAgainstOracle(t, b, cuts, scanLimits)
			}
		}
	}
}

func TestScannerGoesOnToTheNextValue(t *testing.T) {
	var s Scanner
	b := raw(t, "92 01 a161 05 81 c0 c0 90")
	var sizes []int
	for len(b) > 0 {
		n, done, err := s.Scan(b)
		if !done || err != nil {
			t.Fatalf("Scan = %d, %v, %v", n, done, err)
		}
		sizes = append(sizes, n)
		b = b[n:]
	}
	if got := fmt.Sprint(sizes); got != "[4 1 3 1]" {
		t.Errorf("sizes = %s", got)
	}
}

func TestScannerRepeatsItsErrorUntilReset(t *testing.T) {
	var s Scanner
	_, _, first := s.Scan([]byte{0xc1})
	_, _, again := s.Scan([]byte{0x01})
	if first == nil || again != first { //nolint:errorlint // the very same
		t.Errorf("errors %v, then %v", first, again)
	}
	s.Reset()
	if n, done, err := s.Scan([]byte{0x01}); n != 1 || !done || err != nil {
		t.Errorf("after Reset: %d, %v, %v", n, done, err)
	}
}

// W04: the limit itself is allowed, one more is refused from the head alone.
func TestScannerLimitsExactly(t *testing.T) {
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n-1), 0x90) }
	list := func(n int, item byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0xdd}, uint32(n)), bytes.Repeat([]byte{item}, n)...)
	}
	tests := []struct {
		name      string
		lim       Limits
		fits, not []byte
		refusedAt int
	}{
		{"size", Limits{Size: 10}, append([]byte{0xc4, 8}, make([]byte, 8)...), []byte{0xc4, 9}, 2},
		{"size of what is owed", Limits{Size: 10}, list(5, 1), list(6, 1), 5},
		{"depth", Limits{}, nested(128), nested(129), 129},
		{"containers", Limits{Containers: 3}, list(2, 0x90), list(3, 0x90), 8},
		{"elements", Limits{Elements: 5}, list(4, 1), list(5, 1), 5},
	}
	for _, tt := range tests {
		s := NewScanner(tt.lim)
		if n, done, err := s.Scan(tt.fits); n != len(tt.fits) || !done || err != nil {
			t.Errorf("%s: at the limit: %d, %v, %v", tt.name, n, done, err)
		}
		if n, _, err := s.Scan(tt.not); n != tt.refusedAt || err == nil {
			t.Errorf("%s: beyond the limit: %v after %d bytes, want an error after %d", tt.name, err, n, tt.refusedAt)
		}
	}
}

func TestScannerDoesNotAllocate(t *testing.T) {
	b := encoded(t, map[string]any{"a": []any{1, 2.5, "text", nil}, "b": []byte("bytes")})
	s := NewScanner(Limits{})
	if n := testing.AllocsPerRun(100, func() {
		for i := range b {
			if _, _, err := s.Scan(b[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzScanner(f *testing.F) {
	for _, b := range bombs() {
		f.Add(b[:min(len(b), 200)], []byte{0})
	}
	f.Add([]byte{0x93, 0xa1, 'k', 0xc0, 0x81, 0xd9, 1, 'x', 0xc7, 1, 5, 0}, []byte{2, 0, 1})
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		checkAgainstOracle(t, b, cuts, scanLimits)
		checkAgainstOracle(t, b, nil, scanLimits)
	})
}
