package examples_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHTTP2 has curl speak HTTP/2 or HTTP/1.1 with services that speak the other one, or both HTTP/2, and wants it to be answered
// with what it is answered with in HTTP/1.1 when the kernel connects it.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	one, two := startWeb(t, "httpbin")
	startBackends(t, two)
	for _, test := range []struct {
		service, address, options string
		calls                     []curlCall
	}{
		{"httpbin", "httpbin.mesh", " --http2-prior-knowledge", httpbinCalls},
		{"nginx", "nginx.mesh", " --http2-prior-knowledge", nginxCalls},
		{"nginx", "nginx.mesh:81", " --http2-prior-knowledge", nginxCalls},
		{"nginx", "nginx.mesh:81", "", nginxCalls},
		{"haproxy", "haproxy.mesh", " --http2-prior-knowledge", haproxyCalls},
		{"haproxy", "haproxy.mesh:81", " --http2-prior-knowledge", haproxyCalls},
		{"haproxy", "haproxy.mesh:81", "", haproxyCalls},
	} {
		t.Run(test.address+test.options, func(t *testing.T) {
			isPort81 := strings.HasSuffix(test.address, ":81") // where HAProxy does not say that it has failed, but refuses the stream
			calls := slices.Clone(test.calls)
			for i := range calls {
				calls[i].statuses = strings.ReplaceAll(calls[i].statuses, "100 ", "") // curl expects it less often in HTTP/2
			}
			calls = slices.DeleteFunc(calls, func(c curlCall) bool {
				return test.options != "" && isHTTP1Only(c) || isPort81 && c.args == "/nothing"
			})
			one.compareAs(t, test.service, calls, func(unit string, c curlCall) string {
				if unit == "direct" {
					return sameInHTTP2(one.curl(t, unit, test.service+".mesh", c.args))
				}
				return sameInHTTP2(one.curl(t, unit, test.address, c.args+test.options))
			})
		})
	}
}

// isHTTP1Only says whether a call is none that this curl can make in HTTP/2, whoever the server is: it asks for HTTP/1.0, makes a
// second request on the connection, or is answered by who does not wait for its body.
func isHTTP1Only(c curlCall) bool {
	early := []string{"/small/x ", "/small.txt -d", "/return -d", "/get -d", "/status/503 -d"}
	return strings.HasSuffix(c.args, " -0") || strings.Contains(c.statuses, " ") ||
		slices.ContainsFunc(early, func(prefix string) bool { return strings.HasPrefix(c.args, prefix) })
}

// TestHTTP2Clients has a client of HTTP/2 talk with servers of both, and clients of HTTP/1.1 with one of HTTP/2.
func TestHTTP2Clients(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python", "node")
	for _, address := range []string{"python.mesh", "node.mesh", "node.mesh:81"} {
		one.wantOK(t, "/usr/bin/node", "/srv/lab/http2_client.js", address)
	}
	one.wantOK(t, "/usr/bin/python3", "/srv/lab/http_client.py", "node.mesh:81")
	one.wantOK(t, "/usr/bin/node", "/srv/lab/http_client.js", "node.mesh:81")
	one.wantOK(t, "/usr/bin/node", "/srv/lab/node_client.js", "node.mesh:81")
	one.wantOK(t, "/usr/bin/python3", "/srv/lab/events_client.py", "node.mesh:81", "by-python")
	one.wantOK(t, "/usr/bin/node", "/srv/lab/events_client.js", "node.mesh:81", "by-node")
}

// notOfH2spec is the test of h2spec that a service of HTTP/1.1 fails: its clients may speak that or HTTP/2, and what is neither is
// answered as a bad request of what the service speaks.
const notOfH2spec = "Sends invalid connection preface"

// TestH2spec has h2spec look for what an endpoint of HTTP/2 must not let pass. Both servers read a request to its end before they
// answer, so that no answer crosses what h2spec sends next.
func TestH2spec(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python", "node")
	if err := buildTools(); err != nil {
		t.Fatal(err)
	}
	for _, service := range []struct {
		name, port string
		fails      []string // tests
	}{
		{"python.mesh", "80", []string{notOfH2spec}},
		{"node.mesh", "81", nil},
	} {
		report, _ := one.try(t, "client.service", "/run/lab/build/tools/h2spec", "-h", service.name, "-p", service.port, "-P", "/sum", "--strict", "-o", "30")
		_, failures, _ := strings.Cut(report, "Failures:")
		for _, test := range regexp.MustCompile(`× \d+: (.*)`).FindAllStringSubmatch(failures, -1) {
			if !slices.Contains(service.fails, test[1]) {
				t.Errorf("%s: h2spec says:\n%s", service.name, failures)
				break
			}
		}
		want := fmt.Sprintf("146 tests, %d passed, 0 skipped, %d failed", 146-len(service.fails), len(service.fails))
		if !strings.Contains(report, want) {
			t.Errorf("%s: h2spec does not say %q but ends with %s", service.name, want, report[max(0, len(report)-200):])
		}
	}
}

var (
	firstLines   = regexp.MustCompile(`(?m)^HTTP/[0-9.]+ (\d+) .*$`)
	fieldNames   = regexp.MustCompile(`(?m)^[A-Za-z0-9-]+: `)
	hopByHop     = regexp.MustCompile(`(?m)^(transfer-encoding|trailer|keep-alive): .*\n`)
	continueHead = regexp.MustCompile(`(?m)^HTTP/[0-9.]+ 100 .*\n\r\n`)
	expectField  = regexp.MustCompile(`    "Expect": \[[^]]*\],\n`) // as go-httpbin shows it
)

// sameInHTTP2 returns what stays of answers in HTTP/2.
func sameInHTTP2(answers string) string {
	head, rest := beginning(answers)
	head = continueHead.ReplaceAllString(expectField.ReplaceAllString(head, ""), "")
	head = firstLines.ReplaceAllString(head, "HTTP/2 $1 ")
	head = fieldNames.ReplaceAllStringFunc(head, strings.ToLower)
	return hopByHop.ReplaceAllString(head, "") + rest
}
