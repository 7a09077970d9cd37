package master

import (
	"hash/maphash"
	"math/bits"
)

// index finds rows by their keys. It is a hash table with chains, and it grows by one chain at a time (linear hashing): so no
// insert takes long, however many keys there are, and a key costs 16 bytes where it costs a map, which holds it once more
// and may have half of its slots free, 35 to 56. The zero index is empty.
//
// A chain is made of numbers, and only the place of a row has its pointer: the garbage collector follows one for each row,
// in the order in which they came and mostly are in memory. From chain to chain it would go anywhere, and wait each time.
type index struct {
	seed  maphash.Seed
	pages []*[pageLength]place
	size  uint64 // how many chains there are, and places
	mask  uint64 // for the chain of a key: the smallest 2ⁿ−1 that is not below size−1
	rows  int
	free  uint32 // the first of the places that are; 0: none is
}

// place is where a row is, and where a chain begins. They are numbered from 1.
type place struct {
	row   *row
	next  uint32 // the place of the next row of its chain, or the next free place; 0: it is the last
	first uint32 // the place of the first row of the chain with this number; 0: there is none
}

// pageLength is how many places get their memory together: little enough that it takes no time.
const pageLength = 512

func (x *index) at(n uint32) *place { return &x.pages[(n-1)/pageLength][(n-1)%pageLength] }

// chain is where the chain begins in which a key is, when it is anywhere.
func (x *index) chain(key string) *uint32 { return x.chainOf(maphash.String(x.seed, key)) }

func (x *index) chainOf(hash uint64) *uint32 {
	i := hash & x.mask
	if i >= x.size {
		i &= x.mask >> 1 // the chain that this one will be split from
	}
	return &x.pages[i/pageLength][i%pageLength].first
}

// get returns the row of a key; nil: there is none.
func (x *index) get(key string) *row {
	if x.rows == 0 {
		return nil
	}
	for n := *x.chain(key); n != 0; {
		p := x.at(n)
		if p.row.key == key {
			return p.row
		}
		n = p.next
	}
	return nil
}

// add puts in a row whose key has none.
func (x *index) add(row *row) {
	x.rows++
	if x.free == 0 {
		x.grow()
	}
	n := x.free
	p := x.at(n)
	x.free, p.row = p.next, row
	x.push(n, p)
}

func (x *index) push(n uint32, p *place) {
	first := x.chain(p.row.key)
	p.next, *first = *first, n
}

// grow adds a chain and a place, and splits the chain whose keys may belong there.
func (x *index) grow() {
	i := x.size
	if i%pageLength == 0 {
		x.pages = append(x.pages, &[pageLength]place{})
	}
	x.size++
	x.free = uint32(x.size) //nolint:gosec // 2³² rows do not fit into memory
	switch {
	case i == 0:
		x.seed = maphash.MakeSeed()
		return
	case i > x.mask:
		x.mask = x.mask<<1 | 1
	}
	from := &x.pages[i&(x.mask>>1)/pageLength][i&(x.mask>>1)%pageLength].first
	n := *from
	*from = 0
	for n != 0 {
		p := x.at(n)
		next := p.next
		x.push(n, p)
		n = next
	}
}

// remove takes out a row; it may be out already.
func (x *index) remove(row *row) {
	if x.rows == 0 {
		return
	}
	for at := x.chain(row.key); *at != 0; {
		n := *at
		p := x.at(n)
		if p.row == row {
			*at, p.next, p.row = p.next, x.free, nil
			x.free = n
			x.rows--
			return
		}
		at = &p.next
	}
}

// all ranges over the rows, in no order; the one at hand may be removed.
func (x *index) all(yield func(*row) bool) {
	for n := range x.size {
		if row := x.at(uint32(n + 1)).row; row != nil && !yield(row) {
			return
		}
	}
}

// scan ranges over the rows chain by chain, so that the index may change meanwhile. It calls yield for the rows of one chain,
// and returns where to go on; it begins at 0, and has come to the end when it returns 0. A key that is there from the
// beginning to the end comes once, and none comes twice.
//
// It goes by the hashes with their bits reversed. In that order the keys of a chain stand next to each other, since a chain
// is what the low bits of the hash say, and a chain that is split becomes two neighbours: what lies behind stays behind.
func (x *index) scan(at uint64, yield func(*row)) (next uint64) {
	if x.rows == 0 {
		return 0
	}
	hash := bits.Reverse64(at)
	for n := *x.chainOf(hash); n != 0; {
		p := x.at(n)
		n = p.next // first: the row at hand may be removed
		yield(p.row)
	}
	low := bits.Len64(x.mask) // so many bits say which chain it is; one less, when it will be split in this round
	if hash&x.mask|(x.mask>>1+1) >= x.size && low > 0 {
		low--
	}
	return at + 1<<(64-low)
}
