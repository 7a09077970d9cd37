package schedule

// heap orders slots by time: a flat 4-ary heap with the place of each slot, 16 bytes an entry.
type heap struct {
	at    []int64  // the times, in heap order
	slot  []uint32 // whose time it is
	place []int32  // by slot: where it stands in the heap; -1: nowhere
}

func (h *heap) len() int { return len(h.at) }

// set puts a slot in, or moves it.
func (h *heap) set(slot uint32, at int64) {
	i := int(h.place[slot])
	if i < 0 {
		i = len(h.at)
		h.at = append(h.at, at)
		h.slot = append(h.slot, slot)
	}
	h.fix(i, at, slot)
}

// remove takes a slot out; it may be out already.
func (h *heap) remove(slot uint32) {
	i := int(h.place[slot])
	if i < 0 {
		return
	}
	h.place[slot] = -1
	last := len(h.at) - 1
	at, moved := h.at[last], h.slot[last]
	h.at, h.slot = h.at[:last], h.slot[:last]
	if i < last {
		h.fix(i, at, moved)
	}
}

// fix puts slot where it belongs, when the place i is free for it.
func (h *heap) fix(i int, at int64, slot uint32) {
	for i > 0 { // up
		parent := (i - 1) / 4
		if h.at[parent] <= at {
			break
		}
		h.put(i, h.at[parent], h.slot[parent])
		i = parent
	}
	for { // down
		child := 4*i + 1
		if child >= len(h.at) {
			break
		}
		for c := child + 1; c < min(4*i+5, len(h.at)); c++ {
			if h.at[c] < h.at[child] {
				child = c
			}
		}
		if h.at[child] >= at {
			break
		}
		h.put(i, h.at[child], h.slot[child])
		i = child
	}
	h.put(i, at, slot)
}

func (h *heap) put(i int, at int64, slot uint32) {
	h.at[i], h.slot[i], h.place[slot] = at, slot, int32(i) //nolint:gosec // a heap of 2³¹ entries does not fit
}
