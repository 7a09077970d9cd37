package master

// node is a place in a list. It is part of what stands there, so that joining and leaving allocate nothing.
type node[T any] struct {
	prev, next *node[T] // a ring; nil: it is in no list
	it         T
}

// list is a queue whose members can leave from the middle. Its zero value is empty.
type list[T any] struct{ head *node[T] }

func (n *node[T]) stands() bool { return n.next != nil }

func (l *list[T]) push(n *node[T]) {
	if l.head == nil {
		l.head, n.prev, n.next = n, n, n
		return
	}
	tail := l.head.prev
	n.prev, n.next = tail, l.head
	tail.next, l.head.prev = n, n
}

// drop takes out a member; one that is in no list stays there.
func (l *list[T]) drop(n *node[T]) {
	switch n.next {
	case nil:
		return
	case n:
		l.head = nil
	default:
		n.prev.next, n.next.prev = n.next, n.prev
		if l.head == n {
			l.head = n.next
		}
	}
	n.prev, n.next = nil, nil
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
	if l.head != nil {
		it = l.head.prev.it
	}
	return it
}

// all ranges over the members that there are now; the one at hand may leave.
func (l *list[T]) all(yield func(T) bool) {
	if l.head == nil {
		return
	}
	last := l.head.prev
	for n := l.head; ; {
		next := n.next
		if !yield(n.it) || n == last {
			return
		}
		n = next
	}
}
