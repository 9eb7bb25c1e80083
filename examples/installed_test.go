package examples_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
)

// TestInstalled: with the configuration of the package meshd runs and leaves the host alone, until the files of a mesh come.
func TestInstalled(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	const hostsFile = "/etc/meshd/mesh.d/hosts.hcl"
	mesh := map[string]string{hostsFile: one.read(t, hostsFile), servicesFile: one.read(t, servicesFile)}
	for path := range mesh {
		remove(path)(t, one)
	}
	for from, to := range map[string]string{"meshd.hcl": nodeFile, "mesh.hcl": "/etc/meshd/mesh.d/mesh.hcl"} {
		text, err := os.ReadFile(filepath.Join("../packaging/etc", from))
		if err != nil {
			t.Fatal(err)
		}
		one.write(t, to, string(text))
	}

	one.startMeshd(t)
	s := one.status(t)
	if s.State != control.StateReady || s.Mesh != "" || s.Capture.State != control.CaptureOff || s.Host != "app-1" {
		t.Errorf("status %+v", s)
	}
	if output := one.run(t, "", "meshctl", "status"); !strings.Contains(output, "app-1: ready, not capturing (no mesh is configured yet") {
		t.Errorf("meshctl status:\n%s", output)
	}
	if routes := one.routes(t); len(routes) > 0 {
		t.Errorf("routes %q", routes)
	}
	if output, code := one.try(t, "", "getent", "hosts", "hello.mesh"); code == 0 {
		t.Errorf("hello.mesh is known: %s", output)
	}
	if !slices.ContainsFunc(one.queries(t), func(q string) bool { return strings.HasSuffix(q, " A hello.mesh.") }) || one.status(t).DNS.Queries != 0 {
		t.Errorf("a query did not go its own way: the resolver has %q, meshd %d", one.queries(t), one.status(t).DNS.Queries)
	}

	for path, text := range mesh {
		one.write(t, path, text)
	}
	one.run(t, "", "meshctl", "reload")
	if s := one.status(t); s.Mesh == "" || s.Capture.State != control.CaptureActive {
		t.Errorf("status after the reload %+v", s)
	}
	one.run(t, "", "curl", "--fail", "--silent", hello)
}
