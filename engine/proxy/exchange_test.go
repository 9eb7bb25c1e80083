package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// http makes the service one of HTTP.
func httpRig(t testing.TB, endpoints ...netip.AddrPort) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	r.publish(2, endpoints...)
	return r
}

// site is an HTTP server of the standard library; it counts its connections.
func site(t testing.TB, handle http.HandlerFunc) (at netip.AddrPort, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	s := httptest.NewUnstartedServer(handle)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), connections
}

// script is an endpoint that reads a request's head and answers each with the next text, then closes.
func script(t testing.TB, answers ...string) netip.AddrPort {
	return endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for _, answer := range answers {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

// get sends a request as it is written and reads the answer.
func get(t testing.TB, c net.Conn, in *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	send(t, c, request)
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestRequestsShareConnections(t *testing.T) {
	at, connections := site(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	r := httpRig(t, at)
	for range 3 {
		client := r.dial(virtual)
		in := bufio.NewReader(client)
		for i := range 5 {
			path := fmt.Sprint("/", i)
			if _, body := get(t, client, in, "GET "+path+" HTTP/1.1\r\nHost: hello\r\n\r\n"); body != path {
				t.Errorf("the answer is %q, want %q", body, path)
			}
		}
		client.Close()
		r.wantEnd(mesh.ReasonDone)
	}
	if n := connections.Load(); n > 2 {
		t.Errorf("15 requests one after the other took %d connections", n)
	}
	r.wantMetric(`meshd_requests_total{code="200",destination="hello",protocol="http",reason="done",source="web"} 15`)
}

func TestPipelinedRequests(t *testing.T) {
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	r := httpRig(t, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: hello\r\nContent-Length: 5\r\n\r\nhello", i)
	}
	send(t, client, all.String())
	for i := range 20 {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if want := fmt.Sprintf("/%d hello", i); err != nil || string(body) != want {
			t.Errorf("answer %q, %v; want %q", body, err, want)
		}
	}
}

func TestBodiesOfEveryKind(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
		case "/chunks":
			w.Header().Set("Trailer", "X-Sum")
			for range 10 {
				fmt.Fprint(w, "chunk")
				w.(http.Flusher).Flush()
			}
			w.Header().Set("X-Sum", "50")
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "after hints")
		}
	})
	r := httpRig(t, at)
	transport := &http.Transport{DialContext: r.dialer()}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, length := range []int64{int64(len(large)), -1} {
		request, err := http.NewRequest(http.MethodPost, "http://hello/echo", io.NopCloser(strings.NewReader(large)))
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(body) != large {
			t.Errorf("%d bytes came back of a body of length %d, %v", len(body), length, err)
		}
	}
	for path, want := range map[string]string{"/chunks": strings.Repeat("chunk", 10), "/nothing": "", "/hints": "after hints"} {
		response, err := client.Get("http://hello" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %q, %v; want %q", path, body, err, want)
		}
		if path == "/chunks" && response.Trailer.Get("X-Sum") != "50" {
			t.Errorf("the trailers are %v", response.Trailer)
		}
	}
	response, err := client.Head("http://hello/echo")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

// TestRefusedRequests has clients send what is no request, or could be read as another one. No byte of it goes on.
func TestRefusedRequests(t *testing.T) {
	at, connections := site(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	r := httpRig(t, at)
	for request, code := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n":                                                                         400,
		"GET / HTTP/1.1\nHost: a\n\n":                                                                    400,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                                   400,
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n":                                                             400,
		"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n":                                                     400,
		"GET / HTTP/2.0\r\nHost: a\r\n\r\n":                                                              505,
		"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n":                                                      405,
		"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                           505,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na":                  400,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n":                     400,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n":          400,
		"GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("a", 70<<10) + "\r\n\r\n":                    431,
	} {
		client := r.dial(virtual)
		response, body := get(t, client, bufio.NewReader(client), request)
		if response.StatusCode != code || body != "bad-request\n" || !response.Close {
			t.Errorf("%.60q is answered %d %q, want %d", request, response.StatusCode, body, code)
		}
		wantEOF(t, client)
		client.Close()
		r.wantEnd(mesh.ReasonBadRequest)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made for requests that were refused", n)
	}
	client := r.dial(virtual)
	if _, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); body != "ok" {
		t.Errorf("a good request is answered %q", body)
	}
}

// TestBrokenBody has the body of a request turn out to be none, after it has begun to be sent: the endpoint must see that
// it is not whole.
func TestBrokenBody(t *testing.T) {
	broken := make(chan error, 1)
	at, _ := site(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		broken <- err
	})
	r := httpRig(t, at)
	client := r.dial(virtual)
	send(t, client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	r.eventually("the request has gone on", func() bool {
		return slices.ContainsFunc(r.Connections(), func(c Connection) bool { return c.Sent > 0 })
	})
	response, _ := get(t, client, bufio.NewReader(client), "5\r\nhello-\r\n0\r\n\r\n")
	if response.StatusCode != 400 {
		t.Errorf("the answer is %s", response.Status)
	}
	if err := <-broken; err == nil {
		t.Error("the endpoint has read a whole body")
	}
	client.Close()
	r.wantEnd(mesh.ReasonBadRequest)
}

// TestRefusedAnswers has endpoints answer what is no answer, or could be read as two, or end it too early.
func TestRefusedAnswers(t *testing.T) {
	for answer, reason := range map[string]mesh.Reason{
		"nonsense\r\n\r\n": mesh.ReasonBadAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na":                  mesh.ReasonBadAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": mesh.ReasonBadAnswer,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n":       mesh.ReasonBadAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length":                                                   mesh.ReasonEndpointReset,
		"":                                                                                    mesh.ReasonEndpointReset,
	} {
		r := httpRig(t, script(t, answer))
		client := r.dial(virtual)
		response, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if response.StatusCode != 502 || body != string(reason)+"\n" {
			t.Errorf("%q became %d %q, want 502 %s", answer, response.StatusCode, body, reason)
		}
		client.Close()
		r.wantEnd(reason)
	}
	for _, cut := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
	} {
		r := httpRig(t, script(t, cut))
		client := r.dial(virtual)
		send(t, client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		wantReset(t, client)
	}
}

// TestAnswerUntilClose has the end of the connection be the end of an answer.
func TestAnswerUntilClose(t *testing.T) {
	r := httpRig(t, script(t, "HTTP/1.0 200 OK\r\n\r\nall there is"))
	client := r.dial(virtual)
	response, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if body != "all there is" || !response.Close {
		t.Errorf("%q, %v", body, response)
	}
	client.Close()
	r.wantEnd(mesh.ReasonDone)
}

// TestStaleConnection has the endpoint close a connection that waits for the next request: what may be sent again is.
func TestStaleConnection(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	r := httpRig(t, script(t, answer))
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for range 5 {
		if _, body := get(t, client, in, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); body != "ok" {
			t.Fatalf("the answer is %q", body)
		}
	}
}

// TestUpgrade wants bytes to pass both ways once both sides have agreed to another protocol.
func TestUpgrade(t *testing.T) {
	at := endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		request, err := http.ReadRequest(in)
		if err != nil || request.Header.Get("Upgrade") != "echo" {
			return
		}
		send(t, c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello")
		_, _ = io.Copy(c, in)
	})
	r := httpRig(t, at)
	client := r.dial(virtual)
	send(t, client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst")
	in := bufio.NewReader(client)
	response, err := http.ReadResponse(in, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("%v, %v", response, err)
	}
	want(t, in, "hellofirst")
	send(t, client, "second")
	want(t, in, "second")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, in)
	r.wantEnd(mesh.ReasonDone)
}

// TestEarlyAnswer has the endpoint answer, and close, before it has read the request.
func TestEarlyAnswer(t *testing.T) {
	at := endpoint(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		send(t, c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	})
	r := httpRig(t, at)
	for range 20 {
		client := r.dial(virtual)
		send(t, client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
		go func() { _, _ = io.Copy(client, strings.NewReader(strings.Repeat("a", 1<<20))) }()
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != "no" || response.StatusCode != 413 {
			t.Errorf("%s %q, %v", response.Status, body, err)
		}
		client.Close()
	}
}

// TestClientGoesAway has a client reset while its request is being answered.
func TestClientGoesAway(t *testing.T) {
	gone := make(chan struct{})
	at, _ := site(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(gone)
	})
	r := httpRig(t, at)
	client := r.dial(virtual)
	send(t, client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r.eventually("the request has gone on", func() bool {
		return slices.ContainsFunc(r.Connections(), func(c Connection) bool { return c.Sent > 0 })
	})
	reset(client)
	<-gone
	r.wantEnd(mesh.ReasonClientReset)
}

func TestNobodyThere(t *testing.T) {
	for reason, endpoints := range map[mesh.Reason][]netip.AddrPort{
		mesh.ReasonNoEndpoint: nil, mesh.ReasonConnectFailed: {dead(t), dead(t)},
	} {
		r := httpRig(t, endpoints...)
		client := r.dial(virtual)
		response, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if response.StatusCode != 503 || body != string(reason)+"\n" {
			t.Errorf("%d %q, want 503 %s", response.StatusCode, body, reason)
		}
		client.Close()
		r.wantEnd(reason)
	}
	at, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r := httpRig(t, dead(t), at)
	for range 4 {
		client := r.dial(virtual)
		if _, body := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); body != "ok" {
			t.Errorf("the answer is %q, though one endpoint lives", body)
		}
	}
}
