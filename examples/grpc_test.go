package examples_test

import (
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// TestGRPC runs the tenth example: calls over one connection are balanced one by one, whatever their caller speaks.
func TestGRPC(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Config{Dir: "10-grpc", Meshd: meshd})
	one, _ := startUnits(t, l, "app-1"), startUnits(t, l, "app-2")
	one.startMeshd(t)

	for _, client := range [][]string{
		{"nghttp", "-m100", "http://shop.mesh/a.Shop/Get"},
		{"curl", "-sS", "--fail", "http://shop.mesh/a.Shop/Get?[1-100]"},
	} {
		counts := map[string]int{}
		for line := range strings.Lines(one.run(t, "web.service", client...)) {
			counts[strings.TrimSpace(line)]++
		}
		if counts["shop-1"]+counts["shop-2"] != 100 || counts["shop-1"] < 20 || counts["shop-2"] < 20 {
			t.Errorf("100 requests by %s went to %v", client[0], counts)
		}
	}
	for protocol, metric := range map[string]string{
		"http2": `meshd_requests_total{code="200",destination="shop",protocol="http2",reason="done",source="web"}`,
		"http":  `meshd_requests_total{code="200",destination="shop",protocol="http",reason="done",source="web"}`,
	} {
		if n := one.metric(t, metric); n != 100 {
			t.Errorf("%v requests of %s were counted, want 100", n, protocol)
		}
	}

	// Each of the clients has many calls under way at once.
	report := one.run(t, "web.service", "h2load", "-t1", "-c4", "-m25", "-n2000", "-H", "content-type: application/grpc", "-H", "te: trailers",
		"-H", ":method: POST", "http://shop.mesh/a.Shop/Get")
	if !strings.Contains(report, "2000 succeeded, 0 failed, 0 errored, 0 timeout") {
		t.Errorf("h2load says:\n%s", report)
	}
	if n := one.metric(t, `meshd_requests_total{code="0",destination="shop",protocol="grpc",reason="done",source="web"}`); n != 2000 {
		t.Errorf("%v calls with status 0 were counted, want 2000", n)
	}
	if n := one.metric(t, `meshd_connections_opened_total{destination="shop",source="web"}`); n > 6 {
		t.Errorf("six clients took %v connections", n)
	}
}
