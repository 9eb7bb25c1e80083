package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// answers204 answers all requests, whose heads are all that there is of them.
func answers204(p *peer2) {
	for stream := uint32(1); ; {
		switch p.next() {
		case "end", "broken":
			return
		}
		p.headers(stream, true, ":status", "204")
		stream += 2
	}
}

// TestRequestsBehindAFullLink wants requests whose connection ends, or takes no more of them, before they could be written to go
// over another one: an endpoint does not read what was sent before.
func TestRequestsBehindAFullLink(t *testing.T) {
	for name, ends := range map[string]func(*peer2){
		"it dies": func(p *peer2) { reset(p.TCPConn) },
		"it leaves": func(p *peer2) {
			_ = p.WriteGoAway(1, http2.ErrCodeNo, nil)
			_, _ = io.Copy(io.Discard, p.TCPConn)
		},
		"it lies": func(p *peer2) {
			_ = p.WriteRawFrame(http2.FramePing, 0, 0, nil)
			_, _ = io.Copy(io.Discard, p.TCPConn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			end := make(chan struct{})
			var connections atomic.Int64
			at := endpoint2(t, func(p *peer2) {
				if connections.Add(1) > 1 {
					answers204(p)
					return
				}
				_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
				_ = p.WriteWindowUpdate(0, 1<<30)
				<-end
				ends(p)
			})
			r := newRig(t, nil)
			r.t = t
			r.speaks(mesh.HTTP2, at)
			r.eventually("there are loops", func() bool { return len(r.current()) > 0 })
			var clients []*peer2 // of each of them
			for len(clients) < 2*len(r.current()) {
				clients = append(clients, r.dial2())
				r.eventually("it is there", func() bool { return len(r.Connections()) == len(clients) })
			}
			first := r.dial(virtual)
			send(t, first, "POST /a HTTP/1.1\r\nHost: hello\r\nContent-Length: 1000000000\r\n\r\n")
			go func() { _, _ = io.Copy(first, zeros{}) }()
			r.eventually("the connection takes no more", func() (full bool) {
				r.inLoops(func(l *loop) {
					for _, links := range l.endpointLinks {
						full = full || len(links[0].session.Output()) > 0 && !links[0].end.writable
					}
				})
				return full
			})
			const each = 8 // more than there is room for
			for _, c := range clients {
				for i := range each {
					c.asks(uint32(2*i+1), true, "GET", "/b", "a", strings.Repeat("b", 15<<10))
				}
			}
			r.eventually("all wait for the connection that takes no more", func() bool { return r.group().Active() > each })
			close(end)
			for _, c := range clients {
				for range each {
					got := c.next()
					for strings.Contains(got, " data ") {
						got = c.next()
					}
					if !strings.HasSuffix(got, ":status=204 end") && (name != "it lies" || !strings.Contains(got, ":status=502")) {
						t.Errorf("%q", got)
					}
				}
			}
			first.Close()
		})
	}
}

// TestHeadsOfMostFields wants heads to be answered, one way or the other, that have as many fields as there may be before some
// are added to them.
func TestHeadsOfMostFields(t *testing.T) {
	most := strings.Repeat("a: b\r\n", http1.MaxFields-1)
	t.Run("request", func(t *testing.T) {
		at := endpoint2(t, answers204)
		r := newRig(t, nil)
		r.protocol = mesh.HTTP2
		r.serve(func(c *mesh.Catalog) {
			to := mesh.Destination{Service: "hello", Request: mesh.HeaderEdits{Add: []mesh.Field{{Name: "c", Value: "d"}}}}
			c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
		}, at)
		client := r.dial(virtual)
		answer, _ := get(t, client, bufio.NewReader(client), "GET / HTTP/1.1\r\nHost: hello\r\n"+most+"\r\n")
		if answer.StatusCode != 431 {
			t.Errorf("answered with %d", answer.StatusCode)
		}
		if e := r.group().Endpoints()[0]; e.Failed() > 0 {
			t.Error("the endpoint is blamed")
		}
	})
	t.Run("answer", func(t *testing.T) {
		at := endpoint(t, func(c *net.TCPConn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				send(t, c, "HTTP/1.1 200 OK\r\nB: c\r\n"+most+"\r\nhello")
			}
		})
		r := newRig(t, nil)
		r.speaks(mesh.HTTP, at)
		client := r.dial2()
		client.asks(1, true, "GET", "/")
		client.wants("1 reset INTERNAL_ERROR")
		r.wantMetric2(`meshd_requests_total{code="200",destination="hello",protocol="http2",reason="bad-answer",source="web"} 1`)
	})
}
