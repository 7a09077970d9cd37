// Command master keeps worker processes alive, gives them tasks over their stdin and stdout, and prints what they
// answer. "master help" says how.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // for cron lines, where the system has no time zones

	"fandango/pool"
)

func main() {
	pool.Shim()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
