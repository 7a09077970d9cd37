package schedule

// heap orders slots by time: a 4-ary heap with the place of each slot, 16 bytes a slot. It grows by pages: a slice of a
// million would be copied when it grows, and who asks for so much memory while the garbage collector marks a large heap
// has to help it for that long.
//
// Its places begin at root, so that the four below one stand in one page, and mostly in one line of the processor's cache.
type heap struct {
	pages []*page
	slots int // that there are
	n     int // that have a time
}

// page is a part of a heap.
type page struct {
	at    [pageLength]int64  // the times, in heap order
	slot  [pageLength]uint32 // whose time it is
	place [pageLength]int32  // by slot: where it stands in the heap; 0: nowhere
}

const pageLength = 512

const root = 3

func above(i int) int { return i/4 + 2 }
func below(i int) int { return 4 * (i - 2) } // the first of four

func (h *heap) at(i int) *int64       { return &h.pages[i/pageLength].at[i%pageLength] }
func (h *heap) slot(i int) *uint32    { return &h.pages[i/pageLength].slot[i%pageLength] }
func (h *heap) place(s uint32) *int32 { return &h.pages[s/pageLength].place[s%pageLength] }

// grow makes one more slot, and a place for it.
func (h *heap) grow() uint32 {
	if (root+h.slots)/pageLength == len(h.pages) {
		h.pages = append(h.pages, &page{})
	}
	h.slots++
	return uint32(h.slots - 1) //nolint:gosec // a heap of 2³¹ entries does not fit
}

// set puts a slot in, or moves it.
func (h *heap) set(slot uint32, at int64) {
	i := int(*h.place(slot))
	if i == 0 {
		i = root + h.n
		h.n++
	}
	h.fix(i, at, slot)
}

// remove takes a slot out; it may be out already.
func (h *heap) remove(slot uint32) {
	place := h.place(slot)
	i := int(*place)
	if i == 0 {
		return
	}
	*place = 0
	h.n--
	if last := root + h.n; i < last {
		h.fix(i, *h.at(last), *h.slot(last))
	}
}

// fix puts slot where it belongs, when the place i is free for it.
func (h *heap) fix(i int, at int64, slot uint32) {
	for i > root { // up
		parent := above(i)
		first := *h.at(parent)
		if first <= at {
			break
		}
		h.put(i, first, *h.slot(parent))
		i = parent
	}
	for end := root + h.n; ; { // down
		child := below(i)
		if child >= end {
			break
		}
		four := h.pages[child/pageLength].at[child%pageLength:][:min(4, end-child)]
		least := 0
		for c, t := range four {
			if t < four[least] {
				least = c
			}
		}
		if four[least] >= at {
			break
		}
		child += least
		h.put(i, four[least], *h.slot(child))
		i = child
	}
	h.put(i, at, slot)
}

func (h *heap) put(i int, at int64, slot uint32) {
	p := h.pages[i/pageLength]
	p.at[i%pageLength], p.slot[i%pageLength] = at, slot
	*h.place(slot) = int32(i) //nolint:gosec // see grow
}
