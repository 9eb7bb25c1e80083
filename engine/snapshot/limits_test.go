package snapshot

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// TestLimitsAcrossReload wants a reload to let nobody have more.
func TestLimitsAcrossReload(t *testing.T) {
	catalog := routed()
	catalog.Services[0].MaxRequests = 5
	catalog.Services[0].Rates = []mesh.RateLimit{{Per: mesh.PerSource, PerSecond: 1, Burst: 2}, {Per: mesh.PerService, PerSecond: 1, Burst: 3}}
	first := Build(Input{Catalog: catalog})
	next := Build(Input{Catalog: catalog, Previous: first})
	old, _ := first.Named("billing")
	billing, _ := next.Named("billing")
	if billing.Load != old.Load || billing.Limiter != old.Limiter || billing.Limiter == nil {
		t.Error("what has been counted is forgotten")
	}
	now := time.Now()
	passed := func(source string) int {
		n := 0
		for range 5 {
			if billing.Limiter.Allow(source, now) {
				n++
			}
		}
		return n
	}
	if web, reports := passed("web"), passed("reports"); web != 2 || reports != 1 {
		t.Errorf("%d and %d requests pass, want 2 and 1", web, reports)
	}
	target := billing.Ports[1].Routes.Decide(&route.Request{Path: []byte("/v2")}, 0).Target
	if target.Load != billing.Load || target.Limiter != billing.Limiter || target.MaxRequests != 5 {
		t.Errorf("a subset at a listener has limits of its own: %+v", target)
	}
	if db, _ := next.Named("db"); db.Limiter != nil || db.Load == billing.Load {
		t.Error("another service shares them")
	}
}

// TestBalancerOfService wants what a resolver says to reach the groups of all ports and subsets.
func TestBalancerOfService(t *testing.T) {
	catalog := routed()
	zones := []string{"b", "c", "d"}
	for i := range catalog.Services[0].Endpoints {
		catalog.Services[0].Endpoints[i].Zone = zones[i]
	}
	billing := &catalog.Services[0]
	billing.Balancing = mesh.RingHash
	billing.Balancer.Hash = []mesh.HashPolicy{{Kind: mesh.HashSource}}
	billing.Outlier = &mesh.OutlierDetection{
		Consecutive5xx: 1, Enforce5xx: 100, Interval: time.Second, BaseEjection: time.Second, MaxEjection: time.Second,
	}
	catalog.Resolvers[0].Failover = []mesh.Failover{
		{Subset: mesh.AnySubset, Zones: []string{"c", "b"}}, {Subset: "v2", Zones: []string{"d"}},
	}
	s := Build(Input{Catalog: catalog, Host: mesh.Host{Name: "app-1", Zone: "a"}})
	svc, _ := s.Named("billing")
	for _, p := range svc.Ports {
		for path, want := range map[string]string{"/": "10.0.0.2", "/v2": "10.0.0.3"} {
			target := p.Routes.Decide(&route.Request{Path: []byte(path)}, 0).Target
			hash := target.Hash(&route.Request{}, "web", 0)
			if got := target.Pick(new(balance.Tried), &hash).Address.Addr(); got != netip.MustParseAddr(want) {
				t.Errorf("port %q %s: the endpoint is %s, want %s of the first zone", p.Listener, path, got, want)
			}
		}
	}
	e := svc.Ports[0].Group.Endpoints()[0]
	if e.Status(500, time.Now()); e.Health().State != balance.Ejected {
		t.Error("an answer of 500 ejects nobody")
	}
}

// TestPickBySource has a service of bytes whose callers each keep to an endpoint.
func TestPickBySource(t *testing.T) {
	catalog := routed()
	db := &catalog.Services[1]
	db.Balancing = mesh.Maglev
	db.Balancer.Hash = []mesh.HashPolicy{{Kind: mesh.HashSource}}
	db.Endpoints = nil
	for i := range 50 {
		db.Endpoints = append(db.Endpoints, mesh.Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 5432)})
	}
	pick := func(p *Port, source string) *balance.Endpoint {
		target := p.Routes.DecideConnection(rand.Uint32())
		hash := target.HashConnection(source)
		return target.Pick(new(balance.Tried), &hash)
	}
	seen := func(source, host string) map[netip.AddrPort]bool {
		svc, _ := Build(Input{Catalog: catalog, Host: mesh.Host{Name: host}}).Named("db")
		all := make(map[netip.AddrPort]bool)
		for range 100 {
			all[pick(svc.Ports[0], source).Address] = true
		}
		return all
	}
	if web := seen("web", "app-1"); len(web) != 1 {
		t.Errorf("web gets %d endpoints, want 1", len(web))
	}
	if site, _ := Build(Input{Catalog: catalog}).Named("site"); pick(site.Ports[0], "web") == nil {
		t.Error("a service that is not hashed has no endpoint")
	}
	all := make(map[netip.AddrPort]bool)
	for _, source := range []string{"web", "reports", "host:app-1", "host:app-2"} {
		for _, host := range []string{"app-1", "app-2"} {
			for at := range seen(source, host) {
				all[at] = true
			}
		}
	}
	if len(all) < 4 {
		t.Errorf("eight callers get %d endpoints of 50", len(all))
	}
}
