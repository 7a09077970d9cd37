package evalx

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// contact are names to try a master with.
func (e *Evaluator) contact() map[string]builtin {
	return map[string]builtin{
		"add":     add,
		"echo":    echo,
		"host":    host,
		"loadavg": loadavg,
		"print":   e.print,
		"rand":    random,
		"sleep":   e.sleep,
		"square":  e.square,
		"upper":   upper,
	}
}

func add(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 0 || len(kwargs) > 0 {
		return nil, typeError("add: want values to add, in order")
	}
	total := args[0]
	for _, v := range args[1:] {
		var err error
		if total, err = starlark.Binary(syntax.PLUS, total, v); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
	}
	return total, nil
}

// echo answers its argument; several make a list, named ones a map.
func echo(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	switch {
	case len(kwargs) > 0 && len(args) > 0:
		return nil, typeError("%s: want arguments in order or by name, not both", b.Name())
	case len(kwargs) > 0:
		d := starlark.NewDict(len(kwargs))
		for _, pair := range kwargs {
			if err := d.SetKey(pair[0], pair[1]); err != nil {
				return nil, err
			}
		}
		return d, nil
	case len(args) == 0:
		return starlark.None, nil
	case len(args) == 1:
		return args[0], nil
	}
	return starlark.NewList(args), nil
}

// print writes to the worker's stderr, which master logs.
func (e *Evaluator) print(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	sep := " "
	if err := starlark.UnpackArgs(b.Name(), nil, kwargs, "sep?", &sep); err != nil {
		return nil, err
	}
	var line strings.Builder
	for i, v := range args {
		if i > 0 {
			line.WriteString(sep)
		}
		s, err := str(v)
		if err != nil {
			return nil, err
		}
		line.WriteString(s)
	}
	line.WriteByte('\n')
	_, err := io.WriteString(e.cfg.Stderr, line.String())
	return starlark.None, err
}

func host(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 0); err != nil {
		return nil, err
	}
	name, err := os.Hostname()
	return starlark.String(name), err
}

// loadavg is the machine's load over the last minute.
func loadavg(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 0); err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil, taskError("NotImplementedError", "loadavg: this system does not tell its load in /proc/loadavg")
	}
	minute, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(minute, 64)
	return starlark.Float(load), err
}

// random is a float from 0 up to, and without, 1.
func random(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 0); err != nil {
		return nil, err
	}
	return starlark.Float(rand.Float64()), nil //nolint:gosec // not for secrets
}

// sleep waits some seconds, and answers how many.
func (e *Evaluator) sleep(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var seconds starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &seconds); err != nil {
		return nil, err
	}
	const most = 1e9
	s, ok := starlark.AsFloat(seconds)
	if !ok {
		return nil, typeError("%s: want seconds, got %s", b.Name(), seconds.Type())
	}
	if !(s >= 0 && s <= most) { // also refuses what is no number
		return nil, valueError("%s: want 0 to %.0f seconds, got %v", b.Name(), most, s)
	}
	wait := time.NewTimer(time.Duration(s * float64(time.Second)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return seconds, nil
	case <-e.now.ctx.Done():
		return nil, e.now.ctx.Err()
	}
}

func (e *Evaluator) square(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &x); err != nil {
		return nil, err
	}
	if _, ok := starlark.AsFloat(x); !ok {
		return nil, typeError("%s: want a number, got %s", b.Name(), x.Type())
	}
	product, err := starlark.Binary(syntax.STAR, x, x)
	if err == nil {
		err = limited{e}.check(product)
	}
	return product, err
}

func upper(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s string
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &s); err != nil {
		return nil, err
	}
	return starlark.String(strings.ToUpper(s)), nil
}
