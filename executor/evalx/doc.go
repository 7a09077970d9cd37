// Package evalx is the default executor: an evaluator of Python-flavoured expressions (Starlark), with a session of
// names, an allow-list of modules and no way to a file, the network or another process.
//
// A target that names nothing of the bound executor is evaluated here:
//
//	1 + 2                        the value of an expression
//	x = 5                        keeps the name for later tasks of this worker, and answers it: "x"
//	lambda a, b: a * b           a callable: called with the task's args, or without any
//	import math                  modules are there without it, too
//	def f(a): …                  any statements; the last one, when it is an expression, is the value
//
// The syntax is Starlark's: there is no **, no is, no f-string, no chained comparison, no try and no class. Integers are
// as long as they need to be inside an expression; a result has to fit 64 bits.
package evalx
