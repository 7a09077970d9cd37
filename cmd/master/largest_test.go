//go:build unix && !race

// The race detector shadows each byte: these messages keep it busy for a minute.

package main

import "testing"

func TestBenchLargest(t *testing.T) {
	t.Parallel()
	p := startMaster(t, "", "bench", "-n", "1", "--mode", "sync", "--memory", "2G", "--payload", "65532KiB", "--json")
	p.out.await(t, `"payload":67104768,"idempotent":false,"failed":0,`, 1)
	p.exit(exitOK)
}
