// Package executor is the worker's side: it finds what a task names, runs it, and answers.
//
// An [Executor] is made from a Go func ([Func]), from any Go value by its methods and fields ([Object]), or from a
// [Registry] of names with typed handlers ([Handle]). [Main] serves one over the process's stdin and stdout, [Serve]
// over any two streams, and [Local] runs one inside this process, without a worker process.
//
// What a tuple (key, target, args) means is decided in one place, [Resolve].
package executor

import (
	"context"

	"fandango/ipc"
)

// Executor runs tuples. The result is anything that [ipc.Encode] takes, an [ipc.Raw], or a pointer to one. A panic becomes
// the task's error. Under [Serve] one call runs at a time; under [Local] as many as its workers.
type Executor interface {
	Execute(ctx context.Context, target, args ipc.Raw) (any, error)
}

// RawExecutor is an Executor whose results are encoded, mostly: to return one needs no memory.
type RawExecutor interface {
	Executor
	// ExecuteRaw is Execute with the result encoded. It is valid until the next call, or may be args.
	ExecuteRaw(ctx context.Context, target, args ipc.Raw) (ipc.Raw, error)
}

// Forgetful is an executor that can promise to keep no context beyond the call that it is given to. Then [Serve] needs to
// make none for each call.
type Forgetful interface {
	ForgetsContexts() bool
}

// Binder is an executor that can be told what to run names on: build the class that target names with args, and keep it.
type Binder interface {
	Bind(ctx context.Context, target, args ipc.Raw) error
}

// Greeter is an executor that wants to know its master, or that has names to tell. [Serve] adds to the returned Hello
// what it promises itself: the protocol, the order of answers, that requests may have options ([RequestOptions]), and that
// the one that runs can be cancelled, by its context.
type Greeter interface {
	Greet(g ipc.Greeting) ipc.Hello
}

// RequestOptions is what the master has told of the run that ctx belongs to; zero where it told nothing.
func RequestOptions(ctx context.Context) ipc.RequestOptions {
	options, _ := ctx.Value(optionsKey{}).(ipc.RequestOptions)
	return options
}

type optionsKey struct{}

// Callable is a thing that can be called.
type Callable interface {
	Call(ctx context.Context, args Args) (any, error)
}

// RawCallable is a Callable that can also take args as they are on the wire, where it makes nothing of them, or less than
// Call would.
type RawCallable interface {
	Callable
	// CallRaw is Call with args that are not decoded; nil: absent. They are valid until it returns, and may be what it
	// returns.
	CallRaw(ctx context.Context, args ipc.Raw) (any, error)
}

// Namespace is a thing with names: a thing that is looked up is a [Callable] or a value.
type Namespace interface {
	Lookup(name string) (thing any, ok bool)
	Names() []string
}
