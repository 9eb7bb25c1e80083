//go:build !race

// The race detector allocates for reasons of its own.

package http1

import "testing"

func TestNothingAllocates(t *testing.T) {
	for name, work := range works(t) {
		work()
		if allocs := testing.AllocsPerRun(1000, work); allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocs)
		}
	}
}
