package proxy

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// TestDeadlinesComeInOrder arms, moves and disarms at random, and wants what is left to come in its order.
func TestDeadlinesComeInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l := &loop{}
	start := time.Now()
	conns := make([]*conn, 100)
	for i := range conns {
		conns[i] = &conn{loop: l}
	}
	armed := map[*conn]time.Time{}
	for range 10_000 {
		c := conns[random.IntN(len(conns))]
		if random.IntN(3) == 0 {
			c.disarm()
			delete(armed, c)
			continue
		}
		armed[c] = start.Add(time.Duration(random.IntN(1000)) * time.Second)
		c.arm(armed[c])
	}
	left := slices.SortedFunc(func(yield func(time.Time) bool) {
		for _, at := range armed {
			if !yield(at) {
				return
			}
		}
	}, func(a, b time.Time) int { return a.Compare(b) })
	for _, want := range left {
		if !l.deadlines.next().Equal(want) {
			t.Fatalf("the next deadline is %v, want %v", l.deadlines.next().Sub(start), want.Sub(start))
		}
		if c := l.deadlines.expired(want.Add(-1)); c != nil {
			t.Fatal("a deadline expires before its time")
		}
		c := l.deadlines.expired(want)
		if c == nil || !armed[c].Equal(want) || c.deadline.place != 0 {
			t.Fatalf("%v expires at %v", c, want.Sub(start))
		}
		delete(armed, c)
	}
	if len(armed) > 0 || !l.deadlines.next().IsZero() {
		t.Errorf("%d deadlines are lost", len(armed))
	}
}

// routed makes the service one of HTTP whose requests take a route to the endpoints.
func routed(t testing.TB, to mesh.Destination, endpoints ...netip.AddrPort) *rig {
	t.Helper()
	r := newRig(t, func(c *Config) { c.ConnectTimeout = time.Hour })
	r.protocol = mesh.HTTP
	to.Service = "hello"
	r.serve(func(c *mesh.Catalog) {
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, endpoints...)
	return r
}

// serve publishes the service with its endpoints and what change makes of the rest.
func (r *rig) serve(change func(*mesh.Catalog), endpoints ...netip.AddrPort) {
	hello := mesh.Service{Name: "hello", Port: virtual.Port(), Virtual4: virtual.Addr(), Balancing: mesh.RoundRobin, Protocol: r.protocol}
	for _, at := range endpoints {
		hello.Endpoints = append(hello.Endpoints, mesh.Endpoint{Host: "app-2", Address: at, Weight: 1})
	}
	catalog := mesh.Catalog{Services: []mesh.Service{hello}}
	change(&catalog)
	slices.SortFunc(catalog.Services, func(a, b mesh.Service) int { return cmp.Compare(a.Name, b.Name) })
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version: r.snapshots.Load().Version() + 1, Catalog: catalog, Host: mesh.Host{Name: "app-1"}, Previous: r.snapshots.Load(),
	}))
}

// later has so much time pass for the loops.
func (r *rig) later(d time.Duration) {
	r.inLoops(func(l *loop) {
		l.now = time.Now().Add(d)
		l.expire()
	})
}

func TestConnectTimeoutOfAService(t *testing.T) {
	for _, protocol := range []mesh.Protocol{mesh.TCP, mesh.HTTP} {
		r := newRig(t, func(c *Config) { c.ConnectTimeout = time.Hour })
		r.protocol = protocol
		r.serve(func(c *mesh.Catalog) {
			c.Resolvers = []mesh.Resolver{{Service: "hello", ConnectTimeout: time.Millisecond}}
		}, silent(t), silent(t))
		client := r.dial(virtual)
		if protocol == mesh.TCP {
			wantReset(t, client)
		} else if response, body := get(t, client, bufio.NewReader(client), plain); response.StatusCode != 503 {
			t.Errorf("%d %q", response.StatusCode, body)
		}
		client.Close()
		r.wantEnd(mesh.ReasonConnectFailed)
	}
}

func TestRequestTimeout(t *testing.T) {
	at, conns := accepting(t)
	r := routed(t, mesh.Destination{RequestTimeout: time.Hour}, at)
	client, server, _ := inFlight(t, r, conns)
	r.later(2 * time.Hour)
	in := bufio.NewReader(client)
	if response, body := get(t, client, in, ""); response.StatusCode != 504 || body != "timeout\n" || !response.Close {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	wantReset(t, server)
	wantEOF(t, in)
	client.Close()
	r.wantEnd(mesh.ReasonTimeout)
	r.wantMetric(`meshd_requests_total{code="504",destination="hello",protocol="http",reason="timeout",source="web"} 1`)
}

// TestRequestTimeoutWithinAnswer wants an answer that has begun to be cut off: a client must not take it for whole.
func TestRequestTimeoutWithinAnswer(t *testing.T) {
	for _, to := range []mesh.Destination{{RequestTimeout: time.Hour}, {IdleTimeout: time.Hour}} {
		at, conns := accepting(t)
		r := routed(t, to, at)
		client, server, _ := inFlight(t, r, conns)
		const begun = "HTTP/1.1 200 OK\r\n\r\nhe"
		send(t, server, begun)
		want(t, client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhe")
		r.later(2 * time.Hour)
		wantReset(t, client)
		wantReset(t, server)
		r.wantEnd(mesh.ReasonTimeout)
	}
}

// TestAnsweredInTime wants nothing of a request's time to be left for the next one.
func TestAnsweredInTime(t *testing.T) {
	at, conns := accepting(t)
	r := routed(t, mesh.Destination{
		RequestTimeout: time.Hour, IdleTimeout: time.Hour, Retry: &mesh.Retry{Attempts: 1, On: []string{"5xx"}, PerTryTimeout: time.Hour},
	}, at)
	client, server, from := inFlight(t, r, conns)
	for range 2 {
		send(t, server, answer)
		want(t, client, answer)
		r.eventually("no time counts", func() (free bool) {
			r.exchanges(func(x *exchange) { free = x.stage == forHead && x.conn.deadline.place == 0 })
			return free
		})
		send(t, client, plain)
		if _, err := http.ReadRequest(from); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIdleTimeout(t *testing.T) {
	at, conns := accepting(t)
	r := routed(t, mesh.Destination{IdleTimeout: time.Hour}, at)
	client, server, _ := inFlight(t, r, conns)
	longAgo := func() {
		r.exchanges(func(x *exchange) {
			x.until.moved = x.until.moved.Add(-2 * time.Hour)
		})
	}
	// What moves puts the end off, though it was to come now.
	longAgo()
	send(t, server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
	want(t, client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			c.overdue()
		}
	})
	send(t, server, "ok")
	want(t, client, "ok")

	send(t, client, plain)
	r.eventually("the next request is sent", func() (sent bool) {
		r.exchanges(func(x *exchange) { sent = x.stage == forAnswer && x.sent > 0 })
		return sent
	})
	r.later(2 * time.Hour)
	if response, body := get(t, client, bufio.NewReader(client), ""); response.StatusCode != 504 || body != "timeout\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

// TestIdleUpgrade wants idle_timeout, and no other time, to end what an upgrade has led to.
func TestIdleUpgrade(t *testing.T) {
	at := endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		send(t, c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(c, in)
	})
	r := routed(t, mesh.Destination{RequestTimeout: time.Minute, IdleTimeout: time.Hour}, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	send(t, client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	if response, err := http.ReadResponse(in, nil); err != nil || response.StatusCode != 101 {
		t.Fatalf("%v, %v", response, err)
	}
	for i := range 2 {
		r.exchanges(func(x *exchange) { x.until.moved = x.until.moved.Add(-2 * time.Hour) })
		text := fmt.Sprint("hello", i)
		send(t, client, text)
		want(t, in, text)
		r.later(30 * time.Minute)
		r.inLoops(func(l *loop) {
			for _, c := range l.conns() {
				c.overdue()
			}
		})
	}
	r.later(2 * time.Hour)
	wantReset(t, client)
	r.wantEnd(mesh.ReasonTimeout)
	r.wantMetric(`meshd_requests_total{code="101",destination="hello",protocol="http",reason="done",source="web"} 1`)
}
