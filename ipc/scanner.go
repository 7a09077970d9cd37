package ipc

import (
	"errors"
	"fmt"
)

// Scanner finds the end of an encoded value in bytes that come in pieces of any size. It believes nothing: it adds up
// what every open container still owes, and refuses a value as soon as a head takes it over a limit, before a byte of
// what that head promises is waited for. It does not recurse and does not allocate.
//
// The zero Scanner is ready, with the default limits.
type Scanner struct {
	lim    Limits
	around int // 1: the tuple around a message's values counts for none of the limits but the size
	err    error

	// least is what the value takes at least: the bytes seen, those announced, and one for each value still owed.
	// 0: no value has begun.
	least      uint64
	elements   int64
	containers int

	code byte   // the head that is being read,
	need uint8  // how many bytes of its length are missing,
	n    uint64 // and the length as far as it is known
	skip uint64 // payload bytes still to pass

	look uint8  // how many bytes of an extension, its type first, are still to be looked at
	size uint64 // of the extension, without its type
	nano uint32 // the bytes behind the type, which have a timestamp's nanoseconds

	left  uint32 // values that the innermost open container owes
	depth int
	owed  [maxDepth + 1]uint32 // what the outer ones owe; one more for the tuple around a message's values
}

// NewScanner returns a Scanner with limits of its own.
func NewScanner(lim Limits) *Scanner { return &Scanner{lim: lim.orDefault()} }

// Reset forgets the value that is being scanned.
func (s *Scanner) Reset() {
	s.err, s.least, s.skip, s.need, s.look = nil, 0, 0, 0, 0
}

// Scan takes the next bytes and says how many of them belong to the value, and whether it ends with them; then the
// Scanner is ready for the next one. As long as a value has not ended, all of b belongs to it. An error is repeated
// until Reset.
func (s *Scanner) Scan(b []byte) (n int, done bool, err error) {
	if s.err != nil {
		return 0, false, s.err
	}
	if s.least == 0 {
		if s.lim.Size == 0 {
			s.lim = s.lim.orDefault()
		}
		s.least, s.left, s.depth = 1, 1, 0
		s.elements, s.containers = 1-4*int64(s.around), -s.around
	}
	for i := 0; i < len(b); {
		switch {
		case s.look > 0:
			s.extension(b[i])
			i++
			s.skip--
		case s.skip > 0:
			if rest := uint64(len(b) - i); s.skip > rest {
				s.skip -= rest
				return len(b), false, nil
			}
			i += int(s.skip)
			s.skip = 0
		case s.need > 0:
			s.n = s.n<<8 | uint64(b[i])
			i++
			if s.need--; s.need > 0 {
				continue
			}
			s.sized()
		default:
			h := heads[b[i]]
			s.code = b[i]
			i++
			switch h.class {
			case classFixed:
				s.scalar(uint64(h.arg))
			case classFixedExt:
				s.beginExt(uint64(h.arg) - 1)
			case classContainer:
				s.open(uint64(h.arg))
			case classInvalid:
				s.err = errReserved
			default:
				s.least += uint64(h.arg)
				s.need, s.n = h.arg, 0
				continue
			}
		}
		if s.err != nil {
			return i, false, s.err
		}
		if s.skip > 0 {
			continue
		}
		for s.left == 0 {
			if s.depth == 0 {
				s.least = 0
				return i, true, nil
			}
			s.depth--
			s.left = s.owed[s.depth]
		}
	}
	return len(b), false, nil
}

// sized acts on a length that is complete.
func (s *Scanner) sized() {
	switch heads[s.code].class {
	case classData:
		s.scalar(s.n)
	case classExt:
		s.beginExt(s.n)
	case classMap:
		s.open(2 * s.n)
	default:
		s.open(s.n)
	}
}

// scalar begins the payload of a value that holds no others.
func (s *Scanner) scalar(payload uint64) {
	s.left--
	s.skip = payload
	if s.least += payload; s.least > uint64(s.lim.Size) {
		s.err = limitError{"bytes", s.least, s.lim.Size}
	}
}

// beginExt begins an extension of n bytes and its type.
func (s *Scanner) beginExt(n uint64) {
	s.scalar(n + 1)
	s.size, s.nano, s.look = n, 0, lookAt
}

const (
	lookAt    = 5    // bytes of an extension: the type, and where a timestamp has its nanoseconds
	timestamp = 0xff // the type, -1
)

// extension looks at one byte of an extension: a timestamp has 4, 8 or 12 bytes, and less than 10⁹ ns.
func (s *Scanner) extension(c byte) {
	s.look--
	switch {
	case s.look == lookAt-1 && c != timestamp:
		s.look = 0
	case s.look == lookAt-1 && s.size == 4: // seconds and nothing else
		s.look = 0
	case s.look == lookAt-1 && s.size != 8 && s.size != 12:
		s.err = fmt.Errorf("a timestamp has 4, 8 or 12 bytes, and this one %d", s.size)
	case s.look == lookAt-1:
	default:
		s.nano = s.nano<<8 | uint32(c)
	}
	if s.look > 0 || s.nano == 0 {
		return
	}
	if s.size == 8 {
		s.nano >>= 2 // its lowest bits are of the seconds
	}
	if s.nano >= 1e9 {
		s.err = fmt.Errorf("a timestamp has less than 1e9 ns, and this one %d", s.nano)
	}
}

// open enters a container of n values.
func (s *Scanner) open(n uint64) {
	s.left--
	s.least += n
	s.elements += int64(n)
	s.containers++
	switch {
	case s.least > uint64(s.lim.Size):
		s.err = limitError{"bytes", s.least, s.lim.Size}
	case s.elements > int64(s.lim.Elements):
		s.err = limitError{"values", uint64(s.elements), s.lim.Elements}
	case s.containers > s.lim.Containers:
		s.err = limitError{"arrays and maps", uint64(s.containers), s.lim.Containers}
	case s.depth == s.lim.Depth+s.around:
		s.err = limitError{"levels of nesting", uint64(s.lim.Depth + 1), s.lim.Depth}
	default:
		s.owed[s.depth] = s.left
		s.depth++
		s.left = uint32(n)
	}
}

// limitError says which limit a value breaks.
type limitError struct {
	what  string
	least uint64
	limit int
}

func (e limitError) Error() string {
	return fmt.Sprintf("it has at least %d %s; the limit is %d", e.least, e.what, e.limit)
}

var (
	errReserved = errors.New("the byte c1 is no msgpack")
	errCut      = errors.New("it is cut off")
)

// whole returns an error unless b is exactly one value within the limits.
func (s *Scanner) whole(b []byte) error {
	s.Reset()
	switch n, done, err := s.Scan(b); {
	case err != nil:
		return err
	case !done:
		return errCut
	case n < len(b):
		return fmt.Errorf("%d bytes follow it", len(b)-n)
	}
	return nil
}

// class says how a head goes on after its first byte.
type class uint8

const (
	classInvalid   class = iota
	classFixed           // arg: the payload's size
	classFixedExt        // arg: the same, with the type
	classContainer       // arg: how many values follow
	classData            // arg: the size of the length, here and below
	classExt
	classArray
	classMap
)

type head struct {
	class class
	arg   uint8
}

// heads tells the class of each first byte.
var heads = func() (h [256]head) {
	for c := range 256 {
		switch {
		case c < 0x80 || c >= 0xe0:
			h[c] = head{classFixed, 0}
		case c < 0x90:
			h[c] = head{classContainer, uint8(2 * (c & 0x0f))}
		case c < 0xa0:
			h[c] = head{classContainer, uint8(c & 0x0f)}
		case c < 0xc0:
			h[c] = head{classFixed, uint8(c & 0x1f)}
		}
	}
	for c, arg := range map[int]uint8{
		0xc0: 0, 0xc2: 0, 0xc3: 0, 0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
	} {
		h[c] = head{classFixed, arg}
	}
	for c, arg := range map[int]uint8{0xd4: 2, 0xd5: 3, 0xd6: 5, 0xd7: 9, 0xd8: 17} {
		h[c] = head{classFixedExt, arg}
	}
	for i := range 3 {
		h[0xc4+i] = head{classData, 1 << i}
		h[0xd9+i] = head{classData, 1 << i}
		h[0xc7+i] = head{classExt, 1 << i}
	}
	for i := range 2 {
		h[0xdc+i] = head{classArray, 2 << i}
		h[0xde+i] = head{classMap, 2 << i}
	}
	return h
}()
