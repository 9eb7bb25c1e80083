package proxy

import (
	"bufio"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// named is a site that answers with its name and what it was asked for.
func named(t testing.TB, name string) netip.AddrPort {
	at, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Old", "old")
		fmt.Fprint(w, name, " ", r.RequestURI, " ", r.Header.Get("X-Set"), r.Header.Get("X-Gone"))
		if r.Host != "hello" && r.Host != "hello.mesh" {
			fmt.Fprint(w, " ", r.Host)
		}
	})
	return at
}

func TestRoutes(t *testing.T) {
	r := httpRig(t)
	service := func(name string, last byte) mesh.Service {
		return mesh.Service{
			Name: name, Port: 80, Virtual4: netip.AddrFrom4([4]byte{244, 0, 0, last}), Balancing: mesh.RoundRobin, Protocol: mesh.HTTP,
			Endpoints: []mesh.Endpoint{{Host: "app-2", Address: named(t, name), Weight: 1}},
		}
	}
	to := func(service string) *mesh.Destination { return &mesh.Destination{Service: service} }
	edited := to("new")
	edited.PrefixRewrite = "/"
	edited.Request = mesh.HeaderEdits{Set: []mesh.Field{{Name: "X-Set", Value: "set"}}, Remove: []string{"x-gone"}}
	edited.Response = mesh.HeaderEdits{Add: []mesh.Field{{Name: "X-New", Value: "new"}}, Remove: []string{"x-old"}}
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version: 3,
		Catalog: mesh.Catalog{
			Services: []mesh.Service{service("hello", 1), service("new", 2)},
			Routers: []mesh.Router{{Service: "hello", Routes: []mesh.Route{
				{Match: mesh.RouteMatch{PathPrefix: "/v2/"}, Destination: edited},
				{Match: mesh.RouteMatch{Headers: []mesh.HeaderMatch{{Name: "x-canary", Kind: mesh.TextExact, Text: "1"}}}, Destination: to("new")},
				{Match: mesh.RouteMatch{PathExact: "/old"}, Redirect: &mesh.Redirect{Path: "/new", Status: 301}},
				{Match: mesh.RouteMatch{PathExact: "/tea"}, Respond: &mesh.Respond{Status: 418, Body: "short and stout"}},
			}}},
		},
		Host: mesh.Host{Name: "app-1"},
	}))
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for _, test := range []struct{ line, want string }{
		{"GET / HTTP/1.1", "200 hello / gone"},
		{"GET /v2/a%2Db?q=1 HTTP/1.1", "200 new /a-b?q=1 set"},
		{"GET /x/../v2//a HTTP/1.1", "200 new /a set"},
		{"GET /v2/%2e%2e/a HTTP/1.1", "200 hello /a gone"},
		{"GET /a HTTP/1.1\r\nX-Canary: 1", "200 new /a gone"},
		{"GET /old?q HTTP/1.1", "301 "},
		{"GET /tea HTTP/1.1", "418 short and stout"},
		{"HEAD /tea HTTP/1.1", "418 "},
		{"POST /tea HTTP/1.1\r\nContent-Length: 0", "418 short and stout"},
	} {
		response, body := get(t, client, in, test.line+"\r\nHost: hello\r\nX-Gone: gone\r\n\r\n")
		if got := fmt.Sprint(response.StatusCode, " ", body); got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
		edits := strings.Contains(test.want, "set")
		if got := response.Header.Get("X-New") == "new" && response.Header.Get("X-Old") == ""; got != edits {
			t.Errorf("%s: the fields of the answer are %v", test.line, response.Header)
		}
		if response.StatusCode == 301 && response.Header.Get("Location") != "http://hello/new?q" {
			t.Errorf("the client is sent to %s", response.Header.Get("Location"))
		}
	}
	old := r.dial(virtual)
	if _, body := get(t, old, bufio.NewReader(old), "GET http://other.mesh/v2/a HTTP/1.0\r\n\r\n"); body != "new /a set other.mesh" {
		t.Errorf("a host that stood in the target alone does not travel: %q", body)
	}
	response, _ := get(t, client, in, "GET /v2/%2f HTTP/1.1\r\nHost: hello\r\n\r\n")
	if response.StatusCode != 400 {
		t.Errorf("a path that can be read in two ways is answered %s", response.Status)
	}
}
