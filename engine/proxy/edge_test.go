package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// edgeRig makes the service one of HTTP whose clients may be strangers.
func edgeRig(t testing.TB, endpoints ...netip.AddrPort) *rig {
	t.Helper()
	return limited(t, func(s *mesh.Service) { s.Edge = true }, endpoints...)
}

// mirrorOfHeads is an endpoint that answers each request, without a body, with its head.
func mirrorOfHeads(t testing.TB) netip.AddrPort {
	return endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for {
			var head strings.Builder
			for !strings.HasSuffix(head.String(), "\r\n\r\n") {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				head.WriteString(line)
			}
			if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.String()); err != nil {
				return
			}
		}
	})
}

// ofProxies are fields that a stranger is not believed.
var ofProxies = []string{
	"X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST", "X-Forwarded-Client-Cert", "Forwarded", "X-Real-IP", "X-Request-ID", "X-Mesh-Source", "x-meshd-a",
}

// TestEdgeLeavesOut wants what only proxies have to say to go on no further where strangers call, and untouched elsewhere.
func TestEdgeLeavesOut(t *testing.T) {
	request := "GET /a HTTP/1.1\r\nHost: a\r\nA: b\r\n"
	clean := request + "\r\n"
	for _, name := range ofProxies {
		request += name + ": c\r\n"
	}
	request += "\r\n"
	for edge, want := range map[bool]string{true: clean, false: strings.Replace(request, "X-Forwarded-Client-Cert: c\r\n", "", 1)} {
		r := limited(t, func(s *mesh.Service) { s.Edge = edge }, mirrorOfHeads(t))
		client := r.dial(virtual)
		in := bufio.NewReader(client)
		for range 2 {
			if _, body := get(t, client, in, request); body != want {
				t.Errorf("edge %v: %q, want %q", edge, body, want)
			}
		}
	}
}

// TestEdgeRefuses wants what could be read as something else to be refused where strangers call, and to travel elsewhere.
func TestEdgeRefuses(t *testing.T) {
	r, open := edgeRig(t, mirrorOfHeads(t)), httpRig(t, mirrorOfHeads(t))
	refused := map[string]int{
		"X_A: b": 400, "x_forwarded_for: b": 400, "_: a": 400, "X-A: " + strings.Repeat("b", http1.MaxStrangerHead): 431,
		strings.TrimSuffix(strings.Repeat("A: b\r\n", http1.MaxStrangerFields), "\r\n"): 431,
		"Connection: traceparent": 400, "A: b\r\nconnection: keep-alive, a, X-Real-Ip": 400,
	}
	for _, name := range ofProxies {
		refused["Connection: close, "+name] = 400
		refused["Connection: "+strings.ReplaceAll(name, "-", "_")] = 400
	}
	for field, code := range refused {
		request := "GET / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n"
		client := r.dial(virtual)
		response, body := get(t, client, bufio.NewReader(client), request)
		if response.StatusCode != code || body != "hardening\n" || !response.Close {
			t.Errorf("%.60q: %d %.40q, want %d", field, response.StatusCode, body, code)
		}
		client.Close()
		r.wantEnd(mesh.ReasonHardening)

		client = open.dial(virtual)
		response, body = get(t, client, bufio.NewReader(client), request)
		if response.StatusCode != 200 || !strings.Contains(field, "onnection: ") && body != request {
			t.Errorf("elsewhere %.60q: %d, %.60q", field, response.StatusCode, body)
		}
		client.Close()
	}
	if n := r.heads(); n != 0 {
		t.Errorf("%d heads went on", n)
	}
	r.wantMetric(`meshd_requests_total{code="431",destination="hello",protocol="http",reason="hardening",source="web"} 2`)
}

// TestEdgeRefusesLongHeads wants a head to be refused before its end has come.
func TestEdgeRefusesLongHeads(t *testing.T) {
	r := edgeRig(t, mirrorOfHeads(t))
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	get(t, client, in, plain)
	if response, body := get(t, client, in, "GET /"+strings.Repeat("a", http1.MaxStrangerHead)); response.StatusCode != 431 || body != "hardening\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	// Of many pieces.
	client = r.dial(virtual)
	in = bufio.NewReader(client)
	send(t, client, "GET /")
	for size := 5; size <= http1.MaxStrangerHead; size += 1000 {
		r.eventually("the piece is read", func() (read bool) {
			r.exchanges(func(x *exchange) { read = read || len(x.input) >= size || x.stage == forEnd })
			return read
		})
		send(t, client, strings.Repeat("a", 1000))
	}
	if response, body := get(t, client, in, ""); response.StatusCode != 431 || body != "hardening\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

// TestEdgeKeepsItsOwnFields wants what a route sets to be set, and nobody to have it taken away; and routes to believe strangers
// no more than the service does.
func TestEdgeKeepsItsOwnFields(t *testing.T) {
	at := mirrorOfHeads(t)
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	r.serve(func(c *mesh.Catalog) {
		c.Services[0].Edge = true
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{
			{Match: mesh.RouteMatch{Headers: []mesh.HeaderMatch{{Name: "X-Forwarded-Proto", Kind: mesh.TextExact, Text: "https"}}}, Respond: &mesh.Respond{Status: 418}},
			{Destination: &mesh.Destination{Service: "hello", Request: mesh.HeaderEdits{Set: []mesh.Field{{Name: "X-Forwarded-Proto", Value: "http"}}, Add: []mesh.Field{{Name: "X-Tenant", Value: "a"}}}}},
		}}}
	}, at)
	r.UseRequestIDs(true)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	response, body := get(t, client, in, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Request-ID: mine\r\nA: b\r\n\r\n")
	head, id, found := strings.Cut(strings.TrimSuffix(body, "\r\n\r\n"), "\r\nx-request-id: ")
	if want := "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nX-Forwarded-Proto: http\r\nX-Tenant: a"; response.StatusCode != 200 || !found || len(id) != 36 || head != want {
		t.Errorf("%d %q, want %q and an id", response.StatusCode, body, want)
	}
	for _, name := range []string{"x-tenant", "X-Tenant"} {
		client = r.dial(virtual)
		if response, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: a\r\nConnection: "+name+"\r\n\r\n"); response.StatusCode != 400 || body != "hardening\n" {
			t.Errorf("%d %q", response.StatusCode, body)
		}
	}
}

// TestEdgeTrailers wants fields behind a body to be no way around what is asked of those before it.
func TestEdgeTrailers(t *testing.T) {
	at, _ := plays(t, answer)
	for _, field := range []string{"X_A", "X-Forwarded-For"} {
		r := edgeRig(t, at)
		client := r.dial(virtual)
		response, body := get(t, client, bufio.NewReader(client), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"+field+": b\r\n\r\n")
		if response.StatusCode != 400 || body != "hardening\n" {
			t.Errorf("%s: %d %q", field, response.StatusCode, body)
		}
	}
}

func TestEdgeHeadTimeout(t *testing.T) {
	r := edgeRig(t, mirrorOfHeads(t))
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	get(t, client, in, plain)
	send(t, client, "GET / HT")
	r.eventually("the client is hurried", func() (slow bool) {
		r.exchanges(func(x *exchange) { slow = x.conn.waiting.in == &x.conn.loop.edge.slow })
		return slow
	})
	r.later(edgeHeadTimeout - time.Second)
	r.exchanges(func(x *exchange) {
		if x.stage != forHead {
			t.Error("the client has no time")
		}
	})
	send(t, client, "TP/1.1\r\nHost: a\r\n") // which gives it no more time
	r.later(edgeHeadTimeout + time.Second)
	if response, body := get(t, client, in, ""); response.StatusCode != 408 || body != "too-slow\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	wantEOF(t, in)
	client.Close()
	r.wantEnd(mesh.ReasonTooSlow)
	r.wantMetric(`meshd_requests_total{code="408",destination="hello",protocol="http",reason="too-slow",source="web"} 1`)
}

// TestEdgeIdle wants a connection to end that is without a request for long, before the first one and behind one, and none
// that has one.
func TestEdgeIdle(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	client := r.dial(virtual)
	r.eventually("the connection is there", func() (waits bool) {
		r.exchanges(func(x *exchange) { waits = x.conn.waiting.in == &x.conn.loop.edge.idle })
		return waits
	})
	r.later(edgeIdle - time.Second)
	r.later(edgeIdle + time.Second)
	wantEOF(t, client)
	r.wantEnd(mesh.ReasonIdle)

	client, server, from := inFlight(t, r, conns)
	for range 2 {
		r.later(edgeIdle + time.Second)
		send(t, server, answer)
		want(t, client, answer)
		send(t, client, plain)
		if _, err := http.ReadRequest(from); err != nil {
			t.Fatal(err)
		}
	}
	send(t, server, answer)
	want(t, client, answer)
	r.eventually("the answer is over", func() (waits bool) {
		r.exchanges(func(x *exchange) { waits = x.conn.waiting.in == &x.conn.loop.edge.idle })
		return waits
	})
	r.later(edgeIdle + time.Second)
	wantEOF(t, client)
	r.wantEnd(mesh.ReasonIdle)

	// Elsewhere it stays.
	open := httpRig(t, at)
	client = open.dial(virtual)
	open.eventually("the connection is there", func() bool { return len(open.Connections()) == 1 })
	open.later(24 * time.Hour)
	send(t, client, plain)
	server = <-conns
	send(t, server, answer)
	want(t, client, answer)
}

// TestEdgeIdleIsOver has a request come at the moment when the time for it is over.
func TestEdgeIdleIsOver(t *testing.T) {
	r := edgeRig(t, mirrorOfHeads(t))
	client := r.dial(virtual)
	r.eventually("the connection is there", func() bool { return len(r.Connections()) == 1 })
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			send(t, client, plain)
			l.now = time.Now().Add(edgeIdle + time.Second)
			l.edge.expire(l.now)
			if c.ended || c.waiting.in != &l.edge.slow {
				t.Error("the connection ends while a request is there")
			}
		}
	})
	if response, _ := get(t, client, bufio.NewReader(client), ""); response.StatusCode != 200 {
		t.Errorf("%s", response.Status)
	}
}

// uploading has a client send the head of a request with a body of many bytes, and count of these.
func uploading(t *testing.T, r *rig, conns <-chan *net.TCPConn, more string, count int) (client, server *net.TCPConn) {
	t.Helper()
	client = r.dial(virtual)
	head := "POST / HTTP/1.1\r\nHost: a\r\n" + more + "Content-Length: 1000000000\r\n\r\n"
	send(t, client, head)
	send(t, client, strings.Repeat("a", count))
	server = <-conns
	if _, err := io.CopyN(io.Discard, server, int64(len(head)+count)); err != nil {
		t.Fatal(err)
	}
	r.eventually("all of it is read", func() (read bool) {
		r.exchanges(func(x *exchange) { read = x.edge != nil && x.edge.came == count && !x.conn.client.readable })
		return read
	})
	return client, server
}

func wantTooSlow(t *testing.T, r *rig, client, server *net.TCPConn) {
	t.Helper()
	in := bufio.NewReader(client)
	if response, body := get(t, client, in, ""); response.StatusCode != 408 || body != "too-slow\n" || !response.Close {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	wantReset(t, server)
	wantEOF(t, in)
	client.Close()
	r.wantEnd(mesh.ReasonTooSlow)
}

const least = edgeBodyRate * int(edgeBodyWindow/time.Second)

func TestEdgeBodyRate(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	client, server := uploading(t, r, conns, "", least-1)
	r.later(edgeBodyWindow - time.Second)
	r.later(edgeBodyWindow + time.Second)
	wantTooSlow(t, r, client, server)

	client, server = uploading(t, r, conns, "", least)
	r.later(edgeBodyWindow + time.Second)
	send(t, client, "a")
	want(t, server, "a")
	r.later(2*edgeBodyWindow + 2*time.Second) // of the next, it is the first
	wantTooSlow(t, r, client, server)
}

// TestEdgeExpectation wants nothing of a client that waits to be told to go on, and the rate from when it was told.
func TestEdgeExpectation(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	client, server := uploading(t, r, conns, "Expect: 100-continue\r\n", 0)
	r.later(edgeBodyWindow + time.Second)
	r.later(2*edgeBodyWindow + 2*time.Second)
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	send(t, server, goOn)
	want(t, client, goOn)
	r.later(3*edgeBodyWindow + 3*time.Second)
	wantTooSlow(t, r, client, server)
}

// TestEdgeBlamesNoClientForItsEndpoint has an endpoint that reads nothing, and one that answers before it has all.
func TestEdgeBlamesNoClientForItsEndpoint(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	client := r.dial(virtual)
	server := make(chan *net.TCPConn, 1)
	go func() { server <- <-conns }()
	blocked := make(chan struct{})
	go func() {
		defer close(blocked)
		_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
		_, _ = io.CopyN(client, zeros{}, 1000000000)
	}()
	r.eventually("the endpoint takes no more", func() (full bool) {
		r.exchanges(func(x *exchange) {
			full = x.up != nil && x.stage == forAnswer && !x.up.writable && x.conn.client.readable
		})
		return full
	})
	for i := range 3 {
		r.later(time.Duration(i+1) * (edgeBodyWindow + time.Second))
	}
	if n := len(r.Connections()); n != 1 {
		t.Errorf("there are %d connections", n)
	}
	reset(<-server)
	_ = client.Close()
	<-blocked
	r.logged("connection closed")

	client, early := uploading(t, r, conns, "", 1)
	const begun = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"
	send(t, early, begun)
	if response, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil || response.StatusCode != 200 {
		t.Fatalf("%v, %v", response, err)
	}
	for i := range 3 {
		r.later(time.Duration(i+1) * (edgeBodyWindow + time.Second))
	}
	if n := len(r.Connections()); n != 1 {
		t.Errorf("there are %d connections", n)
	}
}

// zeros is a reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// offered waits until there is something of an answer that no client takes.
func (r *rig) offered() {
	r.t.Helper()
	r.eventually("the client takes no more", func() (full bool) {
		r.exchanges(func(x *exchange) { full = full || x.isOffered() && !x.conn.client.writable })
		return full
	})
}

// TestEdgeStall has clients that take nothing, of an answer that is read, of one that goes through a pipe, and of what an upgrade
// has led to.
func TestEdgeStall(t *testing.T) {
	for name, head := range map[string]string{
		"chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\na\r\n", 8<<20/6),
		"pipe":    "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
		"upgrade": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := edgeRig(t, endpoint(t, func(c *net.TCPConn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, head)
					_, _ = io.CopyN(c, zeros{}, 64<<20)
				}
			}))
			client := r.dial(virtual)
			send(t, client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n")
			r.offered()
			// One that takes something is not ended, though it is time to look.
			r.exchanges(func(x *exchange) {
				x.edge.took = x.conn.loop.now.Add(-edgeStall + time.Minute)
				x.look()
				if x.conn.ended || x.until.look.After(x.edge.took.Add(edgeStall)) {
					t.Error("the client is ended, or not looked at when it is to")
				}
				x.edge.took = x.conn.loop.now
				x.look()
			})
			r.later(edgeStall - time.Second)
			if n := len(r.Connections()); n != 1 {
				t.Errorf("there are %d connections", n)
			}
			r.later(edgeStall + time.Second)
			wantReset(t, client)
			r.wantEnd(mesh.ReasonTooSlow)
		})
	}
}

// TestEdgeStallOfOurAnswer has a client take nothing of what meshd says itself.
func TestEdgeStallOfOurAnswer(t *testing.T) {
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	r.serve(func(c *mesh.Catalog) {
		c.Services[0].Edge = true
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Respond: &mesh.Respond{Status: 200, Body: strings.Repeat("a", 4000)}}}}}
	})
	client := r.dial(virtual)
	go func() { _, _ = io.WriteString(client, strings.Repeat(plain, 100_000)) }()
	r.offered()
	r.later(edgeStall + time.Second)
	wantReset(t, client)
	r.wantEnd(mesh.ReasonTooSlow)
}

// TestEdgeHints has an endpoint answer many times before it answers.
func TestEdgeHints(t *testing.T) {
	const hint = "HTTP/1.1 103 Early Hints\r\n\r\n"
	for n, code := range map[int]int{edgeInterim: 200, edgeInterim + 1: 502} {
		at, _ := plays(t, strings.Repeat(hint, n)+answer)
		r := edgeRig(t, at)
		client := r.dial(virtual)
		in := bufio.NewReader(client)
		send(t, client, plain)
		status := 0
		for status < 200 {
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			status = response.StatusCode
		}
		if status != code {
			t.Errorf("after %d hints: %d, want %d", n, status, code)
		}
	}
}

// TestEdgeShares wants one identity to have no more connections and requests than others can spare, and what ends to count no more.
func TestEdgeShares(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	key := clientKey{"hello", "web"}
	for range edgeConnections - 1 {
		if _, ok := r.clients.take(key); !ok {
			t.Fatal("there are too many connections already")
		}
	}
	client, server, _ := inFlight(t, r, conns)
	wantReset(t, r.dial(virtual))
	r.wantEnd(mesh.ReasonOverload)
	reset(client)
	wantReset(t, server)
	r.wantEnd(mesh.ReasonClientReset)
	client, server, _ = inFlight(t, r, conns)

	held, _ := r.clients.take(key)
	if n := held.requests.Load(); n != 1 {
		t.Errorf("%d requests are under way", n)
	}
	held.requests.Store(edgeRequests)
	r.clients.give(held)
	r.clients.give(held)
	second := r.dial(virtual)
	in := bufio.NewReader(second)
	if response, body := get(t, second, in, plain); response.StatusCode != 429 || body != "overload\n" || response.Close {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	send(t, server, answer)
	want(t, client, answer)
	r.eventually("the place is free", func() bool { return held.requests.Load() == edgeRequests-1 })
	send(t, second, plain)
	r.eventually("the place is taken", func() bool { return held.requests.Load() == edgeRequests })
	r.wantMetric(`meshd_requests_total{code="429",destination="hello",protocol="http",reason="overload",source="web"} 1`)
}

func TestEdgeForgetsClients(t *testing.T) {
	r := edgeRig(t, mirrorOfHeads(t))
	for range 3 {
		client := r.dial(virtual)
		get(t, client, bufio.NewReader(client), plain)
		client.Close()
		r.wantEnd(mesh.ReasonDone)
	}
	r.clients.mu.Lock()
	defer r.clients.mu.Unlock()
	if len(r.clients.held) > 0 {
		t.Errorf("clients that are gone are remembered: %v", r.clients.held)
	}
}

// TestEdgeByReload hardens a service while a client is connected, and takes that back.
func TestEdgeByReload(t *testing.T) {
	at := mirrorOfHeads(t)
	r := httpRig(t, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for i := range 4 {
		r.serve(func(c *mesh.Catalog) { c.Services[0].Edge = i%2 == 1 }, at)
		request := "GET / HTTP/1.1\r\nHost: a\r\nForwarded: b\r\n\r\n"
		if _, body := get(t, client, in, request); (body == request) != (i%2 == 0) {
			t.Errorf("%d: %q", i, body)
		}
		r.eventually("the answer is over", func() (over bool) {
			r.exchanges(func(x *exchange) {
				over = x.stage == forHead && (x.conn.waiting.in == &x.conn.loop.edge.idle) == (i%2 == 1) && (x.edge != nil) == (i%2 == 1)
			})
			return over
		})
	}
	client.Close()
	r.wantEnd(mesh.ReasonDone)
	r.clients.mu.Lock()
	defer r.clients.mu.Unlock()
	if len(r.clients.held) > 0 {
		t.Errorf("clients that are gone are remembered: %v", r.clients.held)
	}
}
