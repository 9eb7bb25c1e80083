package examples_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

const (
	accessLogFile = "/var/log/meshd/access.log"

	metricsBlock = `  prometheus {
    listen = "127.0.0.1:15020"
  }
`
	accessLogBlock = `  access_log {
    format = "json"
    path   = "` + accessLogFile + `"
  }
`
)

// line is what a line of the access log says.
type line struct {
	Source, Unit, Protocol, Method, Authority, Path, Destination, Target, Route, Endpoint, Address, Reason string

	PID, UID, Attempts, Code, Sent, Received int
	DurationMS                               float64 `json:"duration_ms"`
	RequestID                                string  `json:"request_id"`
}

// lines returns what a file of the log says, once it has so many lines.
func (h host) lines(t *testing.T, path string, n int) []line {
	t.Helper()
	var all []line
	eventually(t, "the access log is written", func() bool {
		all = nil
		text := h.read(t, path)
		for text := range strings.Lines(text) {
			var one line
			if err := json.Unmarshal([]byte(text), &one); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
			all = append(all, one)
		}
		return len(all) >= n
	})
	return all
}

// TestAccessLog has curl ask for a page, for more than a limit lets pass, and of a service that is down, and looks at the lines.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Config{Dir: "02-canary", Meshd: meshd})
	one, two := startUnits(t, l, "app-1"), startUnits(t, l, "app-2")
	one.edit(t, "/etc/meshd/meshd.hcl", metricsBlock, metricsBlock+accessLogBlock)
	one.startMeshd(t)

	one.run(t, "web.service", "curl", "-sS", "-H", "X-Canary: 1", "-d", "some", "http://shop.mesh/a?b=%22c")
	got := one.lines(t, accessLogFile, 1)[0]
	id := got.RequestID
	want := line{
		Source: "web", Unit: "web.service", Protocol: "HTTP/1.1", Method: "POST", Authority: "shop.mesh", Path: "/a?b=%22c",
		Destination: "shop", Target: "shop/v2", Route: got.Route, Endpoint: "app-2:8082", Address: got.Address, Reason: "done",
		PID: got.PID, Attempts: 1, Code: got.Code, Sent: got.Sent, Received: got.Received, DurationMS: got.DurationMS, RequestID: id,
	}
	if got != want || !strings.HasPrefix(got.Route, `router "shop"`) || !strings.HasPrefix(got.Address, "10.77.0.12:") && !strings.HasPrefix(got.Address, "[fd77::12]:") ||
		got.PID == 0 || got.Code < 200 || got.Sent < 100 || got.Received < 100 || got.DurationMS <= 0 || len(id) != 36 {
		t.Errorf("line %+v", got)
	}
	if mode := one.run(t, "", "stat", "-c", "%a", accessLogFile); mode != "640" {
		t.Errorf("the file has mode %s, want 640", mode)
	}

	// Moved away, as a rotation does: a reload makes a new one.
	one.run(t, "", "mv", accessLogFile, accessLogFile+".1")
	one.edit(t, "/etc/meshd/mesh.d/services.hcl", "  workload {\n    unit = \"shop@*.service\"", "  rate_limit {\n    requests_per_second = 1\n  }\n  workload {\n    unit = \"shop@*.service\"")
	one.run(t, "", "meshctl", "reload")
	one.run(t, "web.service", "curl", "-sS", "http://shop.mesh/?[1-3]")
	codes := map[int]int{}
	for _, each := range one.lines(t, accessLogFile, 3) {
		codes[each.Code]++
		if each.Code == 429 && (each.Reason != "rate-limited" || each.Endpoint != "" || each.Attempts != 0) {
			t.Errorf("line %+v", each)
		}
	}
	if codes[429] == 0 || codes[200]+codes[429] != 3 {
		t.Errorf("the lines have the codes %v", codes)
	}

	one.edit(t, "/etc/meshd/mesh.d/services.hcl", "requests_per_second = 1", "requests_per_second = 1000")
	one.run(t, "", "meshctl", "reload")
	for _, unit := range two.units {
		if err := unit.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	one.run(t, "web.service", "curl", "-sS", "http://shop.mesh/down")
	all := one.lines(t, accessLogFile, 4)
	if last := all[len(all)-1]; last.Path != "/down" || last.Code != 503 || last.Reason != "connect-failed" {
		t.Errorf("line %+v", last)
	}
	if n := one.metric(t, "meshd_access_log_dropped_total"); n != 0 {
		t.Errorf("%v lines were dropped", n)
	}

	// What cannot be written to is refused, and what ran goes on.
	one.edit(t, "/etc/meshd/meshd.hcl", accessLogFile, "/var/log/meshd")
	if output, code := one.try(t, "", "meshctl", "reload"); code == 0 || !strings.Contains(output, "open access log") {
		t.Errorf("meshctl reload: exit code %d\n%s", code, output)
	}
	one.run(t, "web.service", "curl", "-sS", "http://shop.mesh/again")
	if all := one.lines(t, accessLogFile, 5); all[4].Path != "/again" {
		t.Errorf("line %+v", all[4])
	}
}
