//go:build !race

// The race detector allocates for reasons of its own.

package http2

import "testing"

// TestNothingAllocates: a call of gRPC, from a client's session through a server's and back.
func TestNothingAllocates(t *testing.T) {
	c := newCalls(t)
	for range 50 {
		c.call()
	}
	if allocs := testing.AllocsPerRun(1000, c.call); allocs != 0 {
		t.Errorf("%v allocations for a call, want 0", allocs)
	}
}
