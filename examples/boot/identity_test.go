//go:build boot

package boot_test

import (
	"path/filepath"
	"testing"
)

// callers are services that only call, by what their processes are for systemd.
const callers = `
service "templated" {
  workload {
    unit  = "shop@*.service"
    hosts = ["app-1"]
  }
}
service "sliced" {
  workload {
    cgroup = "/shop.slice/*"
    hosts  = ["app-1"]
  }
}
service "activated" {
  workload {
    unit  = "activated@*.service"
    hosts = ["app-1"]
  }
}
service "timed" {
  workload {
    unit  = "timed.service"
    hosts = ["app-1"]
  }
}
service "transient" {
  workload {
    unit  = "run-*.service"
    hosts = ["app-1"]
  }
}
service "scoped" {
  workload {
    unit  = "shop.scope"
    hosts = ["app-1"]
  }
}
service "alice" {
  workload {
    unit  = "user@*.service"
    user  = "alice"
    hosts = ["app-1"]
  }
}
`

// call is a program that ends as soon as it has called: what it was must be known by then.
const (
	callPath = "/usr/local/bin/call"
	call     = "#!/bin/sh\nexec curl -sS --fail http://billing.mesh/\n"
)

// TestIdentity has each kind of process that systemd knows call once.
func TestIdentity(t *testing.T) {
	one, _ := newPair(t)
	one.run(t, "useradd", "--create-home", "alice")
	one.write(t, "/etc/meshd/mesh.d/callers.hcl", callers)
	one.run(t, "systemctl", "reload", "meshd")
	one.writeMode(t, callPath, call, 0o755)
	one.writeUnits(t)
	one.run(t, "loginctl", "enable-linger", "alice")
	one.run(t, "systemctl", "start", "user@"+one.run(t, "id", "-u", "alice")+".service", "ssh")
	one.shell(t, `
mkdir -p -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
install -m 600 /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
install -d -m 700 -o alice -g alice /home/alice/.ssh
install -m 600 -o alice -g alice /root/.ssh/id_ed25519.pub /home/alice/.ssh/authorized_keys
`)
	const (
		asAlice = `exec runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/$(id -u alice) `
		ssh     = `ssh -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR `
		own     = "host:app-1"
	)
	for _, test := range []struct{ name, source, line string }{
		{"unit", "web", "systemctl start web"},
		{"template", "templated", "systemctl start shop@1"},
		{"slice", "sliced", "systemctl start in-slice"},
		{"unit in a slice of its own", "sliced", "systemd-run --quiet --wait --slice=shop-more.slice --unit=deep " + callPath},
		{"socket-activated", "activated", "exec 3<>/dev/tcp/127.0.0.1/7000; cat <&3"},
		{"timer", "timed", "systemctl start timed.timer; until systemctl show -p Result -p ExecMainExitTimestampMonotonic timed.service | grep -q 'Monotonic=[1-9]'; do sleep 0.05; done"},
		{"systemd-run", "transient", "systemd-run --quiet --wait " + callPath},
		{"systemd-run --scope", "scoped", "systemd-run --quiet --scope --unit=shop " + callPath},
		{"unit of a user", "alice", asAlice + "systemd-run --user --quiet --wait " + callPath},
		{"unit of a user with the name of a service", "alice", asAlice + "systemd-run --user --quiet --wait --unit=web.service " + callPath},
		{"cron", own, "systemctl start cron; until [ -e /run/cron-has-called ]; do sleep 0.05; done"},
		{"session of root", own, ssh + "root@127.0.0.1 " + callPath},
		{"session of alice", own, ssh + "alice@127.0.0.1 " + callPath},
		{"session that su began", own, "su - alice -c " + callPath},
		{"unit of no service", own, "systemd-run --quiet --wait --unit=nobody " + callPath},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := one.sources(t)
			one.shell(t, test.line)
			before[test.source]++
			eventually(t, "the connection is known as one of "+test.source, func() bool {
				return one.opened(t, test.source) == before[test.source]
			})
			for source, n := range one.sources(t) {
				if n != before[source] {
					t.Errorf("%v connections are known as those of %s, want %v", n, source, before[source])
				}
			}
		})
	}
}

// sources returns how many connections to billing each source has opened.
func (h host) sources(t *testing.T) map[string]float64 {
	t.Helper()
	opened := map[string]float64{}
	for _, source := range []string{"host:app-1", "billing", "web", "templated", "sliced", "activated", "timed", "transient", "scoped", "alice"} {
		opened[source] = h.opened(t, source)
	}
	return opened
}

func (h host) writeUnits(t *testing.T) {
	t.Helper()
	const oneshot = "[Service]\nType=oneshot\nExecStart=" + callPath + "\n"
	for name, text := range map[string]string{
		"web.service":        oneshot,
		"shop@.service":      oneshot,
		"in-slice.service":   oneshot + "Slice=shop.slice\n",
		"timed.service":      oneshot,
		"timed.timer":        "[Timer]\nOnActiveSec=10ms\nAccuracySec=1ms\n",
		"activated.socket":   "[Socket]\nListenStream=127.0.0.1:7000\nAccept=yes\n",
		"activated@.service": "[Service]\nStandardInput=socket\nStandardOutput=socket\nExecStart=" + callPath + "\n",
	} {
		h.write(t, filepath.Join("/etc/systemd/system", name), text)
	}
	h.writeMode(t, "/etc/cron.d/call", "@reboot root "+callPath+" && touch /run/cron-has-called\n", 0o644)
	h.run(t, "systemctl", "daemon-reload")
	h.run(t, "systemctl", "start", "activated.socket")
}
