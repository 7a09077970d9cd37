package evalx

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Starlark's integers grow without bound, and nothing can interrupt a multiplication. So `a * b` and `a << b`, by which
// they grow fast, are rewritten as `limited | a * b`; and `a[b] *= c`, where that cannot be written, as
// `a[b] *= limited ^ c`. By sums they grow so slowly that the time of the evaluation ends them.
const limitedName = "*"

// maxBits bounds an integer: it takes microseconds to multiply two of these.
const maxBits = 1 << 16

// maxDigits bounds the text of an integer, as maxBits does; reading it takes quadratic time.
const maxDigits = 20_000

// limited is what a rewritten product is made with.
type limited struct{ e *Evaluator }

func (limited) String() string        { return "limited" }
func (limited) Type() string          { return "limited" }
func (limited) Freeze()               {}
func (limited) Truth() starlark.Bool  { return true }
func (limited) Hash() (uint32, error) { return 0, typeError("unhashable type: limited") }

// Binary is `limited | product` or `limited ^ factor`.
func (l limited) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if op == syntax.CIRCUMFLEX {
		return factor{l, y}, nil
	}
	return y, l.check(y)
}

// check refuses what is too large, and counts steps for what is large.
func (l limited) check(v starlark.Value) error {
	n, ok := v.(starlark.Int)
	if !ok {
		return nil
	}
	if _, small := n.Int64(); small {
		return nil
	}
	bits := n.BigInt().BitLen()
	if bits > maxBits {
		return tooManyBits(bits)
	}
	words := uint64(bits) / 64 //nolint:gosec // not negative
	l.e.thread.Steps += words * words / 64
	return nil
}

func tooManyBits(bits int) error {
	return taskError("OverflowError", "an integer of %d bits is too large; it may have %d, and a result 64", bits, maxBits)
}

// factor is what a value is multiplied with by `*=`.
type factor struct {
	limited
	v starlark.Value
}

// Binary is `x *= factor`, x being of one of Starlark's own types.
func (f factor) Binary(op syntax.Token, x starlark.Value, side starlark.Side) (starlark.Value, error) {
	if side == starlark.Left {
		return nil, nil //nolint:nilnil // Starlark's way to say that there is no such operation
	}
	product, err := starlark.Binary(op, x, f.v)
	if err == nil {
		err = f.check(product)
	}
	return product, err
}
