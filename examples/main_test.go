// Package examples_test tries out the whole of meshd: the examples of this folder, in labs, with real programs.
package examples_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

const (
	example  = "01-two-hosts"
	hello    = "http://hello.mesh/"
	password = "open-sesame" // of the cache

	nodeFile     = "/etc/meshd/meshd.hcl"
	servicesFile = "/etc/meshd/mesh.d/services.hcl"
)

// meshd is the binary under test.
var meshd string

// self is this binary, which is also a client: see client_test.go. A host does not see the folder that it lies in, but
// the process.
var self = fmt.Sprintf("/proc/%d/exe", os.Getpid())

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "client" {
		os.Exit(client(os.Args[2:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "meshd-")
	if err == nil {
		defer os.RemoveAll(folder)
		meshd, err = binary(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// binary returns the meshd that the environment names, or builds one.
func binary(folder string) (string, error) {
	if named := os.Getenv("MESHD_BINARY"); named != "" {
		return named, nil
	}
	path := filepath.Join(folder, "meshd")
	build := exec.Command("go", "build", "-o", path, "../cmd/meshd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build meshd: %w\n%s", err, output)
	}
	return path, nil
}

// host is a host of a lab, with the words that the tests are written in.
type host struct {
	*lab.Host
	lab   *lab.Lab
	units map[string]*lab.Unit // of the lab's folder
}

// newLab makes a lab of the first example in which the applications run, and meshd does not yet.
func newLab(t *testing.T) (one, two host) {
	t.Helper()
	l := lab.New(t, lab.Config{Dir: example, Meshd: meshd})
	return startUnits(t, l, "app-1"), startUnits(t, l, "app-2")
}

// startUnits starts all units that the folder of the lab has for a host.
func startUnits(t *testing.T, l *lab.Lab, name string) host {
	t.Helper()
	h := host{l.Host(name), l, make(map[string]*lab.Unit)}
	files, err := h.UnitFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if h.units[file], err = h.Start(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// startMesh is newLab with meshd on the first host, where the callers are.
func startMesh(t *testing.T) (one, two host, daemon *lab.Unit) {
	t.Helper()
	one, two = newLab(t)
	return one, two, one.startMeshd(t)
}

func (h host) startMeshd(t *testing.T, args ...string) *lab.Unit {
	t.Helper()
	unit, err := h.StartMeshd(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

// try runs a command in a unit, or in a session for the unit "", and returns its output and its exit code.
func (h host) try(t *testing.T, unit string, argv ...string) (string, int) {
	t.Helper()
	return finish(t, h.Command(t.Context(), unit, argv...))
}

// finish runs a command to its end, which a minute must be enough for.
func finish(t *testing.T, cmd *lab.Cmd) (string, int) {
	t.Helper()
	// What hangs is a failure that should show where, and before the time of the whole package is over.
	giveUp := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer giveUp.Stop()
	output, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(output), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	return string(output), 0
}

// run is try for a command that must succeed. The output has no space around it.
func (h host) run(t *testing.T, unit string, argv ...string) string {
	t.Helper()
	output, code := h.try(t, unit, argv...)
	if code != 0 {
		t.Fatalf("%s: %q: exit code %d\n%s", h.Name(), argv, code, output)
	}
	return strings.TrimSpace(output)
}

// background runs a command in the unit web until the test ends.
func (h host) background(t *testing.T, argv ...string) {
	t.Helper()
	cmd := h.Command(t.Context(), "web.service", argv...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// page gets pages as the unit web does.
func (h host) page(t *testing.T, args ...string) (string, int) {
	t.Helper()
	text, code := h.try(t, "web.service", append([]string{"curl", "-sS"}, args...)...)
	return strings.TrimSpace(text), code
}

// resolved returns the arguments by which curl knows the addresses of hello without asking for them.
func (h host) resolved(t *testing.T) []string {
	t.Helper()
	return []string{"--resolve", fmt.Sprintf("hello.mesh:80:%s,[%s]", h.virtual(t, "hello", 4), h.virtual(t, "hello", 6)), hello}
}

// virtual returns the virtual address of a service, of IPv4 or IPv6, as its name is answered.
func (h host) virtual(t *testing.T, service string, version int) string {
	t.Helper()
	address, _, _ := strings.Cut(h.run(t, "", "getent", fmt.Sprintf("ahostsv%d", version), service+".mesh"), " ")
	return address
}

// write replaces a file of the host.
func (h host) write(t *testing.T, path, text string) {
	t.Helper()
	if err := h.Do(func() error { return os.WriteFile(path, []byte(text), 0o644) }); err != nil {
		t.Fatal(err)
	}
}

func (h host) read(t *testing.T, path string) string {
	t.Helper()
	var text []byte
	err := h.Do(func() (err error) {
		text, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edit replaces a part, which must be there, of a file of the host.
func (h host) edit(t *testing.T, path, old, new string) {
	t.Helper()
	text := h.read(t, path)
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not contain %q", path, old)
	}
	h.write(t, path, strings.Replace(text, old, new, 1))
}

// captureBlock is the one of the example.
const captureBlock = `capture {
  mode = "mesh"
  fail = "open"
}`

// query asks meshd through meshctl and its JSON.
func query[T any](t *testing.T, h host, args ...string) T {
	t.Helper()
	var answer T
	text := h.run(t, "", append([]string{"meshctl"}, append(args, "-o", "json")...)...)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("meshctl %v: %v\n%s", args, err, text)
	}
	return answer
}

func (h host) status(t *testing.T) control.Status {
	t.Helper()
	return query[control.Status](t, h, "status")
}

func (h host) connections(t *testing.T) []control.Connection {
	t.Helper()
	return query[control.ConnectionList](t, h, "connections").Connections
}

// opened returns how many connections meshd was handed since it was started.
func (h host) opened(t *testing.T) uint64 {
	t.Helper()
	return h.status(t).Connections.OpenedTotal
}

// endpoint returns one endpoint of a service.
func (h host) endpoint(t *testing.T, service, name string) control.Endpoint {
	t.Helper()
	for _, e := range query[control.EndpointList](t, h, "endpoints", service).Endpoints {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("service %s has no endpoint %s", service, name)
	return control.Endpoint{}
}

// metric returns the value of a metric, which is written with its labels in the order of their names; 0 when there is none.
func (h host) metric(t *testing.T, series string) float64 {
	t.Helper()
	page := h.run(t, "", "curl", "-sS", "--fail", "http://127.0.0.1:15020/metrics")
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(page)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatalf("metric %s: %v", series, err)
	}
	return value
}

// counted returns the sum of all series of a metric that have these parts.
func (h host) counted(t *testing.T, parts ...string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(h.run(t, "", "curl", "-sS", "--fail", "http://127.0.0.1:15020/metrics")) {
		if slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " ")+1:]), 64)
		if err != nil {
			t.Fatalf("metric %s: %v", line, err)
		}
		sum += value
	}
	return sum
}

// event returns how often the kernel programs have counted an event.
func (h host) event(t *testing.T, name string) float64 {
	t.Helper()
	return h.metric(t, fmt.Sprintf("meshd_kernel_events_total{event=%q}", name))
}

// eventually is what many tests need.
var eventually = lab.Eventually
