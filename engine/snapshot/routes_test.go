package snapshot

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// routed is a service of two versions with a listener, one that has only a listener for HTTP, and one of bytes.
func routed() mesh.Catalog {
	endpoint := func(address, version string) mesh.Endpoint {
		return mesh.Endpoint{
			Address: netip.MustParseAddrPort(address), Ports: map[string]uint16{"admin": 9000, "web": 9001},
			Meta: map[string]string{"version": version},
		}
	}
	admin, web := mesh.Listener{Name: "admin", Port: 81, Protocol: mesh.HTTP}, mesh.Listener{Name: "web", Port: 82, Protocol: mesh.HTTP}
	return mesh.Catalog{
		Services: []mesh.Service{
			{
				Name: "billing", Port: 80, Protocol: mesh.HTTP, Listeners: []mesh.Listener{admin},
				Endpoints: []mesh.Endpoint{endpoint("10.0.0.1:8080", "v1"), endpoint("10.0.0.2:8080", "v2"), endpoint("10.0.0.3:8080", "v2")},
			},
			{Name: "db", Port: 5432, Protocol: mesh.TCP, Endpoints: []mesh.Endpoint{endpoint("10.0.0.4:5432", "")}},
			{Name: "site", Port: 80, Protocol: mesh.TCP, Listeners: []mesh.Listener{web}, Endpoints: []mesh.Endpoint{endpoint("10.0.0.5:80", "")}},
		},
		Routers: []mesh.Router{{Service: "billing", Routes: []mesh.Route{
			{Match: mesh.RouteMatch{PathExact: "/v2"}, Destination: &mesh.Destination{Service: "billing", Subset: "v2"}},
			{Match: mesh.RouteMatch{PathExact: "/site"}, Destination: &mesh.Destination{Service: "site"}},
			{Match: mesh.RouteMatch{PathExact: "/port"}, Destination: &mesh.Destination{Service: "billing", Subset: "port"}},
			{Match: mesh.RouteMatch{PathExact: "/absent"}, Destination: &mesh.Destination{Service: "billing", Subset: "absent"}},
			{Match: mesh.RouteMatch{PathExact: "/db"}, Destination: &mesh.Destination{Service: "db"}},
			{Match: mesh.RouteMatch{PathExact: "/nobody"}, Destination: &mesh.Destination{Service: "nobody"}},
		}}},
		Resolvers: []mesh.Resolver{{Service: "billing", Subsets: []mesh.Subset{
			{Name: "port", Filter: "Service.Port == 8080"}, {Name: "v2", Filter: "Service.Meta.version == v2"},
		}}},
	}
}

// decide returns the addresses that a request to a path of billing may go to.
func decide(p *Port, path string) []string {
	var all []string
	for _, e := range p.Routes.Decide(&route.Request{Path: []byte(path)}, 0).Target.Group.Endpoints() {
		all = append(all, e.Address.String())
	}
	return all
}

func TestRoutes(t *testing.T) {
	s := Build(Input{Catalog: routed()})
	billing, _ := s.Named("billing")
	own, admin := billing.Ports[0], billing.Ports[1]
	for _, tt := range []struct {
		port *Port
		path string
		want []string
	}{
		{own, "/", []string{"10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"}},
		{own, "/v2", []string{"10.0.0.2:8080", "10.0.0.3:8080"}},
		{own, "/site", []string{"10.0.0.5:9001"}}, // the one port that speaks HTTP
		{own, "/absent", nil},
		{own, "/db", nil},
		{own, "/nobody", nil},
		{admin, "/", []string{"10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"}},
		{admin, "/v2", []string{"10.0.0.2:9000", "10.0.0.3:9000"}},
		{admin, "/port", []string{"10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"}}, // as at the service's own port
	} {
		if got := decide(tt.port, tt.path); !slices.Equal(got, tt.want) {
			t.Errorf("from listener %q, %s goes to %v, want %v", tt.port.Listener, tt.path, got, tt.want)
		}
	}
	if got := own.Routes.Decide(&route.Request{Path: []byte("/")}, 0).Target.Group; got != own.Group {
		t.Error("a request that nothing rules does not go to the group of the port")
	}
	db, _ := s.Named("db")
	site, _ := s.Named("site")
	for _, p := range []*Port{db.Ports[0], site.Ports[0]} {
		if got := p.Routes.DecideConnection(0).Group; got != p.Group {
			t.Errorf("a connection to %s that nothing rules does not go to the group of the port", p.Service.Name)
		}
	}
	if !own.Elsewhere || !admin.Elsewhere || db.Ports[0].Elsewhere || site.Ports[1].Elsewhere {
		t.Error("it is not known which ports lead to others")
	}
	if len(own.Subsets) != 2 || len(db.Ports[0].Subsets) != 0 {
		t.Errorf("billing has %d subsets, db %d, want 2 and none", len(own.Subsets), len(db.Ports[0].Subsets))
	}
}

// TestConnections: what comes to a port of bytes follows splitters and resolvers to other ports of bytes, and no router.
func TestConnections(t *testing.T) {
	catalog := routed()
	raw := func(service, listener string, number uint16) {
		for i := range catalog.Services {
			if s := &catalog.Services[i]; s.Name == service {
				s.Listeners = append(s.Listeners, mesh.Listener{Name: listener, Port: number, Protocol: mesh.TCP})
			}
		}
	}
	raw("billing", "admin-raw", 9100)
	raw("db", "web", 5433)
	catalog.Splitters = []mesh.Splitter{
		{Service: "billing", Splits: []mesh.Split{{Weight: 50_00, Service: "billing", Subset: "v2"}, {Weight: 50_00, Service: "site"}}},
		{Service: "db", Splits: []mesh.Split{{Weight: 75_00, Service: "db"}, {Weight: 25_00, Service: "site"}}},
	}
	s := Build(Input{Catalog: catalog})
	port := func(service, listener string) *Port {
		svc, _ := s.Named(service)
		return svc.Ports[slices.IndexFunc(svc.Ports, func(p *Port) bool { return p.Listener == listener })]
	}
	goes := func(p *Port, draw uint32) (all []string) {
		for _, e := range p.Routes.DecideConnection(draw).Group.Endpoints() {
			all = append(all, e.Address.String())
		}
		return all
	}
	for _, tt := range []struct {
		service, listener string
		draw              uint32
		want              []string
	}{
		{"billing", "admin-raw", 0, []string{"10.0.0.2:0", "10.0.0.3:0"}}, // of v2, at the listener; a test gives it no port there
		{"billing", "admin-raw", 1 << 31, []string{"10.0.0.5:80"}},        // the own port of site, which is one of bytes
		{"db", "", 0, []string{"10.0.0.4:5432"}},
		{"db", "", 3 << 30, []string{"10.0.0.5:80"}},
		{"db", "web", 0, []string{"10.0.0.4:9001"}},
		{"db", "web", 3 << 30, []string{"10.0.0.5:80"}}, // not its listener of that name, where requests are read
	} {
		if got := goes(port(tt.service, tt.listener), tt.draw); !slices.Equal(got, tt.want) {
			t.Errorf("%s/%s goes to %v, want %v", tt.service, tt.listener, got, tt.want)
		}
	}
	// The kernel, which knows no weights, gets all to whom a split leads; of a subset nobody else.
	for p, want := range map[*Port][]string{
		port("db", ""):               {"10.0.0.4:5432", "10.0.0.5:80"},
		port("billing", "admin-raw"): {"10.0.0.2:0", "10.0.0.3:0", "10.0.0.5:80"},
	} {
		var got []string
		for _, at := range p.Backends() {
			got = append(got, at.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("the backends of %s/%s are %v, want %v", p.Service.Name, p.Listener, got, want)
		}
	}
}

// TestBackendsOfConnections: while a subset is down the kernel gets who stands in for it, as the proxy does.
func TestBackendsOfConnections(t *testing.T) {
	catalog := routed()
	catalog.Resolvers = append(catalog.Resolvers, mesh.Resolver{
		Service: "db", DefaultSubset: "v1", Subsets: []mesh.Subset{{Name: "v1", Filter: "Service.Meta.version == v1"}},
		Failover: []mesh.Failover{{Subset: mesh.AnySubset, Targets: []mesh.Target{{Service: "site"}}}},
	})
	catalog.Services[1].Endpoints[0].Meta = map[string]string{"version": "v1"}
	other := catalog.Services[1].Endpoints[0]
	other.Address, other.Meta = netip.MustParseAddrPort("10.0.0.6:5432"), nil
	catalog.Services[1].Endpoints = append(catalog.Services[1].Endpoints, other)
	s := Build(Input{Catalog: catalog})
	db, _ := s.Named("db")
	p := db.Ports[0]
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "10.0.0.4:5432"},
		{func() { p.Group.Endpoints()[0].MarkDown(time.Now(), "test") }, "10.0.0.5:80"},
		{func() { p.Group.Endpoints()[0].MarkUp(time.Now(), "test") }, "10.0.0.4:5432"},
	} {
		step.change()
		if got := p.Backends(); len(got) != 1 || got[0].String() != step.want {
			t.Errorf("the backends are %v, want %s", got, step.want)
		}
		if got := p.Routes.DecideConnection(0).Group.Endpoints()[0].Address.String(); got != step.want {
			t.Errorf("a connection goes to %s, want %s", got, step.want)
		}
	}
}

// TestSubsetFollowsService: an endpoint that is down is so in its subsets, also in those of later snapshots.
func TestSubsetFollowsService(t *testing.T) {
	s := Build(Input{Catalog: routed()})
	subset := func() *route.Target {
		billing, _ := s.Named("billing")
		return billing.Ports[0].Routes.Decide(&route.Request{Path: []byte("/v2")}, 0).Target
	}
	billing, _ := s.Named("billing")
	for _, e := range billing.Ports[0].Group.Endpoints()[1:] {
		e.MarkDown(time.Now(), "test")
	}
	if subset().Group.HasUp() {
		t.Error("a subset whose endpoints are down is up")
	}
	s = Build(Input{Catalog: routed(), Previous: s})
	if subset().Group.HasUp() {
		t.Error("in the next snapshot it is up")
	}
	subset().Group.Endpoints()[0].MarkUp(time.Now(), "test")
	billing, _ = s.Named("billing")
	if state := billing.Ports[0].Group.Endpoints()[1].Health().State; state != "up" {
		t.Errorf("an endpoint that is up in a subset is %s in its service", state)
	}
}
