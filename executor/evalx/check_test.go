package evalx_test

import (
	"fmt"
	"testing"

	"fandango/executor/evalx"
)

func TestCheckExpression(t *testing.T) {
	for text, want := range map[string]string{
		"a + b":                "<nil>",
		"a +\n b  # both":      "<nil>",
		"a + * b":              "SyntaxError: column 5: got '*', want primary expression",
		"a +\n* b":             "SyntaxError: line 2, column 1: got '*', want primary expression",
		"a + b)":               "SyntaxError: column 6: unexpected ')'",
		"a ** b":               "SyntaxError: column 3: got '**', want ')' (there is no **: write pow(a, b))",
		"a + (b":               "SyntaxError: column 7: got end of file, want ')'",
		"x = 5":                "SyntaxError: column 3: got '=', want ')'",
		"":                     "SyntaxError: there is nothing to evaluate",
		"import math":          "SyntaxError: column 1: got import, want primary expression",
		"\"\"\"a\nb\"\"\" + 1": "<nil>",
	} {
		if got := fmt.Sprint(evalx.CheckExpression(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
