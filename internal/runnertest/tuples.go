package runnertest

import (
	"errors"
	"testing"

	"fandango/ipc"
)

// tuple is a target with its args, and what comes of it.
type tuple struct {
	target, args any
	want         string // the value as JSON, or the type of the error
}

// Rows 62 to 69 of what Fandango's WorkerProcess does with a tuple.
var (
	ofNames = []tuple{
		{"void", nil, `"void"`},
		{"void", []int{}, `"void"`},
		{"void", map[string]int{}, `"void"`},
		{"list", []int{1, 2}, `"list [1 2]"`},
		{"list", 5, `"list [5]"`},
		{"map", map[string]int{"x": 1, "y": 2}, `"x=1 y=2"`},
		{"map", []int{3, 4}, `"x=3 y=4"`},
		{"one", "text", `"one text"`},
		{"unit", nil, `"mm"`}, // not callable: it is the result
		{"unit", "", `"mm"`},
		{12, nil, `12`},
		{12, []int{1}, `12`},
		{"nope", []int{1}, "NameError"},
		{"void", []int{1}, "TypeError"},

		{"one", []any{[]int{1, 2}}, `"one [1 2]"`}, // BUG 67: a list of a list passed for a map
		{"one", []any{[]int{1, 2, 3}}, `"one [1 2 3]"`},
		{"__class__", nil, "NameError"},                  // BUG 68: it was NoneType
		{map[string]int{"a": 1}, nil, `{"a":1}`},         // BUG 69: the manual said that it would be evaluated
		{[]any{"void", 1}, []int{}, `["void",1]`},        // the same
		{map[string]any{"a": "void"}, 1, `{"a":"void"}`}, // the same
	}
	ofWhole = []tuple{
		{"some text", nil, `"whole some text"`},
		{map[string]int{"a": 1}, nil, "TypeError"}, // its arguments by name, and it has no names
		{"some text", []int{1}, "NameError"},
		{12, "", `12`},
	}
)

// tuples: what a tuple means is the same wherever it runs.
func (k Kit) tuples(t *testing.T) {
	k.play(t, func(t *testing.T, s *scene) { t.Helper(); s.resolves(ofNames) })
	if k.NewWhole != nil {
		k.New = k.NewWhole
		k.play(t, func(t *testing.T, s *scene) { t.Helper(); s.resolves(ofWhole) })
	}
}

func (s *scene) resolves(tuples []tuple) {
	s.t.Helper()
	s.run()
	for i, c := range tuples {
		task, err := ipc.NewTask(key("tuple", i), c.target, c.args)
		if err != nil {
			s.t.Fatal(err)
		}
		o := s.wait(s.accept(s.t.Context(), task))
		got := o.Value.String()
		if e, ok := errors.AsType[*ipc.Error](o.Err); ok {
			got = e.Type
		}
		if got != c.want {
			s.t.Errorf("(%v, %v) = %s %v, want %s", c.target, c.args, got, o.Err, c.want)
		}
	}
}
