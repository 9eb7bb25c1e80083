package daemon

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

const remembered = `
mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21", "fd00::21"]
}
service "billing" {
  port            = 80
  max_connections = 5
  workload {
    unit = "billing.service"
  }
  listener "grpc" {
    port = 9090
  }
  endpoint {
    host  = "app-1"
    port  = 8080
    ports = { grpc = 9091 }
    tags  = ["blue"]
  }
  check {
    http = "/healthz"
  }
}
service "stripe" {
  port      = 443
  hostnames = ["api.stripe.com"]
  endpoint {
    address = "api.stripe.com"
  }
  endpoint {
    address = "10.9.0.5"
  }
}
`

// restore returns the catalog that was saved, as a discovery is to read it.
func (s savedCatalog) restore() mesh.Catalog {
	catalog := mesh.Catalog{Mesh: s.Mesh, Hosts: s.Hosts}
	for _, saved := range s.Services {
		service := saved.Service
		service.Endpoints = nil
		for _, e := range saved.Endpoints {
			e.Endpoint.Address = netip.AddrPortFrom(e.Endpoint.Address.Addr(), e.Port)
			service.Endpoints = append(service.Endpoints, e.Endpoint)
		}
		catalog.Services = append(catalog.Services, service)
	}
	return catalog
}

func loadRemembered(t *testing.T) *config.Config {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, fstest.MapFS{
		"meshd.hcl": {Data: []byte("discovery \"static\" {\n  files = [\"" + folder + "/mesh.d/*.hcl\"]\n}\n"), Mode: 0o644}, "mesh.d/shop.hcl": {Data: []byte(remembered), Mode: 0o644},
	}); err != nil {
		t.Fatal(err)
	}
	c, diagnostics := config.Load(config.Options{Paths: []string{filepath.Join(folder, "meshd.hcl")}, Hostname: "app-1", UserID: config.LocalUser})
	if c == nil {
		t.Fatal(textOf(diagnostics))
	}
	return c
}

func TestCatalogIsSavedWhole(t *testing.T) {
	c := loadRemembered(t)
	text, err := json.Marshal(saveCatalog(&loaded{config: c}))
	if err != nil {
		t.Fatal(err)
	}
	var read savedCatalog
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	same := []cmp.Option{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(c.Catalog, read.restore(), same...); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
	if read.Config != c.Hash {
		t.Errorf("hash %q, want %q", read.Config, c.Hash)
	}
}

func TestRecall(t *testing.T) {
	c := loadRemembered(t)
	now := time.Now()
	down := balance.Standing{State: balance.Down, History: []balance.Transition{{Time: now, State: balance.Down, Reason: "its check fails"}}}
	verdicts := []verdict{
		{"billing", "", netip.MustParseAddrPort("10.0.0.21:8080"), down},
		{"stripe", "", netip.MustParseAddrPort("10.9.0.5:443"), down},
		{"stripe", "", netip.MustParseAddrPort("10.9.0.6:443"), down}, // which is no endpoint any more
		{"gone", "", netip.MustParseAddrPort("10.9.0.5:443"), down},
	}
	for about, tc := range map[string]struct {
		known savedEndpoints
		down  int
	}{
		"right away":       {savedEndpoints{now, bootID(), nil, verdicts}, 2},
		"too late":         {savedEndpoints{now.Add(-verdictsLast - time.Second), bootID(), nil, verdicts}, 0},
		"after a reboot":   {savedEndpoints{now, "another", nil, verdicts}, 0},
		"nothing is known": {savedEndpoints{}, 0},
	} {
		d := &daemon{suspects: map[mesh.ServiceID]bool{}}
		snap := snapshot.Build(snapshot.Input{Version: 1, Catalog: c.Catalog, Host: c.Host})
		(&memory{daemon: d, known: tc.known}).recall(snap, now)
		n := 0
		for _, e := range endpointsOf(snap) {
			if e.Health().State == balance.Down {
				n++
			}
		}
		if n != tc.down {
			t.Errorf("%s: %d endpoints are down, want %d", about, n, tc.down)
		}
		stripe, _ := snap.Named("stripe")
		if suspect := d.suspects[stripe.Ports[0].ID]; suspect != (tc.down > 0) || len(d.suspects) > 1 {
			t.Errorf("%s: suspects are %v", about, d.suspects)
		}
	}
}
