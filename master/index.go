package master

import "hash/maphash"

// index finds rows by their keys. It is a hash table with chains, which the rows themselves form, and it grows by one
// chain at a time (linear hashing): so no insert takes long, however many keys there are, and a key costs 17 bytes
// where it costs a map, which holds it once more and may have half of its slots free, 35 to 56. The zero index is empty.
type index struct {
	seed   maphash.Seed
	chains []*row
	mask   uint64 // for the place of a key: the smallest 2ⁿ−1 that is not below len(chains)−1
	rows   int
}

func (x *index) len() int { return x.rows }

// place says in which chain a key is, when it is anywhere.
func (x *index) place(key string) uint64 {
	i := maphash.String(x.seed, key) & x.mask
	if i >= uint64(len(x.chains)) {
		i &= x.mask >> 1 // the chain that this one will be split from
	}
	return i
}

// get returns the row of a key; nil: there is none.
func (x *index) get(key string) *row {
	if x.rows == 0 {
		return nil
	}
	row := x.chains[x.place(key)]
	for row != nil && row.key != key {
		row = row.next
	}
	return row
}

// add puts in a row whose key has none.
func (x *index) add(row *row) {
	x.rows++
	if x.rows > len(x.chains) {
		x.grow()
	}
	x.push(row)
}

func (x *index) push(row *row) {
	i := x.place(row.key)
	row.next, x.chains[i] = x.chains[i], row
}

// grow adds a chain, and splits the one whose keys may belong there.
func (x *index) grow() {
	n := uint64(len(x.chains))
	x.chains = append(x.chains, nil)
	switch {
	case n == 0:
		x.seed = maphash.MakeSeed()
		return
	case n > x.mask:
		x.mask = x.mask<<1 | 1
	}
	from := n & (x.mask >> 1)
	row := x.chains[from]
	x.chains[from] = nil
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
	for at := &x.chains[x.place(row.key)]; *at != nil; at = &(*at).next {
		if *at == row {
			*at, row.next = row.next, nil
			x.rows--
			return
		}
	}
}

// all ranges over the rows, in no order; the one at hand may be removed.
func (x *index) all(yield func(*row) bool) {
	for _, row := range x.chains {
		for row != nil {
			next := row.next
			if !yield(row) {
				return
			}
			row = next
		}
	}
}
