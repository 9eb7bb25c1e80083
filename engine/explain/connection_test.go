package explain

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
)

// stores is a mesh of services whose bytes are not read, and one that is read at one of its two ports.
const stores = `
mesh "shop" {
  trust_domain = "shop.example"
}
host "app-1" {
  addresses = ["10.0.0.1"]
}
host "app-2" {
  addresses = ["10.0.0.2"]
}
service "web" {
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
service "db" {
  port = 5432
  endpoint {
    host = "app-1"
    meta = { version = "1" }
  }
  endpoint {
    host = "app-2"
    meta = { version = "2" }
  }
}
service "spare" {
  port            = 5432
  max_connections = 2
  endpoint {
    host = "app-2"
    port = 6000
  }
  endpoint {
    host = "app-2"
    port = 6001
  }
}
service "old" {
  port = 5432
}
service "site" {
  port     = 80
  protocol = "http"
  listener "raw" {
    port = 81
  }
  endpoint {
    host  = "app-1"
    ports = { raw = 7000 }
    tags  = ["blue"]
  }
  endpoint {
    host  = "app-2"
    ports = { raw = 7001 }
  }
}
splitter "db" {
  split {
    weight = 90
  }
  split {
    weight = 10
    subset = "v2"
  }
}
resolver "db" {
  default_subset = "v1"
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
resolver "spare" {
  load_balancer {
    policy = "ring_hash"
    hash_policy {
      source = true
    }
  }
}
resolver "old" {
  redirect {
    service = "db"
    subset  = "v1"
  }
}
router "site" {
  route {
    respond {
      status = 404
    }
  }
}
resolver "site" {
  default_subset = "blue"
  subset "blue" {
    filter = "blue in Service.Tags"
  }
}
`

// TestConnection: where a connection goes whose bytes are not read, and by which lines.
func TestConnection(t *testing.T) {
	v := offline(t, stores)
	groups := func(service string) []*balance.Endpoint {
		s, _ := v.Snapshot.Named(service)
		return s.Ports[0].Group.Endpoints()
	}
	now := time.Now()
	for _, step := range []struct {
		name   string
		change func()
		to     string
		kind   control.OutcomeKind
		text   string
	}{
		{"split", func() {}, "db", control.OutcomeProxied, "it goes to app-1:5432 (90%), else to app-2:5432 (10%)"},
		{"redirect", func() {}, "old", control.OutcomeProxied, "it goes to app-1:5432"},
		{"no router", func() {}, "site:81", control.OutcomeProxied, "it goes to app-1:7000"},
		{"router", func() {}, "site", control.OutcomeAnswered, "meshd answers it with 404"},
		{"failover", func() { groups("db")[0].MarkDown(now, "test") }, "old", control.OutcomeProxied, "it goes to app-2:600"},
		{"a full service stands in", func() {
			groups("spare")[0].Acquire()
			groups("spare")[1].Acquire()
		}, "db", control.OutcomeProxied, "it goes to nobody, as spare has as many connections open"},
		{"nobody is left of a share", func() {
			groups("spare")[0].MarkDown(now, "test")
			groups("spare")[1].MarkDown(now, "test")
			groups("spare")[0].Release()
		}, "db", control.OutcomeProxied, "it goes to nobody, as db/v1 has no endpoint that is up (reset, no-endpoint) (90%), else to app-2:5432 (10%)"},
		{"nobody is left", func() { groups("db")[1].MarkDown(now, "test") }, "db", control.OutcomeRefused, "connect() is refused"},
	} {
		step.change()
		x, err := v.Explain(ask("web", step.to))
		if err != nil || x.Outcome.Kind != step.kind || !strings.HasPrefix(x.Outcome.Text, step.text) {
			t.Errorf("%s: %s: %s, %v; want %s: %s…", step.name, x.Outcome.Kind, x.Outcome.Text, err, step.kind, step.text)
		}
	}
}

// TestConnectionSteps: the split, the default subset and the redirect are told with their lines, and every endpoint with a reason.
func TestConnectionSteps(t *testing.T) {
	v := offline(t, stores)
	x, err := v.Explain(ask("web", "old"))
	if err != nil || len(x.Routes) != 1 || len(x.Routes[0].Shares) != 1 {
		t.Fatalf("%+v, %v", x.Routes, err)
	}
	share := x.Routes[0].Shares[0]
	if len(share.Way) != 1 || share.Way[0].Text != "old is redirected to db/v1" || !strings.Contains(share.Way[0].At, "meshd.hcl:") {
		t.Errorf("the way of old is %+v", share.Way)
	}
	x, err = v.Explain(ask("web", "db"))
	if err != nil || len(x.Routes) != 1 || len(x.Routes[0].Shares) != 2 || x.Request != nil {
		t.Fatalf("%+v, %v", x.Routes, err)
	}
	first := x.Routes[0].Shares[0]
	if len(first.Splits) != 1 || len(first.Way) != 1 || first.Way[0].Text != "db gets its default_subset: db/v1" || first.Percent != 90 {
		t.Errorf("the first share is %+v", first)
	}
	var names []string
	for _, target := range x.Targets {
		names = append(names, target.Name)
		for _, e := range target.Endpoints {
			if e.Chosen == (e.Why != "") && target.Name != "spare" {
				t.Errorf("%s of %s: chosen %v, why %q", e.Name, target.Name, e.Chosen, e.Why)
			}
		}
	}
	if want := []string{"db/v1", "spare", "db/v2"}; !slices.Equal(names, want) || !x.Targets[1].StandsIn {
		t.Errorf("the targets are %v, want %v", names, want)
	}
	q := ask("web", "db")
	q.Draw = true
	x, err = v.Explain(q)
	if drawn := slices.IndexFunc(x.Routes[0].Shares, func(s control.Share) bool { return s.Drawn }); err != nil || drawn < 0 || len(x.Outcome.Endpoints) != 1 {
		t.Errorf("drawn: %+v, %v", x.Outcome, err)
	}
}

// TestConnectionsAgree: however the endpoints stand, what is explained of a connection is what is decided.
func TestConnectionsAgree(t *testing.T) {
	v := offline(t, stores)
	random := rand.New(rand.NewPCG(3, 4))
	var endpoints []*balance.Endpoint
	for _, name := range []string{"db", "spare"} {
		s, _ := v.Snapshot.Named(name)
		endpoints = append(endpoints, s.Ports[0].Group.Endpoints()...)
	}
	for range 1000 {
		if e := endpoints[random.IntN(len(endpoints))]; random.IntN(2) == 0 {
			e.MarkDown(time.Now(), "test")
		} else {
			e.MarkUp(time.Now(), "test")
		}
		name := []string{"db", "old", "spare"}[random.IntN(3)]
		x, refused := v.Explain(ask("web", name))
		if refused != nil {
			t.Fatal(refused)
		}
		s, _ := v.Snapshot.Named(name)
		target := s.Ports[0].Routes.DecideConnection(random.Uint32())
		hash := target.HashConnection("web")
		endpoint := target.Pick(new(balance.Tried), &hash)
		switch {
		case x.Outcome.Kind == control.OutcomeRefused:
			if len(s.Ports[0].Backends()) > 0 {
				t.Fatalf("%s is refused, and could reach %v", name, s.Ports[0].Backends())
			}
		case endpoint == nil && !strings.Contains(x.Outcome.Text, "no endpoint that is up"):
			t.Fatalf("%s gets nobody, explained as %s", name, x.Outcome.Text)
		case endpoint != nil && !slices.Contains(x.Outcome.Endpoints, endpoint.Name()):
			t.Fatalf("%s goes to %s, explained as %s", name, endpoint.Name(), x.Outcome.Text)
		}
	}
}

// TestRoutesOfConnections: what meshctl routes shows of services whose bytes are not read, and of one that is read at one port.
func TestRoutesOfConnections(t *testing.T) {
	v := offline(t, stores)
	var names []string
	for _, s := range v.Routes("") {
		names = append(names, s.Service)
	}
	if want := []string{"db", "old", "site"}; !slices.Equal(names, want) {
		t.Errorf("routes of %v, want %v", names, want)
	}
	site := v.Routes("site")[0]
	if len(site.Routes) != 2 || site.Routes[0].Respond == nil || site.Ports[1].Protocol != mesh.TCP {
		t.Errorf("routes of site: %+v", site)
	}
	old := v.Routes("old")[0]
	if len(old.Routes) != 1 || len(old.Targets) != 2 || old.Targets[0].Name != "db/v1" || old.Targets[1].Name != "spare" {
		t.Errorf("routes of old: %+v", old)
	}
}
