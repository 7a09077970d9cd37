package evalx

import (
	"errors"
	"strings"

	"go.starlark.net/syntax"
)

// CheckExpression returns what evaluating text would say about its syntax, and nil when it is one expression, which may
// go over several lines. Whoever wraps an expression into something larger can tell its errors by its own lines.
func CheckExpression(text string) error {
	if err := guard(text); err != nil {
		return err
	}
	if trim(text) == "" {
		return syntaxError("there is nothing to evaluate")
	}
	_, err := dialect.ParseExpr(sourceName, "(\n"+text+"\n)", 0)
	var at syntax.Error
	if !errors.As(err, &at) {
		return err
	}
	at.Pos.Line--
	if int(at.Pos.Line) <= 1+strings.Count(text, "\n") {
		return badSyntax(text, at)
	}
	if _, err := parse(text); err != nil { // it ends too early, or not at all
		return err
	}
	return syntaxError(at.Msg)
}
