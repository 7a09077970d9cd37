//go:build !linux

// Command raw is the limit that a pool of processes can come near. It needs Linux, whose pipes can be made larger.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "raw: this system's pipes have one size")
	os.Exit(1)
}
