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
	if db.Ports[0].Routes != nil || site.Ports[0].Routes != nil || site.Ports[1].Routes == nil {
		t.Error("ports of bytes have routes, or a port of HTTP has none")
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
