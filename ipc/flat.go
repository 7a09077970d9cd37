package ipc

import "encoding/binary"

// Most values hold no others, or are short lists and maps of such. Their end is found at a glance, where the Scanner
// counts: flatSize says yes to nothing that a Scanner refuses, and leaves to it whatever is not flat or not whole.

// leafSize is the size of the value that b begins with, if it is whole and holds no others; otherwise, and of an extension,
// 0.
func leafSize(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	h := heads[b[0]]
	size := 1 + uint64(h.arg)
	if h.class == classData && uint64(len(b)) >= size {
		switch h.arg {
		case 1:
			size += uint64(b[1])
		case 2:
			size += uint64(binary.BigEndian.Uint16(b[1:]))
		default:
			size += uint64(binary.BigEndian.Uint32(b[1:]))
		}
	} else if h.class != classFixed {
		return 0
	}
	if size > uint64(len(b)) {
		return 0
	}
	return int(size)
}

// flatMost is how many values a flat list or map holds at most: beyond, the Scanner is as fast.
const flatMost = 4

// flatSize is leafSize for short lists and maps of leaves, too.
func flatSize(b []byte) int {
	if len(b) == 0 || heads[b[0]].class != classContainer {
		return leafSize(b)
	}
	items := heads[b[0]].arg
	if items > flatMost {
		return 0
	}
	size := 1
	for range items {
		n := leafSize(b[size:])
		if n == 0 {
			return 0
		}
		size += n
	}
	return size
}

// flatTuple is the size of the message that b begins with, if it is whole, and its values are flat; otherwise 0.
func flatTuple(b []byte) int {
	size := 1 + leafSize(b[1:])
	if size == 1 {
		return 0
	}
	for range b[0] - 0x91 {
		n := flatSize(b[size:])
		if n == 0 {
			return 0
		}
		size += n
	}
	return size
}

// admitsFlat says that no limit but the size can refuse a message of flat values.
func (l Limits) admitsFlat() bool { return l.Containers >= 3 && l.Elements >= 3*flatMost }
