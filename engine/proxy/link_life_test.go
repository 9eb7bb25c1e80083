package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// TestLinksAreShared wants the requests of a source to share a connection to an endpoint, as far as that takes them.
func TestLinksAreShared(t *testing.T) {
	for _, most := range []uint32{0, 2} {
		var connections atomic.Int64
		at := endpoint2(t, func(p *peer2) {
			if most > 0 {
				_ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: most})
			}
			if connections.Add(1) == 1 {
				p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/first end")
				p.headers(1, true, ":status", "204")
			}
			_, _ = io.Copy(io.Discard, p.TCPConn)
		})
		r := newRig(t, nil)
		r.speaks(mesh.HTTP2, at)
		client := r.dial2()
		client.asks(1, true, "GET", "/first")
		client.wants("1 headers :status=204 end")
		for i := range 4 { // two and two: the first connection has no room for more, and the next finds that out by its settings
			client.asks(uint32(2*i+3), true, "GET", "/more")
			r.eventually("it is under way", func() bool { return r.group().Active() == int64(i+1) })
		}
		links := 0
		r.inLoops(func(l *loop) {
			for _, all := range l.endpointLinks {
				links += len(all)
			}
		})
		if most == 0 && links != 1 || most > 0 && links < 2 {
			t.Errorf("%d connections for streams of which an endpoint takes %d", links, most)
		}
		reset(client.TCPConn)
		r.eventually("nothing is under way", func() bool { return r.group().Active() == 0 })
	}
}

// TestEndpointTakesNothing wants no connection to be kept by which an endpoint takes no request at all.
func TestEndpointTakesNothing(t *testing.T) {
	at := endpoint2(t, func(p *peer2) {
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		for {
			got := p.next()
			if got == "end" || got == "broken" {
				return
			}
			if strings.HasPrefix(got, "1 headers") {
				_ = p.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			}
		}
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	for i := range 10 {
		client.asks(uint32(2*i+1), true, "GET", "/a")
		if got := client.next(); !strings.Contains(got, ":status=502") {
			t.Fatal(got)
		}
		client.next()
	}
	r.eventually("no connection is left", func() (none bool) {
		none = true
		r.inLoops(func(l *loop) { none = none && len(l.endpointLinks) == 0 })
		return none
	})
}

// TestDrainOfLinks wants requests that are under way to be answered, and clients to hear that there will be no more.
func TestDrainOfLinks(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	at, _ := site2(t, func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-goOn
		fmt.Fprint(w, "ok")
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	busy, idle := r.dial2(), r.dial2()
	busy.asks(1, true, "GET", "/a")
	<-begun
	r.eventually("both are there", func() bool { return len(r.Connections()) == 2 })
	r.stop()
	drained := make(chan error)
	go func() { drained <- r.Drain(context.Background()) }()
	idle.wants("goaway 2147483647 NO_ERROR", "goaway 0 NO_ERROR", "end")
	busy.wants("goaway 2147483647 NO_ERROR", "goaway 1 NO_ERROR")
	goOn <- struct{}{}
	if got := busy.next(); !strings.HasPrefix(got, "1 headers :status=200") {
		t.Error(got)
	}
	busy.wants("1 data ok end", "end")
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestDrainOfAYoungLink wants a client that has just connected when the drain begins to have its request answered, and to be told that
// there will be no more.
func TestDrainOfAYoungLink(t *testing.T) {
	at, _ := site2(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	c := r.dial(virtual)
	r.eventually("it is there", func() bool { return len(r.Connections()) == 1 })
	r.stop()
	drained := make(chan error)
	go func() { drained <- r.Drain(context.Background()) }()
	r.eventually("the drain has begun", r.drains.Load)
	r.inLoops(func(*loop) {})
	send(t, c, http2.ClientPreface)
	client := newPeer2(t, c)
	client.asks(1, true, "GET", "/a")
	client.wants("goaway 2147483647 NO_ERROR")
	got := client.next() + " " + client.next() + " " + client.next()
	if !strings.Contains(got, ":status=200") || !strings.Contains(got, "1 data ok end") || !strings.Contains(got, "goaway 1 NO_ERROR") {
		t.Error(got)
	}
	client.wantsEnd()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestDrainEndsLinks wants the requests of a link to end with it when the drain has no patience left.
func TestDrainEndsLinks(t *testing.T) {
	begun := make(chan struct{})
	at, _ := site2(t, func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/a")
	<-begun
	r.stop()
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Drain(now); err == nil {
		t.Error("the drain has waited")
	}
	r.wantMetric(`meshd_requests_total{code="0",destination="hello",protocol="http2",reason="shutdown",source="web"} 1`)
}

// TestHostileClients wants clients that do not speak HTTP/2 after all, or ask too much, to be told so, and nothing of it to go on.
func TestHostileClients(t *testing.T) {
	at, _ := site(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Errorf("%s %s has gone on", r.Method, r.URL)
		}
	})
	for name, test := range map[string]struct {
		say  func(*peer2)
		hear []string
	}{
		"an upper case name": {
			func(p *peer2) { p.asks(1, true, "GET", "/", "X-Upper", "a") }, []string{"1 reset PROTOCOL_ERROR"},
		},
		"a connection field": {
			func(p *peer2) { p.asks(1, true, "GET", "/", "connection", "close") }, []string{"1 reset PROTOCOL_ERROR"},
		},
		"a split request": {
			func(p *peer2) { p.asks(1, true, "GET", "/ HTTP/1.1\r\nX: a") }, []string{"1 reset PROTOCOL_ERROR"},
		},
		"a length that lies": {
			func(p *peer2) {
				p.asks(1, false, "POST", "/", "content-length", "6")
				_ = p.WriteData(1, true, []byte("short"))
			}, []string{"1 reset PROTOCOL_ERROR"},
		},
		"data of no stream": {
			func(p *peer2) { _ = p.WriteData(1, true, []byte("a")) }, []string{"goaway 0 PROTOCOL_ERROR", "end"},
		},
		"a frame that is too large": {
			func(p *peer2) { _ = p.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<15)) }, []string{"goaway 0 FRAME_SIZE_ERROR", "end"},
		},
		"connect": {
			func(p *peer2) { p.headers(1, true, ":method", "CONNECT", ":authority", "a:1") },
			[]string{"1 headers :status=405 content-type=text/plain; charset=utf-8 content-length=12", "1 data bad-request\n end"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.speaks(mesh.HTTP, at)
			client := r.dial2()
			test.say(client)
			client.t = t
			client.wants(test.hear...)
			if strings.HasPrefix(test.hear[0], "goaway") {
				client.Close()
				r.wantEnd(mesh.ReasonBadRequest)
			}
		})
	}
}

// TestRefusedStreams wants requests that come to nothing before there is a stream to be counted and told of as well.
func TestRefusedStreams(t *testing.T) {
	r := newRig(t, nil)
	r.speaks(mesh.HTTP)
	line := r.lines()
	client := r.dial2()
	client.asks(1, true, "GET", "/", "te", "gzip")
	client.wants("1 reset PROTOCOL_ERROR")
	r.wantLine(line(), map[string]any{"protocol": "HTTP/2", "code": nil, "reason": "bad-request", "source": "web", "destination": "hello"})
	var many []string
	for i := range http1.MaxFields {
		many = append(many, fmt.Sprint("a", i), "b")
	}
	client.asks(3, true, "GET", "/", many...)
	client.wants("3 headers :status=431 end")
	r.wantLine(line(), map[string]any{"protocol": "HTTP/2", "code": 431, "reason": "bad-request"})
	r.wantMetric(`meshd_requests_total{code="0",destination="hello",protocol="http2",reason="bad-request",source="web"} 1`)
	r.wantMetric(`meshd_requests_total{code="431",destination="hello",protocol="http2",reason="bad-request",source="web"} 1`)
	client.Close()
	r.wantEnd(mesh.ReasonDone)
}

// TestNoPreface wants who speaks neither HTTP/1 nor HTTP/2 to be told so in what the service speaks.
func TestNoPreface(t *testing.T) {
	for _, said := range []string{"INVALID CONNECTION PREFACE\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		r := newRig(t, nil)
		r.speaks(mesh.GRPC)
		client := r.dial(virtual)
		send(t, client, said)
		p := newPeer2(t, client)
		p.wants("goaway 0 PROTOCOL_ERROR", "end")
		client.Close()
		r.wantEnd(mesh.ReasonBadRequest)

		r = newRig(t, nil)
		r.speaks(mesh.HTTP)
		client = r.dial(virtual)
		send(t, client, said)
		if told, err := io.ReadAll(client); err != nil || !strings.HasPrefix(string(told), "HTTP/1.1 400 ") {
			t.Errorf("after %q the client is told %q, %v", said, told, err)
		}
		client.Close()
		r.wantEnd(mesh.ReasonBadRequest)
	}
}

// TestSlowPreface wants a client to be left that begins HTTP/2 and does not go on, or begins fields that it does not end.
func TestSlowPreface(t *testing.T) {
	for _, begun := range []string{http2.ClientPreface[:3], http2.ClientPreface[:20], http2.ClientPreface, "fields"} {
		r := newRig(t, nil)
		r.speaks(mesh.HTTP)
		client := r.dial(virtual)
		if begun == "fields" {
			send(t, client, http2.ClientPreface)
			newPeer2(t, client).begins(1)
		} else {
			send(t, client, begun)
		}
		r.eventually("it waits", func() (waits bool) {
			r.inLoops(func(l *loop) { waits = waits || l.slow.first != nil })
			return waits
		})
		r.later(2 * headTimeout)
		_, _ = io.Copy(io.Discard, client)
		client.Close()
		r.wantEnd(mesh.ReasonBadRequest)
	}
}

// TestMirrorOverHTTP2 wants copies to go over HTTP/2 where that is what their service speaks.
func TestMirrorOverHTTP2(t *testing.T) {
	seen := make(chan string, 10)
	mirror, connections := site2(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- fmt.Sprint(r.Method, " ", r.Host, r.RequestURI, " ", string(body))
	})
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	to := mesh.Destination{Service: "hello", Mirror: &mesh.Mirror{Target: mesh.Target{Service: "copies"}, Share: mesh.Hundred}}
	r.serve(func(c *mesh.Catalog) {
		c.Services = append(c.Services, mesh.Service{
			Name: "copies", Port: 80, Virtual4: netip.AddrFrom4([4]byte{244, 0, 0, 2}), Balancing: mesh.RoundRobin, Protocol: mesh.HTTP2,
			Endpoints: []mesh.Endpoint{{Host: "app-2", Address: mirror, Weight: 1}},
		})
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for range 3 {
		get(t, client, in, "POST /d HTTP/1.1\r\nHost: hello\r\nContent-Length: 5\r\n\r\nhello")
		if got := <-seen; got != "POST hello-shadow/d hello" {
			t.Errorf("the copy is %q", got)
		}
		r.eventually("the copy is done with", func() (done bool) {
			done = true
			r.inLoops(func(l *loop) { done = done && len(l.mirrors) == 0 })
			return done
		})
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("copies one after the other took %d connections", n)
	}
}

// TestOneConnectFailsOnce wants requests that wait for the same connection to count one failure when it cannot be made.
func TestOneConnectFailsOnce(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ConnectTimeout = time.Hour })
	r.speaks(mesh.HTTP2, silent(t))
	client := r.dial2()
	for i := range 7 {
		client.asks(uint32(2*i+1), true, "GET", "/a")
	}
	r.eventually("all wait for a connection", func() bool { return r.group().Active() == 7 })
	if c := r.Connections(); len(c) != 1 || c[0].Destination != "hello" || c[0].Endpoint == "" {
		t.Errorf("connections: %+v", c)
	}
	r.later(2 * time.Hour)
	for range 7 {
		if got := client.next(); !strings.Contains(got, ":status=503") {
			t.Fatal(got)
		}
		if got := client.next(); !strings.HasSuffix(got, "data connect-failed\n end") {
			t.Fatal(got)
		}
	}
	if n := r.group().Endpoints()[0].Failed(); n != 1 {
		t.Errorf("%d failures are counted, want 1", n)
	}
	r.wantMetric(`meshd_pool_events_total{destination="hello",event="dialled",source="web"} 1`)
}

// TestLinkIsDoubted wants no further request to take a connection by which nothing has come while one has timed out.
func TestLinkIsDoubted(t *testing.T) {
	var connections atomic.Int64
	at := endpoint2(t, func(p *peer2) {
		if n := connections.Add(1); n > 1 {
			p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/b end")
			p.headers(1, true, ":status", "204")
		}
		_, _ = io.Copy(io.Discard, p.TCPConn)
	})
	r := newRig(t, nil)
	r.protocol = mesh.HTTP2
	to := mesh.Destination{Service: "hello", RequestTimeout: time.Hour}
	r.serve(func(c *mesh.Catalog) {
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/a")
	r.eventually("the request is sent", func() (sent bool) {
		r.inLoops(func(l *loop) {
			for _, links := range l.endpointLinks {
				sent = sent || links[0].connected && !links[0].heard.IsZero()
			}
		})
		return sent
	})
	r.inLoops(func(l *loop) { // the settings have come before
		for _, links := range l.endpointLinks {
			links[0].heard = links[0].heard.Add(-time.Minute)
		}
	})
	r.later(2 * time.Hour)
	client.wants("1 headers :status=504 content-type=text/plain; charset=utf-8 content-length=8", "1 data timeout\n end")
	client.asks(3, true, "GET", "/b")
	client.wants("3 headers :status=204 end")
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	reset(client.TCPConn)
	r.stopLinks()
}

// TestLinkOutlivesService wants each stream of a link to be told that there is no service of HTTP any more where it goes, and one
// to be carried when there is again.
func TestLinkOutlivesService(t *testing.T) {
	for name, gone := range map[string]func(*rig, netip.AddrPort){
		"it is gone":         func(r *rig, _ netip.AddrPort) { r.snapshots.Swap(snapshot.Build(snapshot.Input{Version: 9})) },
		"it is one of bytes": func(r *rig, at netip.AddrPort) { r.speaks(mesh.TCP, at) },
	} {
		t.Run(name, func(t *testing.T) {
			at := endpoint2(t, answers204)
			r := newRig(t, nil)
			r.speaks(mesh.HTTP2, at)
			client := r.dial2()
			client.asks(1, true, "GET", "/a")
			client.wants("1 headers :status=204 end")
			gone(r, at)
			for _, stream := range []uint32{3, 5} {
				client.asks(stream, true, "GET", "/a")
				if got := client.next(); !strings.Contains(got, fmt.Sprint(stream, " headers :status=503")) {
					t.Fatal(got)
				}
				client.wants(fmt.Sprint(stream, " data not-in-mesh\n end"))
			}
			r.speaks(mesh.HTTP2, at)
			client.asks(7, true, "GET", "/a")
			client.wants("7 headers :status=204 end")
		})
	}
}
