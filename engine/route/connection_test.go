package route

import (
	"math"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// ofConnections is a service with one of everything that connections can meet, and a router, which they cannot.
func ofConnections(policy mesh.Balancing) *rig {
	return newRig(mesh.Catalog{
		Services: []mesh.Service{{Name: "db", Balancing: policy, MaxConnections: 7, Balancer: mesh.Balancer{Hash: []mesh.HashPolicy{
			{Kind: mesh.HashCookie, Name: "id", TTL: time.Hour}, {Kind: mesh.HashHeader, Name: "x-user"},
		}}}},
		Routers: []mesh.Router{{Service: "db", Routes: []mesh.Route{
			to(mesh.RouteMatch{}, "routed"), {Respond: &mesh.Respond{Status: 204}},
		}}},
		Splitters: []mesh.Splitter{{Service: "db", Splits: []mesh.Split{
			{Weight: 90_00, Service: "db"}, {Weight: 9_99, Service: "db", Subset: "v2"}, {Weight: 1, Service: "next"},
		}}},
		Resolvers: []mesh.Resolver{
			{Service: "db", DefaultSubset: "v1", ConnectTimeout: time.Second, Failover: []mesh.Failover{
				{Subset: "v1", Targets: []mesh.Target{{Service: "db", Subset: "v2"}}},
			}},
			{Service: "next", Redirect: &mesh.Target{Service: "other"}},
		},
	})
}

func tableOfConnections(policy mesh.Balancing) *Table {
	return ofConnections(policy).compiler().Table("db", Port{Unread: true})
}

// TestConnections: splitter and resolver decide a connection of which nothing is read, and the router is not asked.
func TestConnections(t *testing.T) {
	x := ofConnections(mesh.RoundRobin)
	table := x.compiler().Table("db", Port{Unread: true})
	if n := len(table.Routes()); n != 1 || table.GovernsPaths() {
		t.Fatalf("%d routes for connections, want 1", n)
	}
	const whole = 1 << 32
	for draw, want := range map[uint32]string{
		0: "db/v1", whole / 10_000 * 89_99: "db/v1", whole / 10_000 * 90_01: "db/v2", whole / 100_000 * 99_985: "db/v2",
		whole / 100_000 * 99_995: "other", math.MaxUint32: "other",
	} {
		if got := table.DecideConnection(draw); got.Name() != want {
			t.Errorf("draw %d goes to %s, want %s", draw, got.Name(), want)
		}
	}
	first := table.DecideConnection(0)
	if first.ConnectTimeout != time.Second || first.MaxConnections != 7 {
		t.Errorf("connect timeout %s, at most %d connections", first.ConnectTimeout, first.MaxConnections)
	}
	first.Group.Endpoints()[0].MarkDown(time.Now(), "test")
	if got := table.DecideConnection(0); got.Name() != "db/v2" {
		t.Errorf("with v1 down it goes to %s, want who stands in", got.Name())
	}
}

// TestConnectionsAgree: what is explained of connections is what is decided.
func TestConnectionsAgree(t *testing.T) {
	table := tableOfConnections(mesh.RoundRobin)
	e := table.ExplainConnection()
	if len(e.Candidates) != 1 || e.Candidates[0].Why != "" || len(e.Shares) != 3 {
		t.Fatalf("%+v", e)
	}
	for draw := uint32(0); draw < math.MaxUint32-1<<20; draw += 1 << 20 {
		if got, want := e.Shares[e.Drawn(draw)].Live, table.DecideConnection(draw); got != want {
			t.Fatalf("draw %d goes to %s, explained as %s", draw, want.Name(), got.Name())
		}
	}
}

// TestHashOfConnections: only the source is known of a connection, whatever else the policies of its service look at.
func TestHashOfConnections(t *testing.T) {
	target := tableOfConnections(mesh.Maglev).DecideConnection(0)
	whole := balance.New(balance.Config{Policy: mesh.Maglev, Endpoints: []mesh.Endpoint{{Address: at(1)}, {Address: at(2)}}})
	target.Group = whole
	web, reports := target.HashConnection("web"), target.HashConnection("reports")
	if web == reports || web != target.HashConnection("web") || web.Cookie != nil {
		t.Errorf("the hashes of two sources are %+v and %+v", web, reports)
	}
	endpoint, certain := target.Certain(&web)
	if !certain || target.Pick(new(balance.Tried), &web) != endpoint {
		t.Error("the endpoint of a source is not certain")
	}
	target.Group = balance.New(balance.Config{Policy: mesh.Random, Endpoints: []mesh.Endpoint{{Address: at(1)}}})
	if h := target.HashConnection("web"); h != (Hash{}) {
		t.Errorf("a policy that does not hash has the hash %+v", h)
	}
}
