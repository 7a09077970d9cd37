package ipc

import (
	"bytes"
	"cmp"
	"slices"
)

// Canonical returns the value with its map keys sorted and its integers and lengths in their shortest form, so that
// equal values have equal bytes. An absent value is nil. What is canonical already, as all that Encode and ParseJSON
// return, comes back as it is, not copied.
func Canonical(r Raw) (Raw, error) {
	if len(r) == 0 {
		return Raw{codeNil}, nil
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if _, ok := canonical(r); ok {
		return r, nil
	}
	dst, _ := appendCanonical(make([]byte, 0, len(r)), r)
	return dst, nil
}

// canonical reports whether the first value of b, which a scanner has passed, is certainly canonical, and its size.
func canonical(b []byte) (size int, ok bool) {
	t, size := next(b)
	var head [9]byte
	switch t.kind {
	case kindInt:
		return size, bytes.Equal(b[:size], appendInt(head[:0], int64(t.num))) // two forms have the same size
	case kindString:
		return size, size == len(t.data)+len(appendStringHead(head[:0], len(t.data)))
	case kindBytes:
		return size, size == len(t.data)+len(appendBytesHead(head[:0], len(t.data)))
	case kindArray:
		ok = size == len(appendArrayHead(head[:0], t.n))
	case kindMap:
		ok = size == len(appendMapHead(head[:0], t.n))
	case kindExt:
		return size, false
	default:
		return size, true
	}
	var last []byte
	for i := 0; ok && i < t.items(); i++ {
		var n int
		n, ok = canonical(b[size:])
		item := b[size : size+n]
		if t.kind == kindMap && i%2 == 0 {
			ok = ok && (last == nil || compareKeys(last, item) < 0)
			last = item
		}
		size += n
	}
	return size, ok
}

// appendCanonical writes the first value of src, which a scanner has passed, and returns what follows it.
func appendCanonical(dst, src []byte) (_, rest []byte) {
	t, size := next(src)
	rest = src[size:]
	switch t.kind {
	case kindInt:
		dst = appendInt(dst, int64(t.num))
	case kindString:
		dst = appendString(dst, t.data)
	case kindBytes:
		dst = appendBytes(dst, t.data)
	case kindExt:
		dst = appendExt(dst, t.ext, t.data)
	case kindArray:
		dst = appendArrayHead(dst, t.n)
		for range t.n {
			dst, rest = appendCanonical(dst, rest)
		}
	case kindMap:
		dst = appendMapHead(dst, t.n)
		pairs := newPairs(dst, t.n)
		for range t.n {
			pairs.key(dst)
			dst, rest = appendCanonical(dst, rest)
			pairs.value(dst)
			dst, rest = appendCanonical(dst, rest)
		}
		dst, _ = pairs.sort(dst, false)
	default: // nil, a bool, a float, the largest integers: they have one form
		dst = append(dst, src[:size]...)
	}
	return dst, rest
}

// pairs notes where the pairs of a map are written, to sort them in place.
type pairs struct {
	start  int
	bounds []bound
}

// bound is where a key and its value begin.
type bound struct{ key, value int }

func newPairs(dst []byte, n int) pairs {
	return pairs{start: len(dst), bounds: make([]bound, 0, min(n, 64))}
}

func (p *pairs) key(dst []byte)   { p.bounds = append(p.bounds, bound{key: len(dst)}) }
func (p *pairs) value(dst []byte) { p.bounds[len(p.bounds)-1].value = len(dst) }

// sort puts the pairs from start to the end of dst in order and says how many there are. With unique, the last of
// equal keys stays.
func (p *pairs) sort(dst []byte, unique bool) ([]byte, int) {
	if len(p.bounds) < 2 {
		return dst, len(p.bounds)
	}
	type pair struct{ key, all []byte }
	list := make([]pair, len(p.bounds))
	sorted := true
	for i, b := range p.bounds {
		end := len(dst)
		if i+1 < len(p.bounds) {
			end = p.bounds[i+1].key
		}
		list[i] = pair{dst[b.key:b.value], dst[b.key:end]}
		sorted = sorted && (i == 0 || compareKeys(list[i-1].key, list[i].key) < 0)
	}
	if sorted {
		return dst, len(list)
	}
	if unique {
		slices.SortStableFunc(list, func(a, b pair) int { return compareKeys(a.key, b.key) })
		last := list[:0]
		for i, x := range list {
			if i+1 == len(list) || !bytes.Equal(x.key, list[i+1].key) {
				last = append(last, x)
			}
		}
		list = last
	} else {
		slices.SortFunc(list, func(a, b pair) int {
			return cmp.Or(compareKeys(a.key, b.key), bytes.Compare(a.all, b.all))
		})
	}
	ordered := make([]byte, 0, len(dst)-p.start)
	for _, x := range list {
		ordered = append(ordered, x.all...)
	}
	return append(dst[:p.start], ordered...), len(list)
}

// compareKeys orders encoded keys: strings by their text and after everything else, which is by its bytes.
func compareKeys(a, b []byte) int {
	ta, _ := next(a)
	tb, _ := next(b)
	switch isA, isB := ta.kind == kindString, tb.kind == kindString; {
	case isA && isB:
		return bytes.Compare(ta.data, tb.data)
	case isA:
		return 1
	case isB:
		return -1
	}
	return bytes.Compare(a, b)
}
