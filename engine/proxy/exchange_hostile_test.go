package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

const (
	plain  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

// inFlight has a client send a request to an endpoint that the test plays, which has read it.
func inFlight(t *testing.T, r *rig, conns <-chan *net.TCPConn) (client *net.TCPConn, server *net.TCPConn, from *bufio.Reader) {
	t.Helper()
	client = r.dial(virtual)
	send(t, client, plain)
	server = <-conns
	from = bufio.NewReader(server)
	if _, err := http.ReadRequest(from); err != nil {
		t.Fatal(err)
	}
	return client, server, from
}

// exchanges has the loops call f for each of their exchanges.
func (r *rig) exchanges(f func(*exchange)) {
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			f(c.http)
		}
	})
}

// TestUnsentRest has an endpoint answer while it does not take the rest of a request: what comes next on that connection
// would be the rest to it.
func TestUnsentRest(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client, server, _ := inFlight(t, r, conns)
	r.exchanges(func(x *exchange) {
		x.held, x.up.writable = false, false
		x.toServer = outbox{bytes: append(x.conn.loop.buffer(), "rest"...)}
	})
	send(t, server, answer)
	in := bufio.NewReader(client)
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	want(t, in, "ok")
	wantReset(t, server)
	send(t, client, plain)
	if _, err := http.ReadRequest(bufio.NewReader(<-conns)); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// TestBrokenUpstreamIsForgotten wants nothing of an endpoint that broke to be left when the request is answered.
func TestBrokenUpstreamIsForgotten(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client, server, _ := inFlight(t, r, conns)
	r.exchanges(func(x *exchange) { x.conn.broke(&x.up.side, unix.EPIPE) })
	send(t, server, answer)
	in := bufio.NewReader(client)
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	want(t, in, "ok")
	r.eventually("the connection is free of it", func() (free bool) {
		r.exchanges(func(x *exchange) { free = x.stage == forHead && x.conn.firstBroken == nil })
		return free
	})
}

func TestConnectTimeoutIsAnswered(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ConnectTimeout = time.Millisecond })
	r.protocol = mesh.HTTP
	r.publish(2, silent(t))
	client := r.dial(virtual)
	response, body := get(t, client, bufio.NewReader(client), plain)
	if response.StatusCode != 503 || body != "connect-failed\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

// TestHalfAHeadBehindARequest wants its end to be waited for no longer than that of any other.
func TestHalfAHeadBehindARequest(t *testing.T) {
	at, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r := httpRig(t, at)
	client := r.dial(virtual)
	get(t, client, bufio.NewReader(client), plain+"GET / HT")
	r.eventually("the client is hurried", func() (slow bool) {
		r.exchanges(func(x *exchange) { slow = x.conn.waiting.in == &x.conn.loop.slow })
		return slow
	})
}

func TestOldClientsGetOneAnswer(t *testing.T) {
	r := httpRig(t, script(t, "HTTP/1.1 103 Early Hints\r\n\r\n"+answer))
	client := r.dial(virtual)
	response, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.0\r\n\r\n")
	if response.StatusCode != 200 || body != "ok" || !response.Close {
		t.Errorf("%v %q", response, body)
	}
}

// TestStaleConnectionOfOneEndpoint is TestStaleConnection for a client that has dialled the endpoint itself.
func TestStaleConnectionOfOneEndpoint(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client := r.dial(at)
	in := bufio.NewReader(client)
	send(t, client, plain)
	for _, last := range []bool{false, true} {
		server := <-conns
		from := bufio.NewReader(server)
		if _, err := http.ReadRequest(from); err != nil {
			t.Fatal(err)
		}
		send(t, server, answer)
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		want(t, in, "ok")
		if last {
			return
		}
		send(t, client, plain)
		if _, err := http.ReadRequest(from); err != nil { // it comes by the same connection
			t.Fatal(err)
		}
		reset(server)
	}
}

// TestRefusedClientGetsAll refuses what comes behind a request of whose answer the client has not read anything.
func TestRefusedClientGetsAll(t *testing.T) {
	large := strings.Repeat("a", 100<<10)
	at, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, large) })
	r := httpRig(t, at)
	client := r.dial(virtual)
	if err := client.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	send(t, client, plain+"nonsense\r\n\r\n")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.wantEnd(mesh.ReasonBadRequest)
	if told, err := io.ReadAll(client); err != nil || !strings.HasSuffix(string(told), "bad-request\n") {
		t.Errorf("%d bytes, %v", len(told), err)
	}
}

func TestRefusedHead(t *testing.T) {
	r := httpRig(t)
	client := r.dial(virtual)
	send(t, client, "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx")
	told, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(told), "HTTP/1.1 400 ") || !strings.HasSuffix(string(told), "\r\n\r\n") {
		t.Errorf("%q, %v", told, err)
	}
}

// TestEarlyAnswerCloses wants a client to know that nothing follows on an answer that came before the end of its request.
func TestEarlyAnswerCloses(t *testing.T) {
	r := httpRig(t, script(t, answer))
	client := r.dial(virtual)
	response, _ := get(t, client, bufio.NewReader(client), "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if !response.Close {
		t.Errorf("%v", response.Header)
	}
}

// TestDrainEndsIdleClients wants a drain to wait for requests, not for clients that may never send one.
func TestDrainEndsIdleClients(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	busy, server, _ := inFlight(t, r, conns)
	idle, other, _ := inFlight(t, r, conns)
	send(t, other, answer)
	in := bufio.NewReader(idle)
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	want(t, in, "ok")
	r.stop()
	drained := make(chan error)
	go func() { drained <- r.Drain(context.Background()) }()
	wantEOF(t, in)
	send(t, server, answer)
	response, body := get(t, busy, bufio.NewReader(busy), "")
	if body != "ok" || !response.Close {
		t.Errorf("%v %q", response.Header, body)
	}
	busy.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestRequestsSeeTheMeshOfNow changes the mesh under a client that stays.
func TestRequestsSeeTheMeshOfNow(t *testing.T) {
	r := httpRig(t, named(t, "first"))
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	if _, body := get(t, client, in, plain); !strings.HasPrefix(body, "first") {
		t.Errorf("%q", body)
	}
	r.publish(3, named(t, "second"))
	if _, body := get(t, client, in, plain); !strings.HasPrefix(body, "second") {
		t.Errorf("%q", body)
	}
	r.snapshots.Swap(snapshot.Build(snapshot.Input{Version: 4, Host: mesh.Host{Name: "app-1"}}))
	if response, body := get(t, client, in, plain); response.StatusCode != 503 || body != "not-in-mesh\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

// TestMaxConnectionsOfRequests wants each request that is under way to count, and no client that is idle.
func TestMaxConnectionsOfRequests(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t)
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version: 3,
		Catalog: mesh.Catalog{Services: []mesh.Service{{
			Name: "hello", Port: virtual.Port(), Virtual4: virtual.Addr(), MaxConnections: 1, Protocol: mesh.HTTP,
			Endpoints: []mesh.Endpoint{{Host: "app-2", Address: at, Weight: 1}},
		}}},
		Host: mesh.Host{Name: "app-1"},
	}))
	second := r.dial(virtual)
	r.eventually("it is there", func() bool { return len(r.Connections()) == 1 })
	first, server, _ := inFlight(t, r, conns)
	if response, body := get(t, second, bufio.NewReader(second), plain); response.StatusCode != 503 || body != "overload\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	second.Close()
	send(t, server, answer)
	want(t, first, answer)
}

// TestTurns wants a client with many requests to let others have their turn.
func TestTurns(t *testing.T) {
	r := httpRig(t)
	client := r.dial(virtual)
	r.eventually("it is there", func() bool { return len(r.Connections()) == 1 })
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version: 3,
		Catalog: mesh.Catalog{
			Services: []mesh.Service{{Name: "hello", Port: virtual.Port(), Virtual4: virtual.Addr(), Protocol: mesh.HTTP}},
			Routers:  []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Respond: &mesh.Respond{Status: 204}}}}},
		},
		Host: mesh.Host{Name: "app-1"},
	}))
	const many = 1000
	queued := false
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			c.http.store([]byte(strings.Repeat(plain, many)))
			c.http.move()
			queued = slices.Contains(l.ready, c)
		}
	})
	if !queued {
		t.Errorf("%d requests are one turn", many)
	}
	in := bufio.NewReader(client)
	for range many {
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
	}
}
