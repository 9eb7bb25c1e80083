package systemd

import (
	"strings"
	"testing"
)

const containerID = "3f29c6f20b8a4be2b2a0c1a1d0e5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d"

func TestUnitOf(t *testing.T) {
	for path, want := range map[string]string{
		"":                           "",
		"/":                          "",
		"/init.scope":                "init.scope",
		"/system.slice":              "",
		"/system.slice/meshd.lock":   "",
		"/system.slice/.service":     "",
		"/system.slice/@.service":    "",
		"/system.slice/nginx":        "",
		"/lab/web.service":           "", // not made by systemd
		"/system.slice/web.service":  "web.service",
		"/system.slice/web.service/": "web.service",
		"/system.slice/web.socket":   "web.socket",
		"/system.slice/home.mount":   "home.mount",
		"/system.slice/system-getty.slice/getty@tty1.service":                 "getty@tty1.service",
		"/system.slice/dev-disk-by\\x2dlabel-swap.swap":                       "dev-disk-by\\x2dlabel-swap.swap",
		"/system.slice/_memory.service":                                       "memory.service",
		"/system.slice/__hidden.service":                                      "_hidden.service",
		"/system.slice/docker.service/web.service":                            "docker.service",
		"/system.slice/web.service/worker/1":                                  "web.service",
		"/system.slice/docker-" + containerID + ".scope":                      "docker-" + containerID + ".scope",
		"/machine.slice/machine-a\\x2db.scope/payload/x.service":              "machine-a\\x2db.scope",
		"/user.slice/user-1000.slice/session-3.scope":                         "session-3.scope",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/web.service": "user@1000.service",
		"/user.slice/user-1000.slice/user@1000.service/init.scope":            "user@1000.service",
	} {
		if got := UnitOf(path); got != want {
			t.Errorf("UnitOf(%q) = %q, want %q", path, got, want)
		}
	}
}

func FuzzUnitOf(f *testing.F) {
	f.Add("/system.slice/web.service/worker")
	f.Add("/user.slice/user-1000.slice/user@1000.service/init.scope")
	f.Add(`/system.slice/_dev-a\x2db.swap`)
	f.Fuzz(func(t *testing.T, path string) {
		unit := UnitOf(path)
		if unit == "" {
			return
		}
		if !strings.Contains(path, unit) || strings.ContainsAny(unit, "/\n ") {
			t.Errorf("UnitOf(%q) = %q", path, unit)
		}
		if got := UnitOf(path + "/system.slice/other.service"); got != unit {
			t.Errorf("a cgroup inside of %s is taken for %s", unit, got)
		}
	})
}
