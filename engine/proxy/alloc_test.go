//go:build !race

// Under the race detector sync.Pool forgets at random, and so allocates.

package proxy

import "testing"

func TestMessageDoesNotAllocate(t *testing.T) {
	ping := pinger(t, 64)
	ping()
	if allocs := testing.AllocsPerRun(1000, ping); allocs != 0 {
		t.Errorf("%v allocations a message, want 0", allocs)
	}
}
