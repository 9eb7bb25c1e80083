package proxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// TestEdgeOfStreams wants each request of HTTP/2 to be asked what one of HTTP/1 is, and one that is refused to be no harm to the
// others.
func TestEdgeOfStreams(t *testing.T) {
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range ofProxies {
			if r.Header.Get(name) != "" {
				fmt.Fprint(w, name, " ")
			}
		}
		fmt.Fprint(w, r.Header.Get("A"))
	})
	r := edgeRig(t, at)
	client := r.dial2()
	var claims []string
	for _, name := range ofProxies {
		claims = append(claims, strings.ToLower(name), "c")
	}
	stream := uint32(1)
	ask := func(fields ...string) (status string, body string) {
		t.Helper()
		client.asks(stream, true, "GET", "/", fields...)
		head := client.next()
		for {
			frame, ends := strings.CutSuffix(client.next(), " end")
			data, isData := strings.CutPrefix(frame, fmt.Sprintf("%d data ", stream))
			if !isData {
				t.Fatalf("after %q comes %q", head, frame)
			}
			if body += data; ends {
				break
			}
		}
		_, status, _ = strings.Cut(head, ":status=")
		status, _, _ = strings.Cut(status, " ")
		stream += 2
		return status, body
	}
	for range 3 {
		if status, body := ask(append(claims, "a", "b")...); status != "200" || body != "b" {
			t.Errorf("%s %q", status, body)
		}
		if status, body := ask("x_a", "b"); status != "400" || body != "hardening\n" {
			t.Errorf("%s %q", status, body)
		}
		if status, body := ask("a", strings.Repeat("b", http1.MaxStrangerHead)); status != "431" || body != "hardening\n" {
			t.Errorf("%s %q", status, body)
		}
	}
	key := clientKey{"hello", "web"}
	held, _ := r.clients.take(key)
	r.eventually("no request counts", func() bool { return held.requests.Load() == 0 })
	r.clients.mu.Lock()
	if held.connections != 2 {
		t.Errorf("a connection with %d streams counts as %d", stream/2, held.connections-1)
	}
	r.clients.mu.Unlock()
	client.Close()
	r.logged("connection closed")
	r.clients.give(held)
	r.clients.mu.Lock()
	defer r.clients.mu.Unlock()
	if len(r.clients.held) > 0 {
		t.Errorf("clients that are gone are remembered: %v", r.clients.held)
	}
}

// TestEdgeByReloadOfStreams hardens a service while a client is connected, and takes that back.
func TestEdgeByReloadOfStreams(t *testing.T) {
	at, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	r := httpRig(t, at)
	client := r.dial2()
	for i := range 6 {
		r.serve(func(c *mesh.Catalog) { c.Services[0].Edge = i/2%2 == 1 }, at)
		client.asks(uint32(2*i+1), true, "GET", "/", "x_a", "b")
		want := fmt.Sprintf("%d headers :status=%d", 2*i+1, []int{204, 400}[i/2%2])
		if got := client.next(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if i/2%2 == 1 {
			client.next() // the body
		}
	}
	client.Close()
	r.logged("connection closed")
	r.clients.mu.Lock()
	defer r.clients.mu.Unlock()
	if len(r.clients.held) > 0 {
		t.Errorf("clients that are gone are remembered: %v", r.clients.held)
	}
}

// waits says whether the only connection waits among others.
func (r *rig) waits(where func(*loop) *timeouts) (in bool) {
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			in = c.waiting.in == where(l)
		}
	})
	return in
}

func idleLinks(l *loop) *timeouts { return &l.edge.idle }

// TestEdgeIdleLink wants a connection of HTTP/2 to end that is without a stream for long, whatever it says else.
func TestEdgeIdleLink(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/")
	server := <-conns
	r.later(edgeIdle + time.Second)
	send(t, server, "HTTP/1.1 204 No Content\r\n\r\n")
	client.wants("1 headers :status=204 end")
	r.eventually("the client may go on", func() bool { return r.waits(idleLinks) })
	r.later(edgeIdle - time.Second)
	r.later(edgeIdle + time.Second)
	client.wants("goaway 1 NO_ERROR", "end")
	client.Close()
	r.wantEnd(mesh.ReasonIdle)

	client = r.dial2()
	r.eventually("the client may go on", func() bool { return r.waits(idleLinks) })
	longAgo := func() {
		r.inLoops(func(l *loop) {
			for _, c := range l.conns() {
				c.link.unused = c.link.unused.Add(-edgeIdle)
			}
		})
	}
	longAgo()
	_ = client.WritePing(false, [8]byte{})
	client.wants("goaway 0 NO_ERROR", "end")
	client.Close()
	r.wantEnd(mesh.ReasonIdle)
}

// TestEdgeBodyOfAStream has a stream be too slow, beside one that is not.
func TestEdgeBodyOfAStream(t *testing.T) {
	at, conns := accepting(t)
	r := edgeRig(t, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/")
	quick := <-conns
	client.asks(3, false, "POST", "/")
	_ = client.WriteData(3, false, []byte("hello"))
	<-conns
	r.eventually("it is read", func() (read bool) {
		r.streams(func(x *exchange) { read = read || x.edge != nil && x.edge.came > 0 && !x.conn.client.readable })
		return read
	})
	r.later(edgeBodyWindow + time.Second)
	if got := client.next(); !strings.HasPrefix(got, "3 headers :status=408") {
		t.Errorf("%q", got)
	}
	send(t, quick, "HTTP/1.1 204 No Content\r\n\r\n")
	rest := []string{client.next(), client.next(), client.next()}
	for _, want := range []string{"3 data too-slow\n end", "3 reset NO_ERROR", "1 headers :status=204 end"} {
		if !slices.Contains(rest, want) {
			t.Errorf("%q has no %q", rest, want)
		}
	}
}

// streams has the loops call f for each exchange of a stream.
func (r *rig) streams(f func(*exchange)) {
	r.inLoops(func(l *loop) {
		for _, c := range l.deadlines {
			if c.carrier != nil {
				f(c.http)
			}
		}
	})
}

// TestEdgeStallOfAStream has a client open no window for one of its streams.
func TestEdgeStallOfAStream(t *testing.T) {
	at, _ := site(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, zeros{}, 1<<20)
	})
	r := edgeRig(t, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/")
	r.eventually("the client takes no more", func() (full bool) {
		r.streams(func(x *exchange) { full = x.isOffered() && !x.conn.client.writable })
		return full
	})
	r.later(edgeStall + time.Second)
	for {
		got := client.next()
		if strings.HasPrefix(got, "1 headers") || strings.HasPrefix(got, "1 data") {
			continue
		}
		if got != "1 reset "+http2.ErrCodeCancel.String() {
			t.Errorf("%q", got)
		}
		break
	}
	r.wantMetric(`meshd_requests_total{code="200",destination="hello",protocol="http2",reason="too-slow",source="web"} 1`)
}
