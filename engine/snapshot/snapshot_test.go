package snapshot

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

var (
	billing4 = netip.MustParseAddr("244.0.0.1")
	billing6 = netip.MustParseAddr("fd6d:6573:6864::1")
	first    = netip.MustParseAddrPort("10.0.0.21:8080")
	second   = netip.MustParseAddrPort("10.0.0.22:8080")
)

func shop() mesh.Catalog {
	return mesh.Catalog{
		Mesh:  mesh.Mesh{Name: "shop", Domain: "mesh"},
		Hosts: []mesh.Host{{Name: "app-1"}, {Name: "app-2"}, {Name: "web-1"}},
		Services: []mesh.Service{
			{
				Name: "billing", Port: 80, Virtual4: billing4, Virtual6: billing6, Balancing: mesh.RoundRobin,
				Workloads: []mesh.Workload{{Unit: "billing.service"}, {Unit: "billing@*.service", User: "billing"}},
				Endpoints: []mesh.Endpoint{{Host: "app-1", Address: first, Weight: 1}, {Host: "app-2", Address: second, Weight: 1}},
			},
			{Name: "jobs", Workloads: []mesh.Workload{
				{Cgroup: "/jobs.slice/*", Hosts: []string{"*"}},
				{Unit: "cron.service", Hosts: []string{"web-1"}},
			}},
			{Name: "worker", Workloads: []mesh.Workload{
				{User: "1004", Hosts: []string{"app-1"}},
				{Hosts: []string{"*"}},
			}},
		},
	}
}

func build(host string) *Snapshot {
	return Build(Input{Version: 7, Catalog: shop(), Host: mesh.Host{Name: host}})
}

func TestAt(t *testing.T) {
	s := build("app-1")
	for _, virtual := range []netip.Addr{billing4, billing6} {
		p, only, ok := s.At(netip.AddrPortFrom(virtual, 80))
		if !ok || p.Service.Name != "billing" || only != nil {
			t.Errorf("at %s: port %v, only %v, ok %v; want billing with any endpoint", virtual, p, only, ok)
		}
		if _, _, ok := s.At(netip.AddrPortFrom(virtual, 81)); ok {
			t.Errorf("at %s: there is a service on an undeclared port", virtual)
		}
	}
	p, only, ok := s.At(second)
	if !ok || p.Service.Name != "billing" || only != p.Group.Endpoints()[1] {
		t.Errorf("at %s: port %v, only %v, ok %v; want that endpoint of billing", second, p, only, ok)
	}
	if _, _, ok := s.At(netip.MustParseAddrPort("10.0.0.23:8080")); ok {
		t.Error("an address outside the mesh has a service")
	}
}

func TestAtPrefersVirtualThenName(t *testing.T) {
	shared := netip.AddrPortFrom(billing4, 80)
	s := Build(Input{Catalog: mesh.Catalog{Services: []mesh.Service{
		{Name: "a", Port: 1, Endpoints: []mesh.Endpoint{{Address: shared}, {Address: first}}},
		{Name: "b", Port: 80, Virtual4: billing4, Endpoints: []mesh.Endpoint{{Address: first}}},
	}}})
	if p, only, _ := s.At(shared); p.Service.Name != "b" || only != nil {
		t.Errorf("at %s: %s %v, want the virtual address of b", shared, p.Service.Name, only)
	}
	if p, _, _ := s.At(first); p.Service.Name != "a" {
		t.Errorf("at %s: %s, want a", first, p.Service.Name)
	}
}

func TestNamed(t *testing.T) {
	s := build("app-1")
	names := slices.Collect(func(yield func(string) bool) {
		for _, svc := range s.Services() {
			if !yield(svc.Name) {
				return
			}
		}
	})
	if want := []string{"billing", "jobs", "worker"}; !slices.Equal(names, want) {
		t.Errorf("services are %v, want %v", names, want)
	}
	if svc, ok := s.Named("jobs"); !ok || svc.Name != "jobs" {
		t.Errorf("named jobs: %v, %v", svc, ok)
	}
	if _, ok := s.Named("none"); ok {
		t.Error("a service exists that was never declared")
	}
	if s.Version() != 7 || s.Host().Name != "app-1" || s.Mesh().Name != "shop" {
		t.Errorf("snapshot is version %d of %s on %s", s.Version(), s.Mesh().Name, s.Host().Name)
	}
}

func TestVirtual(t *testing.T) {
	s := build("app-1")
	if v4, v6, ok := s.Virtual("billing"); v4 != billing4 || v6 != billing6 || !ok {
		t.Errorf("billing: %s %s %v", v4, v6, ok)
	}
	if v4, v6, ok := s.Virtual("jobs"); v4.IsValid() || v6.IsValid() || !ok {
		t.Errorf("a service without a port: %s %s %v, want no address but ok", v4, v6, ok)
	}
	if _, _, ok := s.Virtual("none"); ok {
		t.Error("a service that does not exist is ok")
	}
}

func TestCaller(t *testing.T) {
	tests := []struct {
		about        string
		host         string
		unit, cgroup string
		uid          uint32
		user         string
		service      string
		ambiguous    bool
	}{
		{about: "unit", host: "app-1", unit: "billing.service", uid: 1, service: "billing"},
		{about: "host without endpoint", host: "web-1", unit: "billing.service", uid: 1},
		{about: "second block", host: "app-2", unit: "billing@eu.service", user: "billing", service: "billing"},
		{about: "all fields of a block", host: "app-2", unit: "billing@eu.service", user: "root"},
		{about: "listed host", host: "web-1", unit: "cron.service", service: "jobs"},
		{about: "host not listed", host: "app-1", unit: "cron.service"},
		{about: "any host, deep cgroup", host: "db-9", cgroup: "/jobs.slice/a/b.scope", service: "jobs"},
		{about: "cgroup above the pattern", host: "db-9", cgroup: "/jobs.slice"},
		{about: "numeric user", host: "app-1", uid: 1004, user: "worker", service: "worker"},
		{about: "two services", host: "app-1", unit: "billing.service", uid: 1004, ambiguous: true},
		{about: "two blocks of one service", host: "web-1", unit: "cron.service", cgroup: "/jobs.slice/x", service: "jobs"},
		{about: "nothing known", host: "app-1"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			service, ambiguous := build(tt.host).Caller(tt.unit, tt.cgroup, tt.uid, func(uint32) string { return tt.user })
			if service != tt.service || ambiguous != tt.ambiguous {
				t.Errorf("caller is %q, ambiguous %v; want %q, %v", service, ambiguous, tt.service, tt.ambiguous)
			}
		})
	}
}

func TestStore(t *testing.T) {
	var store Store
	if s := store.Load(); s == nil || len(s.Services()) != 0 {
		t.Fatal("a new store does not hold an empty snapshot")
	}
	old := build("app-1")
	store.Swap(old)
	old.Services()[0].Ports[0].Group.Endpoints()[0].Acquire()

	next := Build(Input{Version: 8, Catalog: shop(), Previous: old})
	if before := store.Swap(next); before != old || store.Load() != next {
		t.Error("a swap did not exchange the snapshots")
	}
	if n := next.Services()[0].Ports[0].Group.Endpoints()[0].Active(); n != 1 {
		t.Errorf("endpoint counts %d connections after a swap, want 1", n)
	}
}

func BenchmarkAt(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			services := make([]mesh.Service, n)
			for i := range services {
				services[i] = mesh.Service{
					Name: fmt.Sprintf("s%06d", i), Port: 80,
					Virtual4: netip.AddrFrom4([4]byte{244, 0, byte(i >> 8), byte(i)}),
				}
			}
			s := Build(Input{Catalog: mesh.Catalog{Services: services}})
			dst := netip.AddrPortFrom(services[n/2].Virtual4, 80)
			b.ReportAllocs()
			for b.Loop() {
				s.At(dst)
			}
		})
	}
}
