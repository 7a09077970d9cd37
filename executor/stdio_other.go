//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package executor

import "os"

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// takeStdout keeps stdout to ourselves; what Go code prints goes to stderr.
func takeStdout() (*os.File, error) {
	out := os.Stdout
	os.Stdout = os.Stderr
	return out, nil
}
