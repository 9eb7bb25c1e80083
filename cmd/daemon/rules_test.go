package daemon

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

func TestRulesOf(t *testing.T) {
	o := options{outboundPort: 15001, dnsPort: 15053}
	c := &config.Config{
		Capture: mesh.Capture{
			Mode: mesh.CaptureMesh, Fail: mesh.FailClosed, ExcludePorts: []uint16{22}, ExcludeUIDs: []uint32{0, 65534},
			ExcludeUnits: []string{"backup.service"}, ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("244.0.0.0/24")},
		},
		Prometheus: config.Prometheus{Listen: netip.MustParseAddrPort("127.0.0.1:9999")},
		Catalog: mesh.Catalog{
			Mesh: mesh.Mesh{VirtualIPv4: netip.MustParsePrefix("244.0.0.0/6"), VirtualIPv6: netip.MustParsePrefix("fd6d:6573:6864::/64")},
			Services: []mesh.Service{
				{
					Name: "billing", Port: 80, Virtual4: netip.MustParseAddr("244.1.1.1"), Virtual6: netip.MustParseAddr("fd6d:6573:6864::1"),
					Listeners: []mesh.Listener{{Name: "grpc", Port: 9090}},
					Endpoints: []mesh.Endpoint{{Address: netip.MustParseAddrPort("10.0.0.1:8080"), Ports: map[string]uint16{"grpc": 9091}, Weight: 1}},
				},
				{Name: "nightly"},
			},
		},
	}
	snap := snapshot.Build(snapshot.Input{Version: 1, Catalog: c.Catalog})
	r := o.rulesOf(c, snap, []netip.Addr{netip.MustParseAddr("10.0.0.2")})
	id, grpc := mesh.IDOf("billing"), mesh.IDOf("billing/grpc")
	wantVirtual := []bpf.Virtual{
		{Address: netip.MustParseAddrPort("244.1.1.1:80"), Service: id},
		{Address: netip.MustParseAddrPort("[fd6d:6573:6864::1]:80"), Service: id},
		{Address: netip.MustParseAddrPort("244.1.1.1:9090"), Service: grpc},
		{Address: netip.MustParseAddrPort("[fd6d:6573:6864::1]:9090"), Service: grpc},
		{Address: netip.MustParseAddrPort("247.255.255.254:1"), Probe: true},
	}
	if !slices.Equal(r.Virtual, wantVirtual) {
		t.Errorf("virtual addresses %v", r.Virtual)
	}
	if !slices.Equal(r.Backends[id], []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8080")}) || len(r.Backends) != 2 ||
		!slices.Equal(r.Backends[grpc], []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:9091")}) {
		t.Errorf("backends %v", r.Backends)
	}
	if !slices.Equal(r.Resolvers, []netip.Addr{netip.MustParseAddr("10.0.0.2")}) {
		t.Errorf("resolvers %v", r.Resolvers)
	}
	if !slices.Equal(r.ExcludeUIDs, []uint32{0, 65534}) || !r.ByCgroup || r.IncludeOnly || r.Fail != mesh.FailClosed {
		t.Errorf("capture %+v", r)
	}
	for _, p := range []bpf.Port{{Port: 15001}, {Port: 15006}, {Port: 15008}, {Port: 9999}, {Port: 15053, UDP: true}, {Port: 15060}, {Port: 15060, UDP: true}} {
		if !slices.Contains(r.Reserved, p) {
			t.Errorf("port %+v is not reserved", p)
		}
	}
	if slices.Contains(r.Reserved, bpf.Port{Port: 15061}) {
		t.Error("port 15061 is reserved")
	}
}

func TestProbeNeedsAMesh(t *testing.T) {
	if addr, ok := probeAddress(mesh.Mesh{}); ok {
		t.Errorf("probe %s without a mesh", addr)
	}
}

// TestNothingWithoutAMesh: the host of a package that was just installed is as it was before.
func TestNothingWithoutAMesh(t *testing.T) {
	o := options{outboundPort: 15001, dnsPort: 15053}
	r := o.rulesOf(&config.Config{}, snapshot.Build(snapshot.Input{Version: 1}), []netip.Addr{netip.MustParseAddr("10.0.0.2")})
	if len(r.Virtual) > 0 || len(r.Backends) > 0 || len(r.Resolvers) > 0 {
		t.Errorf("without a mesh the kernel programs capture %v, %v and %v", r.Virtual, r.Backends, r.Resolvers)
	}
}
