package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

func retrying(attempts int, on ...string) mesh.Destination {
	return mesh.Destination{Retry: &mesh.Retry{Attempts: attempts, On: on}}
}

const failing = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"

// plays is an endpoint that reads whole requests and answers the n-th, on whatever connection, with the n-th text; it resets
// the connection for an empty one, and after the last.
func plays(t testing.TB, texts ...string) (at netip.AddrPort, requests *atomic.Int64) {
	requests = &atomic.Int64{}
	return endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return
			}
			n := int(requests.Add(1))
			if n > len(texts) || texts[n-1] == "" {
				reset(c)
				return
			}
			if _, err := io.WriteString(c, texts[n-1]); err != nil {
				return
			}
		}
	}), requests
}

func TestRetry(t *testing.T) {
	post := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
	body := func(n int) string { return fmt.Sprintf(post, n, strings.Repeat("a", n)) }
	grpc := "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n"
	for _, test := range []struct {
		name    string
		on      string
		request string
		texts   []string
		code    int
		tries   int64
	}{
		{"a status", "503", plain, []string{failing, failing, answer}, 200, 3},
		{"attempts are used up", "503", plain, []string{failing, failing, failing, answer}, 503, 3},
		{"another status", "502", plain, []string{failing, answer}, 503, 1},
		{"gateway-error", "gateway-error", plain, []string{failing, answer}, 200, 2},
		{"5xx for a reset", "5xx", plain, []string{"", answer}, 200, 2},
		{"reset", "reset", plain, []string{"", "", answer}, 200, 3},
		{"every try is reset", "reset", plain, []string{"", "", ""}, 502, 3},
		{"no answer at all", "reset", plain, []string{"nonsense\r\n\r\n", answer}, 200, 2},
		{"reset is no status", "503", plain, []string{"", answer}, 502, 1},
		{"a body that is held", "503", body(heldMost), []string{failing, answer}, 200, 2},
		{"a body that is too large", "503", body(heldMost + 1), []string{failing, answer}, 503, 1},
		{"chunks", "503", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{failing, answer}, 200, 2},
		{"hints come before", "503", plain, []string{"HTTP/1.1 103 Early Hints\r\n\r\n" + failing, answer}, 200, 2},
		{"gRPC", "unavailable", plain, []string{grpc, answer}, 200, 2},
		{"another status of gRPC", "cancelled", plain, []string{grpc, answer}, 200, 1},
		{"a large failure", "503", plain, []string{"HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("a", 100_000), answer}, 200, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, tries := plays(t, test.texts...)
			r := routed(t, retrying(2, test.on), at)
			client := r.dial(virtual)
			in := bufio.NewReader(client)
			response, _ := get(t, client, in, test.request)
			if response.StatusCode == 103 {
				response, _ = get(t, client, in, "")
			}
			if response.StatusCode != test.code || tries.Load() != test.tries {
				t.Errorf("%d after %d tries, want %d after %d", response.StatusCode, tries.Load(), test.code, test.tries)
			}
		})
	}
}

// TestRetryTakesAnotherEndpoint wants a request to reach the endpoint that works, whichever it was sent to first.
func TestRetryTakesAnotherEndpoint(t *testing.T) {
	bad, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	good, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r := routed(t, retrying(1, "503"), bad, good)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for range 10 {
		if response, body := get(t, client, in, plain); body != "ok" {
			t.Errorf("%d %q", response.StatusCode, body)
		}
	}
}

// TestRetryFailsOver wants a request whose service goes down between two tries to be sent to who stands in.
func TestRetryFailsOver(t *testing.T) {
	at, conns := accepting(t)
	to := retrying(1, "503")
	to.Service = "hello"
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	r.serve(func(c *mesh.Catalog) {
		c.Services = append(c.Services, mesh.Service{
			Name: "other", Port: 80, Virtual4: netip.AddrFrom4([4]byte{244, 0, 0, 2}), Protocol: mesh.HTTP,
			Endpoints: []mesh.Endpoint{{Host: "app-2", Address: named(t, "other"), Weight: 1}},
		})
		c.Resolvers = []mesh.Resolver{{Service: "hello", Failover: []mesh.Failover{
			{Subset: mesh.AnySubset, Targets: []mesh.Target{{Service: "other"}}},
		}}}
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, at)
	client, server, _ := inFlight(t, r, conns)
	port, _, _ := r.snapshots.Load().At(virtual)
	port.Group.Endpoints()[0].MarkDown(time.Now(), "the test says so")
	send(t, server, failing)
	if _, body := get(t, client, bufio.NewReader(client), ""); !strings.HasPrefix(body, "other") {
		t.Errorf("%q", body)
	}
}

// TestRetryConnect wants every try to go through all endpoints.
func TestRetryConnect(t *testing.T) {
	r := routed(t, retrying(2, "connect-failure"), dead(t), dead(t))
	client := r.dial(virtual)
	if response, body := get(t, client, bufio.NewReader(client), plain); response.StatusCode != 503 || body != "connect-failed\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	r.wantMetric(`meshd_endpoint_connect_failures_total{destination="hello"} 6`)
}

func TestPerTryTimeout(t *testing.T) {
	at, conns := accepting(t)
	to := retrying(1, "reset")
	to.Retry.PerTryTimeout = time.Hour
	r := routed(t, to, at)
	client, first, _ := inFlight(t, r, conns)
	r.later(2 * time.Hour)
	wantReset(t, first)
	r.later(3 * time.Hour) // when the wait for the next try is over
	second := <-conns
	if _, err := http.ReadRequest(bufio.NewReader(second)); err != nil {
		t.Fatal(err)
	}
	r.later(5 * time.Hour)
	if response, body := get(t, client, bufio.NewReader(client), ""); response.StatusCode != 504 || body != "timeout\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

// TestPerTryTimeoutEndsWithTheHead wants an answer that has begun to take as long as it takes.
func TestPerTryTimeoutEndsWithTheHead(t *testing.T) {
	at, conns := accepting(t)
	to := retrying(1, "reset")
	to.Retry.PerTryTimeout = time.Hour
	r := routed(t, to, at)
	client, server, _ := inFlight(t, r, conns)
	head := strings.TrimSuffix(answer, "ok")
	send(t, server, head)
	want(t, client, head)
	r.later(2 * time.Hour)
	send(t, server, "ok")
	want(t, client, "ok")
}

// TestNoRetryOfAnAnswer wants a client not to get two answers in one.
func TestNoRetryOfAnAnswer(t *testing.T) {
	at, tries := plays(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
	r := routed(t, retrying(2, "5xx"), at)
	client := r.dial(virtual)
	send(t, client, plain)
	want(t, client, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
	send(t, client, plain) // which makes the endpoint end the connection
	r.inLoops(func(*loop) {})
	if n := tries.Load(); n != 1 {
		t.Errorf("%d tries", n)
	}
}

// TestRetryBudget wants a request not to be sent again while too many others are.
func TestRetryBudget(t *testing.T) {
	at, tries := plays(t, failing, failing, answer)
	r := routed(t, retrying(2, "503"), at)
	port, _, _ := r.snapshots.Load().At(virtual)
	budget := port.Routes.Decide(&route.Request{}, 0).Target.Budget
	for budget.Retry() {
	}
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	if response, _ := get(t, client, in, plain); response.StatusCode != 503 || tries.Load() != 1 {
		t.Errorf("%d after %d tries", response.StatusCode, tries.Load())
	}
	budget.EndRetry()
	if _, err := io.WriteString(client, plain); err != nil {
		t.Fatal(err)
	}
	r.wantTries(t, tries, 3)
	want(t, in, "HTTP/1.1 200 ")
	r.inLoops(func(*loop) {}) // it is over a moment after that
	if !budget.Retry() || budget.Retry() {
		t.Error("what a request has taken of the budget is not given back, or more than that")
	}
}

func (r *rig) wantTries(t *testing.T, tries *atomic.Int64, n int64) {
	t.Helper()
	r.eventually(fmt.Sprint(n, " tries are made"), func() bool { return tries.Load() == n })
}

// TestRetryKeepsConnection wants a failure that has come as a whole not to cost the connection.
func TestRetryKeepsConnection(t *testing.T) {
	var n atomic.Int64
	at, connections := site(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(503)
		}
		fmt.Fprint(w, "ok")
	})
	r := routed(t, retrying(1, "503"), at)
	client := r.dial(virtual)
	if response, _ := get(t, client, bufio.NewReader(client), plain); response.StatusCode != 200 || connections.Load() != 1 {
		t.Errorf("%d by %d connections", response.StatusCode, connections.Load())
	}
}

// TestBytesCountOnce wants a request that is sent twice to count as it came.
func TestBytesCountOnce(t *testing.T) {
	at, _ := plays(t, failing, answer)
	r := routed(t, retrying(1, "503"), at)
	client := r.dial(virtual)
	get(t, client, bufio.NewReader(client), plain)
	client.Close()
	record := r.wantEnd(mesh.ReasonDone)
	if sent, received := record["sent"].Uint64(), record["received"].Uint64(); sent != uint64(len(plain)) || received != uint64(len(answer)) {
		t.Errorf("%d bytes sent, %d received", sent, received)
	}
}

// TestUnsentPost has a connection end that waited for a request, of which nothing was sent before.
func TestUnsentPost(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client, server, _ := inFlight(t, r, conns)
	send(t, server, answer)
	want(t, client, answer)
	r.eventually("the connection waits", func() (waits bool) {
		r.inLoops(func(l *loop) {
			for _, idle := range l.idle {
				waits = true
				idle[0].writable = false
			}
		})
		return waits
	})
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	send(t, client, post)
	r.eventually("it is reused", func() (reused bool) {
		r.exchanges(func(x *exchange) { reused = x.stage == forAnswer && x.up != nil && x.up.reused })
		return reused
	})
	reset(server)
	second := <-conns
	want(t, second, post)
	send(t, second, answer)
	want(t, client, answer)
}

// TestPerTryTimeoutOfAConnect wants an endpoint that does not accept in the time for a try to count as one that fails.
func TestPerTryTimeoutOfAConnect(t *testing.T) {
	to := retrying(1, "reset")
	to.Retry.PerTryTimeout = time.Minute
	r := routed(t, to, silent(t))
	client := r.dial(virtual)
	send(t, client, plain)
	for try := range 2 {
		r.eventually("a connect is under way", func() (dials bool) {
			r.exchanges(func(x *exchange) { dials = x.stage == forConnect && x.attempts == try+1 })
			return dials
		})
		r.later(time.Duration(try+2) * time.Minute)
		r.later(time.Duration(try+3) * time.Minute) // when the wait for the next try is over
	}
	if response, body := get(t, client, bufio.NewReader(client), ""); response.StatusCode != 504 || body != "timeout\n" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	r.wantMetric(`meshd_endpoint_connect_failures_total{destination="hello"} 2`)
}

// TestRefusedIsSentAgain wants what an endpoint has refused to be sent again when all of it is there, once.
func TestRefusedIsSentAgain(t *testing.T) {
	refused := fmt.Errorf("stream 5: %w", errRefused)
	for _, test := range []struct {
		task
		want bool
	}{
		{task{held: true, sent: 100}, true},
		{task{sent: 0}, true},
		{task{sent: 100}, false},
		{task{held: true, heard: true}, false},
		{task{held: true, repeated: true}, false},
	} {
		x := &exchange{up: &upstream{}, task: test.task}
		if got := x.isUntouched(refused); got != test.want {
			t.Errorf("%+v: %v", test.task, got)
		}
	}
}
