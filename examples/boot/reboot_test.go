//go:build boot

package boot_test

import (
	"testing"
)

// TestReboot has a host whose services need the mesh in their own start: an nginx that looks up where it sends requests to
// when it reads its configuration, and will not start without an answer; and a unit that is ordered by the target of meshd.
func TestReboot(t *testing.T) {
	one, two := newPair(t)
	one.write(t, "/etc/nginx/sites-enabled/default", `
server {
	listen 8000;
	location / {
		proxy_pass http://billing.mesh;
	}
}
`)
	one.run(t, "systemctl", "enable", "nginx")
	one.write(t, "/etc/systemd/system/web.service", `
[Unit]
Requires=meshd-online.target
After=meshd-online.target network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/curl -sS --fail -o /run/page http://billing.mesh/

[Install]
WantedBy=multi-user.target
`)
	one.run(t, "systemctl", "enable", "web")
	for _, h := range []host{two, one} {
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkStatus(t, h)
		if failed := h.run(t, "systemctl", "list-units", "--failed", "--plain", "--no-legend"); failed != "" {
			t.Errorf("%s: units have failed: %s", h.Name(), failed)
		}
	}
	for what, page := range map[string]string{
		"through nginx": one.run(t, "curl", "-sS", "http://127.0.0.1:8000/"),
		"by name":       one.run(t, "curl", "-sS", billing),
		"at boot":       one.run(t, "cat", "/run/page"),
	} {
		if page != "billing of app-2" {
			t.Errorf("%s one reads %q", what, page)
		}
	}
	if n := one.opened(t, "web"); n != 1 {
		t.Errorf("web has opened %v connections, want one", n)
	}
	if err := one.PowerOff(t.Context()); err != nil {
		t.Error(err)
	}
}
