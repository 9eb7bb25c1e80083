package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// sticky makes a service whose requests keep to one of three endpoints by a policy.
func sticky(t testing.TB, protocol mesh.Protocol, policies ...mesh.HashPolicy) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.protocol = protocol
	r.serve(func(c *mesh.Catalog) {
		c.Services[0].Balancing = mesh.Maglev
		c.Services[0].Balancer.Hash = policies
	}, named(t, "a"), named(t, "b"), named(t, "c"))
	return r
}

// whom returns the name of the endpoint that answers, for what fields a request has.
func whom(t testing.TB, c net.Conn, in *bufio.Reader, fields string) (name string, response *http.Response) {
	t.Helper()
	response, body := get(t, c, in, "GET / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n")
	name, _, _ = strings.Cut(body, " ")
	return name, response
}

func TestHashOfHeader(t *testing.T) {
	r := sticky(t, mesh.HTTP, mesh.HashPolicy{Kind: mesh.HashHeader, Name: "x-user"})
	first, second := r.dial(virtual), r.dial(virtual)
	in, in2 := bufio.NewReader(first), bufio.NewReader(second)
	names := map[string]bool{}
	for user := range 20 {
		field := fmt.Sprintf("X-User: %d\r\n", user)
		a, _ := whom(t, first, in, field)
		b, response := whom(t, second, in2, field)
		if a != b || response.Header.Get("Set-Cookie") != "" {
			t.Errorf("user %d got to %s and to %s, %v", user, a, b, response.Header)
		}
		names[a] = true
	}
	if len(names) < 2 {
		t.Errorf("all users got to one of %v", names)
	}
}

// TestHashOfCookie wants a client to get a cookie once, which leads it to where it was.
func TestHashOfCookie(t *testing.T) {
	r := sticky(t, mesh.HTTP, mesh.HashPolicy{Kind: mesh.HashCookie, Name: "route", TTL: time.Hour, Path: "/"})
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for range 10 {
		first, response := whom(t, client, in, "")
		cookies := response.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "route" || cookies[0].MaxAge != 3600 || cookies[0].Path != "/" {
			t.Fatalf("the cookies are %v", response.Header["Set-Cookie"])
		}
		again, response := whom(t, client, in, "Cookie: route="+cookies[0].Value+"\r\n")
		if again != first || len(response.Cookies()) > 0 {
			t.Errorf("it got to %s, then with %s to %s, %v", first, cookies[0], again, response.Cookies())
		}
	}
}

// TestHashOfTCP wants the connections of one source to keep to one endpoint.
func TestHashOfTCP(t *testing.T) {
	r := sticky(t, mesh.TCP, mesh.HashPolicy{Kind: mesh.HashSource})
	var before string
	for range 6 {
		client := r.dial(virtual)
		name, _ := whom(t, client, bufio.NewReader(client), "")
		if before != "" && name != before {
			t.Errorf("it got to %s, then to %s", before, name)
		}
		before = name
		client.Close()
	}
}

// TestOutlierByStatus wants what endpoints answer, and what is answered for them, to eject them.
func TestOutlierByStatus(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		to   mesh.Destination
	}{
		{"503", failing, mesh.Destination{}},
		{"503 before a retry", failing, retrying(1, "503")},
		{"no answer", "nonsense\r\n\r\n", mesh.Destination{}},
	} {
		bad, _ := plays(t, test.text)
		good, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
		r := newRig(t, nil)
		r.protocol = mesh.HTTP
		test.to.Service = "hello"
		r.serve(func(c *mesh.Catalog) {
			c.Services[0].Outlier = &mesh.OutlierDetection{
				Consecutive5xx: 1, Enforce5xx: 100, Interval: time.Hour, BaseEjection: time.Hour, MaxEjected: 50,
			}
			c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &test.to}}}}
		}, bad, good)
		for range 2 {
			client := r.dial(virtual)
			get(t, client, bufio.NewReader(client), plain)
			client.Close()
			r.logged("connection closed")
		}
		port, _, _ := r.snapshots.Load().At(virtual)
		if h := port.Group.Endpoints()[0].Health(); h.State != balance.Ejected {
			t.Errorf("%s: the endpoint is %s", test.name, h.State)
		}
	}
}

// TestOutlierByTimeout wants an endpoint that does not answer in time to count as one that fails.
func TestOutlierByTimeout(t *testing.T) {
	for _, to := range []mesh.Destination{
		{RequestTimeout: time.Minute}, {Retry: &mesh.Retry{Attempts: 1, On: []string{"409"}, PerTryTimeout: time.Minute}},
	} {
		at, conns := accepting(t)
		r := newRig(t, nil)
		r.protocol = mesh.HTTP
		to.Service = "hello"
		r.serve(func(c *mesh.Catalog) {
			c.Services[0].Outlier = &mesh.OutlierDetection{
				ConsecutiveGateway: 1, EnforceGateway: 100, Interval: time.Hour, BaseEjection: time.Hour, MaxEjected: 50,
			}
			c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
		}, at)
		client, _, _ := inFlight(t, r, conns)
		r.later(2 * time.Minute)
		if response, _ := get(t, client, bufio.NewReader(client), ""); response.StatusCode != 504 {
			t.Errorf("%s", response.Status)
		}
		port, _, _ := r.snapshots.Load().At(virtual)
		if h := port.Group.Endpoints()[0].Health(); h.State != balance.Ejected {
			t.Errorf("the endpoint is %s", h.State)
		}
	}
}
