package observe

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// TestRequests wants requests by what they were, and nothing of them for who makes none.
func TestRequests(t *testing.T) {
	m := newMetrics(Build{})
	c := m.Connections("web", "shop")
	m.Connections("web", "quiet").Open()
	c.Request(Request{Code: 200, Reason: mesh.ReasonDone, Duration: time.Second, Sent: 100, Received: 5000})
	c.Request(Request{Code: 200, Reason: mesh.ReasonDone, Duration: time.Second, Sent: 100, Received: 5000})
	c.Request(Request{Code: 502, Reason: mesh.ReasonBadAnswer, Duration: time.Second})
	c.Request(Request{Code: 504, Reason: mesh.ReasonTimeout})
	c.Request(Request{Code: 200, Reason: mesh.ReasonTimeout}) // the head had been passed on
	c.Request(Request{Code: 504, Reason: mesh.ReasonTimeout})
	c.Request(Request{Protocol: GRPC, Code: 14, Reason: mesh.ReasonDone})
	c.Request(Request{Protocol: HTTP2, Code: 204, Reason: mesh.ReasonDone})
	c.Request(Request{Code: 999, Reason: mesh.ReasonDone})
	c.Request(Request{Code: 200, Reason: "unheard of"})
	c.Retry()
	c.Pool(Reused)
	c.Pool(Reused)
	c.Pool(PoolFull)
	_, page := get(t, m, http.MethodGet, "localhost", "/metrics")
	for _, line := range []string{
		`meshd_requests_total{code="200",destination="shop",protocol="http",reason="done",source="web"} 2`,
		`meshd_requests_total{code="502",destination="shop",protocol="http",reason="bad-answer",source="web"} 1`,
		`meshd_requests_total{code="504",destination="shop",protocol="http",reason="timeout",source="web"} 2`,
		`meshd_requests_total{code="200",destination="shop",protocol="http",reason="timeout",source="web"} 1`,
		`meshd_requests_total{code="14",destination="shop",protocol="grpc",reason="done",source="web"} 1`,
		`meshd_requests_total{code="204",destination="shop",protocol="http2",reason="done",source="web"} 1`,
		`meshd_requests_total{code="999",destination="shop",protocol="http",reason="done",source="web"} 1`,
		`meshd_requests_total{code="200",destination="shop",protocol="http",reason="internal",source="web"} 1`,
		`meshd_request_duration_seconds_count{destination="shop",protocol="http",source="web"} 8`,
		`meshd_request_size_bytes_sum{destination="shop",protocol="http",source="web"} 200`,
		`meshd_response_size_bytes_sum{destination="shop",protocol="http",source="web"} 10000`,
		`meshd_request_retries_total{destination="shop",source="web"} 1`,
		`meshd_pool_events_total{destination="shop",event="reused",source="web"} 2`,
		`meshd_pool_events_total{destination="shop",event="full",source="web"} 1`,
		`meshd_pool_events_total{destination="shop",event="repeated",source="web"} 0`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	if strings.Contains(page, `meshd_request_duration_seconds_count{destination="quiet"`) || strings.Contains(page, `meshd_pool_events_total{destination="quiet"`) {
		t.Error("there are series of requests of who made none")
	}

	m.Forget(func(string) bool { return false })
	if _, page = get(t, m, http.MethodGet, "localhost", "/metrics"); strings.Contains(page, `"shop"`) {
		t.Error("there are series of a service that is gone")
	}
}

func TestTelemetryMetrics(t *testing.T) {
	m := newMetrics(Build{})
	of := func(n uint64) func() uint64 { return func() uint64 { return n } }
	m.SetTelemetry(of(1), of(2), of(3))
	_, page := get(t, m, http.MethodGet, "localhost", "/metrics")
	for _, line := range []string{"meshd_access_log_dropped_total 1", "meshd_spans_exported_total 2", "meshd_spans_dropped_total 3"} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}

// TestUnlistedReason wants a reason outside of the closed list to make no series of its own.
func TestUnlistedReason(t *testing.T) {
	for _, reason := range mesh.Reasons() {
		if got := reasons[indexOf(reason)]; got != reason {
			t.Errorf("%s counts as %s", reason, got)
		}
	}
	if got := reasons[indexOf("made-up")]; got != mesh.ReasonInternal {
		t.Errorf("a reason that is made up counts as %s", got)
	}
}

func TestRequestsDoNotAllocate(t *testing.T) {
	c := newMetrics(Build{}).Connections("web", "shop")
	count := func() {
		c.Request(Request{Code: 200, Reason: mesh.ReasonDone, Duration: time.Millisecond})
		c.Request(Request{Code: 429, Reason: mesh.ReasonRateLimited})
		c.Request(Request{Protocol: GRPC, Code: 0, Reason: mesh.ReasonDone})
		c.Retry()
		c.Pool(Reused)
	}
	count()
	if allocs := testing.AllocsPerRun(100, count); allocs != 0 {
		t.Errorf("%v allocations for requests that are known, want none", allocs)
	}
}

func BenchmarkRequest(b *testing.B) {
	c := newMetrics(Build{}).Connections("web", "shop")
	for b.Loop() {
		c.Request(Request{Code: 200, Reason: mesh.ReasonDone, Duration: time.Millisecond, Sent: 100, Received: 1000})
		c.Pool(Reused)
	}
}
