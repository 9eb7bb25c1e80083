package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshd/meshd/engine/mesh"
)

// TestClientCancels wants an endpoint to hear of it when its client wants no answer any more.
func TestClientCancels(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	handle := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		if r.URL.Path == "/begun" {
			_ = http.NewResponseController(w).Flush()
		}
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}
	mixes(t, handle, func(t *testing.T, r *rig, c *http.Client) {
		for _, path := range []string{"/silent", "/begun"} {
			ctx, cancel := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, "GET", "http://hello.mesh"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if answer, err := c.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			}()
			<-begun
			cancel()
			<-ended
			<-done
			answer, err := c.Get("http://hello.mesh/quick")
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
		}
	})
}

// TestClientIsGone wants the same of a client that is gone with all its requests.
func TestClientIsGone(t *testing.T) {
	begun := make(chan struct{})
	at := endpoint2(t, func(p *peer2) {
		got := map[string]bool{}
		for i := range 4 {
			got[p.next()] = true
			if i == 1 {
				close(begun)
			}
		}
		for _, want := range []string{"1 reset CANCEL", "3 reset CANCEL"} {
			if !got[want] {
				t.Errorf("no %q in %v", want, got)
			}
		}
		p.wantsEnd()
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/a")
	client.asks(3, false, "POST", "/b")
	<-begun
	reset(client.TCPConn)
	r.wantMetric2(`meshd_requests_total{code="0",destination="hello",protocol="http2",reason="client-reset",source="web"} 2`)
	if n := len(r.Connections()); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	r.stopLinks()
}

// wantMetric2 waits for a series.
func (r *rig) wantMetric2(series string) {
	r.t.Helper()
	r.eventually("metrics show "+series, func() bool { return strings.Contains(r.page(), series+"\n") })
}

// stopLinks closes the connections to endpoints that carry nothing.
func (r *rig) stopLinks() {
	r.inLoops(func(l *loop) { l.closeIdle(l.now.Add(upstreamIdle)) })
}

// TestEndpointBreaksOff wants a client to see that an answer was not whole, and not more than that.
func TestEndpointBreaksOff(t *testing.T) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/whole" {
			fmt.Fprint(w, "whole")
			return
		}
		fmt.Fprint(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	mixes(t, handle, func(t *testing.T, r *rig, c *http.Client) {
		for _, path := range []string{"/half", "/whole"} {
			answer, err := c.Get("http://hello.mesh" + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			if string(body) != path[1:] || (err == nil) != (path == "/whole") {
				t.Errorf("%s: %q, %v", path, body, err)
			}
			answer.Body.Close()
		}
	})
}

// TestResetsTravel wants the code of an endpoint's reset to reach the client.
func TestResetsTravel(t *testing.T) {
	at := endpoint2(t, func(p *peer2) {
		p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/a end")
		p.headers(1, false, ":status", "200")
		_ = p.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm)
		p.wants("3 headers :method=GET :scheme=http :authority=hello.mesh :path=/b end")
		_ = p.WriteRSTStream(3, http2.ErrCodeInternal)
		p.wantsEnd()
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/a")
	client.wants("1 headers :status=200", "1 reset ENHANCE_YOUR_CALM")
	client.asks(3, true, "GET", "/b")
	client.wants("3 headers :status=502 content-type=text/plain; charset=utf-8 content-length=15", "3 data endpoint-reset\n end")
	r.stopLinks()
}

// TestUntouchedRequests wants requests to be sent again that an endpoint says it has done nothing for, whatever they are.
func TestUntouchedRequests(t *testing.T) {
	served := make(chan *peer2, 2)
	at := endpoint2(t, func(p *peer2) {
		served <- p
		switch len(served) {
		case 1:
			p.wants("1 headers :method=POST :scheme=http :authority=hello.mesh :path=/a.B/C content-type=application/grpc te=trailers", "1 data hello end")
			_ = p.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			p.wants("3 headers :method=POST :scheme=http :authority=hello.mesh :path=/a.B/C content-type=application/grpc te=trailers", "3 data hello end")
			p.headers(3, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
			p.wants("5 headers :method=POST :scheme=http :authority=hello.mesh :path=/a.B/C content-type=application/grpc te=trailers", "5 data again end")
			_ = p.WriteGoAway(3, http2.ErrCodeNo, nil)
		case 2:
			p.wants("1 headers :method=POST :scheme=http :authority=hello.mesh :path=/a.B/C content-type=application/grpc te=trailers", "1 data again end")
			p.headers(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "7")
		}
		_, _ = io.Copy(io.Discard, p.TCPConn)
	})
	r := newRig(t, nil)
	r.speaks(mesh.GRPC, at)
	client := r.dial2()
	client.calls(1, false)
	_ = client.WriteData(1, true, []byte("hello"))
	client.wants("1 headers :status=200 content-type=application/grpc grpc-status=0 end")
	client.calls(3, false)
	_ = client.WriteData(3, true, []byte("again"))
	client.wants("3 headers :status=200 content-type=application/grpc grpc-status=7 end")
	r.wantMetric(`meshd_requests_total{code="7",destination="hello",protocol="grpc",reason="done",source="web"} 1`)
	r.wantMetric(`meshd_pool_events_total{destination="hello",event="repeated",source="web"} 2`)
	r.stopLinks()
}

// TestEndpointDies wants the requests of a connection that is lost to end each by itself: what may be made twice is made again.
func TestEndpointDies(t *testing.T) {
	first := make(chan struct{}, 1)
	at := endpoint2(t, func(p *peer2) {
		select {
		case first <- struct{}{}:
			p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/warm end")
			p.headers(1, true, ":status", "204")
			for range 4 { // a get, a begun answer, a call with its data
				if got := p.next(); strings.Contains(got, "path=/begun") {
					p.headers(3, false, ":status", "200")
				}
			}
			reset(p.TCPConn)
		default:
			p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/get end")
			p.headers(1, true, ":status", "200", "x", "again")
			_, _ = io.Copy(io.Discard, p.TCPConn)
		}
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/warm")
	client.wants("1 headers :status=204 end")
	client.asks(3, true, "GET", "/begun")
	client.wants("3 headers :status=200")
	client.calls(5, false)
	_ = client.WriteData(5, true, []byte("hello"))
	client.asks(7, true, "GET", "/get")
	got := map[string]bool{}
	for range 3 {
		got[client.next()] = true
	}
	for _, want := range []string{
		"3 reset INTERNAL_ERROR", "7 headers :status=200 content-length=0 x=again end",
		"5 headers :status=200 content-type=application/grpc grpc-status=14 grpc-message=endpoint-reset end",
	} {
		if !got[want] {
			t.Errorf("no %q in %v", want, got)
		}
	}
	r.stopLinks()
}

// TestEarlyAnswers wants an answer to reach a client whose request is not whole, and the rest of that to be called off.
func TestEarlyAnswers(t *testing.T) {
	at := endpoint2(t, func(p *peer2) {
		p.wants("1 headers :method=POST :scheme=http :authority=hello.mesh :path=/a")
		p.headers(1, true, ":status", "413")
		p.wants("1 reset CANCEL", "3 headers :method=GET :scheme=http :authority=hello.mesh :path=/b end")
		p.headers(3, true, ":status", "204")
		p.wantsEnd()
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	client.asks(1, false, "POST", "/a")
	client.wants("1 headers :status=413 content-length=0 end", "1 reset NO_ERROR")
	client.asks(3, true, "GET", "/b")
	client.wants("3 headers :status=204 end")
	// Bytes count once: as the application has them.
	r.eventually("the metrics have what the connection has", func() bool {
		c, page := r.Connections()[0], r.page()
		const series = `meshd_connection_bytes_total{destination="hello",direction="%s",source="web"} %d` + "\n"
		return c.Sent > 50 && strings.Contains(page, fmt.Sprintf(series, "sent", c.Sent)) &&
			c.Received > 50 && strings.Contains(page, fmt.Sprintf(series, "received", c.Received))
	})
	r.stopLinks()
}

// TestEndpointLeaves wants no request to fail when an endpoint ends its connections as it stops.
func TestEndpointLeaves(t *testing.T) {
	begun, go1 := make(chan struct{}), make(chan struct{})
	at, connections := site2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			begun <- struct{}{}
			<-go1
		}
		fmt.Fprint(w, r.URL.Path)
	})
	_ = connections
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/long")
	<-begun
	r.speaks(mesh.HTTP2, at, dead(t)) // it stays
	client.asks(3, true, "GET", "/a")
	if got := client.next(); !strings.HasPrefix(got, "3 headers :status=200") {
		t.Fatal(got)
	}
	client.wants("3 data /a end")
	other, _ := site2(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "other") })
	r.speaks(mesh.HTTP2, other) // it goes
	client.asks(5, true, "GET", "/a")
	if got := client.next(); !strings.HasPrefix(got, "5 headers :status=200") {
		t.Fatal(got)
	}
	client.wants("5 data other end")
	go1 <- struct{}{}
	if got := client.next(); !strings.HasPrefix(got, "1 headers :status=200") {
		t.Fatal(got)
	}
	client.wants("1 data /long end")
	r.eventually("one connection is left", func() bool {
		n := 0
		r.inLoops(func(l *loop) { n += len(l.endpointLinks) })
		return n == 1
	})
}

// TestOldAndOddClients has clients of HTTP/1 ask an endpoint of HTTP/2 for what that has not.
func TestOldAndOddClients(t *testing.T) {
	at, _ := site2(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", fmt.Sprint(r.Header["Upgrade"], r.Header["Connection"], r.Header["Keep-Alive"]))
		for _, part := range []string{"one", "two"} {
			fmt.Fprint(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	})
	r := newRig(t, nil)
	r.speaks(mesh.HTTP2, at)
	for _, test := range []struct {
		request string
		chunked bool
	}{
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\nHost: hello\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true},
		{"GET http://hello/ HTTP/1.1\r\nHost: hello\r\nKeep-Alive: 5\r\nConnection: close\r\n\r\n", true},
	} {
		client := r.dial(virtual)
		answer, body := get(t, client, bufio.NewReader(client), test.request)
		if answer.StatusCode != 200 || body != "onetwo" || (len(answer.TransferEncoding) > 0) != test.chunked || answer.Header.Get("X-Asked") != "[][][]" && answer.Header.Get("X-Asked") != "[] [] []" {
			t.Errorf("%q: %d %q %v %v", test.request, answer.StatusCode, body, answer.TransferEncoding, answer.Header)
		}
		client.Close()
	}
}

// TestAnswerUntilCloseOverHTTP2 wants an answer whose end is that of its connection to end a stream, and a cut one to reset it.
func TestAnswerUntilCloseOverHTTP2(t *testing.T) {
	for _, whole := range []bool{true, false} {
		seen := make(chan struct{})
		at := endpoint(t, func(c *net.TCPConn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			send(t, c, "HTTP/1.0 200 OK\r\n\r\nhello")
			<-seen
			if !whole {
				reset(c)
			}
		})
		r := newRig(t, nil)
		r.speaks(mesh.HTTP, at)
		client := r.dial2()
		client.asks(1, true, "GET", "/")
		client.wants("1 headers :status=200", "1 data hello")
		close(seen)
		end := "1 data  end"
		if !whole {
			end = "1 reset INTERNAL_ERROR"
		}
		client.wants(end)
	}
}

// TestHostileEndpoints wants an endpoint that does not speak HTTP/2 after all to have no part in what its clients get.
func TestHostileEndpoints(t *testing.T) {
	for name, answer := range map[string]func(*peer2){
		"HTTP/1":              func(p *peer2) { _, _ = io.WriteString(p.TCPConn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		"a status of letters": func(p *peer2) { p.headers(1, true, ":status", "abc") },
		"no status":           func(p *peer2) { p.headers(1, true, "a", "b") },
		"an upgrade":          func(p *peer2) { p.headers(1, false, ":status", "101") },
		"a split answer":      func(p *peer2) { p.headers(1, true, ":status", "200", "a", "b\r\nc: d") },
		"a length that lies":  func(p *peer2) { p.headers(1, true, ":status", "200", "content-length", "5") },
		"a pushed stream": func(p *peer2) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, BlockFragment: []byte{0x82}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			at := endpoint2(t, func(p *peer2) {
				p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/a end")
				answer(p)
				_, _ = io.Copy(io.Discard, p.TCPConn)
			})
			r := newRig(t, nil)
			r.speaks(mesh.HTTP2, at)
			client := r.dial2()
			client.asks(1, true, "GET", "/a")
			client.wants("1 headers :status=502 content-type=text/plain; charset=utf-8 content-length=11", "1 data bad-answer\n end")
			reset(client.TCPConn)
			r.stopLinks()
		})
	}
}

// TestTimeoutWithinAnswerOverHTTP2 wants both sides to hear that an answer is not waited for any longer.
func TestTimeoutWithinAnswerOverHTTP2(t *testing.T) {
	at := endpoint2(t, func(p *peer2) {
		p.wants("1 headers :method=GET :scheme=http :authority=hello.mesh :path=/a end")
		p.headers(1, false, ":status", "200")
		p.wants("1 reset CANCEL")
		p.wantsEnd()
	})
	r := newRig(t, nil)
	r.protocol = mesh.HTTP2
	to := mesh.Destination{Service: "hello", RequestTimeout: time.Hour}
	r.serve(func(c *mesh.Catalog) {
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, at)
	client := r.dial2()
	client.asks(1, true, "GET", "/a")
	client.wants("1 headers :status=200")
	r.later(2 * time.Hour)
	client.wants("1 reset CANCEL")
	r.eventually("nothing is under way", func() bool { return r.group().Active() == 0 })
	r.stopLinks()
}
