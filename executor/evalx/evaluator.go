package evalx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.starlark.net/starlark"

	"fandango/executor"
	"fandango/ipc"
)

// Config says how an Evaluator works. Its zero value is ready to use.
type Config struct {
	// Executor is what names are looked up on before they are evaluated, and the name `executor` of an expression.
	// Its classes can be bound. nil: none.
	Executor executor.Executor
	// Timeout bounds each evaluation. 0: none.
	Timeout time.Duration
	// Steps bounds the steps of each evaluation; a step is a few nanoseconds. 0: DefaultSteps; below 0: none.
	Steps int64
	// Stderr gets what print writes. nil: os.Stderr.
	Stderr io.Writer
}

// DefaultSteps is how many steps an evaluation may take when nothing else is said: some ten seconds of work.
const DefaultSteps = 1_000_000_000

// Evaluator is an executor of expressions. It runs one task at a time; others wait.
type Evaluator struct {
	cfg  Config
	turn turn // guards all that follows

	names   starlark.StringDict // built-ins, modules and the session, in one: looked up when an expression runs
	on      any                 // what names are looked up on: a Go executor, or a thing of ours
	of      int                 // how many workers there are; names reach one of them
	cache   cache
	last    named                     // the name that was looked up last
	objects map[string]starlark.Value // instances made by __class__
	echo    starlark.Value            // the built-in of that name,
	echoing any                       // and as a thing
	now     run
	thread  *starlark.Thread // of the run; the next one has it, too, unless something went wrong
	args    starlark.Tuple   // room for those of a call

	resolver executor.Eval // eval as a func, made once
}

// named is a name and what it stands for: mostly, tasks in a row call the same. thing is nil when that may have changed.
type named struct {
	text  []byte
	thing any
}

// run is one task's evaluation.
type run struct {
	outer   context.Context    //nolint:containedctx // the task's: this is the record of one call
	ctx     context.Context    //nolint:containedctx // with the evaluator's own timeout
	cancel  context.CancelFunc // of ctx; nil when it is outer
	bind    bool               // it is a bind, which reaches every worker
	stopped *ipc.Error         // why it was stopped; nil: it was not
	same    ipc.Raw            // an argument that is the result: to put it into an any would need memory
}

// begin fills in what is not zero, one by one: to copy a run takes longer than all else that an evaluation begins with.
func (r *run) begin(outer, inner context.Context, cancel context.CancelFunc) {
	r.outer, r.ctx, r.cancel = outer, inner, cancel
}

// New returns an Evaluator with an empty session.
func New(cfg Config) *Evaluator {
	if cfg.Stderr == nil {
		cfg.Stderr = os.Stderr
	}
	if cfg.Steps == 0 {
		cfg.Steps = DefaultSteps
	}
	e := &Evaluator{
		cfg:     cfg,
		turn:    turn{given: make(chan struct{}, 1)},
		of:      1,
		objects: map[string]starlark.Value{},
	}
	e.names = e.library()
	e.echo = e.names["echo"]
	e.echoing = echoing{function{e, e.names["echo"].(starlark.Callable)}} //nolint:errcheck,forcetypeassert // it is a built-in
	e.names[limitedName] = limited{e}
	e.resolver = e.eval
	if cfg.Executor != nil {
		e.on = cfg.Executor
		e.names["executor"] = e.wrap("executor", cfg.Executor)
	}
	return e
}

// Greet learns how many workers there are, and tells the names that are always there.
func (e *Evaluator) Greet(g ipc.Greeting) ipc.Hello {
	e.turn.take(context.Background())
	defer e.turn.give()
	e.of = max(1, g.Of)
	var hello ipc.Hello
	if greeter, ok := e.cfg.Executor.(executor.Greeter); ok {
		hello = greeter.Greet(g)
	}
	hello.Targets = append(hello.Targets, callables(e.names)...)
	return hello
}

// Execute resolves a tuple: a name of the executor, or else an expression.
func (e *Evaluator) Execute(ctx context.Context, target, args ipc.Raw) (any, error) {
	raw, err := e.ExecuteRaw(ctx, target, args)
	if err != nil {
		return nil, err
	}
	return raw, nil
}

// ExecuteRaw is Execute with the result encoded.
func (e *Evaluator) ExecuteRaw(ctx context.Context, target, args ipc.Raw) (raw ipc.Raw, err error) {
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	well := false
	defer func() { e.end(well) }()
	result, err := executor.Resolve(e.now.ctx, e.on, e.resolver, target, args) //nolint:contextcheck // it is ctx, with our timeout
	if v, ok := result.(starlark.Value); ok && err == nil {
		raw, err = encode(v)
	} else {
		raw, err = executor.EncodeResult(result, err)
	}
	if err != nil {
		return nil, e.failure(err)
	}
	well = true
	return raw, nil
}

// ForgetsContexts says that no context is kept; what Config.Executor does is not known.
func (e *Evaluator) ForgetsContexts() bool { return e.cfg.Executor == nil }

// Bind makes an executor of a class of Config.Executor, or else of the value of any expression, or of what a def, an
// import or an assignment names. A callable value is called when there are args.
func (e *Evaluator) Bind(ctx context.Context, target, args ipc.Raw) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	defer e.end(false)
	e.now.bind = true
	if err := e.bind(e.now.ctx, target, args); err != nil { //nolint:contextcheck // as in Execute
		return e.failure(err)
	}
	return nil
}

func (e *Evaluator) bind(ctx context.Context, target, args ipc.Raw) error {
	e.last.thing = nil // a bind gives a name another meaning
	if binder, ok := e.cfg.Executor.(executor.Binder); ok && e.isClass(target) {
		if err := binder.Bind(ctx, target, args); err != nil {
			return err
		}
		e.on = e.cfg.Executor
		e.names["executor"] = e.wrap("executor", e.cfg.Executor)
		return nil
	}
	v, err := e.bindable(target)
	if err != nil {
		return err
	}
	if _, ok := v.(starlark.Callable); ok && !args.IsNil() {
		a, err := executor.ParseArgs(args)
		if err != nil {
			return err
		}
		if v, err = e.call(v, a); err != nil {
			return err
		}
	}
	e.on = e.bound(v)
	e.names["executor"] = v
	return nil
}

func (e *Evaluator) isClass(target ipc.Raw) bool {
	greeter, ok := e.cfg.Executor.(executor.Greeter)
	name, isText := target.Text()
	if !ok || !isText {
		return false
	}
	return slices.Contains(greeter.Greet(ipc.Greeting{}).Classes, name)
}

// bindable is the value that a bind's target stands for; of a def, an import or an assignment what it names.
func (e *Evaluator) bindable(target ipc.Raw) (starlark.Value, error) {
	if source, ok := target.Text(); ok {
		v, names, err := e.source(source)
		if err != nil || !names {
			return v, err
		}
		name, _ := v.(starlark.String) // anything else is several names, or none
		if v, ok := e.names[string(name)]; ok {
			return v, nil
		}
		return nil, typeError("bind: want an expression, or a statement that gives one name a value")
	}
	return decode(target)
}

// begin waits for the turn of a task, and gives it a thread and its limits. Every begin has its end.
func (e *Evaluator) begin(ctx context.Context) error {
	if !e.turn.take(ctx) {
		return ipc.Errorf(ipc.KindCancelled, "waiting for the evaluator: %w", context.Cause(ctx))
	}
	inner, cancel := ctx, context.CancelFunc(nil)
	if e.cfg.Timeout > 0 {
		inner, cancel = context.WithTimeout(ctx, e.cfg.Timeout)
	}
	e.now.begin(ctx, inner, cancel)
	if e.thread == nil {
		e.thread = &starlark.Thread{Name: "task", OnMaxSteps: func(*starlark.Thread) { e.check() }}
	}
	e.thread.Steps = 0
	e.thread.SetMaxExecutionSteps(checkSteps)
	return nil
}

// end gives the turn to the next task. well: its thread is fit for that one, too, which saves its making.
func (e *Evaluator) end(well bool) {
	if e.now.cancel != nil {
		e.now.cancel()
	}
	if !well || e.now.stopped != nil {
		e.thread = nil
	}
	e.now = run{}
	e.turn.give()
}

// failure says what became of a task that has no value.
func (e *Evaluator) failure(err error) error {
	r := &e.now
	switch {
	case r.stopped != nil:
		return r.stopped
	case r.outer.Err() != nil:
		return ipc.Errorf(ipc.KindCancelled, "the evaluation was cancelled: %w", context.Cause(r.outer))
	case r.ctx.Err() != nil:
		return ipc.Errorf(ipc.KindTimeout, "stopped after %v, the evaluator's limit", e.cfg.Timeout)
	}
	return e.explain(err)
}

const (
	checkSteps = 2000 // between two looks at a running evaluation
	maxCalls   = 1000 // inside each other, as of such a look: beyond, the Go stack takes more memory than there is
)

// check looks at a running evaluation, and stops it when it has gone too far or too deep, or when its time is over: a
// look every some microseconds costs less than a timer for each task.
func (e *Evaluator) check() {
	r := &e.now
	switch {
	case e.cfg.Steps > 0 && e.thread.Steps >= uint64(e.cfg.Steps):
		r.stopped = ipc.Errorf(ipc.KindTimeout, "stopped after %d steps, the evaluator's limit", e.cfg.Steps)
	case e.thread.CallStackDepth() > maxCalls:
		r.stopped = taskError("RecursionError", "more than %d calls inside each other", maxCalls)
	case r.ctx.Err() == nil:
		e.thread.SetMaxExecutionSteps(e.thread.Steps + checkSteps)
		return
	}
	e.thread.Cancel("it was stopped")
}

// eval is the evaluator's part in [executor.Resolve].
func (e *Evaluator) eval(_ context.Context, text []byte) (any, error) {
	if e.last.thing != nil && bytes.Equal(text, e.last.text) {
		return e.last.thing, nil
	}
	if v, ok := e.names[string(text)]; ok && isName(text) {
		e.last = named{append(e.last.text[:0], text...), e.thing(v)}
		return e.last.thing, nil
	}
	if x, ok := e.cache.get(text); ok {
		if x.lambda != nil {
			return x.lambda, nil
		}
		v, err := starlark.Call(e.thread, x.fn, nil, nil)
		return e.thing(v), err
	}
	v, names, err := e.source(string(text))
	switch {
	case err != nil:
		return nil, err
	case names: // what a statement answers is a text, whatever it names
		return v, nil
	}
	return e.thing(v), nil
}

// isName says that text could be a name; others in names are signs of ours.
func isName(text []byte) bool {
	for _, c := range text {
		if !isWord(c) {
			return false
		}
	}
	return true
}

// thing shows a value to [executor.Resolve].
func (e *Evaluator) thing(v starlark.Value) any {
	f, ok := v.(starlark.Callable)
	switch {
	case !ok:
		return v
	case v == e.echo:
		return e.echoing
	}
	return function{e, f}
}

// call calls a value on the running task's thread.
func (e *Evaluator) call(fn starlark.Value, args executor.Args) (starlark.Value, error) {
	positional := make(starlark.Tuple, len(args.Positional))
	for i, v := range args.Positional {
		var err error
		if positional[i], err = fromGo(v); err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	named, err := keywords(args.Named)
	if err != nil {
		return nil, err
	}
	return starlark.Call(e.thread, fn, positional, named)
}

// function is a Starlark callable as an executor's callable.
type function struct {
	e  *Evaluator
	fn starlark.Value
}

// Call calls it.
func (f function) Call(_ context.Context, args executor.Args) (any, error) {
	return f.e.call(f.fn, args)
}

// CallRaw calls it.
func (f function) CallRaw(ctx context.Context, args ipc.Raw) (any, error) {
	var room starlark.Tuple
	_, ours := f.fn.(*starlark.Function) // it keeps the values, and not the tuple; a built-in may
	if ours {
		room, f.e.args = f.e.args, nil // a call within this one makes its own
	}
	if plain, ok := plainArgs(room[:0], args); ok {
		v, err := starlark.Call(f.e.thread, f.fn, plain, nil)
		if ours {
			clear(plain)
			f.e.args = plain
		}
		return v, err
	}
	a, err := executor.ParseArgs(args)
	if err != nil {
		return nil, err
	}
	return f.Call(ctx, a)
}

// echoing is echo as a callable: one argument goes back as it came.
type echoing struct{ function }

// CallRaw calls it.
func (f echoing) CallRaw(ctx context.Context, args ipc.Raw) (any, error) {
	if one, ok := executor.OnlyArgument(args); ok {
		f.e.now.same = one
		return &f.e.now.same, nil
	}
	return f.function.CallRaw(ctx, args)
}

// bound is a value whose attributes are the names of tasks.
type bound struct {
	e *Evaluator
	v starlark.Value
}

// boundFunction is one that takes the targets without args.
type boundFunction struct {
	bound
	function
}

func (e *Evaluator) bound(v starlark.Value) any {
	if _, ok := v.(starlark.Callable); ok {
		return boundFunction{bound{e, v}, function{e, v}}
	}
	return bound{e, v}
}

// Lookup finds an attribute.
func (b bound) Lookup(name string) (any, bool) {
	attrs, ok := b.v.(starlark.HasAttrs)
	if !ok {
		return nil, false
	}
	v, err := attrs.Attr(name)
	if err != nil || v == nil {
		return nil, false
	}
	return b.e.thing(v), true
}

// Names lists the attributes.
func (b bound) Names() []string {
	if attrs, ok := b.v.(starlark.HasAttrs); ok {
		return attrs.AttrNames()
	}
	return nil
}
