package proxy

import (
	"net/netip"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// TestMaxConnections wants the limit of a service to hold, and to free what ends.
func TestMaxConnections(t *testing.T) {
	at := endpoint(t, echo)
	r := newRig(t, nil, at)
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version: 2,
		Catalog: mesh.Catalog{Services: []mesh.Service{{
			Name: "hello", Port: virtual.Port(), Virtual4: virtual.Addr(), MaxConnections: 2,
			Endpoints: []mesh.Endpoint{{Host: "app-2", Address: netip.AddrPortFrom(at.Addr(), at.Port()), Weight: 1}},
		}}},
		Host: mesh.Host{Name: "app-1"},
	}))
	first, second := r.dial(virtual), r.dial(virtual)
	send(t, first, "x")
	want(t, first, "x")
	send(t, second, "y")
	want(t, second, "y")

	wantReset(t, r.dial(virtual))
	r.wantEnd(mesh.ReasonOverload)

	first.Close()
	r.wantEnd(mesh.ReasonDone)
	third := r.dial(virtual)
	send(t, third, "z")
	want(t, third, "z")
}
