package evalx

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Compiled expressions are kept by their text alone: names are looked up when they run, so whatever the session does to
// a name, it is seen.
const (
	maxCached       = 1024
	maxCachedSource = 4 << 10   // of one text
	maxCachedBytes  = 512 << 10 // of all; what a text is compiled to takes some twenty times as much
)

// cache keeps what was used lately, in two generations: when the young one is full it becomes the old one, and the old
// one goes; what is used again is young again. The zero cache is empty.
type cache struct {
	young, old map[string]compiled
	bytes      int // of the texts of young
}

// compiled is an expression, ready to be evaluated.
type compiled struct {
	fn     *starlark.Function
	lambda any // what it stands for, when that is the same each time; nil: it may not be
}

func (c *cache) get(text []byte) (compiled, bool) {
	x, ok := c.young[string(text)]
	if !ok {
		if x, ok = c.old[string(text)]; ok {
			c.put(string(text), x)
		}
	}
	return x, ok
}

func (c *cache) put(text string, x compiled) {
	if len(text) > maxCachedSource {
		return
	}
	if c.young == nil || len(c.young) >= maxCached/2 || c.bytes+len(text) > maxCachedBytes/2 {
		c.young, c.old, c.bytes = map[string]compiled{}, c.young, 0
	}
	c.young[text] = x
	c.bytes += len(text)
}

// isConstantLambda reports whether an expression is a func that does not change from one evaluation to the next: the
// defaults of its parameters would be evaluated each time.
func isConstantLambda(x syntax.Expr) bool {
	l, ok := unparen(x).(*syntax.LambdaExpr)
	if !ok {
		return false
	}
	for _, param := range l.Params {
		if _, hasDefault := param.(*syntax.BinaryExpr); hasDefault {
			return false
		}
	}
	return true
}
