package daemon

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

func TestIsSuspect(t *testing.T) {
	group := balance.New(balance.Config{Endpoints: []mesh.Endpoint{
		{Address: netip.MustParseAddrPort("10.0.0.1:80")},
		{Address: netip.MustParseAddrPort("10.0.0.2:80")},
	}})
	one, two := group.Endpoints()[0], group.Endpoints()[1]
	already := false
	expect := func(when string, want bool) {
		t.Helper()
		if already = isSuspect(group.Endpoints(), already); already != want {
			t.Errorf("%s: suspect %v, want %v", when, already, want)
		}
	}
	refused := errors.New("refused")
	one.Fail(time.Now(), refused)
	expect("one of two fails", false)
	two.Fail(time.Now(), refused)
	expect("both fail", true)
	one.MarkDown(time.Now(), "its check fails")
	two.MarkDown(time.Now(), "its check fails")
	one.MarkUp(time.Now(), "its check passes")
	expect("one is back", true)
	two.MarkUp(time.Now(), "its check passes")
	expect("both are back", false)
	if isSuspect(nil, true) {
		t.Error("a port without endpoints is a suspect")
	}
}

// TestIsSuspectSubset: that all of a subset fails is enough, as others stand in for it only once it is known to be down.
func TestIsSuspectSubset(t *testing.T) {
	endpoint := func(address, version string) mesh.Endpoint {
		return mesh.Endpoint{Address: netip.MustParseAddrPort(address), Meta: map[string]string{"version": version}}
	}
	snap := snapshot.Build(snapshot.Input{Catalog: mesh.Catalog{
		Services: []mesh.Service{{
			Name: "db", Port: 80, Protocol: mesh.TCP, Endpoints: []mesh.Endpoint{endpoint("10.0.0.1:80", "v1"), endpoint("10.0.0.2:80", "v2")},
		}},
		Resolvers: []mesh.Resolver{{
			Service: "db", DefaultSubset: "v1", Subsets: []mesh.Subset{
				{Name: "v1", Filter: "Service.Meta.version == v1"}, {Name: "v2", Filter: "Service.Meta.version == v2"},
			},
		}},
	}})
	db := snap.Services()[0].Ports[0]
	v1, v2 := db.Group.Endpoints()[0], db.Group.Endpoints()[1]
	v2.Fail(time.Now(), errors.New("refused"))
	if isSuspectPort(db, false) {
		t.Error("an endpoint that fails, and to which nothing leads, makes the port a suspect")
	}
	v2.Accept()
	v1.Fail(time.Now(), errors.New("refused"))
	if !isSuspectPort(db, false) {
		t.Error("a subset that fails makes the port no suspect")
	}
	v1.MarkDown(time.Now(), "its check fails")
	if !isSuspectPort(db, true) {
		t.Error("a suspect is left before it is up")
	}
	v1.MarkUp(time.Now(), "its check passes")
	if isSuspectPort(db, true) {
		t.Error("it is a suspect for ever")
	}
}

func TestTargets(t *testing.T) {
	endpoint := mesh.Endpoint{Address: netip.MustParseAddrPort("10.0.0.1:8080"), Ports: map[string]uint16{"grpc": 9091}}
	check := &mesh.Check{Kind: mesh.CheckHTTP, Path: "/", Interval: time.Minute}
	service := func(name string, check *mesh.Check) mesh.Service {
		return mesh.Service{
			Name: name, Port: 80, Listeners: []mesh.Listener{{Name: "grpc", Port: 9090}}, Check: check,
			Endpoints: []mesh.Endpoint{endpoint},
		}
	}
	snap := snapshot.Build(snapshot.Input{Catalog: mesh.Catalog{Services: []mesh.Service{
		service("checked", check), service("plain", nil), {Name: "web", Check: check},
	}}})
	got := targetsOf(snap, map[mesh.ServiceID]bool{mesh.IDOf("plain/grpc"): true, mesh.IDOf("checked"): true})
	if len(got) != 2 {
		t.Fatalf("%d targets, want 2: %v", len(got), got)
	}
	for i, want := range []struct {
		service string
		check   mesh.Check
		ports   []uint16
	}{{"checked", *check, []uint16{8080, 9091}}, {"plain", suspicion, []uint16{9091}}} {
		var ports []uint16
		for _, e := range got[i].Endpoints {
			ports = append(ports, e.Address.Port())
		}
		if got[i].Service != want.service || got[i].Check != want.check || !slices.Equal(ports, want.ports) {
			t.Errorf("target %v at ports %v, want %v", got[i], ports, want)
		}
	}
}
