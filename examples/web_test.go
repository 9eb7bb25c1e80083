package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// buildTools builds the programs of tools.mod, which no package of Debian has. The hosts find them in /run/lab/build/tools. What
// make tools has built is not built again.
var buildTools = sync.OnceValue(func() error {
	folder := filepath.Join(filepath.Dir(meshd), "tools")
	build := exec.Command("go", "build", "-modfile=tools.mod", "-trimpath", "-ldflags=-s -w", "-o", folder+"/", "tool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build tools: %w\n%s", err, output)
	}
	return nil
})

// startWeb makes the lab of servers of HTTP, starts those that are named, and meshd where they are called. There /tmp/large is
// something to send.
func startWeb(t *testing.T, servers ...string) (one, two host) {
	t.Helper()
	if slices.Contains(servers, "httpbin") || slices.Contains(servers, "interop") {
		if err := buildTools(); err != nil {
			t.Fatal(err)
		}
	}
	l := lab.New(t, lab.Config{Dir: "testdata/web", Meshd: meshd})
	one, two = host{l.Host("app-1"), l, make(map[string]*lab.Unit)}, host{l.Host("app-2"), l, make(map[string]*lab.Unit)}
	for _, server := range servers {
		two.start(t, server+".service")
	}
	one.startMeshd(t)
	one.run(t, "", "sh", "-c", "head -c 2000000 /dev/urandom | base64 -w0 >/tmp/large")
	return one, two
}

// curlCall is what curl asks of a service, without the address, and the statuses of all heads that it is answered with.
type curlCall struct{ args, statuses string }

// changes are the parts of answers that are others each time, or of one connection alone.
var changes = regexp.MustCompile(`(?mi)^(date|last-modified|etag|www-authenticate|server-timing): .*|^connection: .*\n|` +
	`expires=[^;]*|-{24}[0-9a-f]{16}|\d{20}|"timestamp":\d+`)

// compare wants that what curl is answered with through meshd is the same, field by field and byte by byte, as what it is
// answered with when the kernel connects it.
func (h host) compare(t *testing.T, service string, calls []curlCall) {
	t.Helper()
	h.compareAs(t, service, calls, func(unit string, c curlCall) string { return h.curl(t, unit, service+".mesh", c.args) })
}

// compareAs is compare for what ask returns of the answers to a call from a unit.
func (h host) compareAs(t *testing.T, service string, calls []curlCall, ask func(unit string, c curlCall) string) {
	t.Helper()
	opened, before := h.opened(t), h.answered(t, "client", service)
	want := make([]string, len(calls))
	for i, c := range calls {
		want[i] = ask("direct", c)
	}
	if n := h.opened(t) - opened; n != 0 {
		t.Fatalf("what is to be compared with has made %d connections to meshd", n)
	}
	all := 0
	for i, c := range calls {
		got := ask("client", c)
		if heads := statuses(got); heads != c.statuses {
			t.Errorf("%s: answered with %s, want %s", c.args, heads, c.statuses)
		}
		if line, direct := firstDifference(got, want[i]); line != direct {
			t.Errorf("%s:\nthrough meshd: %.200q\nwithout it:    %.200q", c.args, line, direct)
		}
		all += len(strings.Fields(strings.ReplaceAll(c.statuses, "100 ", "")))
	}
	eventually(t, fmt.Sprintf("%d requests are counted", all), func() bool { return h.answered(t, "client", service)-before == all })
}

// curl has curl call an address from a unit, and returns the heads and bodies of all answers, without what changes.
func (h host) curl(t *testing.T, unit, address, args string) string {
	t.Helper()
	path, options, _ := strings.Cut(args, " ")
	call := append([]string{"curl", "-sSig", "http://" + address + path}, strings.Fields(options)...)
	answers, code := h.try(t, unit+".service", call...)
	if code != 0 {
		t.Fatalf("%q of %s: exit code %d\n%.1000s", call, unit, code, answers)
	}
	head, rest := beginning(answers)
	return changes.ReplaceAllLiteralString(head, "") + rest
}

// beginning returns as much of answers as may have heads in it, or small bodies, and what is only to be the same: to look at all of a
// large body for patterns takes a minute where it takes a moment to send it.
func beginning(answers string) (head, rest string) {
	n := min(len(answers), 128<<10)
	return answers[:n], answers[n:]
}

// answered returns how many requests of one service to another were answered by that, with whatever code.
func (h host) answered(t *testing.T, from, to string) (n int) {
	t.Helper()
	page := h.run(t, "", "curl", "-sS", "--fail", "http://127.0.0.1:15020/metrics")
	counted := regexp.MustCompile(fmt.Sprintf(`(?m)^meshd_requests_total{code="\d+",destination=%q,protocol="\w+",reason="done",source=%q} (\d+)$`, to, from))
	for _, found := range counted.FindAllStringSubmatch(page, -1) {
		count, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	return n
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/[0-9.]+ (\d+) `)

// statuses returns those of all the heads.
func statuses(answers string) string {
	var all []string
	head, _ := beginning(answers)
	for _, found := range statusLine.FindAllStringSubmatch(head, -1) {
		all = append(all, found[1])
	}
	return strings.Join(all, " ")
}

// firstDifference returns the first lines in which two texts differ.
func firstDifference(a, b string) (ofA, ofB string) {
	if a == b {
		return "", ""
	}
	linesA, linesB := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	for i := range min(len(linesA), len(linesB)) {
		if linesA[i] != linesB[i] {
			return linesA[i], linesB[i]
		}
	}
	return fmt.Sprintf("%d lines", len(linesA)), fmt.Sprintf("%d lines", len(linesB))
}
