package examples_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

const splitRoutes = "/etc/meshd/mesh.d/routes.hcl"

// TestTCPSplit runs the example of a canary of connections.
func TestTCPSplit(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Config{Dir: "09-tcp-split", Meshd: meshd})
	one, two := startUnits(t, l, "app-1"), startUnits(t, l, "app-2")
	one.startMeshd(t)

	counts := one.caches(t, "cache.mesh", 400)
	// 40 are expected; fewer than 13 or more than 75 come once in nine million runs.
	if n := counts["v2"]; counts["v1"]+n != 400 || n < 13 || n > 75 {
		t.Errorf("400 connections went to %v", counts)
	}
	if n := one.metric(t, `meshd_connections_opened_total{destination="cache",source="web"}`); n != 400 {
		t.Errorf("%v connections were counted, want 400", n)
	}
	x := query[control.Explanation](t, one, "explain", "web", "cache")
	if want := "it goes to app-2:6381 (90%), else to app-2:6382 (10%)"; x.Outcome.Text != want || len(x.Routes[0].Shares[1].Splits) != 1 {
		t.Errorf("explained as %q, %+v", x.Outcome.Text, x.Routes)
	}

	// Pinned by the resolver, all of them go to one version.
	routes := one.read(t, splitRoutes)
	_, resolver, _ := strings.Cut(routes, "resolver \"cache\" {\n")
	one.write(t, splitRoutes, "resolver \"cache\" {\n  default_subset = \"v2\"\n"+resolver)
	one.run(t, "", "meshctl", "reload")
	if counts := one.caches(t, "cache.mesh", 30); counts["v2"] != 30 {
		t.Errorf("with default_subset 30 connections went to %v", counts)
	}

	// With that version gone, another service stands in, until it is back.
	if err := two.units["cache@v2.service"].Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the spare cache stands in", func() bool { return one.caches(t, "cache.mesh", 1)["spare"] == 1 })
	if counts := one.caches(t, "cache.mesh", 10); counts["spare"] != 10 {
		t.Errorf("with v2 down 10 connections went to %v", counts)
	}
	x = query[control.Explanation](t, one, "explain", "web", "cache")
	if share := x.Routes[0].Shares[0]; x.Outcome.Text != "it goes to app-2:6383" || share.Target != "cache/v2" || share.Live != "cache-spare" {
		t.Errorf("with v2 down explained as %q, %+v", x.Outcome.Text, share)
	}
	if _, err := two.Start(t.Context(), "cache@v2.service"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "v2 is back", func() bool { return one.caches(t, "cache.mesh", 1)["v2"] == 1 })

	// When the kernel chooses, it keeps to the subset too.
	one.run(t, "", "meshctl", "disable")
	eventually(t, "the kernel knows that v2 is back", func() bool { return one.caches(t, "cache.mesh", 1)["v2"] == 1 })
	if counts := one.caches(t, "cache.mesh", 20); counts["v2"] != 20 {
		t.Errorf("past meshd 20 connections went to %v", counts)
	}
}

// caches makes connections one after the other, and counts which cache each has got; "" is none.
func (h host) caches(t *testing.T, address string, n int) map[string]int {
	t.Helper()
	answers := h.run(t, "web.service", "bash", "-c", fmt.Sprintf(
		`for i in $(seq %d); do redis-cli -h "$1" config get syslog-ident 2>/dev/null | tail -n 1; done; true`, n), "-", address)
	counts := tally(answers)
	delete(counts, "")
	return counts
}
