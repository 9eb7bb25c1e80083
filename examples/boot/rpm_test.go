//go:build boot

package boot_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshd/meshd/engine/control"
)

// TestRPM installs the other package on a host, by the rpm of Debian and with all scripts run, and compares what is there
// then with what the deb leaves. Two things have to be forced, because the host is none of rpm's: --nodeps, as its database
// knows of no systemd and no /bin/sh; and --force-debian, as that rpm would send the user to alien.
func TestRPM(t *testing.T) {
	l := newLab(t)
	one, two := boot(t, l, "app-1"), boot(t, l, "app-2")
	one.install(t)
	two.serve(t)
	two.waitOnline(t)
	before := two.traces(t)

	two.copy(t, required(t, "MESHD_RPM"), "/root/meshd.rpm", 0o644)
	if output := two.run(t, "rpm", "--install", "--nodeps", "--force-debian", "/root/meshd.rpm"); strings.Contains(output, "warning") {
		t.Errorf("rpm says: %s", output)
	}
	two.run(t, "rpm", "--verify", "--nodeps", "meshd")
	want := one.modes(t, "dpkg --listfiles meshd")
	got := two.modes(t, "rpm --query --list meshd")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files, modes and owners of the deb (-) and the rpm (+) differ:\n%s", diff)
	}

	// A distribution with rpm leaves it to presets what is enabled, and starts nothing.
	if state, _ := two.try(t, "systemctl", "is-active", "meshd"); strings.TrimSpace(state) != "inactive" {
		t.Errorf("after the installation meshd is %s", state)
	}
	two.join(t)
	if s := two.status(t); s.State != control.StateReady || s.Mesh != "shop" {
		t.Errorf("%s of mesh %q, problems %v", s.State, s.Mesh, s.Problems)
	}
	if page := two.run(t, "curl", "-sS", billing); page != "billing of app-2" {
		t.Errorf("one reads %q", page)
	}

	// An upgrade ends with the scripts of the package before it, here of the same one.
	pid := two.status(t).PID
	two.shell(t, "echo 'nonsense {}' >>"+meshFile)
	upgrade := []string{"rpm", "--upgrade", "--replacepkgs", "--nodeps", "--force-debian", "/root/meshd.rpm"}
	if output := two.run(t, upgrade...); !strings.Contains(output, "this release refuses the configuration") || two.status(t).PID != pid {
		t.Errorf("an upgrade ends the mesh, or does not say that it keeps it: %s", output)
	}
	two.copy(t, filepath.Join(folder, "mesh.d/mesh.hcl"), meshFile, 0o644)
	if two.run(t, upgrade...); two.status(t).PID == pid {
		t.Error("an upgrade does not restart meshd")
	}

	two.run(t, "rpm", "--erase", "meshd")
	// As is the custom with rpm, a file that was edited is kept, and so are the group and the state.
	two.shell(t, "ls /etc/meshd/mesh.d/mesh.hcl.rpmsave; rm -r /root/meshd.rpm /etc/meshd /var/lib/meshd /var/log/meshd; groupdel meshd")
	left := func(text string) (lines []string) {
		for line := range strings.Lines(text) {
			// Folders that other packages have where rpm is at home stay, and rpm has made a database.
			if !strings.HasPrefix(line, "file ") || strings.Contains(line, "meshd") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if diff := cmp.Diff(left(before), left(two.traces(t))); diff != "" {
		t.Errorf("the host is not as it was before the installation; -before +now:\n%s", diff)
	}
}

// modes returns mode, owner and path of what a package has installed. Documents lie elsewhere in each distribution, and
// folders of others are not of the package.
func (h host) modes(t *testing.T, list string) []string {
	t.Helper()
	text := h.shell(t, list+` | grep meshd | grep -v '^/usr/share/\(doc\|licenses\|lintian\)' | xargs stat --format='%A %U:%G %n' | sort --key=3`)
	return strings.Split(text, "\n")
}
