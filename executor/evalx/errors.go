package evalx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"fandango/executor"
	"fandango/ipc"
)

func taskError(kind, format string, args ...any) *ipc.Error {
	return &ipc.Error{Kind: ipc.KindTask, Type: kind, Message: fmt.Sprintf(format, args...)}
}

func syntaxError(message string) *ipc.Error { return taskError("SyntaxError", "%s", message) }

func typeError(format string, args ...any) *ipc.Error { return taskError("TypeError", format, args...) }

func valueError(format string, args ...any) *ipc.Error {
	return taskError("ValueError", format, args...)
}

// explain makes an error of the evaluator one that a Python user knows.
func (e *Evaluator) explain(err error) error {
	var eval *starlark.EvalError
	trace := ""
	if errors.As(err, &eval) && hasFunction(eval.CallStack) {
		trace = eval.Backtrace()
	}
	if known, ok := errors.AsType[*ipc.Error](err); ok {
		if trace == "" || known.Trace != "" || known.Kind != ipc.KindTask {
			return known
		}
		with := *known
		with.Trace = trace
		return &with
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var names resolve.ErrorList
	if errors.As(err, &names) && len(names) > 0 {
		return e.badName(names[0])
	}
	message := err.Error()
	if m := unknown().FindStringSubmatch(message); m != nil {
		named := e.nameError(m[1])
		named.Trace = trace
		return named
	}
	return &ipc.Error{Kind: ipc.KindTask, Type: classify(message), Message: message, Trace: trace, Cause: err}
}

// hasFunction reports whether a function of the user's was running: otherwise a trace says nothing.
func hasFunction(stack starlark.CallStack) bool {
	for _, frame := range stack {
		if frame.Pos.Line > 0 && frame.Name != expressionName && frame.Name != "<toplevel>" {
			return true
		}
	}
	return false
}

// pattern is compiled when it is first needed: most workers never have an error, and all are to start fast.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// What the interpreter and the resolver say of a name that is not there.
var (
	unknown   = pattern(`^internal error: predeclared variable (\S+) is uninitialized`)
	undefined = pattern(`^undefined: (\S+)`)
)

func (e *Evaluator) badName(at resolve.Error) *ipc.Error {
	if m := undefined().FindStringSubmatch(at.Msg); m != nil {
		return e.nameError(m[1])
	}
	return syntaxError(fmt.Sprintf("line %d: %s", at.Pos.Line, at.Msg))
}

func (e *Evaluator) nameError(name string) *ipc.Error {
	message := fmt.Sprintf("name %q is not defined", name)
	if near := executor.Nearest(name, slices.Collect(maps.Keys(e.names))); near != "" {
		message += "; did you mean " + near + "?"
	}
	return taskError("NameError", "%s", message)
}

// classes are Python's names for what Starlark says, first match wins.
var classes = []struct {
	pattern func() *regexp.Regexp
	name    string
}{
	{pattern(`division by zero|modulo by zero`), "ZeroDivisionError"},
	{pattern(`^key .* not in dict|missing key|^pop: dictionary is empty`), "KeyError"},
	{pattern(`out of range|index .*out of`), "IndexError"},
	{pattern(`has no \.|can't assign to \.`), "AttributeError"},
	{pattern(`referenced before assignment`), "UnboundLocalError"},
	{pattern(`stack overflow`), "RecursionError"},
	{pattern(`too large|excessive repeat|out of range of|too big`), "OverflowError"},
	{pattern(`^fail: `), "Error"},
	{pattern(`invalid literal|cannot parse|got an empty|empty sequence|not enough values|too many values|substring not found|value not found|json\.(decode|encode|indent)`), "ValueError"},
	{pattern(`want|missing argument|missing \d+ argument|accepts|unexpected keyword|unknown binary op|not iterable|invalid call|has no len|unhashable|not implemented|unknown unary op|not hashable|multiple values|cannot|unsupported`), "TypeError"},
}

func classify(message string) string {
	for _, c := range classes {
		if c.pattern().MatchString(message) {
			return c.name
		}
	}
	return "Error"
}

// notStarlark are things of Python that are not there, with what to write instead.
var notStarlark = []struct {
	pattern func() *regexp.Regexp
	hint    string
}{
	{pattern(`\*\*`), "there is no **: write pow(a, b)"},
	{pattern(`\bis\b`), "there is no is: write == or !="},
	{pattern(`\b[fF]["']`), `there are no f-strings: write "%.2f" % x or "{}".format(x)`},
	{pattern(`\b[uU]["']`), `there is no u"…": every string is Unicode`},
	{pattern(`\b(try|except|finally|raise|class|with|del|assert|yield|async|await|global|nonlocal)\b`), "the language is Starlark: there is no try, raise, class, with, del, assert, yield or global"},
	{pattern(`[<>=]=?[^<>=]+[<>]=?`), "comparisons cannot be chained: write a < b and b < c"},
}

// gotToken finds the token in what the parser says.
var gotToken = pattern(`^got '?([^',\s]+)'?,`)

// badSyntax says where the parser stopped, and what it may be.
func badSyntax(text string, at syntax.Error) *ipc.Error {
	place, column := offset(text, at.Pos), int(at.Pos.Col)
	if m := gotToken().FindStringSubmatch(at.Msg); m != nil && strings.HasSuffix(text[:place], m[1]) {
		place -= len(m[1]) // the parser has read it already
		column -= len(m[1])
	}
	message := fmt.Sprintf("column %d: %s", column, at.Msg)
	if strings.Contains(text, "\n") {
		message = fmt.Sprintf("line %d, %s", at.Pos.Line, message)
	}
	const near = 200 // what the parser stumbled over is not far
	around := text[max(0, place-near):min(len(text), place+near)]
	for _, n := range notStarlark {
		if n.pattern().MatchString(around) {
			return syntaxError(message + " (" + n.hint + ")")
		}
	}
	return syntaxError(message)
}
