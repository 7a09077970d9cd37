package master

// node is a place in a list. It is part of what stands there, so that joining and leaving allocate nothing.
type node[T any] struct {
	in         *list[T] // nil: in none
	prev, next *node[T]
	it         T
}

// list is a queue whose members can leave from the middle.
type list[T any] struct{ head, tail *node[T] }

func (l *list[T]) push(n *node[T]) {
	n.in, n.prev = l, l.tail
	if l.tail == nil {
		l.head = n
	} else {
		l.tail.next = n
	}
	l.tail = n
}

func (n *node[T]) leave() {
	l := n.in
	if l == nil {
		return
	}
	if n.prev == nil {
		l.head = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.tail = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.in, n.prev, n.next = nil, nil, nil
}

func (l *list[T]) empty() bool { return l.head == nil }

// first is the member at the head; the zero T when there is none.
func (l *list[T]) first() (it T) {
	if l.head != nil {
		it = l.head.it
	}
	return it
}

// last is the member at the tail; the zero T when there is none.
func (l *list[T]) last() (it T) {
	if l.tail != nil {
		it = l.tail.it
	}
	return it
}

// all ranges over the members; the one at hand may leave.
func (l *list[T]) all(yield func(T) bool) {
	for n := l.head; n != nil; {
		next := n.next
		if !yield(n.it) {
			return
		}
		n = next
	}
}
