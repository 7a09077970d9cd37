package ipc

import (
	"encoding/binary"
	"math"
	"time"
)

// kind is what a token is.
type kind uint8

const (
	kindInvalid kind = iota // cut off, or the byte that msgpack never uses
	kindNil
	kindBool
	kindInt   // fits an int64
	kindUint  // above the largest int64
	kindFloat // either width
	kindString
	kindBytes
	kindArray
	kindMap
	kindExt
)

var kindNames = [...]string{"nothing", "nil", "a bool", "an integer", "an integer", "a float", "a string", "bytes", "an array", "a map", "an extension"}

func (k kind) String() string { return kindNames[k] }

// token is one step of a walk over an encoded value: a whole scalar, or the head of a container.
type token struct {
	kind kind
	ext  int8   // the type of an extension
	bits uint8  // the width of a float
	num  uint64 // a bool, an integer's or a float's bits
	n    int    // items of an array, pairs of a map
	data []byte // what a string, bytes or an extension holds
}

func (t token) float() float64 {
	if t.bits == 32 {
		return float64(math.Float32frombits(uint32(t.num)))
	}
	return math.Float64frombits(t.num)
}

// items is how many values a container holds.
func (t token) items() int {
	if t.kind == kindMap {
		return 2 * t.n
	}
	return t.n
}

// time returns the time that a timestamp extension holds, in UTC.
func (t token) time() (time.Time, bool) {
	if t.kind != kindExt || t.ext != -1 {
		return time.Time{}, false
	}
	var sec int64
	var nsec uint64
	switch len(t.data) {
	case 4:
		sec = int64(binary.BigEndian.Uint32(t.data))
	case 8:
		n := binary.BigEndian.Uint64(t.data)
		sec, nsec = int64(n&(1<<34-1)), n>>34
	case 12:
		nsec = uint64(binary.BigEndian.Uint32(t.data))
		sec = int64(binary.BigEndian.Uint64(t.data[4:]))
	default:
		return time.Time{}, false
	}
	if nsec >= 1e9 {
		return time.Time{}, false
	}
	return time.Unix(sec, int64(nsec)).UTC(), true
}

// next reads the token at the start of b and says how many bytes it takes: of a container, those of its head. It takes
// nothing on trust: an invalid token has size 0.
func next(b []byte) (t token, size int) {
	if len(b) == 0 {
		return token{}, 0
	}
	c := b[0]
	switch {
	case c < 0x80:
		return token{kind: kindInt, num: uint64(c)}, 1
	case c < 0x90:
		return token{kind: kindMap, n: int(c & 0x0f)}, 1
	case c < 0xa0:
		return token{kind: kindArray, n: int(c & 0x0f)}, 1
	case c < 0xc0:
		return payload(b, kindString, 1, uint64(c&0x1f))
	case c >= 0xe0:
		return token{kind: kindInt, num: uint64(int64(int8(c)))}, 1
	}
	h := heads[c]
	head := 1 + int(h.arg)
	switch {
	case h.class == classInvalid || len(b) < head:
		return token{}, 0
	case h.class == classFixed, h.class == classFixedExt:
		return fixed(c, b[1:head])
	}
	n := bigEndian(b[1:head])
	switch c {
	case 0xc4, 0xc5, 0xc6:
		return payload(b, kindBytes, head, n)
	case 0xd9, 0xda, 0xdb:
		return payload(b, kindString, head, n)
	case 0xc7, 0xc8, 0xc9:
		return payload(b, kindExt, head, n+1)
	}
	// Each value takes a byte at least.
	rest := uint64(len(b) - head)
	switch {
	case h.class == classArray && n <= rest:
		return token{kind: kindArray, n: int(n)}, head
	case h.class == classMap && 2*n <= rest:
		return token{kind: kindMap, n: int(n)}, head
	}
	return token{}, 0
}

// sizeOf returns the size of the first value of b, which a scanner has passed.
func sizeOf(b []byte) (n int) {
	if n = flatSize(b); n > 0 {
		return n
	}
	for owed := 1; owed > 0; owed-- {
		t, size := next(b[n:])
		n += size
		owed += t.items()
	}
	return n
}

// fixed reads a token whose size follows from its first byte.
func fixed(c byte, p []byte) (token, int) {
	size := 1 + len(p)
	switch c {
	case 0xc0:
		return token{kind: kindNil}, size
	case 0xc2, 0xc3:
		return token{kind: kindBool, num: uint64(c & 1)}, size
	case 0xca, 0xcb:
		return token{kind: kindFloat, bits: uint8(8 * len(p)), num: bigEndian(p)}, size
	case 0xcc, 0xcd, 0xce, 0xcf:
		n := bigEndian(p)
		if n > math.MaxInt64 {
			return token{kind: kindUint, num: n}, size
		}
		return token{kind: kindInt, num: n}, size
	case 0xd0, 0xd1, 0xd2, 0xd3:
		shift := 64 - 8*len(p)
		n := int64(bigEndian(p)<<shift) >> shift
		return token{kind: kindInt, num: uint64(n)}, size
	default: // fixext 1 … 16
		return token{kind: kindExt, ext: int8(p[0]), data: p[1:]}, size
	}
}

// payload reads n bytes after the head; of an extension, the first of them is its type.
func payload(b []byte, k kind, head int, n uint64) (token, int) {
	if n > uint64(len(b)-head) {
		return token{}, 0
	}
	end := head + int(n)
	if k == kindExt {
		return token{kind: k, ext: int8(b[head]), data: b[head+1 : end]}, end
	}
	return token{kind: k, data: b[head:end]}, end
}

func bigEndian(p []byte) (n uint64) {
	for _, c := range p {
		n = n<<8 | uint64(c)
	}
	return n
}

// The append functions write the shortest form.

func appendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(dst, uint64(n))
	case n >= -32:
		return append(dst, byte(n))
	case n >= math.MinInt8:
		return append(dst, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
}

func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n <= math.MaxUint8:
		return append(dst, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), n)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
}

// appendHead writes a head in the shortest of its forms: the fixed one below limit, then 8 (0: there is none), 16 and 32 bits.
func appendHead(dst []byte, n, limit int, fix, c8, c16, c32 byte) []byte {
	switch {
	case n < limit:
		return append(dst, fix|byte(n))
	case n <= math.MaxUint8 && c8 != 0:
		return append(dst, c8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, c16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, c32), uint32(n))
}

func appendStringHead(dst []byte, n int) []byte {
	return appendHead(dst, n, 32, 0xa0, 0xd9, 0xda, 0xdb)
}

func appendBytesHead(dst []byte, n int) []byte {
	return appendHead(dst, n, 0, 0, 0xc4, 0xc5, 0xc6)
}

func appendArrayHead(dst []byte, n int) []byte {
	return appendHead(dst, n, 16, 0x90, 0, 0xdc, 0xdd)
}

func appendMapHead(dst []byte, n int) []byte {
	return appendHead(dst, n, 16, 0x80, 0, 0xde, 0xdf)
}

func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	return append(appendStringHead(dst, len(s)), s...)
}

func appendBytes(dst, b []byte) []byte {
	return append(appendBytesHead(dst, len(b)), b...)
}

func appendExt(dst []byte, ext int8, b []byte) []byte {
	switch len(b) {
	case 1:
		dst = append(dst, 0xd4)
	case 2:
		dst = append(dst, 0xd5)
	case 4:
		dst = append(dst, 0xd6)
	case 8:
		dst = append(dst, 0xd7)
	case 16:
		dst = append(dst, 0xd8)
	default:
		dst = appendHead(dst, len(b), 0, 0, 0xc7, 0xc8, 0xc9)
	}
	return append(append(dst, byte(ext)), b...)
}

func appendTime(dst []byte, t time.Time) []byte {
	var b [12]byte
	sec, nsec := t.Unix(), uint32(t.Nanosecond())
	switch {
	case uint64(sec)>>34 != 0:
		binary.BigEndian.PutUint32(b[:], nsec)
		binary.BigEndian.PutUint64(b[4:], uint64(sec))
		return appendExt(dst, -1, b[:12])
	case nsec == 0 && sec <= math.MaxUint32:
		binary.BigEndian.PutUint32(b[:], uint32(sec))
		return appendExt(dst, -1, b[:4])
	}
	binary.BigEndian.PutUint64(b[:], uint64(nsec)<<34|uint64(sec))
	return appendExt(dst, -1, b[:8])
}
