package proxy

import (
	"bufio"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// limited makes a service of HTTP with limits.
func limited(t testing.TB, change func(*mesh.Service), endpoints ...netip.AddrPort) *rig {
	t.Helper()
	r := newRig(t, func(c *Config) { c.ConnectTimeout = time.Hour })
	r.protocol = mesh.HTTP
	r.serve(func(c *mesh.Catalog) { change(&c.Services[0]) }, endpoints...)
	return r
}

func TestRateLimit(t *testing.T) {
	at, _ := plays(t, answer)
	r := limited(t, func(s *mesh.Service) { s.Rates = []mesh.RateLimit{{Per: mesh.PerSource, PerSecond: 1, Burst: 1}} }, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	if response, _ := get(t, client, in, plain); response.StatusCode != 200 {
		t.Errorf("%s", response.Status)
	}
	if !r.snapshots.Load().Services()[0].Limiter.Allow("web", time.Now().Add(time.Hour)) { // and so there is none for an hour
		t.Error("there is no token in an hour")
	}
	for range 2 {
		if response, body := get(t, client, in, plain); response.StatusCode != 429 || body != "rate-limited\n" {
			t.Errorf("%d %q", response.StatusCode, body)
		}
	}
	client.Close()
	r.wantEnd(mesh.ReasonDone)
	r.wantMetric(`meshd_requests_total{code="429",destination="hello",protocol="http",reason="rate-limited",source="web"} 2`)
}

// TestMaxRequests wants a request to count until it is answered, and the next to find its place free.
func TestMaxRequests(t *testing.T) {
	at, conns := accepting(t)
	r := limited(t, func(s *mesh.Service) { s.MaxRequests = 1 }, at)
	client, server, from := inFlight(t, r, conns)
	second := r.dial(virtual)
	in := bufio.NewReader(second)
	if response, body := get(t, second, in, plain); response.StatusCode != 503 || body != "overload\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	send(t, server, answer)
	want(t, client, answer)
	send(t, client, plain)
	if _, err := http.ReadRequest(from); err != nil {
		t.Fatal(err)
	}
	send(t, server, answer)
	want(t, client, answer)
}

// TestMaxPending wants a request that has no connection yet to count, and none that has one.
func TestMaxPending(t *testing.T) {
	r := limited(t, func(s *mesh.Service) { s.MaxPending = 1 }, silent(t))
	first, second := r.dial(virtual), r.dial(virtual)
	send(t, first, plain)
	load := r.snapshots.Load().Services()[0].Load
	r.eventually("the first one waits", func() bool { return load.Pending() == 1 })
	if response, body := get(t, second, bufio.NewReader(second), plain); response.StatusCode != 503 || body != "overload\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	reset(first)
	r.eventually("nobody waits", func() bool { return load.Pending() == 0 })

	at, conns := accepting(t)
	r = limited(t, func(s *mesh.Service) { s.MaxPending = 1 }, at)
	inFlight(t, r, conns)
	inFlight(t, r, conns)
	if load := r.snapshots.Load().Services()[0].Load; load.Pending() != 0 || load.Connections() != 2 {
		t.Errorf("%d requests wait and %d connections are there", load.Pending(), load.Connections())
	}
}

// TestMaxConnectionsOfAllSubsets wants the limit of a service to hold for requests to different subsets together.
func TestMaxConnectionsOfAllSubsets(t *testing.T) {
	at, conns := accepting(t)
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	r.serve(func(c *mesh.Catalog) {
		c.Services[0].MaxConnections = 1
		c.Services[0].Endpoints[1].Tags = []string{"blue"}
		c.Resolvers = []mesh.Resolver{{Service: "hello", Subsets: []mesh.Subset{
			{Name: "blue", Filter: "blue in Service.Tags"}, {Name: "green", Filter: "blue not in Service.Tags"},
		}}}
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{
			{Match: mesh.RouteMatch{PathExact: "/blue"}, Destination: &mesh.Destination{Service: "hello", Subset: "blue"}},
			{Destination: &mesh.Destination{Service: "hello", Subset: "green"}},
		}}}
	}, at, dead(t))
	inFlight(t, r, conns)
	client := r.dial(virtual)
	if response, body := get(t, client, bufio.NewReader(client), "GET /blue HTTP/1.1\r\nHost: a\r\n\r\n"); body != "overload\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

// TestIdleUpstreamsOfWhoLeft wants the connections to an endpoint to end that has left the mesh.
func TestIdleUpstreamsOfWhoLeft(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client, server, _ := inFlight(t, r, conns)
	send(t, server, answer)
	want(t, client, answer)
	r.publish(3, named(t, "other"))
	get(t, client, bufio.NewReader(client), plain)
	wantEOF(t, server)

	// One that is still busy then ends with its request.
	r.publish(4, at)
	client, server, _ = inFlight(t, r, conns)
	r.publish(5, named(t, "other"))
	other := r.dial(virtual)
	get(t, other, bufio.NewReader(other), plain)
	r.inLoops(func(l *loop) { l.see(r.snapshots.Load()) })
	send(t, server, answer)
	want(t, client, answer)
	wantEOF(t, server)
}

// TestBadBodyCountsNoMore wants a request to count no more that has proved to be none behind its head.
func TestBadBodyCountsNoMore(t *testing.T) {
	at, conns := accepting(t)
	r := limited(t, func(s *mesh.Service) { s.Edge = true }, at)
	held, _ := r.clients.take(clientKey{"hello", "web"})
	for range 3 {
		client := r.dial(virtual)
		send(t, client, "POST / HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\n")
		<-conns
		send(t, client, "bad\n")
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || response.StatusCode != 400 {
			t.Fatalf("%v, %v", response, err)
		}
		client.Close()
		r.wantEnd(mesh.ReasonBadRequest)
	}
	if n := held.requests.Load(); n != 0 {
		t.Errorf("%d requests count", n)
	}
}
