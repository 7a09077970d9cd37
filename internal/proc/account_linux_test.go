package proc

import (
	"errors"
	"slices"
	"testing"
)

// TestAChildOfAStartUnderWayIsNoOrphan: a look at the children, while a process is started beside it, may find that
// process before it is known whose it is.
func TestAChildOfAStartUnderWayIsNoOrphan(t *testing.T) {
	a := account{adopted: true, ours: map[int]struct{}{1: {}}}
	look := func(when string, children []int, want ...int) {
		t.Helper()
		if got := a.strangers(children); !slices.Equal(got, want) {
			t.Errorf("%s: of %v %v are strangers, want %v", when, children, got, want)
		}
	}
	look("nothing is started", []int{1, 7}, 7)

	first := a.begin()
	look("one is started", []int{1, 8, 9})
	second := a.begin()
	look("another one is started", []int{1, 8, 9, 10})
	a.over(first, 9, nil)
	look("the first is over", []int{1, 8, 9, 10}, 8)
	third := a.begin()
	a.over(second, 10, nil)
	look("the second is over, a third is started", []int{1, 9, 10, 11})
	a.over(third, 11, nil)
	look("all are over", []int{1, 9, 10, 11, 12}, 12)
	if len(a.suspects) > 0 || len(a.starting) > 0 {
		t.Errorf("suspects %v, starting %v; want none", a.suspects, a.starting)
	}
}

// TestANumberThatIsFreeAgainIsNotSuspected: the child of a start that fails is reaped by it, and another may get its number.
func TestANumberThatIsFreeAgainIsNotSuspected(t *testing.T) {
	a := account{adopted: true, ours: map[int]struct{}{}}
	failing := a.begin()
	if got := a.strangers([]int{5}); got != nil {
		t.Fatalf("%v are strangers", got)
	}
	a.over(failing, 0, errors.New("no such program"))
	good := a.begin()
	if got := a.strangers([]int{5}); got != nil {
		t.Errorf("%v are strangers, while that may be the child of a start under way", got)
	}
	a.over(good, 5, nil)
	if got := a.strangers([]int{5}); got != nil {
		t.Errorf("%v are strangers, which is ours", got)
	}
}
