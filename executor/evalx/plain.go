package evalx

import (
	"encoding/binary"
	"math"

	"go.starlark.net/starlark"

	"fandango/ipc"
)

// plainArgs makes positional arguments of a tuple's args right away, without Go values in between, and appends them to
// dst. It says false where they are anything else than nothing, numbers, truths and texts, or a list of these: for that
// there is the long way, which also tells what is wrong.
func plainArgs(dst starlark.Tuple, args ipc.Raw) (starlark.Tuple, bool) {
	if args.IsNil() {
		return dst, true
	}
	n, rest := 1, args
	switch c := args[0]; {
	case c >= 0x90 && c <= 0x9f:
		n, rest = int(c&0xf), args[1:]
	case c == 0xdc && len(args) > 2:
		n, rest = int(binary.BigEndian.Uint16(args[1:])), args[3:]
	}
	for range n {
		v, size := plain(rest)
		if size == 0 {
			return dst, false
		}
		dst, rest = append(dst, v), rest[size:]
	}
	return dst, len(rest) == 0
}

// plain is the value that b begins with, and how many bytes it takes; 0: it is none of the plain ones.
func plain(b ipc.Raw) (v starlark.Value, size int) {
	if len(b) == 0 {
		return nil, 0
	}
	c := b[0]
	switch {
	case c <= 0x7f, c >= 0xe0:
		return starlark.MakeInt(int(int8(c))), 1 //nolint:gosec // the byte is the number
	case c >= 0xa0 && c <= 0xbf:
		return plainText(b, 1, int(c&0x1f))
	case c == 0xd9 && len(b) >= 2:
		return plainText(b, 2, int(b[1]))
	case c == 0xda && len(b) >= 3:
		return plainText(b, 3, int(binary.BigEndian.Uint16(b[1:])))
	case c == 0xc0:
		return starlark.None, 1
	case c == 0xc2, c == 0xc3:
		return starlark.Bool(c == 0xc3), 1
	case c == 0xcc && len(b) >= 2:
		return starlark.MakeInt(int(b[1])), 2
	case c == 0xcd && len(b) >= 3:
		return starlark.MakeInt(int(binary.BigEndian.Uint16(b[1:]))), 3
	case c == 0xce && len(b) >= 5:
		return starlark.MakeInt64(int64(binary.BigEndian.Uint32(b[1:]))), 5
	case c == 0xd0 && len(b) >= 2:
		return starlark.MakeInt(int(int8(b[1]))), 2 //nolint:gosec // two's complement is meant, here and below
	case c == 0xd1 && len(b) >= 3:
		return starlark.MakeInt(int(int16(binary.BigEndian.Uint16(b[1:])))), 3 //nolint:gosec // as above
	case c == 0xd2 && len(b) >= 5:
		return starlark.MakeInt64(int64(int32(binary.BigEndian.Uint32(b[1:])))), 5 //nolint:gosec // as above
	case c == 0xcb && len(b) >= 9:
		return starlark.Float(math.Float64frombits(binary.BigEndian.Uint64(b[1:]))), 9
	}
	return nil, 0
}

func plainText(b ipc.Raw, head, n int) (v starlark.Value, size int) {
	if len(b) < head+n {
		return nil, 0
	}
	return starlark.String(b[head : head+n]), head + n
}
