package examples_test

import (
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// TestCanary runs the second example: a version for who asks for it, and for one in ten of all others.
func TestCanary(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Config{Dir: "02-canary", Meshd: meshd})
	one, _ := startUnits(t, l, "app-1"), startUnits(t, l, "app-2")
	one.startMeshd(t)

	canary := one.run(t, "web.service", "curl", "-sSi", "-H", "X-Canary: 1", "http://shop.mesh/a")
	if !strings.HasPrefix(canary, "HTTP/1.1 200") || !strings.Contains(canary, "x-version: v2") || !strings.HasSuffix(canary, "v2 /a") {
		t.Errorf("who asks for the canary gets:\n%s", canary)
	}
	moved := one.run(t, "web.service", "curl", "-sSL", "-w", "%{num_redirects} %{url_effective}", "http://shop.mesh/old/x?q=1")
	if !strings.HasSuffix(moved, "/new/x?q=1\n1 http://shop.mesh/new/x?q=1") {
		t.Errorf("who asks for the old path gets:\n%s", moved)
	}

	counts := map[string]int{}
	for line := range strings.Lines(one.run(t, "web.service", "curl", "-sS", "http://shop.mesh/?[1-400]")) {
		version, _, _ := strings.Cut(line, " ")
		counts[version]++
	}
	// 40 are expected; fewer than 15 or more than 75 come once in a hundred thousand runs.
	if counts["v1"]+counts["v2"] != 400 || counts["v2"] < 15 || counts["v2"] > 75 {
		t.Errorf("400 requests went to %v", counts)
	}
	if n := one.metric(t, `meshd_requests_total{code="200",destination="shop",protocol="http",reason="done",source="web"}`); n != 402 {
		t.Errorf("%v requests were counted, want 402", n)
	}
	if n := one.metric(t, `meshd_connections_opened_total{destination="shop",source="web"}`); n > 4 {
		t.Errorf("three clients took %v connections", n)
	}
	for _, hostile := range []string{"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", "Host : a"} {
		answer := one.run(t, "web.service", "bash", "-c", `exec 3<>/dev/tcp/shop.mesh/80; printf 'POST / HTTP/1.1\r\n%b\r\n\r\n0\r\n\r\n' "$1" >&3; cat <&3`, "-", hostile)
		if !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("%q is answered:\n%s", hostile, answer)
		}
	}
}
