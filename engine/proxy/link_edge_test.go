package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// TestEdgeOverHTTP2 wants strangers who speak HTTP/2 to be treated as others.
func TestEdgeOverHTTP2(t *testing.T) {
	r := edgeRig(t, mirrorOfHeads(t))
	client := r.dial2()
	client.asks(1, true, "GET", "/a", "x-forwarded-for", "1.2.3.4", "a", "b")
	if got := client.next(); !strings.HasPrefix(got, "1 headers :status=200") {
		t.Fatal(got)
	}
	client.wants("1 data GET /a HTTP/1.1\r\nHost: hello.mesh\r\na: b\r\n\r\n end")
	client.asks(3, true, "GET", "/b", "x_a", "b")
	client.wants("3 headers :status=400 content-type=text/plain; charset=utf-8 content-length=10", "3 data hardening\n end")
	r.wantMetric2(`meshd_requests_total{code="400",destination="hello",protocol="http2",reason="hardening",source="web"} 1`)
}

// TestEdgeIdleOverHTTP2 wants a stranger without a request to be told that it is left, and to be left.
func TestEdgeIdleOverHTTP2(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	at, _ := site(t, func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-goOn
	})
	r := edgeRig(t, at)
	busy, idle := r.dial2(), r.dial2()
	busy.asks(1, true, "GET", "/a")
	<-begun
	_ = idle.WritePing(false, [8]byte{})
	r.eventually("both wait", func() bool { // for 75 seconds; the one with a request does not
		waiting := 0
		r.inLoops(func(l *loop) {
			for c := l.edge.idle.first; c != nil; c = c.waiting.next {
				waiting++
			}
		})
		return waiting == 1
	})
	r.later(2 * edgeIdle)
	idle.wants("goaway 0 NO_ERROR", "end")
	idle.Close()
	r.wantEnd(mesh.ReasonIdle)
	close(goOn)
	if got := busy.next(); !strings.HasPrefix(got, "1 headers :status=200") {
		t.Error(got)
	}
}

// TestEdgeSlowOverHTTP2 wants a stranger to have no more time for the fields of a request than for a head of HTTP/1.
func TestEdgeSlowOverHTTP2(t *testing.T) {
	r := edgeRig(t)
	client := r.dial2()
	client.begins(1)
	r.eventually("it waits", func() (waits bool) {
		r.inLoops(func(l *loop) { waits = waits || l.edge.slow.first != nil })
		return waits
	})
	r.later(2 * edgeHeadTimeout)
	client.wantsEnd()
	r.wantEnd(mesh.ReasonTooSlow)
}
