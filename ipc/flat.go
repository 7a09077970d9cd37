package ipc

import "encoding/binary"

// Most values hold no others, or are short lists and maps of such. Their end is found at a glance, where the Scanner
// counts: flatSize says yes to nothing that a Scanner refuses, and leaves to it whatever is not flat or not whole.

// leafEnd is where the value at b[at:] ends, if it is whole and holds no others; otherwise, and of an extension, 0.
func leafEnd(b []byte, at int) int {
	if at >= len(b) {
		return 0
	}
	h := heads[b[at]]
	end := uint64(at) + 1 + uint64(h.arg)
	switch {
	case end > uint64(len(b)):
		return 0
	case h.class == classFixed:
		return int(end)
	case h.class != classData:
		return 0
	}
	switch h.arg {
	case 1:
		end += uint64(b[at+1])
	case 2:
		end += uint64(binary.BigEndian.Uint16(b[at+1:]))
	default:
		end += uint64(binary.BigEndian.Uint32(b[at+1:]))
	}
	if end > uint64(len(b)) {
		return 0
	}
	return int(end)
}

// flatMost is how many values a flat list or map holds at most: beyond, the Scanner is as fast.
const flatMost = 4

// flatEnd is leafEnd for short lists and maps of leaves, too.
func flatEnd(b []byte, at int) int {
	if end := leafEnd(b, at); end > 0 || at >= len(b) {
		return end
	}
	h := heads[b[at]]
	if h.class != classContainer || h.arg > flatMost {
		return 0
	}
	at++
	for range h.arg {
		if at = leafEnd(b, at); at == 0 {
			return 0
		}
	}
	return at
}

// flatSize is how many bytes the flat value takes that b begins with; 0: it is not flat, or not whole.
func flatSize(b []byte) int { return flatEnd(b, 0) }

// flat takes the message apart that b begins with, if it is one, it is whole, and its values are flat. It returns its size,
// or 0.
func (d *Decoder) flat(b []byte, answer bool) int {
	if len(b) < 2 || !beginsTuple(b[0]) && (b[0] != 0x94 || answer) || !beginsString(b[1]) {
		return 0
	}
	at, m := 1, &d.found
	for i := range m.ends {
		if i >= int(b[0]&0x0f) {
			m.ends[i] = at
			continue
		}
		switch c := byteAt(b, at); {
		case c >= 0xa0 && c < 0xc0: // this and the next are what most values are
			at += 1 + int(c&0x1f)
		case c == 0xc4 || c == 0xd9:
			at += 2 + int(byteAt(b, at+1))
		default:
			if at = flatEnd(b, at); at == 0 {
				return 0
			}
		}
		m.ends[i] = at
	}
	if at > len(b) {
		return 0
	}
	_, head, _ := stringHead(b[1:])
	m.bytes, m.keyAt = b, 1+head
	return at
}

// byteAt is b[at], or 0 where b has ended.
func byteAt(b []byte, at int) byte {
	if at < len(b) {
		return b[at]
	}
	return 0
}

// admitsFlat says that no limit but the size can refuse a message of flat values.
func (l Limits) admitsFlat() bool { return l.Containers >= 3 && l.Elements >= 3*flatMost }
