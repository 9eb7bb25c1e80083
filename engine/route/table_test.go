package route

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// TestFirstMatch: the first route that matches is taken, and what none matches goes to the service itself.
func TestFirstMatch(t *testing.T) {
	x := newRig(mesh.Catalog{Routers: []mesh.Router{{Service: "billing", Routes: []mesh.Route{
		to(mesh.RouteMatch{PathPrefix: "/v2/"}, "two"),
		to(mesh.RouteMatch{PathPrefix: "/v"}, "any"),
		to(mesh.RouteMatch{PathExact: "/v2/x"}, "never"),
		{Match: mesh.RouteMatch{PathExact: "/teapot"}, Respond: &mesh.Respond{Status: 418}},
	}}}})
	for path, want := range map[string]string{
		"/v2/x": "two", "/v1": "any", "/": "billing", "/teapot": `router "billing" route 4`,
	} {
		if got := routed(t, x.table("billing"), request("GET", path, ""), 0); got != want {
			t.Errorf("%s goes to %s, want %s", path, got, want)
		}
	}
	// A destination's own router is not asked.
	x.catalog.Routers = append(x.catalog.Routers, mesh.Router{Service: "two", Routes: []mesh.Route{to(mesh.RouteMatch{}, "three")}})
	if got := routed(t, x.table("billing"), request("GET", "/v2/x", ""), 0); got != "two" {
		t.Errorf("/v2/x goes to %s through the router of its destination", got)
	}
	if got := routed(t, x.table("plain"), request("GET", "/", ""), 0); got != "plain" {
		t.Errorf("without a router, / goes to %s", got)
	}
}

// TestShares: over all draws each target gets its weight, to 0.01 percent, also through a splitter behind a splitter.
func TestShares(t *testing.T) {
	x := newRig(mesh.Catalog{
		Splitters: []mesh.Splitter{
			{Service: "a", Splits: []mesh.Split{
				{Weight: 0, Service: "z"}, {Weight: 49_99, Service: "a", Subset: "v1"}, {Weight: 1, Service: "a"}, {Weight: 50_00, Service: "b"},
			}},
			{Service: "b", Splits: []mesh.Split{{Weight: 90_00, Service: "b"}, {Weight: 10_00, Service: "c"}, {Weight: 0, Service: "z"}}},
		},
		Routers: []mesh.Router{{Service: "a", Routes: []mesh.Route{{
			Match: mesh.RouteMatch{PathExact: "/b"}, Destination: &mesh.Destination{Service: "b", Subset: "v9"},
		}}}},
	})
	table := x.table("a")
	want := map[string]float64{"a/v1": 49.99, "a": 0.01, "b": 45, "c": 5}
	const draws = 1_000_000
	got := make(map[string]float64)
	for i := range draws {
		got[routed(t, table, request("GET", "/", ""), uint32(uint64(i)<<32/draws))] += 100.0 / draws
	}
	for name, percent := range got {
		if math.Abs(percent-want[name]) > 0.001 {
			t.Errorf("%s gets %g %%, want %g", name, percent, want[name])
		}
	}
	if got := routed(t, table, request("GET", "/", ""), math.MaxUint32); got != "c" {
		t.Errorf("the last draw goes to %s, want c", got)
	}
	if got := routed(t, table, request("GET", "/b", ""), 0); got != "b/v9" {
		t.Errorf("a destination with a subset goes to %s, want past the splitter", got)
	}
}

// TestNeverHangs compiles what checking refuses: circles, and names of nothing.
func TestNeverHangs(t *testing.T) {
	x := newRig(mesh.Catalog{
		Splitters: []mesh.Splitter{
			{Service: "a", Splits: []mesh.Split{{Weight: mesh.Hundred, Service: "b"}}},
			{Service: "b", Splits: []mesh.Split{{Weight: mesh.Hundred, Service: "a"}}},
			{Service: "c"},
		},
		Resolvers: []mesh.Resolver{
			{Service: "d", Redirect: &mesh.Target{Service: "e"}},
			{Service: "e", Redirect: &mesh.Target{Service: "d"}},
			{Service: "f", Redirect: &mesh.Target{Service: "absent", Subset: "v1"}},
		},
	})
	for _, service := range []string{"a", "c", "d", "f"} {
		d := x.table(service).Decide(request("GET", "/", ""), 0)
		if d.Target == nil || d.Target.Group == nil {
			t.Errorf("a request to %s has no target: %+v", service, d)
		}
	}
	if got := x.table("f").Backends(); got != nil {
		t.Errorf("the backends of nothing are %v", got)
	}
}

func TestResolve(t *testing.T) {
	x := newRig(mesh.Catalog{Resolvers: []mesh.Resolver{
		{Service: "billing", DefaultSubset: "v1", ConnectTimeout: time.Second, Failover: []mesh.Failover{
			{Subset: mesh.AnySubset, Targets: []mesh.Target{{Service: "billing", Subset: "v2"}, {Service: "old"}, {Service: "backup"}}},
			{Subset: "v3", Targets: []mesh.Target{{Service: "backup"}}},
		}},
		{Service: "old", Redirect: &mesh.Target{Service: "older"}},
		{Service: "older", Redirect: &mesh.Target{Service: "billing"}},
	}})
	c := x.compiler()
	names := func(all []*Target) string {
		text := ""
		for _, t := range all {
			text += " " + t.Name()
		}
		return text
	}
	for want, failover := range map[mesh.Target]string{
		{Service: "billing", Subset: "v1"}: " billing/v2 backup", // old is billing/v1 itself
		{Service: "billing", Subset: "v2"}: " billing/v1 backup",
		{Service: "billing", Subset: "v3"}: " backup",
		{Service: "backup"}:                "",
	} {
		target := c.target(want, Port{}, false)
		if target.Name() != want.String() || names(target.Failover) != failover {
			t.Errorf("%s is resolved to %s, failover%s; want failover%s", want, target.Name(), names(target.Failover), failover)
		}
	}
	billing := c.target(mesh.Target{Service: "billing"}, Port{}, false)
	if old := c.target(mesh.Target{Service: "old"}, Port{}, false); old != billing || old.Name() != "billing/v1" || old.ConnectTimeout != time.Second {
		t.Errorf("old leads to %s, want the same target as billing", old.Name())
	}
}

// TestFailover: a request goes on to who stands in while no endpoint of its target is up, and back.
func TestFailover(t *testing.T) {
	x := newRig(mesh.Catalog{Resolvers: []mesh.Resolver{{Service: "a", Failover: []mesh.Failover{
		{Subset: mesh.AnySubset, Targets: []mesh.Target{{Service: "b"}, {Service: "c"}}},
	}}}})
	table := x.table("a")
	at := time.Now()
	for _, step := range []struct {
		down, up string
		want     string
	}{
		{want: "a"}, {down: "a", want: "b"}, {down: "b", want: "c"}, {down: "c", want: "a"}, {up: "b", want: "b"}, {up: "a", want: "a"},
	} {
		if step.down != "" {
			x.groups[step.down].Endpoints()[0].MarkDown(at, "test")
		}
		if step.up != "" {
			x.groups[step.up].Endpoints()[0].MarkUp(at, "test")
		}
		if got := routed(t, table, request("GET", "/", ""), 0); got != step.want {
			t.Errorf("after %+v a request goes to %s", step, got)
		}
		if live := table.Decide(request("GET", "/", ""), 0).Target; !slices.Equal(table.Backends(), live.Group.Backends()) {
			t.Errorf("after %+v the backends are %v", step, table.Backends())
		}
	}
}

// TestBackends: without requests to look at, a service is what its last route leads to, or anything rather than nothing.
func TestBackends(t *testing.T) {
	x := newRig(mesh.Catalog{
		Routers: []mesh.Router{
			{Service: "a", Routes: []mesh.Route{to(mesh.RouteMatch{PathPrefix: "/b"}, "b")}},
			{Service: "absent", Routes: []mesh.Route{to(mesh.RouteMatch{PathPrefix: "/b"}, "b"), to(mesh.RouteMatch{PathPrefix: "/c"}, "b")}},
		},
	})
	for service, from := range map[string]string{"a": "a", "absent": "b"} {
		group, _ := x.group(mesh.Target{Service: from}, Port{})
		if got, want := x.table(service).Backends(), group.Backends(); !slices.Equal(got, want) {
			t.Errorf("the backends of %s are %v, want %v", service, got, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	tests := []struct {
		match         mesh.RouteMatch
		rewrite, path string
		want          string
	}{
		{mesh.RouteMatch{PathPrefix: "/v2/"}, "/", "/v2/x", "/x"},
		{mesh.RouteMatch{PathPrefix: "/v2"}, "/api", "/v2/x", "/api/x"},
		{mesh.RouteMatch{PathExact: "/v2"}, "/api", "/v2", "/api"},
		{mesh.RouteMatch{PathPrefix: "/v2"}, "", "/v2/x", "/v2/x"},
	}
	for _, tt := range tests {
		r := &mesh.Route{Match: tt.match, Destination: &mesh.Destination{Service: "a", PrefixRewrite: tt.rewrite}}
		x := newRig(mesh.Catalog{Routers: []mesh.Router{{Service: "a", Routes: []mesh.Route{*r}}}})
		route := x.table("a").Decide(request("GET", tt.path, ""), 0).Route
		if got := string(route.AppendPath(nil, []byte(tt.path))); got != tt.want || route.Rewrites() != (tt.rewrite != "") {
			t.Errorf("%s of %+v becomes %s, want %s", tt.path, tt.match, got, tt.want)
		}
	}
}

func TestLocation(t *testing.T) {
	tests := []struct {
		redirect mesh.Redirect
		want     string
	}{
		{mesh.Redirect{Scheme: "https"}, "https://billing.mesh/v2/x?a=b"},
		{mesh.Redirect{Host: "other:81"}, "http://other:81/v2/x?a=b"},
		{mesh.Redirect{Path: "/new"}, "http://billing.mesh/new?a=b"},
		{mesh.Redirect{PrefixRewrite: "/v3/"}, "http://billing.mesh/v3/x?a=b"},
	}
	for _, tt := range tests {
		x := newRig(mesh.Catalog{Routers: []mesh.Router{{Service: "a", Routes: []mesh.Route{
			{Match: mesh.RouteMatch{PathPrefix: "/v2/"}, Redirect: &tt.redirect},
		}}}})
		r := request("GET", "/v2/x", "a=b")
		d := x.table("a").Decide(r, 0)
		if got := string(d.Route.AppendLocation(nil, "http", r)); got != tt.want || d.Target != nil {
			t.Errorf("%+v leads to %s, want %s", tt.redirect, got, tt.want)
		}
	}
	r := request("GET", "/x", "")
	r.Host = nil
	if got := string((&Route{Redirect: &mesh.Redirect{Path: "/y"}}).AppendLocation(nil, "http", r)); got != "/y" {
		t.Errorf("without a host the location is %s, want /y", got)
	}
}

func TestRetry(t *testing.T) {
	tests := []struct {
		on             []string
		connect, reset bool
		statuses       []int
	}{
		{[]string{mesh.RetryConnectFailure, "503"}, true, false, []int{503}},
		{[]string{mesh.RetryReset, mesh.Retry4xx}, false, true, []int{409}},
		{[]string{mesh.RetryGatewayError, "599"}, false, false, []int{502, 503, 504, 599}},
		{[]string{mesh.Retry5xx}, true, true, []int{500, 501, 502, 503, 504, 505, 599}},
		{[]string{"9999", "-1", "nonsense"}, false, false, nil},
	}
	for _, tt := range tests {
		r := newRetry(&mesh.Retry{On: tt.on})
		if r.OnConnectFailure != tt.connect || r.OnReset != tt.reset {
			t.Errorf("%v: connect %v, reset %v", tt.on, r.OnConnectFailure, r.OnReset)
		}
		for _, status := range []int{-1, 0, 200, 400, 409, 499, 500, 501, 502, 503, 504, 505, 599, 600, 1000} {
			if got := r.OnStatus(status); got != slices.Contains(tt.statuses, status) {
				t.Errorf("%v: on %d is %v", tt.on, status, got)
			}
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, most := range map[int]time.Duration{
		0: 25 * time.Millisecond, 1: 25 * time.Millisecond, 2: 50 * time.Millisecond, 4: 200 * time.Millisecond, 5: 250 * time.Millisecond,
		1000: 250 * time.Millisecond,
	} {
		if least, half, longest := Backoff(n, 0), Backoff(n, 1<<31), Backoff(n, math.MaxUint32); least != 0 || half != most/2 || longest >= most || longest < most-time.Microsecond {
			t.Errorf("retry %d waits %s, %s, %s; want up to %s", n, least, half, longest, most)
		}
	}
}

func TestBudget(t *testing.T) {
	var b Budget
	allowed := func() (n int) {
		for b.Retry() {
			n++
		}
		for range n {
			b.EndRetry()
		}
		return n
	}
	for _, step := range []struct{ begin, want int }{{1, 3}, {19, 4}, {30, 10}, {-45, 3}} {
		for range step.begin {
			b.Begin()
		}
		for range -step.begin {
			b.End()
		}
		if got := allowed(); got != step.want {
			t.Errorf("after %+d requests %d retries are allowed, want %d", step.begin, got, step.want)
		}
	}
}

func TestExplain(t *testing.T) {
	x := newRig(mesh.Catalog{
		Routers: []mesh.Router{{Service: "a", Routes: []mesh.Route{
			to(mesh.RouteMatch{PathPrefix: "/x"}, "x"),
			{Match: mesh.RouteMatch{Methods: []string{"POST"}}, Respond: &mesh.Respond{Status: 405}, At: mesh.Place{File: "m.hcl", Line: 7}},
		}, At: mesh.Place{File: "m.hcl", Line: 1}}},
		Splitters: []mesh.Splitter{{Service: "a", Splits: []mesh.Split{{Weight: 90_00, Service: "a"}, {Weight: 10_00, Service: "b"}}}},
		Resolvers: []mesh.Resolver{{Service: "b", Failover: []mesh.Failover{{Subset: mesh.AnySubset, Targets: []mesh.Target{{Service: "c"}}}}}},
	})
	table := x.table("a")
	x.groups["b"].Endpoints()[0].MarkDown(time.Now(), "test")
	describe := func(r *Request) string {
		text := ""
		e := table.Explain(r)
		for _, c := range e.Candidates {
			text += fmt.Sprintf("%s (%s): %s\n", c.Route.Name, c.Route.At, c.Why)
		}
		for _, s := range e.Shares {
			text += fmt.Sprintf("%.2f %s %s\n", s.Percent, s.Target.Name(), s.Live.Name())
		}
		return text
	}
	for _, tt := range []struct {
		r    *Request
		want string
	}{
		{request("GET", "/", ""), "router \"a\" route 1 (): path \"/\" does not begin with \"/x\"\nrouter \"a\" route 2 (m.hcl:7): method GET is not POST\n" +
			"router \"a\" without a match (m.hcl:1): \n90.00 a a\n10.00 b c\n"},
		{request("POST", "/", ""), "router \"a\" route 1 (): path \"/\" does not begin with \"/x\"\nrouter \"a\" route 2 (m.hcl:7): \n"},
		{request("GET", "/xy", ""), "router \"a\" route 1 (): \n100.00 x x\n"},
	} {
		if got := describe(tt.r); got != tt.want {
			t.Errorf("explanation:\n%swant:\n%s", got, tt.want)
		}
	}
}

// TestExplainAgrees: what is explained is what is decided, whatever the request.
func TestExplainAgrees(t *testing.T) {
	table := busyTable(t)
	for _, method := range []string{"GET", "POST", "PUT"} {
		for _, path := range []string{"/", "/v2/a", "/v3/a", "/static/x.css", "/b"} {
			for _, query := range []string{"", "version=2", "version=%32"} {
				r := request(method, path, query, [2]string{"x-canary", "1"})
				d, e := table.Decide(r, 12345), table.Explain(r)
				last := e.Candidates[len(e.Candidates)-1]
				if d.Route != last.Route || last.Why != "" {
					t.Errorf("%s %s?%s takes %s, explained as %s", method, path, query, d.Route.Name, last.Route.Name)
				}
				if (d.Target == nil) != (len(e.Shares) == 0) || d.Target != nil && !slices.ContainsFunc(e.Shares, func(s Share) bool { return s.Live == d.Target }) {
					t.Errorf("%s %s?%s goes to a target that is not explained", method, path, query)
				}
			}
		}
	}
}

// busyTable has one of everything.
func busyTable(t testing.TB) *Table {
	t.Helper()
	x := newRig(mesh.Catalog{
		Routers: []mesh.Router{{Service: "a", Routes: []mesh.Route{
			to(mesh.RouteMatch{PathRegex: `/static/.*\.(css|js)`, Methods: []string{"GET"}}, "static"),
			to(mesh.RouteMatch{PathPrefix: "/v2/", Headers: []mesh.HeaderMatch{
				{Name: "x-canary", Kind: mesh.TextRegex, Text: "[0-9]"}, {Name: "x-absent", Kind: mesh.TextPresent, Invert: true},
			}}, "b"),
			to(mesh.RouteMatch{PathPrefix: "/v3/", Query: []mesh.QueryMatch{{Name: "version", Kind: mesh.TextRegex, Text: "[0-9]"}}}, "c"),
			{Match: mesh.RouteMatch{Methods: []string{"PUT"}}, Respond: &mesh.Respond{Status: 405}},
		}}},
		Splitters: []mesh.Splitter{{Service: "a", Splits: []mesh.Split{{Weight: 50_00, Service: "a"}, {Weight: 50_00, Service: "b"}}}},
	})
	return x.table("a")
}

func BenchmarkDecide(b *testing.B) {
	table := busyTable(b)
	r := request("GET", "/v3/items", "version=%32", [2]string{"x-canary", "1"})
	b.ReportAllocs()
	for b.Loop() {
		table.Decide(r, 1<<30)
	}
}

// TestTargetsShareBudget: all tables of one compiler count what they send to a target together.
func TestTargetsShareBudget(t *testing.T) {
	x := newRig(mesh.Catalog{Routers: []mesh.Router{{Service: "b", Routes: []mesh.Route{to(mesh.RouteMatch{}, "a")}}}})
	c := x.compiler()
	r := request("GET", "/", "")
	a, b := c.Table("a", Port{}).Decide(r, 0).Target, c.Table("b", Port{}).Decide(r, 0).Target
	if a != b || a.Budget == nil {
		t.Errorf("the targets of two tables are %p and %p", a, b)
	}
}

// TestEjected: an endpoint that fails in one group is out of use in all that have it.
func TestEjected(t *testing.T) {
	whole := balance.New(balance.Config{Endpoints: []mesh.Endpoint{{Address: at(1)}, {Address: at(2)}}})
	part := whole.Part(func(e *balance.Endpoint) bool { return e.Address == at(1) }, nil)
	for range 5 {
		whole.Endpoints()[0].Fail(time.Now(), errors.New("refused"))
	}
	target := &Target{Group: part, Failover: []*Target{{Service: "other", Group: whole}}}
	if live := target.Live(); live.Service != "other" {
		t.Errorf("a subset whose only endpoint is ejected is taken: %+v", live)
	}
}
