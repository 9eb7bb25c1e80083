package examples_test

import (
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// TestEdge runs the example of a service that faces strangers, beside one that does not.
func TestEdge(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Config{Dir: "08-edge", Meshd: meshd})
	one, _ := startUnits(t, l, "app-1"), startUnits(t, l, "app-2")
	one.startMeshd(t)

	long := "Cookie: a=" + strings.Repeat("b", 20<<10)
	tests := []struct{ service, field, want string }{
		{"shop", "X-Forwarded-For: 192.0.2.1", "x-forwarded-for=\nx-admin=\n200"},
		{"shop", "X-Admin: yes", "x-forwarded-for=\nx-admin=yes\n200"},
		{"shop", "X_Admin: yes", "hardening\n400"},
		{"shop", "x_forwarded-for: 192.0.2.1", "hardening\n400"},
		{"shop", "Connection: X-Forwarded-For", "hardening\n400"},
		{"shop", long, "hardening\n431"},
		{"stock", "X-Forwarded-For: 192.0.2.1", "x-forwarded-for=192.0.2.1\nx-admin=\n200"},
		{"stock", "X_Admin: yes", "x-forwarded-for=\nx-admin=yes\n200"}, // nginx has one variable for both names
	}
	for _, tt := range tests {
		for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
			if strings.HasPrefix(tt.field, "Connection") && version != "--http1.1" {
				continue // HTTP/2 knows no such field
			}
			got := one.run(t, "web.service", "curl", "-sS", version, "-w", "%{http_code}", "-H", tt.field, "http://"+tt.service+".mesh/")
			if got != tt.want {
				t.Errorf("%s, %s, %.40s: %q, want %q", tt.service, version, tt.field, got, tt.want)
			}
		}
	}
	slow := one.run(t, "web.service", "bash", "-c", `exec 3<>/dev/tcp/shop.mesh/80; printf 'POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello' >&3; cat <&3`)
	if !strings.HasPrefix(slow, "HTTP/1.1 408 ") || !strings.HasSuffix(slow, "too-slow") {
		t.Errorf("who sends a body too slowly gets:\n%s", slow)
	}
	for series, want := range map[string]float64{
		`meshd_requests_total{code="400",destination="shop",protocol="http",reason="hardening",source="web"}`:  3,
		`meshd_requests_total{code="400",destination="shop",protocol="http2",reason="hardening",source="web"}`: 2,
		`meshd_requests_total{code="431",destination="shop",protocol="http",reason="hardening",source="web"}`:  1,
		`meshd_requests_total{code="408",destination="shop",protocol="http",reason="too-slow",source="web"}`:   1,
		`meshd_requests_total{code="200",destination="stock",protocol="http",reason="done",source="web"}`:      2,
	} {
		if got := one.metric(t, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
}
