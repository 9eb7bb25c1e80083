package proxy

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// speaker is an endpoint that says its name, and then nothing.
func speaker(t testing.TB, name string) netip.AddrPort {
	return endpoint(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte(name))
		_, _ = io.Copy(io.Discard, c)
	})
}

// hears returns what the endpoint of a new connection says, which must be one letter.
func (r *rig) hears(dst netip.AddrPort) string {
	r.t.Helper()
	client := r.dial(dst)
	defer client.Close()
	var said [1]byte
	if _, err := io.ReadFull(client, said[:]); err != nil {
		r.t.Fatal(err)
	}
	return string(said[:])
}

// versions makes a service of bytes with an endpoint of version a and one of version b, and another service c.
func versions(t testing.TB, change func(*mesh.Catalog)) (r *rig, a, b netip.AddrPort) {
	t.Helper()
	a, b = speaker(t, "a"), speaker(t, "b")
	r = newRig(t, nil)
	r.serve(func(c *mesh.Catalog) {
		for i, version := range []string{"a", "b"} {
			c.Services[0].Endpoints[i].Meta = map[string]string{"version": version}
		}
		c.Services = append(c.Services, mesh.Service{
			Name: "other", Port: 80, Virtual4: netip.MustParseAddr("244.0.0.2"), Protocol: mesh.TCP, Balancing: mesh.RoundRobin,
			Endpoints: []mesh.Endpoint{{Host: "app-3", Address: speaker(t, "c"), Weight: 1}},
		})
		c.Resolvers = []mesh.Resolver{{Service: "hello", Subsets: []mesh.Subset{
			{Name: "a", Filter: "Service.Meta.version == a"}, {Name: "b", Filter: "Service.Meta.version == b"},
		}}}
		change(c)
	}, a, b)
	return r, a, b
}

func TestSplitOfConnections(t *testing.T) {
	r, a, _ := versions(t, func(c *mesh.Catalog) {
		c.Splitters = []mesh.Splitter{{Service: "hello", Splits: []mesh.Split{
			{Weight: 50_00, Service: "hello", Subset: "a"}, {Weight: 50_00, Service: "other"},
		}}}
	})
	counts := map[string]int{}
	for range 100 {
		counts[r.hears(virtual)]++
	}
	// 50 are expected; fewer than 25 or more than 75 come less than once in a million runs.
	if counts["a"] < 25 || counts["c"] < 25 || counts["a"]+counts["c"] != 100 {
		t.Errorf("100 connections went to %v", counts)
	}
	// Whoever dials an endpoint by its own address gets that one.
	for range 10 {
		if got := r.hears(a); got != "a" {
			t.Errorf("a connection to the address of a went to %s", got)
		}
	}
}

func TestResolverOfConnections(t *testing.T) {
	r, _, _ := versions(t, func(c *mesh.Catalog) {
		c.Resolvers[0].DefaultSubset = "b"
		c.Resolvers[0].Failover = []mesh.Failover{{Subset: "b", Targets: []mesh.Target{{Service: "other"}}}}
		c.Resolvers = append(c.Resolvers, mesh.Resolver{Service: "other", Redirect: &mesh.Target{Service: "hello", Subset: "a"}})
	})
	expect := func(what, want string) {
		t.Helper()
		for range 5 {
			if got := r.hears(virtual); got != want {
				t.Errorf("%s: a connection went to %s, want %s", what, got, want)
			}
		}
	}
	expect("the default subset", "b")
	if got := r.hears(netip.MustParseAddrPort("244.0.0.2:80")); got != "a" {
		t.Errorf("what is redirected went to %s, want a", got)
	}
	port, _, _ := r.snapshots.Load().At(virtual)
	b := port.Group.Endpoints()[1]
	b.MarkDown(time.Now(), "test")
	expect("with the subset down, who stands in, and where that is redirected", "a")
	b.MarkUp(time.Now(), "test")
	expect("with the subset up again", "b")
	for range 16 { // those of above
		r.wantEnd(mesh.ReasonDone)
	}
	port.Group.Endpoints()[0].MarkDown(time.Now(), "test")
	b.MarkDown(time.Now(), "test")
	wantReset(t, r.dial(virtual))
	r.wantEnd(mesh.ReasonNoEndpoint)
}

// TestLineOfATarget has the access log name service and subset that were chosen, where they are not what was dialled.
func TestLineOfATarget(t *testing.T) {
	r, _, b := versions(t, func(c *mesh.Catalog) { c.Resolvers[0].DefaultSubset = "b" })
	line := r.lines()
	r.hears(virtual)
	r.wantLine(line(), map[string]any{
		"protocol": "tcp", "destination": "hello", "target": "hello/b", "endpoint": fmt.Sprint("app-2:", b.Port()), "reason": "done", "received": 1,
	})
	if record := r.wantEnd(mesh.ReasonDone); record["target"].String() != "hello/b" {
		t.Errorf("the log says %v", record)
	}
}

// TestMaxConnectionsOfATarget: the limit of the service counts to which a connection goes, not of the one that was dialled.
func TestMaxConnectionsOfATarget(t *testing.T) {
	r, _, _ := versions(t, func(c *mesh.Catalog) {
		c.Services[0].MaxConnections, c.Services[1].MaxConnections = 1, 2
		c.Resolvers = []mesh.Resolver{{Service: "hello", Redirect: &mesh.Target{Service: "other"}}}
	})
	var held []*net.TCPConn
	for range 2 {
		client := r.dial(virtual)
		want(t, client, "c")
		held = append(held, client)
	}
	wantReset(t, r.dial(virtual))
	r.wantEnd(mesh.ReasonOverload)
	for _, c := range held {
		c.Close()
		r.wantEnd(mesh.ReasonDone)
	}
	if got := r.hears(virtual); got != "c" {
		t.Errorf("with room again it went to %s", got)
	}
}

// TestConnectFailsInASubset: a connect that fails goes on within the subset alone, for as long as its own time lets it.
func TestConnectFailsInASubset(t *testing.T) {
	outside, good := speaker(t, "b"), speaker(t, "a")
	r := newRig(t, func(c *Config) { c.ConnectTimeout = time.Hour })
	serve := func(subset ...netip.AddrPort) {
		r.serve(func(c *mesh.Catalog) {
			for i := range subset {
				c.Services[0].Endpoints[i].Tags = []string{"old"}
			}
			c.Resolvers = []mesh.Resolver{{
				Service: "hello", DefaultSubset: "old", ConnectTimeout: time.Millisecond,
				Subsets: []mesh.Subset{{Name: "old", Filter: "old in Service.Tags"}},
			}}
		}, append(subset, outside)...)
	}
	serve(dead(t), silent(t))
	wantReset(t, r.dial(virtual))
	r.wantEnd(mesh.ReasonConnectFailed)
	serve(dead(t), silent(t), good)
	if got := r.hears(virtual); got != "a" {
		t.Errorf("it went on to %s", got)
	}
}
