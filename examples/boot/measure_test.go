//go:build boot

package boot_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// measure prints what an administrator wants to know about a service, and holds it to what is promised of it.
func measure(t *testing.T, h host) {
	const mib = 1 << 20
	report := h.run(t, "systemd-analyze", "--no-pager", "security", "meshd.service")
	found := regexp.MustCompile(`exposure level for meshd.service: ([0-9.]+)`).FindStringSubmatch(report)
	if found == nil {
		t.Fatalf("systemd-analyze security says:\n%s", report)
	}
	if score := number(t, found[1]); score > 4 {
		t.Errorf("systemd-analyze security: %v, want at most 4.0\n%s", score, report)
	}
	h.run(t, "systemctl", "restart", "meshd")
	started, ready := h.property(t, "ExecMainStartTimestampMonotonic"), h.property(t, "ActiveEnterTimestampMonotonic")
	resident := number(t, h.shell(t, "awk '/^VmRSS/ { print $2 }' /proc/$(systemctl show --value -p MainPID meshd)/status"))
	binary := number(t, h.run(t, "stat", "--format=%s", "/usr/sbin/meshd"))
	if binary > 30*mib {
		t.Errorf("meshd has %.1f MiB, want at most 30", binary/mib)
	}
	deb, err := os.Stat(required(t, "MESHD_DEB"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("MEASURED security %s (systemd-analyze), binary %.1f MiB, deb %.1f MiB, ready %v after the start, %.1f MiB resident when idle",
		found[1], binary/mib, float64(deb.Size())/mib, time.Duration(ready-started)*time.Microsecond, resident/1024)
}

// property returns a property of the unit of meshd that is a number.
func (h host) property(t *testing.T, name string) int64 {
	t.Helper()
	return int64(number(t, h.run(t, "systemctl", "show", "--value", "-p", name, "meshd")))
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// opened returns how many connections to billing a source has opened, by the metrics of the host.
func (h host) opened(t *testing.T, source string) float64 {
	t.Helper()
	page := h.run(t, "curl", "-sS", "--fail", "http://127.0.0.1:15020/metrics")
	series := `meshd_connections_opened_total{destination="billing",source="` + source + `"}`
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(page)
	if found == nil {
		return 0
	}
	return number(t, found[1])
}
