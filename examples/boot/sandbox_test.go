//go:build boot

package boot_test

import (
	"strconv"
	"strings"
	"testing"
)

// needy is a unit that must not begin without the mesh.
const needy = `[Unit]
Requires=meshd-online.target
After=meshd-online.target

[Service]
ExecStart=/bin/sleep infinity
`

// TestSandbox has meshd do, under its unit, what the sandbox must leave it: each line of the unit that gives meshd something is
// needed here or by the other tests.
func TestSandbox(t *testing.T) {
	l := newLab(t)
	one := boot(t, l, "app-1")
	one.waitOnline(t)
	one.install(t)
	one.join(t)

	t.Run("files", func(t *testing.T) {
		one.run(t, "systemctl", "restart", "meshd") // by which all is written
		const want = "root:meshd 750 /run/meshd\nroot:meshd 660 /run/meshd/meshd.sock\nroot:meshd 700 /var/lib/meshd\n" +
			"root:meshd 600 /var/lib/meshd/catalog.state\nroot:meshd 600 /var/lib/meshd/endpoints.state\nroot:meshd 750 /var/log/meshd"
		got := one.run(t, "stat", "--format=%U:%G %a %n", "/run/meshd", "/run/meshd/meshd.sock", "/var/lib/meshd",
			"/var/lib/meshd/catalog.state", "/var/lib/meshd/endpoints.state", "/var/log/meshd")
		if strings.TrimSpace(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("hosts file", func(t *testing.T) {
		before := one.run(t, "cat", "/etc/hosts")
		one.shell(t, `printf 'dns {\n  hosts_file = true\n}\n' >>/etc/meshd/meshd.hcl`)
		one.run(t, "systemctl", "reload", "meshd")
		one.run(t, "timeout", "20", "sh", "-c", "until grep -q billing.mesh /etc/hosts; do sleep 0.1; done")
		one.run(t, "sed", "-i", "/^dns {/,$d", "/etc/meshd/meshd.hcl")
		one.run(t, "systemctl", "reload", "meshd")
		one.run(t, "timeout", "20", "sh", "-c", "while grep -q meshd /etc/hosts; do sleep 0.1; done")
		if after := one.run(t, "cat", "/etc/hosts"); after != before {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
	})
	t.Run("store", func(t *testing.T) {
		s := one.status(t)
		stored, err := strconv.Atoi(strings.TrimSpace(one.run(t, "systemctl", "show", "--value", "--property=NFileDescriptorStore", "meshd")))
		if err != nil || stored < len(s.Listeners) {
			t.Errorf("systemd keeps %d descriptors, %v; listeners are %v", stored, err, s.Listeners)
		}
		if len(s.Problems) > 0 {
			t.Errorf("problems %v", s.Problems)
		}
	})
	t.Run("online", func(t *testing.T) {
		one.startUnit(t, "needy.service", needy)
		pid := one.run(t, "systemctl", "show", "--value", "--property=MainPID", "needy")
		one.run(t, "systemctl", "restart", "meshd")
		if now := one.run(t, "systemctl", "show", "--value", "--property=MainPID", "needy"); now != pid {
			t.Errorf("a restart of meshd has restarted what needs the mesh: process %s, before %s", now, pid)
		}
		one.run(t, "systemctl", "stop", "meshd")
		if output, code := one.try(t, "meshctl", "wait", "-timeout", "200ms"); code != 3 {
			t.Errorf("meshctl wait without meshd: exit code %d, %s", code, output)
		}
		one.run(t, "systemctl", "--no-block", "start", "meshd")
		one.run(t, "meshctl", "wait")
	})
}
