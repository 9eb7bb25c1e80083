//go:build boot

package boot_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
)

// TestNames asks by all the ways that programs have, on a host with systemd-resolved and nss-resolve and on one that never
// had them; on each also with nscd in between.
func TestNames(t *testing.T) {
	l := newLab(t)
	one, two := boot(t, l, "app-1"), boot(t, l, "app-2")
	two.run(t, "dpkg", "--purge", "libnss-resolve", "systemd-resolved")
	two.run(t, "rm", "-f", "/etc/resolv.conf")
	two.write(t, "/etc/resolv.conf", "nameserver 10.77.0.1\n")
	mesh(t, one, two)
	for _, host := range []struct {
		host
		resolved bool
	}{{one, true}, {two, false}} {
		if hosts := host.shell(t, "grep ^hosts: /etc/nsswitch.conf"); strings.Contains(hosts, " resolve") != host.resolved {
			t.Errorf("%s: nsswitch.conf has %s", host.Name(), hosts)
		}
		for _, cached := range []bool{false, true} {
			t.Run(fmt.Sprintf("resolved=%v nscd=%v", host.resolved, cached), func(t *testing.T) {
				if cached {
					host.run(t, "systemctl", "start", "nscd")
				}
				resolveByAll(t, host.host, host.resolved)
				if cached && !strings.Contains(host.run(t, "nscd", "--statistics"), "hosts cache:") {
					t.Error("nscd does not run")
				}
			})
		}
	}
}

// TestResolverChange has another resolver come into resolv.conf, at whose place systemd keeps sockets of the one before.
func TestResolverChange(t *testing.T) {
	one, _ := newPair(t)
	one.run(t, "rm", "/etc/resolv.conf")
	for _, resolver := range []string{"10.77.0.1", "127.0.0.53"} {
		one.write(t, "/etc/resolv.conf", "nameserver "+resolver+"\n")
		eventually(t, "queries to "+resolver+" are captured", func() bool {
			return slices.Equal(one.status(t).DNS.Resolvers, []string{resolver + ":53"})
		})
		resolveByAll(t, one, false)
	}
	checkStatus(t, one)
}

// resolveByAll looks names up: one of the mesh, one outside, and one of the mesh that does not exist.
func resolveByAll(t *testing.T, h host, resolved bool) {
	ways := map[string][]string{
		"getent":  {"getent", "ahosts"},
		"Python":  {"python3", "-c", "import socket, sys; print(*(a[4][0] for a in socket.getaddrinfo(sys.argv[1], None)))"},
		"pure Go": {"env", "GODEBUG=netdns=go", clientPath, "client", "lookup"},
		"Go by C": {"env", "GODEBUG=netdns=cgo", clientPath, "client", "lookup"},
	}
	if resolved {
		ways["resolvectl"] = []string{"resolvectl", "--legend=no", "query"}
	}
	h.takeClient(t)
	virtual := h.virtual(t)
	if page := h.run(t, "curl", "-sS", billing); page != "billing of app-2" {
		t.Errorf("curl reads %q", page)
	}
	for way, argv := range ways {
		answer := h.run(t, append(argv, "billing.mesh")...)
		if !strings.Contains(answer, virtual[0]) || !strings.Contains(answer, virtual[1]) {
			t.Errorf("%s: billing.mesh is %q, want %v", way, answer, virtual)
		}
		if answer := h.run(t, append(argv, "outside.example")...); !strings.Contains(answer, "10.77.0.1") {
			t.Errorf("%s: outside.example is %q", way, answer)
		}
		if answer, code := h.try(t, append(argv, "nobody.mesh")...); code == 0 {
			t.Errorf("%s: nobody.mesh is %q, and should not be", way, answer)
		}
	}
}

// virtual returns the virtual addresses of billing, IPv4 first.
func (h host) virtual(t *testing.T) []string {
	t.Helper()
	list := query[control.ServiceList](t, h, "services")
	i := slices.IndexFunc(list.Services, func(s control.Service) bool { return s.Name == "billing" })
	if i < 0 || len(list.Services[i].Addresses) != 2 {
		t.Fatalf("meshctl services: %+v", list)
	}
	return []string{list.Services[i].Addresses[0].String(), list.Services[i].Addresses[1].String()}
}
