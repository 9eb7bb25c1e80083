package observe

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meshd/meshd/engine/mesh"
)

var update = flag.Bool("update", false, "write the golden files")

// get returns what the handler answers to a request for target from a client that used host as its name.
func get(t *testing.T, m *Metrics, method, host, target string) (int, string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	request.Host = host
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

// fill touches every metric that meshd names.
func fill(m *Metrics) {
	hello := m.Connections("web", "hello")
	hello.Open()
	hello.Open()
	hello.Open()
	hello.Sent(100)
	hello.Received(2000)
	hello.ConnectFailed()
	hello.Close(mesh.ReasonDone, 1500*time.Millisecond)
	hello.Close("no such reason", time.Hour)
	m.Connections("", "").Open()
	m.DNS("answered")
	m.DNS("answered")
	m.DNS("forwarded")
	m.Reload(true)
	m.Reload(false)
	m.SnapshotVersion(7)
	m.KernelRepaired("links")
	m.SetEndpoints(slices.Values([]EndpointState{
		{"hello", "10.0.0.1:8080", true},
		{"hello", "10.0.0.2:8080", false},
		{"hello", "10.0.0.2:8080", false}, // written twice in a file
	}))
	m.SetHeartbeat(func() float64 { return 0.25 })
	m.SetKernelStats(func() map[string]uint64 { return map[string]uint64{"redirected": 12, "refused": 3} })
}

func TestPage(t *testing.T) {
	// The bubble's clock stands still, so that the page has the same timestamps each time.
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(Build{Version: "1.2.3", Revision: "abc1234", GoVersion: "go1.26"})
		fill(m)
		code, page := get(t, m, http.MethodGet, "127.0.0.1:15020", "/metrics")
		if code != http.StatusOK {
			t.Fatalf("status %d: %s", code, page)
		}
		const golden = "testdata/metrics.golden"
		if *update {
			if err := os.WriteFile(golden, []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), page); diff != "" {
			t.Errorf("page differs from %s; run with -update if that is meant:\n%s", golden, diff)
		}
	})
}

// TestEndpointsAreBounded has more endpoints than a page shows.
func TestEndpointsAreBounded(t *testing.T) {
	m := newMetrics(Build{})
	m.SetEndpoints(func(yield func(EndpointState) bool) {
		for i := 0; yield(EndpointState{"hello", strconv.Itoa(i), true}); i++ {
		}
	})
	_, page := get(t, m, http.MethodGet, "127.0.0.1:15020", "/metrics")
	if n := strings.Count(page, "\nmeshd_endpoint_up{"); n != maxEndpoints {
		t.Errorf("%d endpoints are shown, want %d", n, maxEndpoints)
	}
}

func TestLint(t *testing.T) {
	m := newMetrics(Build{})
	fill(m)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNewHasRuntimeMetrics(t *testing.T) {
	_, page := get(t, New(Build{}), http.MethodGet, "localhost", "/metrics")
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_open_fds "} {
		if !strings.Contains(page, name) {
			t.Errorf("no %q on the page", name)
		}
	}
}

func TestHandlerAnswersOnlyLocalScrapers(t *testing.T) {
	m := newMetrics(Build{})
	for _, tc := range []struct {
		method, host, target string
		want                 int
	}{
		{"GET", "127.0.0.1:15020", "/metrics", 200},
		{"HEAD", "127.0.0.1:15020", "/metrics", 200},
		{"GET", "[::1]:15020", "/metrics", 200},
		{"GET", "[::1]", "/metrics", 200},
		{"GET", "LocalHost.", "/metrics", 200},
		{"GET", "", "/metrics", 200},
		{"GET", "evil.example:15020", "/metrics", 403},
		{"GET", "127.0.0.1.evil.example", "/metrics", 403},
		{"GET", "localhost.evil.example", "/metrics", 403},
		{"GET", "127.0.0.1", "/", 404},
		{"GET", "127.0.0.1", "/metrics/x", 404},
		{"GET", "127.0.0.1", "/debug/pprof/", 404},
		{"POST", "127.0.0.1", "/metrics", 405},
	} {
		if code, _ := get(t, m, tc.method, tc.host, tc.target); code != tc.want {
			t.Errorf("%s %s at host %q: status %d, want %d", tc.method, tc.target, tc.host, code, tc.want)
		}
	}
}

func TestConnectionsDoNotAllocate(t *testing.T) {
	m := newMetrics(Build{})
	m.Connections("web", "hello")
	allocs := testing.AllocsPerRun(100, func() {
		c := m.Connections("web", "hello")
		c.Open()
		c.Sent(10)
		c.Received(20)
		c.ConnectFailed()
		c.Close(mesh.ReasonClientReset, time.Second)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a connection, want none", allocs)
	}
}

func TestPairsAreBounded(t *testing.T) {
	m := newMetrics(Build{})
	for i := range maxPairs {
		m.Connections("web", strconv.Itoa(i))
	}
	over := m.Connections("web", "one too many")
	if over != m.Connections("reports", "another") {
		t.Error("pairs beyond the bound do not share their counters")
	}
	over.Open()
	if got := testutil.ToFloat64(m.open.WithLabelValues(labelOther, labelOther)); got != 1 {
		t.Errorf("%v open connections of others, want 1", got)
	}
	if got := testutil.CollectAndCount(m.open); got != maxPairs+1 {
		t.Errorf("%d pairs on the page, want %d", got, maxPairs+1)
	}
}

func TestConnectionsOfOnePairAreOne(t *testing.T) {
	m := newMetrics(Build{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				m.Connections("web", strconv.Itoa(i%10)).Open()
			}
		})
	}
	all.Wait()
	for i := range 10 {
		if got := testutil.ToFloat64(m.opened.WithLabelValues("web", strconv.Itoa(i))); got != 80 {
			t.Errorf("%v connections to %d counted, want 80", got, i)
		}
	}
}

func TestForget(t *testing.T) {
	m := newMetrics(Build{})
	busy := m.Connections("web", "gone")
	busy.Open()
	m.Connections("reports", "gone")
	m.Connections("web", "hello")
	m.Connections("web", "")
	keepHello := func(destination string) bool { return destination == "hello" }

	m.Forget(keepHello)
	_, page := get(t, m, http.MethodGet, "localhost", "/metrics")
	for series, want := range map[string]bool{
		`connections_open{destination="gone",source="web"} 1`:     true, // a connection is open
		`connection_duration_seconds_count{destination="gone"} 0`: true,
		`destination="gone",source="reports"`:                     false,
		`connections_open{destination="hello",source="web"} 0`:    true,
		`connections_open{destination="unknown",source="web"} 0`:  true,
	} {
		if strings.Contains(page, series) != want {
			t.Errorf("%q on the page: %v, want %v", series, !want, want)
		}
	}

	busy.Close(mesh.ReasonDone, time.Second)
	m.Forget(keepHello)
	if _, page = get(t, m, http.MethodGet, "localhost", "/metrics"); strings.Contains(page, `"gone"`) {
		t.Errorf("series of a service that is gone are on the page:\n%s", page)
	}

	m.Connections("web", "gone").Open()
	if got := testutil.ToFloat64(m.opened.WithLabelValues("web", "gone")); got != 1 {
		t.Errorf("%v connections counted after the service came back, want 1", got)
	}
}
