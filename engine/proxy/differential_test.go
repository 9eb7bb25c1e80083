package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// counted returns how many requests have ended with an answer of the endpoint, and with anything else.
func (r *rig) counted() (done, failed int) {
	r.t.Helper()
	for line := range strings.Lines(r.page()) {
		switch {
		case !strings.HasPrefix(line, "meshd_requests_total{"):
		case strings.Contains(line, `reason="done"`):
			done += valueOf(r.t, line)
		default:
			failed += valueOf(r.t, line)
		}
	}
	return done, failed
}

// heads returns how many heads of requests were sent to endpoints.
func (r *rig) heads() (n int) {
	r.t.Helper()
	for line := range strings.Lines(r.page()) {
		if strings.HasPrefix(line, "meshd_pool_events_total{") && (strings.Contains(line, `"reused"`) || strings.Contains(line, `"dialled"`)) {
			n += valueOf(r.t, line)
		}
	}
	return n
}

// valueOf returns the value of a line of metrics.
func valueOf(t testing.TB, line string) int {
	t.Helper()
	value, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndex(line, " ")+1:]))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// conversation is what a client got.
type conversation struct {
	answers  []*http.Response // without those before the answer
	bodies   []string
	complete bool // the last one is whole, and the connection then ended in order
}

// refusals returns how many answers are of the server in front of the ledger alone.
func (c *conversation) refusals() (n int) {
	for i, a := range c.answers {
		ours := slices.Contains(mesh.Reasons(), mesh.Reason(strings.TrimSuffix(c.bodies[i], "\n")))
		if a.Header.Get("X-Ledger") == "" && !ours {
			n++
		}
	}
	return n
}

// readAll reads answers to the end of the connection. Requests by HEAD are told by their methods; further ones are others.
func readAll(from io.Reader, methods []string) conversation {
	var c conversation
	in := bufio.NewReader(from)
	for {
		if _, err := in.Peek(1); err != nil {
			c.complete = errors.Is(err, io.EOF)
			return c
		}
		var request http.Request
		if len(c.answers) < len(methods) {
			request.Method = methods[len(c.answers)]
		}
		answer, err := http.ReadResponse(in, &request)
		if err != nil {
			return c
		}
		if answer.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return c
		}
		c.answers, c.bodies = append(c.answers, answer), append(c.bodies, string(body))
	}
}

// methodsOf returns the methods of requests, as the standard library reads them.
func methodsOf(text string) (methods []string) {
	in := bufio.NewReader(strings.NewReader(text))
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return methods
		}
		methods = append(methods, request.Method)
		_, _ = io.Copy(io.Discard, request.Body)
	}
}

// talk sends what a hostile client sends, and returns what comes back when its connection has ended.
func (r *rig) talk(h hostile) conversation {
	r.t.Helper()
	client := r.dial(virtual)
	defer client.Close()
	rest := h.text
	if h.split > 0 {
		send(r.t, client, h.text[:h.split])
		r.eventually("the first part has gone on", func() bool {
			return slices.ContainsFunc(r.Connections(), func(c Connection) bool { return c.Sent >= uint64(h.split) })
		})
		rest = h.text[h.split:]
	}
	// Who is refused may be told so, and shut out, before all is sent.
	if _, err := io.WriteString(client, rest); err == nil {
		r.eventually("all that can be answered is", r.rests) // before, the end would reach the server, which could not get another request
		_ = client.CloseWrite()
	}
	var methods []string
	if h.kind == tricky {
		methods = methodsOf(h.text)
	}
	c := readAll(client, methods)
	r.logged("connection closed")
	return c
}

// rests says whether nobody waits for the answer to a request of which all is there.
func (r *rig) rests() (rests bool) {
	rests = true
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			x := c.http
			rests = rests && x != nil && !hasInput(c.client.fd) && (x.stage == forHead || x.stage == forEnd || !x.uploaded)
		}
	})
	return rests
}

// clean wants a request on a new connection to get its own answer, and returns the request.
func (r *rig) clean(t *testing.T, i int) string {
	t.Helper()
	client := r.dial(virtual)
	defer client.Close()
	path := fmt.Sprint("/clean/", i)
	request := "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
	if _, body := get(t, client, bufio.NewReader(client), request); body != "GET "+path+" 0" {
		t.Errorf("a clean request for %s is answered %q", path, body)
	}
	client.Close()
	r.logged("connection closed")
	return request
}

// TestDifferential has hostile clients in front of three servers: each has to read exactly the requests that the proxy says it
// has passed on.
func TestDifferential(t *testing.T) {
	t.Parallel()
	t.Run("net/http", func(t *testing.T) {
		t.Parallel()
		server := newLedger(t)
		differ(t, httpRig(t, server.at), hostileRequests(), server, server.at, nil)
	})
	for name := range reverseProxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newLedger(t)
			at, lines := startReverseProxy(t, name, server.at)
			differ(t, httpRig(t, at), hostileRequests(), server, at, lines)
		})
	}
}

// TestDifferentialOfStrangers has the clients in front of a service that is hardened: all that is refused elsewhere is, and more.
func TestDifferentialOfStrangers(t *testing.T) {
	t.Parallel()
	server := newLedger(t)
	cases := slices.DeleteFunc(hostileRequests(), func(h hostile) bool { return h.kind == tricky })
	differ(t, edgeRig(t, server.at), append(cases, strangers()...), server, server.at, nil)
}

func differ(t *testing.T, r *rig, cases []hostile, server *ledger, at netip.AddrPort, lines *logLines) {
	if len(cases) < 300 {
		t.Errorf("there are %d hostile requests", len(cases))
	}
	whole := 0                       // requests that came to the ledger
	doneBefore, failedBefore := 0, 0 // requests that the proxy had counted
	for i, h := range cases {
		c := r.talk(h)
		seen := server.take()
		r.clean(t, i)
		if after := server.take(); !slices.Equal(after, []string{fmt.Sprint("GET /clean/", i)}) {
			t.Errorf("after %.300q the ledger has %q", h.text, after)
		}
		doneNow, failedNow := r.counted()
		done, failed := doneNow-doneBefore-1, failedNow-failedBefore
		doneBefore, failedBefore = doneNow, failedNow
		fail := func(problem string) {
			t.Helper()
			t.Errorf("%.300q: %s; passed on and answered: %d, want %d; failed: %d; the ledger has %q; the client got %d answers, %.100q",
				h.text, problem, done, h.answers, failed, seen, len(c.answers), c.bodies)
		}
		refused := c.refusals()
		if refused > 0 {
			t.Logf("the server refuses %.300q", h.text)
		}
		last := 0
		if len(c.answers) > done {
			last = c.answers[done].StatusCode
		}
		// A server that refuses a body by its length does so before or after the client's end has come.
		early := h.kind != tricky && done > 0 && done == refused && len(seen) == 0
		switch {
		case done != h.answers && !early:
			fail("the proxy counts something else")
		case len(seen)+refused != done:
			fail(fmt.Sprintf("the proxy and the server (which refused %d) count differently", refused))
		case strings.Contains(fmt.Sprint(seen), "smuggled"):
			fail("a request is smuggled")
		case h.kind == tricky && (failed > 0 || !c.complete || len(c.answers) != done):
			fail("want these answers and nothing else")
		case h.kind != tricky && (len(c.answers) > done+1 || 0 < last && last < 400):
			fail("want a refusal at most")
		}
		whole += len(seen) + 1
	}
	if lines != nil {
		lines.check(t, at, whole, r.heads())
	}
}

// TestNothingOfARefusedHead has the clients in front of an endpoint that writes down every byte: none may come of a head that
// is refused.
func TestNothingOfARefusedHead(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var came, want strings.Builder
	at := endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(io.TeeReader(c, writerFunc(func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			came.Write(p)
		})))
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return
			}
			answer := fmt.Sprintf("%s %s %d", request.Method, request.URL.Path, len(body))
			send(t, c, fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Ledger: yes\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer))
		}
	})
	r := httpRig(t, at)
	heads := 0
	for i, h := range hostileRequests() {
		if h.kind != noHead {
			continue
		}
		heads++
		c := r.talk(h)
		if len(c.answers) < h.answers || len(c.answers) > h.answers+1 {
			t.Errorf("%.300q has %d answers", h.text, len(c.answers))
		}
		if h.answers > 0 {
			before, _, _ := strings.Cut(h.text, "\r\n\r\n")
			want.WriteString(before + "\r\n\r\n")
			if strings.HasPrefix(before, "POST") {
				want.WriteString("hello")
			}
		}
		want.WriteString(r.clean(t, i))
		mu.Lock()
		if came.String() != want.String() {
			t.Fatalf("after %.300q the endpoint has read %q", h.text, strings.TrimPrefix(came.String(), want.String()))
		}
		mu.Unlock()
	}
	if heads < 300 {
		t.Errorf("there are %d heads to refuse", heads)
	}
}

// writerFunc is a writer that never fails.
type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
