package snapshot

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// ported is a service with two listeners, on one host and outside the mesh.
func ported() mesh.Catalog {
	return mesh.Catalog{
		Mesh: mesh.Mesh{VirtualIPv4: netip.MustParsePrefix("244.0.0.0/6"), VirtualIPv6: netip.MustParsePrefix("fd6d:6573:6864::/64")},
		Services: []mesh.Service{{
			Name: "billing", Port: 80, Virtual4: billing4, Virtual6: billing6,
			Listeners: []mesh.Listener{{Name: "admin", Port: 8000}, {Name: "grpc", Port: 9090}},
			Hostnames: []string{"api.example.com"},
			Endpoints: []mesh.Endpoint{
				{Host: "app-1", Address: first, Ports: map[string]uint16{"admin": 8080, "grpc": 9091}},
				{Hostname: "db.example.com", Address: netip.AddrPortFrom(netip.Addr{}, 443), Ports: map[string]uint16{"admin": 8000, "grpc": 9090}},
			},
		}},
	}
}

func addressesOf(p *Port) []string {
	var all []string
	for _, e := range p.Group.Endpoints() {
		all = append(all, e.Address.String())
	}
	return all
}

func TestPorts(t *testing.T) {
	s := Build(Input{Catalog: ported(), Addresses: map[string][]netip.Addr{
		"db.example.com": {netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd00::1")},
	}})
	tests := []struct {
		number    uint16
		listener  string
		id        mesh.ServiceID
		endpoints []string
	}{
		{80, "", mesh.IDOf("billing"), []string{"10.0.0.21:8080", "10.9.0.1:443", "[fd00::1]:443"}},
		{8000, "admin", mesh.IDOf("billing/admin"), []string{"10.0.0.21:8080", "10.9.0.1:8000", "[fd00::1]:8000"}},
		{9090, "grpc", mesh.IDOf("billing/grpc"), []string{"10.0.0.21:9091", "10.9.0.1:9090", "[fd00::1]:9090"}},
	}
	for i, tt := range tests {
		p, only, ok := s.At(netip.AddrPortFrom(billing6, tt.number))
		if !ok || only != nil || p != s.Services()[0].Ports[i] || p.Listener != tt.listener || p.ID != tt.id {
			t.Fatalf("at port %d: %+v, only %v, ok %v", tt.number, p, only, ok)
		}
		if got := addressesOf(p); !slices.Equal(got, tt.endpoints) {
			t.Errorf("endpoints at port %d are %v, want %v", tt.number, got, tt.endpoints)
		}
	}
	if p, only, _ := s.At(netip.MustParseAddrPort("10.9.0.1:9090")); p.Listener != "grpc" || only != p.Group.Endpoints()[1] {
		t.Errorf("at an endpoint's port for a listener: %+v, only %v", p, only)
	}
	if p, _, _ := s.At(first); p.Listener != "" {
		t.Errorf("at a port that serves two: listener %q, want the service's own", p.Listener)
	}
	if name := s.Services()[0].Ports[2].Group.Endpoints()[0].Name(); name != "app-1:9091" {
		t.Errorf("endpoint of a listener is called %s", name)
	}
}

// TestLocated checks which of the addresses that a name server gives become endpoints.
func TestLocated(t *testing.T) {
	catalog := mesh.Catalog{Mesh: ported().Mesh, Services: []mesh.Service{{Name: "db", Port: 443, Endpoints: []mesh.Endpoint{
		{Hostname: "db.example.com", Address: netip.AddrPortFrom(netip.Addr{}, 443), Zone: "far"},
		{Hostname: "again.example.com", Address: netip.AddrPortFrom(netip.Addr{}, 443)},
		{Hostname: "unknown.example.com", Address: netip.AddrPortFrom(netip.Addr{}, 443)},
		{Address: netip.MustParseAddrPort("10.9.0.2:443")},
	}}}}
	var answer []netip.Addr
	for _, text := range []string{
		"10.9.0.1", "10.9.0.2", "127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "fe80::1", "224.0.0.1", "255.255.255.255", "244.1.1.1", "fd6d:6573:6864::9",
	} {
		answer = append(answer, netip.MustParseAddr(text))
	}
	s := Build(Input{Catalog: catalog, Addresses: map[string][]netip.Addr{"db.example.com": answer, "again.example.com": answer}})
	db := s.Services()[0]
	if got, want := addressesOf(db.Ports[0]), []string{"10.9.0.1:443", "10.9.0.2:443"}; !slices.Equal(got, want) {
		t.Errorf("endpoints are %v, want %v", got, want)
	}
	if e := db.Endpoints[0]; e.Hostname != "db.example.com" || e.Zone != "far" || len(db.Endpoints) != 2 {
		t.Errorf("endpoints are %+v", db.Endpoints)
	}
	if e := catalog.Services[0].Endpoints[0]; e.Address.Addr().IsValid() {
		t.Errorf("the catalog was changed: %+v", e)
	}
}

// TestPortsKeepCounters checks that each port's endpoints are those that they were, when addresses come and go.
func TestPortsKeepCounters(t *testing.T) {
	old := Build(Input{Catalog: ported()})
	for _, p := range old.Services()[0].Ports {
		for range p.Number {
			p.Group.Endpoints()[0].Connect()
		}
	}
	next := Build(Input{Catalog: ported(), Previous: old, Addresses: map[string][]netip.Addr{"db.example.com": {netip.MustParseAddr("10.9.0.1")}}})
	for _, p := range next.Services()[0].Ports {
		if e := p.Group.Endpoints(); len(e) != 2 || e[0].Connected() != uint64(p.Number) || e[1].Connected() != 0 {
			t.Errorf("port %d has %d endpoints, the first with %d connections; want 2, %d", p.Number, len(e), e[0].Connected(), p.Number)
		}
	}
}

// TestAddressComesBack has a name server give another address for a while, in two answers, and then the first again, to
// which a connection is open all the time.
func TestAddressComesBack(t *testing.T) {
	var s *Snapshot
	learn := func(address string) []*Port {
		s = Build(Input{Catalog: ported(), Previous: s, Addresses: map[string][]netip.Addr{"db.example.com": {netip.MustParseAddr(address)}}})
		return s.Services()[0].Ports
	}
	for _, p := range learn("10.9.0.1") {
		p.Group.Endpoints()[1].Acquire()
	}
	for _, address := range []string{"10.9.0.2", "10.9.0.3", "10.9.0.1"} {
		for _, p := range learn(address) {
			if n := p.Group.Active(); n != 1 {
				t.Errorf("with %s, port %d: %d connections are open, want 1", address, p.Number, n)
			}
		}
	}
	for _, p := range s.Services()[0].Ports {
		if n := p.Group.Endpoints()[1].Active(); n != 1 {
			t.Errorf("port %d: %d connections are open to the address that is back, want 1", p.Number, n)
		}
	}
}

func TestHostname(t *testing.T) {
	s := Build(Input{Catalog: ported()})
	if v4, v6, ok := s.Hostname("api.example.com"); v4 != billing4 || v6 != billing6 || !ok {
		t.Errorf("a declared name: %s %s %v", v4, v6, ok)
	}
	if _, _, ok := s.Hostname("db.example.com"); ok {
		t.Error("the name of an endpoint is answered with a virtual address")
	}
}

func TestListenerPort(t *testing.T) {
	s := Build(Input{Catalog: ported()})
	if port, ok := s.ListenerPort("billing", "grpc"); port != 9090 || !ok {
		t.Errorf("grpc: %d %v", port, ok)
	}
	for _, missing := range [][2]string{{"billing", "http"}, {"billing", ""}, {"web", "grpc"}} {
		if _, ok := s.ListenerPort(missing[0], missing[1]); ok {
			t.Errorf("listener %q of %s exists", missing[1], missing[0])
		}
	}
}
