package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/engine/trace"
)

// lines has the rig log, and returns what gives the next line.
func (r *rig) lines() func() map[string]any {
	ch := make(chan map[string]any, 1000)
	r.inLoops(func(*loop) {}) // what was answered before is told of to nobody
	r.accessLog.Use(accesslog.NewSink(accesslog.JSON, writer(func(p []byte) {
		for line := range bytes.Lines(p) {
			var got map[string]any
			if err := json.Unmarshal(line, &got); err != nil {
				r.t.Errorf("%v in %s", err, line)
			}
			ch <- got
		}
	})))
	r.t.Cleanup(r.accessLog.Close)
	return func() map[string]any { return <-ch }
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// wantLine checks what a line says, key by key; nil: that it does not have the key.
func (r *rig) wantLine(line, want map[string]any) {
	r.t.Helper()
	for key, value := range want {
		if n, ok := value.(int); ok {
			value = float64(n)
		}
		if got := line[key]; got != value {
			r.t.Errorf("%s is %v, want %v, in %v", key, got, value, line)
		}
	}
}

func TestLineOfARequest(t *testing.T) {
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("X-Request-Id"); id != "mine" {
			t.Errorf("the request has the id %q", id)
		}
		if r.Header.Get("Traceparent") != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
			t.Errorf("traceparent %q, which nobody has asked to change", r.Header.Get("Traceparent"))
		}
		fmt.Fprint(w, "hello")
	})
	r := routed(t, mesh.Destination{}, at)
	line := r.lines()
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	request := "GET /a%20b?c=\"d HTTP/1.1\r\nHost: hello.mesh\r\nX-Request-Id: mine\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
	for range 2 {
		get(t, client, in, request)
		got := line()
		r.wantLine(got, map[string]any{
			"source": "web", "unit": "web.service", "pid": 42, "uid": 1000, "client": client.LocalAddr().String(), "protocol": "HTTP/1.1",
			"method": "GET", "authority": "hello.mesh", "path": `/a%20b?c="d`, "destination": "hello", "target": nil,
			"endpoint": fmt.Sprint("app-2:", at.Port()), "address": at.String(), "attempts": 1, "code": 200, "grpc_status": nil, "reason": "done", "sent": len(request),
			"request_id": "mine", "trace_id": "0af7651916cd43dd8448eb211c80319c",
		})
		if got["route"] == nil || got["upstream_ms"] == nil || got["received"].(float64) < 50 {
			t.Errorf("line %v", got)
		}
	}
	client.Close()
	r.wantEnd(mesh.ReasonDone)
	// The end of the connection is no line of its own.
	client = r.dial(virtual)
	get(t, client, bufio.NewReader(client), strings.Replace(request, "GET", "PUT", 1))
	r.wantLine(line(), map[string]any{"method": "PUT"})
}

// TestLinesOfFailures wants one line for each request, however it ends.
func TestLinesOfFailures(t *testing.T) {
	const request = "GET /x HTTP/1.1\r\nHost: hello\r\n\r\n"
	const post = "POST /x HTTP/1.1\r\nHost: hello\r\nContent-Length: 100\r\n\r\nsome"
	for _, tc := range []struct {
		name    string
		request string
		answer  string // of the endpoint; empty: there is none
		leave   bool   // the client goes once it has sent this
		want    map[string]any
	}{
		{"no endpoint", request, "", false, map[string]any{"code": 503, "reason": "no-endpoint", "path": "/x", "endpoint": nil, "attempts": 1}},
		{"no HTTP", "GET /\x01 HTTP/1.1\r\n\r\n", "", false, map[string]any{"code": 400, "reason": "bad-request", "method": nil, "path": nil}},
		{"no answer", request, "what?\r\n\r\n", false, map[string]any{"code": 502, "reason": "bad-answer", "path": "/x"}},
		{"a reset", post, "", false, map[string]any{"code": 503, "reason": "no-endpoint", "method": "POST"}},
		{"a torn answer", request, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", false, map[string]any{"code": 200, "reason": "endpoint-reset", "path": "/x"}},
		{"a client that leaves", post, "wait", true, map[string]any{"code": nil, "reason": "client-reset", "path": "/x"}},
		{"a body that is none", "POST /x HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "wait", false, map[string]any{"code": 400, "reason": "bad-request", "path": "/x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var endpoints []netip.AddrPort
			gone := make(chan struct{})
			if tc.answer != "" {
				endpoints = append(endpoints, endpoint(t, func(c *net.TCPConn) {
					in := bufio.NewReader(c)
					if _, err := http.ReadRequest(in); err == nil && tc.answer != "wait" {
						_, _ = io.WriteString(c, tc.answer)
						return
					}
					if tc.leave {
						close(gone)
					}
					_, _ = io.Copy(io.Discard, in)
				}))
			}
			r := routed(t, mesh.Destination{}, endpoints...)
			line := r.lines()
			client := r.dial(virtual)
			send(t, client, tc.request)
			if tc.leave {
				<-gone
				reset(client)
			} else {
				_, _ = io.Copy(io.Discard, client)
			}
			r.wantLine(line(), tc.want)
			code := tc.want["code"]
			if code == nil {
				code = 0
			}
			r.wantMetric(fmt.Sprintf(`meshd_requests_total{code="%v",destination="hello",protocol="http",reason="%v",source="web"} 1`, code, tc.want["reason"]))
			if page := r.page(); strings.Count(page, "\nmeshd_requests_total{") != 1 {
				t.Errorf("the request counts more than once:\n%s", page)
			}
		})
	}
}

func TestLineOfAConnection(t *testing.T) {
	r := newRig(t, nil, endpoint(t, echo))
	line := r.lines()
	client := r.dial(virtual)
	send(t, client, "hello")
	want(t, client, "hello")
	client.Close()
	r.wantLine(line(), map[string]any{
		"source": "web", "unit": "web.service", "protocol": "tcp", "destination": "hello", "reason": "done", "sent": 5, "received": 5,
		"method": nil, "path": nil, "code": nil, "route": nil, "attempts": nil,
	})
	client = r.dialWith(result{err: errShutdown})
	wantReset(t, client)
	r.wantLine(line(), map[string]any{"reason": "flow-unknown", "source": nil, "destination": nil})
	// A probe is nobody's connection.
	client = r.dialWith(result{err: ErrProbe})
	wantEOF(t, client)
	client = r.dial(netip.MustParseAddrPort("244.0.0.9:80"))
	wantReset(t, client)
	r.wantLine(line(), map[string]any{"reason": "not-in-mesh", "source": "web"})
}

// TestLineOfAStream is written when the stream ends, with all of its bytes.
func TestLineOfAStream(t *testing.T) {
	const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	r := httpRig(t, endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		send(t, c, answer)
		_, _ = io.Copy(c, in)
	}))
	line := r.lines()
	client := r.dial(virtual)
	request := "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	send(t, client, request)
	want(t, client, answer)
	r.wantMetric(`meshd_requests_total{code="101",destination="hello",protocol="http",reason="done",source="web"} 1`)
	for range 3 {
		send(t, client, "12345")
		want(t, client, "12345")
	}
	client.Close()
	r.wantLine(line(), map[string]any{"path": "/chat", "code": 101, "reason": "done", "sent": len(request) + 15, "received": len(answer) + 15})
	r.wantMetric(`meshd_requests_total{code="101",destination="hello",protocol="http",reason="done",source="web"} 1`)
}

func TestStatusOfGRPC(t *testing.T) {
	const request = "POST /a.B/C HTTP/1.1\r\nHost: hello\r\nContent-Type: application/grpc+proto\r\nContent-Length: 0\r\n\r\n"
	at := script(t,
		"HTTP/1.1 200 OK\r\nGrpc-Status: 5\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status:13\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	)
	r := httpRig(t, at)
	line := r.lines()
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for _, want := range []map[string]any{
		{"code": 200, "grpc_status": 5}, {"code": 200, "grpc_status": 0}, {"code": 200, "grpc_status": 13}, {"code": 404, "grpc_status": nil},
	} {
		get(t, client, in, request)
		r.wantLine(line(), want)
	}
	for _, code := range []int{5, 0, 13, 404} {
		r.wantMetric(fmt.Sprintf(`meshd_requests_total{code="%d",destination="hello",protocol="grpc",reason="done",source="web"} 1`, code))
	}
}

// header is an endpoint that answers with a field of the requests, and an x-request-id of its own.
func header(t *testing.T, name string) netip.AddrPort {
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Join(r.Header.Values(name), ",")) })
	return at
}

func TestRequestIDs(t *testing.T) {
	r := routed(t, mesh.Destination{}, header(t, "X-Request-Id"))
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	ask := func(fields string) string {
		response, id := get(t, client, in, "GET / HTTP/1.1\r\nHost: hello\r\n"+fields+"\r\n")
		if got := response.Header.Get("X-Request-Id"); got != "" {
			t.Errorf("the client is told the id %q", got)
		}
		return id
	}
	if id := ask(""); id != "" {
		t.Errorf("the request got the id %q, which nobody wants", id)
	}
	r.UseRequestIDs(true)
	line := r.lines()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	one, two := ask(""), ask("")
	if !form.MatchString(one) || one == two {
		t.Errorf("ids %q, %q", one, two)
	}
	r.wantLine(line(), map[string]any{"request_id": one})
	r.wantLine(line(), map[string]any{"request_id": two})
	if id := ask("X-REQUEST-ID: mine\r\n"); id != "mine" {
		t.Errorf("the id is %q, want the client's", id)
	}
	r.wantLine(line(), map[string]any{"request_id": "mine"})
}

func TestRouteSetsRequestID(t *testing.T) {
	to := mesh.Destination{}
	to.Request.Set = []mesh.Field{{Name: "X-Request-Id", Value: "the route's"}}
	r := routed(t, to, header(t, "X-Request-Id"))
	r.UseRequestIDs(true)
	client := r.dial(virtual)
	if _, id := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: hello\r\n\r\n"); id != "the route's" {
		t.Errorf("the id is %q, want that of the route", id)
	}
}

// TestClientCert: who a client is does not come from what it says of itself, in no spelling.
func TestClientCert(t *testing.T) {
	at := header(t, "X-Forwarded-Client-Cert")
	r := routed(t, mesh.Destination{}, at)
	ask := func() string {
		client := r.dial(virtual)
		_, said := get(t, client, bufio.NewReader(client),
			"GET / HTTP/1.1\r\nHost: hello\r\nX-Forwarded-Client-Cert: By=a\r\nAccept: b\r\nx-forwarded-client-CERT: By=c\r\n\r\n")
		return said
	}
	if said := ask(); said != "" {
		t.Errorf("the endpoint reads %q", said)
	}
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version: 9, Host: mesh.Host{Name: "app-1"}, Previous: r.snapshots.Load(),
		Catalog: mesh.Catalog{Services: []mesh.Service{{
			Name: "hello", Port: virtual.Port(), Virtual4: virtual.Addr(), Protocol: mesh.HTTP, Hostnames: []string{"example.com"}, Balancing: mesh.RoundRobin,
			Endpoints: []mesh.Endpoint{{Address: at, Weight: 1}},
		}}},
	}))
	if said := ask(); said != "By=a,By=c" {
		t.Errorf("a service outside the mesh reads %q, want what was sent", said)
	}
}

func TestSpans(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 10)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := &collector.ExportTraceServiceRequest{}
		if err = errors.Join(err, proto.Unmarshal(body, request)); err != nil {
			t.Error(err)
		}
		got <- request
	}))
	defer backend.Close()
	r := routed(t, mesh.Destination{}, header(t, "Traceparent"))
	t.Cleanup(r.tracer.Close)
	line := r.lines()
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	ask := func(parent string) string {
		if parent != "" {
			parent = "traceparent: " + parent + "\r\n"
		}
		_, said := get(t, client, in, "GET /x HTTP/1.1\r\nHost: hello\r\n"+parent+"\r\n")
		return said
	}
	if said := ask(""); said != "" {
		t.Errorf("traceparent %q, though nothing is traced", said)
	}
	line()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"
	r.tracer.Use(&trace.Config{Endpoint: backend.URL, Share: mesh.Hundred})
	if said := ask(parent + "0"); said != parent+"0" {
		t.Errorf("traceparent %q of a trace that is not sampled, want it as it came", said)
	}
	r.wantLine(line(), map[string]any{"trace_id": "0af7651916cd43dd8448eb211c80319c"})
	going, ok := trace.Parse([]byte(ask(parent + "1")))
	if !ok || fmt.Sprintf("%x", going.Trace) != "0af7651916cd43dd8448eb211c80319c" || fmt.Sprintf("%x", going.Span) == "b7ad6b7169203331" || !going.Sampled {
		t.Errorf("a trace goes on as %v", going)
	}
	line()
	begun, ok := trace.Parse([]byte(ask("")))
	if !ok || begun.Trace == going.Trace || !begun.Sampled {
		t.Errorf("a trace begins as %v", begun)
	}
	r.wantLine(line(), map[string]any{"trace_id": fmt.Sprintf("%x", begun.Trace)})
	spans := map[string]string{}
	for len(spans) < 2 {
		for _, s := range (<-got).ResourceSpans[0].ScopeSpans[0].Spans {
			spans[fmt.Sprintf("%x", s.SpanId)] = fmt.Sprintf("%x", s.ParentSpanId)
		}
	}
	if spans[fmt.Sprintf("%x", going.Span)] != "b7ad6b7169203331" || spans[fmt.Sprintf("%x", begun.Span)] != "" {
		t.Errorf("spans and their parents %v, want those of %v and %v", spans, going, begun)
	}
}

func TestPoolMetrics(t *testing.T) {
	at, _ := site(t, func(http.ResponseWriter, *http.Request) {})
	r := httpRig(t, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for range 3 {
		get(t, client, in, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n")
	}
	r.wantMetric(`meshd_pool_events_total{destination="hello",event="dialled",source="web"} 1`)
	r.wantMetric(`meshd_pool_events_total{destination="hello",event="reused",source="web"} 2`)
	failing, _ := plays(t, failing, failing, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	r = routed(t, retrying(3, "503"), failing)
	line := r.lines()
	client = r.dial(virtual)
	get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: hello\r\n\r\n")
	r.wantMetric(`meshd_request_retries_total{destination="hello",source="web"} 2`)
	r.wantLine(line(), map[string]any{"attempts": 3, "code": 200, "reason": "done"})
}

// TestBadBodyIsTold wants what is told of a request whose body proves to be none to say what had become of it until then.
func TestBadBodyIsTold(t *testing.T) {
	at, conns := accepting(t)
	r := routed(t, mesh.Destination{}, at)
	line := r.lines()
	client := r.dial(virtual)
	send(t, client, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	<-conns
	send(t, client, "nonsense\r\n")
	r.wantLine(line(), map[string]any{
		"protocol": "HTTP/1.1", "path": "/a", "code": 400, "reason": "bad-request", "route": `router "hello" route 1`, "attempts": 1,
	})
}
