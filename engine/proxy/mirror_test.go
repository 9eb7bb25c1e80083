package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// mirrored makes a service whose requests are copied to the endpoint.
func mirrored(t testing.TB, to mesh.Destination, mirror netip.AddrPort, endpoints ...netip.AddrPort) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	to.Service = "hello"
	to.Mirror = &mesh.Mirror{Target: mesh.Target{Service: "copies"}, Share: mesh.Hundred}
	r.serve(func(c *mesh.Catalog) {
		c.Services = append(c.Services, mesh.Service{
			Name: "copies", Port: 80, Virtual4: netip.AddrFrom4([4]byte{244, 0, 0, 2}), Balancing: mesh.RoundRobin, Protocol: mesh.HTTP,
			Endpoints: []mesh.Endpoint{{Host: "app-2", Address: mirror, Weight: 1}},
		})
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, endpoints...)
	return r
}

func TestMirror(t *testing.T) {
	seen := make(chan string, 10)
	mirror, connections := site(t, func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		_, _ = bufio.NewReader(r.Body).WriteTo(body)
		seen <- fmt.Sprint(r.Method, " ", r.Host, r.RequestURI, " ", r.Header.Get("X-Set"), " ", body)
		w.WriteHeader(500)
		fmt.Fprint(w, "nobody reads this")
	})
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	r := mirrored(t, mesh.Destination{Request: mesh.HeaderEdits{Set: []mesh.Field{{Name: "X-Set", Value: "set"}}}}, mirror, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for _, test := range []struct{ request, want string }{
		{"GET /a HTTP/1.1\r\nHost: hello.mesh\r\n\r\n", "GET hello.mesh-shadow/a set "},
		{"GET /b HTTP/1.1\r\nHost: hello.mesh:80\r\n\r\n", "GET hello.mesh-shadow:80/b set "},
		{"GET /c HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET [::1]-shadow/c set "},
		{"POST /d HTTP/1.1\r\nHost: hello\r\nContent-Length: 5\r\n\r\nhello", "POST hello-shadow/d set hello"},
		{"POST /e HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST hello-shadow/e set hello"},
	} {
		if response, body := get(t, client, in, test.request); response.StatusCode != 200 || strings.Contains(body, "shadow") {
			t.Errorf("%d %q", response.StatusCode, body)
		}
		if got := <-seen; got != test.want {
			t.Errorf("the copy is %q, want %q", got, test.want)
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
	client.Close()
	r.wantEnd(mesh.ReasonDone)
	r.wantMetric(`meshd_mirrored_requests_total{destination="hello",result="sent"} 5`)
	r.wantMetric(`meshd_requests_total{code="200",destination="hello",protocol="http",reason="done",source="web"} 5`)
}

// TestMirrorOfMuch wants a request to pass whose body is more than a copy may hold.
func TestMirrorOfMuch(t *testing.T) {
	mirror, connections := site(t, func(http.ResponseWriter, *http.Request) {})
	at, _ := plays(t, answer)
	r := mirrored(t, mesh.Destination{}, mirror, at)
	client := r.dial(virtual)
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", heldMost+1, strings.Repeat("a", heldMost+1))
	if response, body := get(t, client, bufio.NewReader(client), request); body != "ok" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	if connections.Load() > 0 {
		t.Error("it was copied")
	}
	r.wantMetric(`meshd_mirrored_requests_total{destination="hello",result="dropped"} 1`)
}

// TestMirrorsThatFail wants requests to know nothing of what their copies meet.
func TestMirrorsThatFail(t *testing.T) {
	for name, mirror := range map[string]netip.AddrPort{
		"refused": dead(t), "no connect": silent(t), "nonsense": script(t, "nonsense\r\n\r\n"), "cut off": script(t, "HTTP/1.1 200 OK\r\nContent-"),
	} {
		at, _ := plays(t, answer, answer, answer)
		r := mirrored(t, mesh.Destination{RequestTimeout: time.Hour}, mirror, at)
		client := r.dial(virtual)
		in := bufio.NewReader(client)
		for range 3 {
			if response, body := get(t, client, in, plain); body != "ok" {
				t.Errorf("%s: %d %q", name, response.StatusCode, body)
			}
		}
		r.inLoops(func(l *loop) { l.endMirrors(time.Now().Add(2 * time.Hour)) })
		r.eventually("nothing is left", func() (free bool) {
			free = true
			r.inLoops(func(l *loop) { free = free && len(l.mirrors) == 0 })
			return free
		})
		port, _, _ := r.snapshots.Load().At(netip.AddrPortFrom(netip.AddrFrom4([4]byte{244, 0, 0, 2}), 80))
		if n := port.Group.Active(); n != 0 {
			t.Errorf("%s: %d connections are counted for ever", name, n)
		}
	}
}

// TestMirrorIsNotUpgraded wants a copy to end that is answered with another protocol, though that stays.
func TestMirrorIsNotUpgraded(t *testing.T) {
	ended := make(chan error, 1)
	mirror := endpoint(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		send(t, c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	at, _ := plays(t, answer)
	r := mirrored(t, mesh.Destination{RequestTimeout: time.Hour}, mirror, at)
	client := r.dial(virtual)
	get(t, client, bufio.NewReader(client), plain)
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

// TestMirrorsAreBounded wants copies to be dropped when those before them take long.
func TestMirrorsAreBounded(t *testing.T) {
	copies, conns := accepting(t)
	at, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r := mirrored(t, mesh.Destination{}, copies, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	r.inLoops(func(l *loop) {
		l.mirrors = map[*mirror]struct{}{}
		for range mostMirrors {
			l.mirrors[&mirror{loop: l, until: time.Now().Add(time.Hour)}] = struct{}{}
		}
	})
	if _, body := get(t, client, in, plain); body != "ok" {
		t.Errorf("%q", body)
	}
	r.wantMetric(`meshd_mirrored_requests_total{destination="hello",result="dropped"} 1`)
	r.inLoops(func(l *loop) { l.endMirrors(time.Now().Add(2 * time.Hour)) })
	if _, body := get(t, client, in, plain); body != "ok" {
		t.Errorf("%q", body)
	}
	<-conns
}

// TestMirrorsEndWithLoop wants copies to end with their loop, however long their answers may take.
func TestMirrorsEndWithLoop(t *testing.T) {
	mirror, conns := accepting(t)
	at, _ := plays(t, answer)
	r := mirrored(t, mesh.Destination{RequestTimeout: 2 * time.Hour}, mirror, at)
	client := r.dial(virtual)
	get(t, client, bufio.NewReader(client), plain)
	server := <-conns
	client.Close()
	r.wantEnd(mesh.ReasonDone)
	r.stop()
	if err := r.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	_ = server.SetReadDeadline(time.Now().Add(10 * time.Second)) // else the endpoint would wait for ever as well
	wantReset(t, server)
}
