package master

import (
	"hash/maphash"
	"math/bits"
)

// index finds rows by their keys. It is a hash table with chains, which the rows themselves form, and it grows by one
// chain at a time (linear hashing): so no insert takes long, however many keys there are, and a key costs 17 bytes
// where it costs a map, which holds it once more and may have half of its slots free, 35 to 56. The zero index is empty.
type index struct {
	seed   maphash.Seed
	pages  []*[pageLength]*row // of chains
	chains uint64              // how many there are
	mask   uint64              // for the place of a key: the smallest 2ⁿ−1 that is not below chains−1
	rows   int
}

// pageLength is how many chains get their memory together: little enough that it takes no time.
const pageLength = 512

// chain is the one in which a key is, when it is anywhere.
func (x *index) chain(key string) **row { return x.chainOf(maphash.String(x.seed, key)) }

func (x *index) chainOf(hash uint64) **row {
	i := hash & x.mask
	if i >= x.chains {
		i &= x.mask >> 1 // the chain that this one will be split from
	}
	return x.at(i)
}

func (x *index) at(i uint64) **row { return &x.pages[i/pageLength][i%pageLength] }

// get returns the row of a key; nil: there is none.
func (x *index) get(key string) *row {
	if x.rows == 0 {
		return nil
	}
	row := *x.chain(key)
	for row != nil && row.key != key {
		row = row.next
	}
	return row
}

// add puts in a row whose key has none.
func (x *index) add(row *row) {
	x.rows++
	if x.rows > int(x.chains) { //nolint:gosec // they fit into memory
		x.grow()
	}
	x.push(row)
}

func (x *index) push(row *row) {
	chain := x.chain(row.key)
	row.next, *chain = *chain, row
}

// grow adds a chain, and splits the one whose keys may belong there.
func (x *index) grow() {
	n := x.chains
	if n%pageLength == 0 {
		x.pages = append(x.pages, &[pageLength]*row{})
	}
	x.chains++
	switch {
	case n == 0:
		x.seed = maphash.MakeSeed()
		return
	case n > x.mask:
		x.mask = x.mask<<1 | 1
	}
	from := x.at(n & (x.mask >> 1))
	row := *from
	*from = nil
	for row != nil {
		next := row.next
		x.push(row)
		row = next
	}
}

// remove takes out a row; it may be out already.
func (x *index) remove(row *row) {
	if x.rows == 0 {
		return
	}
	for at := x.chain(row.key); *at != nil; at = &(*at).next {
		if *at == row {
			*at, row.next = row.next, nil
			x.rows--
			return
		}
	}
}

// all ranges over the rows, in no order; the one at hand may be removed.
func (x *index) all(yield func(*row) bool) {
	for i := range x.chains {
		for row := *x.at(i); row != nil; {
			next := row.next
			if !yield(row) {
				return
			}
			row = next
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
	for row := *x.chainOf(hash); row != nil; row = row.next {
		yield(row)
	}
	low := bits.Len64(x.mask) // so many bits say which chain it is; one less, when it will be split in this round
	if hash&x.mask|(x.mask>>1+1) >= x.chains && low > 0 {
		low--
	}
	return at + 1<<(64-low)
}
