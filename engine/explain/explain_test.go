package explain

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// shop is a mesh with one of everything.
const shop = `
capture {
  exclude {
    ports = [2222]
    cidrs = ["244.1.1.1/32"]
    units = ["web@2.service", "backup.service"]
    users = ["33"]
  }
}
mesh "shop" {
  trust_domain = "shop.example"
}
host "app-1" {
  addresses = ["10.0.0.1"]
  zone      = "a"
}
host "app-2" {
  addresses = ["10.0.0.2"]
  zone      = "a"
}
host "app-3" {
  addresses = ["10.0.0.3"]
  zone      = "b"
}
service "web" {
  workload {
    unit  = "web@*.service"
    hosts = ["app-1"]
  }
}
service "backup" {
  workload {
    unit  = "backup.service"
    hosts = ["*"]
  }
}
service "cron" {
  workload {
    user  = "33"
    hosts = ["*"]
  }
}
service "elsewhere" {
  workload {
    unit  = "elsewhere.service"
    hosts = ["app-2"]
  }
}
service "billing" {
  port         = 80
  protocol     = "http"
  virtual_ipv4 = "244.1.1.1"
  hostnames    = ["billing.example.com"]
  listener "admin" {
    port     = 81
    protocol = "http"
  }
  endpoint {
    host = "app-1"
    port = 8080
    meta = { version = "1" }
  }
  endpoint {
    host = "app-2"
    port = 8080
    meta = { version = "2" }
  }
  endpoint {
    host = "app-3"
    port = 8080
    meta = { version = "2" }
  }
}
service "spare" {
  port     = 80
  protocol = "http"
  endpoint {
    host = "app-3"
    port = 9090
  }
}
service "sticky" {
  port     = 80
  protocol = "http"
  endpoint {
    host = "app-1"
    port = 7000
  }
  endpoint {
    host = "app-1"
    port = 7001
  }
  endpoint {
    host = "app-2"
    port = 7002
  }
}
service "db" {
  port            = 5432
  max_connections = 10
  endpoint {
    address = "db.example.com"
  }
}
service "ssh" {
  port = 2222
  endpoint {
    host = "app-2"
    port = 22
  }
}
service "empty" {
  port = 80
}
router "billing" {
  route {
    match {
      path_prefix = "/v2/"
      methods     = ["GET", "HEAD"]
      header "x-canary" {
        exact = "1"
      }
    }
    destination {
      subset         = "v2"
      prefix_rewrite = "/"
    }
  }
  route {
    match {
      path_exact = "/old"
      query "to" {
        present = true
      }
    }
    redirect {
      path        = "/new"
      status = 308
    }
  }
  route {
    match {
      path_regex = "/internal/.*"
    }
    respond {
      status = 403
      body        = "no"
    }
  }
  route {
    match {
      path_prefix = "/spare"
    }
    destination {
      service = "spare"
    }
  }
}
splitter "billing" {
  split {
    weight = 75
    subset = "v1"
  }
  split {
    weight  = 25
    service = "sticky"
  }
}
resolver "billing" {
  subset "v1" {
    filter = "Service.Meta.version == 1"
  }
  subset "v2" {
    filter = "Service.Meta.version == 2"
  }
  failover "v1" {
    target {
      service = "spare"
    }
  }
}
resolver "sticky" {
  load_balancer {
    policy = "ring_hash"
    hash_policy {
      header   = "x-user"
      terminal = true
    }
  }
}
`

// offline returns the view of a configuration on host app-1.
func offline(t *testing.T, text string) View {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meshd.hcl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, diagnostics := config.Load(config.Options{Paths: []string{path}, Hostname: "app-1"})
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics.Error())
	}
	return Offline(c)
}

func ask(from, to string, request ...string) control.Question {
	q := control.Question{From: from, To: to}
	if len(request) > 1 {
		q.Method, q.URL, q.Headers = request[0], request[1], request[2:]
	}
	return q
}

func TestOutcome(t *testing.T) {
	v := offline(t, shop)
	for _, tt := range []struct {
		q        control.Question
		kind     control.OutcomeKind
		contains string // of the text
	}{
		{ask("web", "billing"), control.OutcomeProxied, "it goes to app-1:8080 (75%), else to app-1:7000, app-1:7001 or app-2:7002 (25%)"},
		{ask("web", "billing.mesh:81"), control.OutcomeProxied, "app-1:81 "},
		{ask("web", "Billing.Mesh."), control.OutcomeProxied, "app-1:8080"},
		{ask("web", "billing.example.com"), control.OutcomeProxied, "app-1:8080"},
		{ask("web", "billing", "GET", "http://billing.mesh:81/"), control.OutcomeProxied, "app-1:81 "},
		{ask("web", "244.1.1.1:80"), control.OutcomeStraight, ", past meshd and its routes"}, // its IPv4 address is excluded
		{ask("web", "[::ffff:244.1.1.1]:80"), control.OutcomeStraight, ", past meshd"},
		{ask("web", "billing", "GET", "/v2/x", "X-Canary: 1"), control.OutcomeProxied, "it goes to app-2:8080"}, // of v2 the one of the own zone
		{ask("web", "billing", "POST", "/v2/x", "X-Canary: 1"), control.OutcomeProxied, "75%"},
		{ask("web", "billing", "GET", "/old?to=1"), control.OutcomeAnswered, "308 and sends the client to http://billing.mesh/new?to=1"},
		{ask("web", "billing", "GET", "http://other.example:80/old?to", "Host: third.example"), control.OutcomeAnswered, "http://third.example/new?to"},
		{ask("web", "billing", "GET", "HTTP://other.example:80?to=/old"), control.OutcomeProxied, "75%"},
		{ask("web", "billing", "GET", "https://billing.mesh/"), control.OutcomeRefused, "no such port"}, // a client dials 443
		{ask("web", "billing:80", "GET", "https://billing.mesh/old?to#top"), control.OutcomeAnswered, "to http://billing.mesh/new?to"},
		{ask("web", "billing", "GET", "/internal/x"), control.OutcomeAnswered, "with 403"},
		{ask("web", "billing", "GET", "/x/../%69nternal/x"), control.OutcomeAnswered, "with 403"},
		{ask("web", "billing", "GET", "/%00"), control.OutcomeAnswered, "with 400, and nothing of it goes on: bad-path"},
		{ask("web", "billing", "GET", "/\r\nx: y"), control.OutcomeAnswered, "with 400"},
		{ask("web", "billing", "GET", "/", "a b: c"), control.OutcomeAnswered, "with 400, and nothing of it goes on: bad-field"},
		{ask("web", "billing", "CONNECT", "billing.mesh:80"), control.OutcomeAnswered, "with 405"},
		{ask("web", "billing", "GET", "/spare"), control.OutcomeProxied, "it goes to app-3:9090"},
		{ask("web", "billing:443"), control.OutcomeRefused, "no such port"},
		{ask("web", "empty"), control.OutcomeRefused, "no endpoint is up"},
		{ask("backup", "empty"), control.OutcomeRefused, "no endpoint is up"},
		{ask("web", "ssh"), control.OutcomeStraight, "app-2:22, past meshd"},
		{ask("backup", "billing"), control.OutcomeStraight, "past meshd"},
		{ask("cron", "spare"), control.OutcomeStraight, "app-3:9090, past meshd"},
		{ask("host:app-1", "db"), control.OutcomeProxied, "it goes to db.example.com:5432"},
		{ask("elsewhere", "spare"), control.OutcomeProxied, "app-3:9090"},
		{ask("web", "10.0.0.1:8080"), control.OutcomeUntouched, "untouched"},
		{ask("web", "192.0.2.1:80"), control.OutcomeUntouched, "untouched"},
		{ask("web", "244.1.1.2:80"), control.OutcomeRefused, "no route to host"},
	} {
		x, err := v.Explain(tt.q)
		if err != nil {
			t.Errorf("%+v: %v", tt.q, err)
		} else if x.Outcome.Kind != tt.kind || !strings.Contains(x.Outcome.Text, tt.contains) {
			t.Errorf("%+v: %s: %s; want %s: …%s…", tt.q, x.Outcome.Kind, x.Outcome.Text, tt.kind, tt.contains)
		}
	}
}

func TestWrongQuestion(t *testing.T) {
	v := offline(t, shop)
	for _, tt := range []struct {
		q    control.Question
		want string
	}{
		{ask("nobody", "billing"), `no service "nobody"`},
		{ask("web", "biling"), `no service "biling"`},
		{ask("web", "billing.example.org:80"), `no service "billing.example.org"`},
		{ask("host:app-2", "billing"), "-host app-2"},
		{ask("pid:1", "billing"), "only where meshd runs"},
		{ask("web", "web"), "it only calls others"},
		{ask("web", "billing:http"), `no port "http"`},
		{ask("web", "billing:65536"), `no port "65536"`},
		{ask("web", "244.1.1.1"), "an address without a port"},
		{ask("web", "db", "GET", "/"), "which has no requests"},
		{ask("web", "192.0.2.1:80", "GET", "/"), "are not read"},
		{ask("web", "billing", "GET", "/", "x-canary 1"), "no header field"},
	} {
		x, err := v.Explain(tt.q)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v (%s), want an error with %q", tt.q, err, x.Outcome.Text, tt.want)
		}
	}
	var none View
	none.Snapshot = offline(t, "").Snapshot
	if _, err := none.Explain(ask("web", "billing")); err == nil || !strings.Contains(err.Error(), "no mesh is configured") {
		t.Errorf("without a mesh: %v", err)
	}
}

// TestCapture: who is captured, with the reason when not.
func TestCapture(t *testing.T) {
	for _, tt := range []struct {
		name, from, to, want string
		change               func(*View)
	}{
		{"by default", "host:app-1", "spare", "yes: mode mesh", nil},
		{"some of the units", "web", "spare", "yes: mode mesh, except for web@2.service, which exclude.units has", nil},
		{"one of two addresses", "host:app-1", "billing", "yes: mode mesh, except at 244.1.1.1, which exclude.cidrs has", nil},
		{"unit", "backup", "spare", "no: exclude.units has backup.service", nil},
		{"user", "cron", "spare", "no: exclude.users has 33", nil},
		{"port", "web", "ssh", "no: exclude.ports has 2222", nil},
		{"mode", "web", "spare", "no: mode is off", func(v *View) { v.Capture.Mode = mesh.CaptureOff }},
		{"disabled", "web", "spare", "no: meshctl disable", func(v *View) { v.Off = true }},
		{"included", "web", "spare", "yes: mode mesh", func(v *View) {
			v.Capture = mesh.Capture{Mode: mesh.CaptureMesh, IncludeUnits: []string{"web@*.service"}}
		}},
		{"not included", "backup", "spare", "no: include.units does not have backup.service", func(v *View) { v.Capture.ExcludeUnits, v.Capture.IncludeUnits = nil, []string{"web.service"} }},
		{"not included, by user", "host:app-1", "spare", "no: include.units has only web.service", func(v *View) { v.Capture.IncludeUnits = []string{"web.service"} }},
		{"process", "pid:7", "spare", "yes: mode mesh", process(Process{Caller: mesh.Caller{Unit: "web@1.service", Service: "web"}})},
		{"process of an excluded unit", "pid:7", "spare", "no: exclude.units has web@2.service", process(Process{Caller: mesh.Caller{Unit: "web@2.service", Service: "web"}})},
		{"process of an excluded user", "pid:7", "spare", "no: exclude.users has 33", process(Process{Caller: mesh.Caller{Unit: "x.service"}, UID: 33})},
		{"process outside", "pid:7", "spare", "no: only processes below /x are captured", process(Process{Outside: "only processes below /x are captured"})},
		{"process elsewhere", "pid:7", "spare", "no: it is in a network namespace in which meshd does not listen", process(Process{Elsewhere: true})},
	} {
		v := offline(t, shop)
		if tt.change != nil {
			tt.change(&v)
		}
		x, err := v.Explain(ask(tt.from, tt.to))
		if err != nil || !strings.HasPrefix(x.Capture.Text, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, x.Capture.Text, err, tt.want)
		}
	}
	v := offline(t, shop)
	process(Process{Elsewhere: true})(&v)
	v.Capture.Fail = mesh.FailClosed
	if x, err := v.Explain(ask("pid:7", "spare")); err != nil || x.Outcome.Kind != control.OutcomeRefused {
		t.Errorf("elsewhere, with fail = closed: %+v, %v", x.Outcome, err)
	}
}

func process(p Process) func(*View) {
	return func(v *View) { v.Process = func(int) (Process, error) { return p, nil } }
}

// TestSource: who calls, and why that is so.
func TestSource(t *testing.T) {
	v := offline(t, shop)
	for from, want := range map[string]string{
		"web":        "web spiffe://shop.example/ns/default/dc/dc1/svc/web processes of unit web@*.service",
		"host:app-1": "host:app-1 spiffe://shop.example/ns/default/dc/dc1/svc/host-app-1 a process of the host that is no service",
		"elsewhere":  "elsewhere spiffe://shop.example/ns/default/dc/dc1/svc/elsewhere no process of app-1 can be it; this is what it would get",
	} {
		x, err := v.Explain(ask(from, "spare"))
		if got := fmt.Sprint(x.Source.Name, " ", x.Source.Identity, " ", x.Source.Why.Text); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", from, got, err, want)
		}
	}
	for _, tt := range []struct {
		p    Process
		want string
	}{
		{Process{Caller: mesh.Caller{Unit: "web@1.service", Service: "web"}}, "web: web@1.service matches a workload of the service"},
		{Process{Caller: mesh.Caller{Unit: "x.service"}}, "host:app-1: x.service matches no workload on this host"},
		{Process{Caller: mesh.Caller{Unit: "x.service"}, Ambiguous: true}, "host:app-1: x.service matches the workloads of more than one service, so that it is none of them"},
	} {
		process(tt.p)(&v)
		x, err := v.Explain(ask("pid:7", "spare"))
		if got := x.Source.Name + ": " + x.Source.Why.Text; got != tt.want || err != nil || x.Source.PID != 7 {
			t.Errorf("%s, %v, want %s", got, err, tt.want)
		}
	}
}

// TestStanding: what has become of endpoints is told, and who stands in.
func TestStanding(t *testing.T) {
	v := offline(t, shop)
	billing, _ := v.Snapshot.Named("billing")
	endpoints := billing.Ports[0].Group.Endpoints()
	endpoints[0].MarkDown(time.Now(), "its check fails: test")
	x, err := v.Explain(ask("web", "billing"))
	if err != nil || !strings.HasPrefix(x.Outcome.Text, "it goes to app-3:9090 (75%)") {
		t.Fatalf("%s, %v", x.Outcome.Text, err)
	}
	shares := x.Routes[len(x.Routes)-1].Shares
	if s := shares[0]; s.Target != "billing/v1" || s.Live != "spare" || len(s.Splits) != 1 {
		t.Errorf("share %+v", s)
	}
	why := func(target, endpoint string) string {
		for _, x := range x.Targets {
			for _, e := range x.Endpoints {
				if x.Name == target && e.Name == endpoint {
					return string(e.State) + ": " + e.Why
				}
			}
		}
		return "not there"
	}
	if got := why("billing/v1", "app-1:8080"); got != "down: its check fails: test" {
		t.Error(got)
	}
	if got := why("billing/v1", "app-2:8080"); got != "up: not of subset v1" {
		t.Error(got)
	}
	x, _ = v.Explain(ask("web", "billing", "GET", "/v2/", "X-Canary: 1"))
	if got := why("billing/v2", "app-3:8080"); got != "up: in zone b, and there are endpoints up that are closer" {
		t.Error(got)
	}
	for range 5 {
		endpoints[1].Fail(time.Now(), os.ErrDeadlineExceeded)
	}
	x, _ = v.Explain(ask("web", "billing", "GET", "/v2/", "X-Canary: 1"))
	if got := why("billing/v2", "app-2:8080"); !strings.HasPrefix(got, "ejected: connections fail: ") {
		t.Error(got)
	}
	if got := why("billing/v2", "app-3:8080"); got != "up: " || !slices.Equal(x.Outcome.Endpoints, []string{"app-3:8080"}) {
		t.Error(got, x.Outcome.Endpoints)
	}
	x, _ = v.Explain(ask("web", "billing", "GET", "/", "X-User: 42"))
	sticky := x.Targets[slices.IndexFunc(x.Targets, func(t control.Target) bool { return t.Name == "sticky" })]
	if n := len(chosen(sticky)); n != 1 || sticky.Endpoints[0].Why != "the hash leads to it" {
		t.Errorf("%d endpoints for one hash: %+v", n, sticky.Endpoints)
	}
}

// TestLimits: a limit that is reached is told.
func TestLimits(t *testing.T) {
	v := offline(t, shop)
	db, _ := v.Snapshot.Named("db")
	endpoint := db.Ports[0].Group.Endpoints()[0]
	for range 10 {
		endpoint.Acquire()
	}
	x, err := v.Explain(ask("web", "db"))
	if err != nil || x.Outcome.Kind != control.OutcomeReset || x.Outcome.Reason != string(mesh.ReasonOverload) || x.Targets[0].Limits.Connections != 10 {
		t.Errorf("%+v, %+v, %v", x.Outcome, x.Targets[0].Limits, err)
	}
	endpoint.Release()
	if x, err := v.Explain(ask("web", "db")); err != nil || x.Outcome.Kind != control.OutcomeProxied {
		t.Errorf("%+v, %v", x.Outcome, err)
	}
}

// TestAgrees: whatever the request, and however the endpoints stand, what is explained is what is decided.
func TestAgrees(t *testing.T) {
	v := offline(t, shop)
	billing, _ := v.Snapshot.Named("billing")
	table := billing.Ports[0].Routes
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	endpoints := billing.Ports[0].Group.Endpoints()
	for range 3000 {
		if e := endpoints[random.IntN(len(endpoints))]; random.IntN(10) == 0 {
			e.MarkDown(time.Now(), "test")
		} else if random.IntN(10) == 0 {
			e.MarkUp(time.Now(), "test")
		}
		q := ask("web", "billing", pick("GET", "HEAD", "POST"), pick("/v2/", "/v2/a?to=1", "/old?to", "/old", "/internal/", "/spare", "/a/../v2/x", "/%61"))
		q.Headers = [][]string{{"X-Canary: 1"}, {"x-canary: 2", "X-User: 1"}, {"X-User: 2", "Cookie: a=b"}}[random.IntN(3)]
		q.Draw = random.IntN(2) == 0
		x, refused := v.Explain(q)
		if refused != nil {
			t.Fatalf("%+v: %v", q, refused)
		}
		r := read(t, q)
		d := table.Decide(r, random.Uint32())
		taken := x.Routes[len(x.Routes)-1]
		if taken.Name != d.Route.Name || taken.WhyNot != "" {
			t.Fatalf("%+v takes %s, explained as %s", q, d.Route.Name, taken.Name)
		}
		if d.Target == nil {
			if x.Outcome.Kind != control.OutcomeAnswered {
				t.Fatalf("%+v is answered, explained as %s", q, x.Outcome.Text)
			}
			continue
		}
		hash := d.Target.Hash(r, "web", 1)
		endpoint := d.Target.Pick(new(balance.Tried), &hash)
		if endpoint == nil && !strings.Contains(x.Outcome.Text, "no endpoint") && !q.Draw {
			t.Fatalf("%+v gets nobody, explained as %s", q, x.Outcome.Text)
		}
		if endpoint != nil && !q.Draw && !slices.Contains(x.Outcome.Endpoints, endpoint.Name()) {
			t.Fatalf("%+v goes to %s, explained as %s", q, endpoint.Name(), x.Outcome.Text)
		}
		if drawn := slices.IndexFunc(taken.Shares, func(s control.Share) bool { return s.Drawn }); q.Draw != (drawn >= 0) {
			t.Fatalf("%+v: share %d is drawn", q, drawn)
		}
	}
}

// read reads a request as the proxy does.
func read(t *testing.T, q control.Question) *route.Request {
	t.Helper()
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: billing.mesh\r\n%s\r\n\r\n", q.Method, q.URL, strings.Join(q.Headers, "\r\n"))
	h := &head{data: []byte(text)}
	if n, err := http1.ParseRequest(h.data, &h.Head); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	path, err := http1.CanonicalPath(nil, h.Path(h.data))
	if err != nil {
		t.Fatal(err)
	}
	return &route.Request{Method: h.Method(h.data), Host: h.Authority(h.data), Path: path, Query: h.Query(h.data),
		Header: &http1.Fields{Data: h.data, Head: &h.Head}}
}

// TestNotLookedUp: names outside the mesh have no address without a meshd, and each stands for itself.
func TestNotLookedUp(t *testing.T) {
	v := offline(t, shop)
	x, err := v.Explain(ask("web", "db"))
	if err != nil || len(x.Targets[0].Endpoints) != 1 {
		t.Fatalf("%+v, %v", x.Targets, err)
	}
	if e := x.Targets[0].Endpoints[0]; e.Name != "db.example.com:5432" || e.Address != (netip.AddrPort{}) {
		t.Errorf("endpoint %+v", e)
	}
	if x, err := v.Explain(ask("web", "198.18.0.1:5432")); err != nil || x.Destination.Text != "198.18.0.1, which the mesh does not know," {
		t.Errorf("%+v, %v", x.Destination, err)
	}
}
