//go:build boot

package boot_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshd/meshd/engine/control"
)

// TestInstall is the life of a package, in the words of README: dpkg -i, one file, systemctl start; and apt purge.
func TestInstall(t *testing.T) {
	l := newLab(t)
	one, two := boot(t, l, "app-1"), boot(t, l, "app-2")
	hosts := []host{one, two}
	two.serve(t)
	before := map[string]string{}
	for _, h := range hosts {
		h.waitOnline(t)
		before[h.Name()] = h.traces(t)
	}
	for _, h := range hosts {
		h.install(t)
		s := h.status(t)
		if s.State != control.StateReady || s.Mesh != "" || len(s.Problems) != 0 {
			t.Errorf("%s, without a mesh: %s, mesh %q, problems %v", h.Name(), s.State, s.Mesh, s.Problems)
		}
		h.join(t)
	}

	if page := one.as(t, "web.service", "curl", "-sS", billing); page != "billing of app-2" {
		t.Errorf("web reads %q", page)
	}
	if page := two.run(t, "curl", "-sS", billing); page != "billing of app-2" {
		t.Errorf("on its own host one reads %q", page)
	}
	for _, h := range hosts {
		checkStatus(t, h)
	}
	if n := one.opened(t, "web"); n != 1 {
		t.Errorf("web has opened %v connections, want one", n)
	}

	t.Run("reload", func(t *testing.T) { tryReload(t, one) })
	t.Run("upgrade", func(t *testing.T) { tryUpgrade(t, one) })
	t.Run("measure", func(t *testing.T) { measure(t, one) })

	for _, h := range hosts {
		h.run(t, "apt-get", "--yes", "--quiet", "purge", "meshd")
		h.run(t, "rm", "-f", "/root/meshd.deb")
		if diff := cmp.Diff(strings.Split(before[h.Name()], "\n"), strings.Split(h.traces(t), "\n")); diff != "" {
			t.Errorf("%s is not as it was before the installation; -before +now:\n%s", h.Name(), diff)
		}
	}
}

// checkStatus makes sure that meshd says that all is well, and what there is.
func checkStatus(t *testing.T, h host) {
	t.Helper()
	s := h.status(t)
	if s.Host != h.Name() || s.Mesh != "shop" || s.State != control.StateReady || s.Capture.State != control.CaptureActive {
		t.Errorf("%s: %s of mesh %q is %s, capture %s", h.Name(), s.Host, s.Mesh, s.State, s.Capture.State)
	}
	if len(s.Problems) != 0 || s.Services != 2 || s.Endpoints != 1 || s.Capture.Cgroup != "/sys/fs/cgroup" {
		t.Errorf("%s: problems %v, %d services, %d endpoints, capture below %s", h.Name(), s.Problems, s.Services, s.Endpoints, s.Capture.Cgroup)
	}
	if text := h.run(t, "systemctl", "status", "meshd"); !strings.Contains(text, `Status: "2 services, 1 endpoint,`) {
		t.Errorf("%s: systemctl status says:\n%s", h.Name(), text)
	}
	if report, code := h.try(t, "meshctl", "check"); code != 0 {
		t.Errorf("%s: meshctl check: exit code %d\n%s", h.Name(), code, report)
	}
}

// tryReload applies a good file and one that is broken, by systemctl.
func tryReload(t *testing.T, h host) {
	good := string(read(t, filepath.Join(folder, "mesh.d/mesh.hcl")))
	more := good + "\nservice \"nightly\" {\n  workload {\n    unit  = \"nightly.service\"\n    hosts = [\"app-1\"]\n  }\n}\n"
	h.write(t, meshFile, more)
	h.run(t, "systemctl", "reload", "meshd")
	if s := h.status(t); s.Services != 3 {
		t.Errorf("after a reload there are %d services, want 3", s.Services)
	}

	h.write(t, meshFile, strings.Replace(more, "port = 80\n", "prot = 80\n", 1))
	if output, code := h.try(t, "systemctl", "reload", "meshd"); code == 0 {
		t.Errorf("the reload of a broken file succeeded: %s", output)
	}
	eventually(t, "systemctl status has the diagnostic, which the journal reads after the reload has ended", func() bool {
		status := h.run(t, "systemctl", "status", "meshd")
		return strings.Contains(status, "on "+meshFile+" line 15") && strings.Contains(status, "prot = 80")
	})
	if text := h.run(t, "journalctl", "--unit=meshd", "--priority=err", "--output=cat"); !strings.Contains(text, "configuration refused") {
		t.Errorf("to the journal the refusal is no error:\n%s", text)
	}
	s := h.status(t)
	if s.Config.LastError == nil || s.Services != 3 {
		t.Errorf("%d services run on, want 3; the last error is %v", s.Services, s.Config.LastError)
	}
	if page := h.run(t, "curl", "-sS", billing); page != "billing of app-2" {
		t.Errorf("after a reload that failed one reads %q", page)
	}

	h.write(t, meshFile, good)
	h.run(t, "systemctl", "reload", "meshd")
	checkStatus(t, h)
}

// tryUpgrade installs the package over itself: meshd is restarted, unless it could not start with the configuration.
func tryUpgrade(t *testing.T, h host) {
	good := string(read(t, filepath.Join(folder, "mesh.d/mesh.hcl")))
	before := h.status(t).PID
	h.write(t, meshFile, good+"nonsense {}\n")
	if output := h.run(t, "dpkg", "-i", "/root/meshd.deb"); !strings.Contains(output, "this release refuses the configuration") {
		t.Errorf("dpkg does not say that meshd was not restarted: %s", output)
	}
	if s := h.status(t); s.PID != before || s.State != control.StateReady {
		t.Errorf("meshd of pid %d is %s, want the one of pid %d", s.PID, s.State, before)
	}
	h.write(t, "/etc/default/meshd", "MESHD_OPTS=\"-config /etc/meshd/meshd.hcl\"\n") // of which validate does not know
	h.write(t, meshFile, good)
	if h.run(t, "dpkg", "-i", "/root/meshd.deb"); h.status(t).PID == before {
		t.Error("an upgrade does not restart meshd")
	}
	h.run(t, "rm", "/etc/default/meshd")
	h.run(t, "systemctl", "restart", "meshd")
	checkStatus(t, h)

	// A group that is the first one of a user cannot go with the package.
	h.run(t, "useradd", "--system", "--gid", "meshd", "alice")
	h.run(t, "apt-get", "--yes", "--quiet", "purge", "meshd")
	h.run(t, "userdel", "alice")
	h.shell(t, "! getent group meshd || groupdel meshd")
	h.install(t)
	h.join(t)
}
