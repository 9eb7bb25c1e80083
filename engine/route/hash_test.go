package route

import (
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// hashed returns a target whose requests are hashed so.
func hashed(host string, policies ...mesh.HashPolicy) *Target {
	x := newRig(mesh.Catalog{Services: []mesh.Service{{
		Name: "billing", Balancing: mesh.RingHash, Balancer: mesh.Balancer{Hash: policies},
	}}})
	x.host = host
	return x.table("billing").Targets()[0]
}

func TestHash(t *testing.T) {
	user := mesh.HashPolicy{Kind: mesh.HashHeader, Name: "x-user"}
	cookie := mesh.HashPolicy{Kind: mesh.HashCookie, Name: "id"}
	query := mesh.HashPolicy{Kind: mesh.HashQuery, Name: "a b"}
	source := mesh.HashPolicy{Kind: mesh.HashSource}
	terminal := user
	terminal.Terminal = true
	of := func(query string, header ...[2]string) *Request { return request("GET", "/", query, header...) }
	one, two := of("", [2]string{"x-user", "1"}), of("", [2]string{"x-user", "2"})
	for name, c := range map[string]struct {
		target *Target
		a, b   *Request
		found  bool
		same   bool
	}{
		"the same header":      {hashed("app-1", user), one, one, true, true},
		"another header":       {hashed("app-1", user), one, two, true, false},
		"a second field":       {hashed("app-1", user), one, of("", [2]string{"x-user", "1"}, [2]string{"x-user", "2"}), true, false},
		"no header":            {hashed("app-1", user), of(""), of("x-user=1"), false, true},
		"no policy":            {hashed("app-1"), one, two, false, true},
		"the same cookie":      {hashed("app-1", cookie), of("", [2]string{"cookie", "x=1; id=7"}), of("", [2]string{"cookie", "id=7;x=2"}), true, true},
		"another cookie":       {hashed("app-1", cookie), of("", [2]string{"cookie", "id=7"}), of("", [2]string{"cookie", "id=8"}), true, false},
		"a cookie of a field":  {hashed("app-1", cookie), of("", [2]string{"cookie", "x=1"}, [2]string{"cookie", "id=7"}), of("", [2]string{"cookie", "id=7"}), true, true},
		"a name in a name":     {hashed("app-1", cookie), of("", [2]string{"cookie", "xid=7"}), of("", [2]string{"cookie", "idx=7; id"}), false, true},
		"the same query":       {hashed("app-1", query), of("x=1&a%20b=7"), of("a+b=7&y"), true, true},
		"another query":        {hashed("app-1", query), of("a+b=7"), of("a+b=8"), true, false},
		"all requests":         {hashed("app-1", source), one, two, true, true},
		"several":              {hashed("app-1", user, query), of("a+b=1", [2]string{"x-user", "2"}), of("a+b=2", [2]string{"x-user", "1"}), true, false},
		"the second of two":    {hashed("app-1", user, query), of("a+b=1"), of("a+b=1&x"), true, true},
		"behind a terminal":    {hashed("app-1", terminal, query), of("a+b=1", [2]string{"x-user", "1"}), one, true, true},
		"terminal without one": {hashed("app-1", terminal, query), of("a+b=1"), of("a+b=2"), true, false},
	} {
		a, b := c.target.Hash(c.a, "web", 1), c.target.Hash(c.b, "web", 2)
		if a.found != c.found || b.found != c.found {
			t.Errorf("%s: there is a hash: %v and %v, want %v", name, a.found, b.found, c.found)
		}
		if same := a.value == b.value; same != c.same {
			t.Errorf("%s: the hashes are the same: %v", name, same)
		}
		if a.Cookie != nil || b.Cookie != nil {
			t.Errorf("%s: a cookie is made up", name)
		}
	}
}

// TestHashOfSource wants identities, and hosts of the same identity, to be told apart.
func TestHashOfSource(t *testing.T) {
	source := mesh.HashPolicy{Kind: mesh.HashSource}
	here, there := hashed("app-1", source), hashed("app-2", source)
	r := request("GET", "/", "")
	if here.Hash(r, "web", 0) == here.Hash(r, "reports", 0) || here.Hash(r, "web", 0) == there.Hash(r, "web", 0) {
		t.Error("two sources have the same hash")
	}
	if here.Hash(r, "web", 0) != here.HashConnection("web") {
		t.Error("requests and connections of one source have different hashes")
	}
}

// TestHashCookie wants the client to get what brings it back to the endpoint of its first request.
func TestHashCookie(t *testing.T) {
	for want, p := range map[string]mesh.HashPolicy{
		"=00000000000000ff; Max-Age=3600; Path=/shop; HttpOnly": {TTL: time.Hour, Path: "/shop"},
		"=00000000000000ff; Max-Age=2; HttpOnly":                {TTL: 1500 * time.Millisecond},
		"=00000000000000ff; HttpOnly":                           {Session: true},
	} {
		p.Kind, p.Name = mesh.HashCookie, "id"
		target := hashed("app-1", p)
		first := target.Hash(request("GET", "/", ""), "web", 0xff)
		if first.Cookie == nil || !first.found {
			t.Fatalf("%+v: no cookie is made up", p)
		}
		if got := string(first.AppendSetCookie(nil)); got != "id"+want {
			t.Errorf("%+v: the cookie is %s", p, got)
		}
		next := target.Hash(request("GET", "/", "", [2]string{"cookie", "id=00000000000000ff"}), "web", 5)
		if next.Cookie != nil || next.value != first.value {
			t.Errorf("%+v: a request with the cookie has the hash %x, the one that got it %x", p, next.value, first.value)
		}
	}
}

// TestPickByHash wants a hash to choose, and requests without one to be spread.
func TestPickByHash(t *testing.T) {
	target := hashed("app-1", mesh.HashPolicy{Kind: mesh.HashHeader, Name: "x-user"})
	target.Group = balance.New(balance.Config{
		Policy: mesh.RingHash, Endpoints: []mesh.Endpoint{{Address: at(1)}, {Address: at(2)}, {Address: at(3)}},
	})
	pick := func(header ...[2]string) int {
		h := target.Hash(request("GET", "/", "", header...), "web", 0)
		seen := make(map[string]bool)
		for range 100 {
			seen[target.Pick(new(balance.Tried), &h).Name()] = true
		}
		return len(seen)
	}
	if n := pick([2]string{"x-user", "1"}); n != 1 {
		t.Errorf("a user gets %d endpoints", n)
	}
	if n := pick(); n != 3 {
		t.Errorf("requests without a user get %d endpoints, want all", n)
	}
}
