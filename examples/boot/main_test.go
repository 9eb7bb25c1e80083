//go:build boot

// Package boot_test tries out the packages of meshd on hosts that boot: systemd, unmodified programs and dpkg are the
// real ones. make test-boot runs it.
package boot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

const (
	folder   = "shop" // which hosts there are, and the one file that is written on each
	meshFile = "/etc/meshd/mesh.d/mesh.hcl"
	billing  = "http://billing.mesh/"
)

// host is a host with the words that the tests are written in.
type host struct{ *lab.Booted }

// self is this binary, which is also a client: see client_test.go.
const self = "/proc/self/exe"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "client" {
		os.Exit(client(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// newLab makes a lab whose hosts are off, and makes sure that nothing of it gets to the machine's own cgroups.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	before := attachedToMachine(t)
	l := lab.New(t, lab.Config{Dir: folder, Tree: required(t, "MESHD_BOOT_TREE")})
	t.Cleanup(func() {
		if after := attachedToMachine(t); after != before {
			t.Errorf("programs on the root cgroup of the machine, before:\n%sand now:\n%s", before, after)
		}
	})
	return l
}

// required returns what make test-boot says where it is.
func required(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set; run: make test-boot", variable)
	}
	path, err := filepath.Abs(value)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func boot(t *testing.T, l *lab.Lab, name string) host {
	t.Helper()
	b, err := l.Boot(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return host{b}
}

// try runs a command and returns its output and its exit code.
func (h host) try(t *testing.T, argv ...string) (string, int) {
	t.Helper()
	cmd := h.Command(t.Context(), argv...)
	// What hangs is a failure that should show where, and before the time of the whole package is over.
	giveUp := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer giveUp.Stop()
	output, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(output), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("%s: %q: %v", h.Name(), argv, err)
	}
	return string(output), 0
}

// run is try for a command that must succeed. The output has no space around it.
func (h host) run(t *testing.T, argv ...string) string {
	t.Helper()
	output, code := h.try(t, argv...)
	if code != 0 {
		t.Fatalf("%s: %q: exit code %d\n%s", h.Name(), argv, code, output)
	}
	return strings.TrimSpace(output)
}

// shell is run for a line of the shell.
func (h host) shell(t *testing.T, line string) string {
	t.Helper()
	return h.run(t, "bash", "-euo", "pipefail", "-c", line)
}

// write replaces a file of the host.
func (h host) write(t *testing.T, path, text string) {
	t.Helper()
	h.writeMode(t, path, text, 0o644)
}

func (h host) writeMode(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	err := h.Do(func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text), mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copy writes a file of the machine to the host.
func (h host) copy(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	h.writeMode(t, to, string(read(t, from)), mode)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// install installs the package that make packages has built, as README says.
func (h host) install(t *testing.T) {
	t.Helper()
	h.copy(t, required(t, "MESHD_DEB"), "/root/meshd.deb", 0o644)
	if output := h.run(t, "dpkg", "-i", "/root/meshd.deb"); strings.Contains(output, "warning") {
		t.Errorf("%s: dpkg says: %s", h.Name(), output)
	}
}

// join writes the one file and has meshd read it, as README says. The deb has started meshd, the rpm leaves it to the user.
func (h host) join(t *testing.T) {
	t.Helper()
	h.copy(t, filepath.Join(folder, "mesh.d/mesh.hcl"), meshFile, 0o644)
	h.run(t, "meshctl", "validate")
	h.run(t, "systemctl", "start", "meshd")
	h.run(t, "systemctl", "reload", "meshd")
}

// newPair makes two hosts that are of the mesh, the second of which serves billing.
func newPair(t *testing.T) (one, two host) {
	t.Helper()
	l := newLab(t)
	one, two = boot(t, l, "app-1"), boot(t, l, "app-2")
	mesh(t, one, two)
	return one, two
}

func mesh(t *testing.T, one, two host) {
	t.Helper()
	two.serve(t)
	for _, h := range []host{one, two} {
		h.waitOnline(t)
		h.install(t)
		h.join(t)
	}
}

// query asks meshd through meshctl and its JSON.
func query[T any](t *testing.T, h host, args ...string) T {
	t.Helper()
	var answer T
	text := h.run(t, append([]string{"meshctl"}, append(args, "-o", "json")...)...)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("meshctl %v: %v\n%s", args, err, text)
	}
	return answer
}

func (h host) status(t *testing.T) control.Status {
	t.Helper()
	return query[control.Status](t, h, "status")
}

// startUnit writes a unit file and starts it.
func (h host) startUnit(t *testing.T, name, text string) {
	t.Helper()
	h.write(t, "/etc/systemd/system/"+name, text)
	h.run(t, "systemctl", "daemon-reload")
	h.run(t, "systemctl", "start", name)
}

// as runs a command as a unit that ends with it, and returns its output.
func (h host) as(t *testing.T, unit string, argv ...string) string {
	t.Helper()
	return h.run(t, append([]string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit=" + unit}, argv...)...)
}

// serve has the nginx of Debian answer with the name of the host.
func (h host) serve(t *testing.T) {
	t.Helper()
	h.write(t, "/etc/nginx/sites-enabled/default", fmt.Sprintf(`
server {
	listen 8080;
	listen [::]:8080;
	location / {
		return 200 "billing of %s\n";
	}
}
`, h.Name()))
	h.run(t, "systemctl", "enable", "--now", "nginx")
}

// eventually is what many tests need.
var eventually = lab.Eventually
