//go:build !race

// Under the race detector sync.Pool forgets at random, and so allocates.

package route

import (
	"testing"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

func TestDecideDoesNotAllocate(t *testing.T) {
	table := busyTable(t)
	for _, r := range []*Request{
		request("GET", "/static/a.css", ""), request("GET", "/v2/items", "", [2]string{"x-canary", "1"}),
		request("GET", "/v3/items", "version=%32"), request("PUT", "/", ""), request("POST", "/", ""),
	} {
		r.Header = &oneField{"x-canary", []byte("1")}
		table.Decide(r, 0)
		if allocs := testing.AllocsPerRun(1000, func() { table.Decide(r, 1<<31) }); allocs != 0 {
			t.Errorf("%s %s: %v allocations a decision, want 0", r.Method, r.Path, allocs)
		}
	}
}

func TestHashDoesNotAllocate(t *testing.T) {
	target := hashed("app-1", mesh.HashPolicy{Kind: mesh.HashHeader, Name: "x-user"}, mesh.HashPolicy{Kind: mesh.HashSource},
		mesh.HashPolicy{Kind: mesh.HashQuery, Name: "id"}, mesh.HashPolicy{Kind: mesh.HashCookie, Name: "id", Session: true})
	r := request("GET", "/", "a=1&id=2")
	r.Header = &oneField{"x-user", []byte("1")}
	var tried balance.Tried
	allocs := testing.AllocsPerRun(1000, func() {
		tried = balance.Tried{}
		h := target.Hash(r, "web", 1)
		target.Pick(&tried, &h)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestConnectionDoesNotAllocate(t *testing.T) {
	for _, policy := range []mesh.Balancing{mesh.LeastRequest, mesh.Maglev} {
		table := tableOfConnections(policy)
		var tried balance.Tried
		var draw uint32
		allocs := testing.AllocsPerRun(1000, func() {
			draw += 1 << 25
			tried = balance.Tried{}
			target := table.DecideConnection(draw)
			h := target.HashConnection("web")
			target.Pick(&tried, &h)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations a connection, want 0", policy, allocs)
		}
	}
}

// oneField is a header of one field that is there already, as in a buffer.
type oneField struct {
	name  string
	value []byte
}

func (f *oneField) Field(name string, i int) ([]byte, bool) {
	if name == f.name && i == 0 {
		return f.value, true
	}
	return nil, false
}
