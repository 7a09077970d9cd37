// Command worker is the default worker: the evaluator of fandango/executor/evalx, served over stdin and stdout.
package main

import (
	"os"

	"fandango/executor/evalx"
)

func main() { os.Exit(evalx.Main(os.Args[1:])) }
