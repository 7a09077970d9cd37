//go:build unix

package pool_test

import (
	"syscall"
	"testing"
)

func killGroup(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
