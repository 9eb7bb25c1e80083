package examples_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// declaredService has a further port and a name outside the mesh.
const declaredService = `service "declared" {
  port      = 9000
  hostnames = ["api.outside.example"]
  listener "admin" {
    port = 9001
  }
  endpoint {
    host = "app-2"
  }
}
`

func TestNames(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	one.write(t, moreFile, declaredService)
	one.run(t, "", "meshctl", "reload")
	virtual4, virtual6 := one.virtual(t, "hello", 4), one.virtual(t, "hello", 6)
	declared4, declared6 := one.virtual(t, "declared", 4), one.virtual(t, "declared", 6)
	for _, test := range []struct {
		name, query string
		status      string
		answers     []string
		forwarded   []string // the queries that reach the resolver
	}{
		{"A", "hello.mesh A", "NOERROR", []string{virtual4}, nil},
		{"AAAA", "hello.mesh AAAA", "NOERROR", []string{virtual6}, nil},
		{"A by TCP", "+tcp hello.mesh A", "NOERROR", []string{virtual4}, nil},
		{"AAAA by TCP", "+tcp hello.mesh AAAA", "NOERROR", []string{virtual6}, nil},
		{"upper case", "HELLO.Mesh A", "NOERROR", []string{virtual4}, nil},
		{"type that is not there", "hello.mesh MX", "NOERROR", nil, nil},
		{"unknown service", "nobody.mesh A", "NXDOMAIN", nil, nil},
		{"unknown service by TCP", "+tcp nobody.mesh AAAA", "NXDOMAIN", nil, nil},
		{"service without a port", "web.mesh A", "NXDOMAIN", nil, nil},
		{"listener", "_admin._tcp.declared.mesh SRV", "NOERROR", []string{"0 0 9001 declared.mesh."}, nil},
		{"listener by TCP", "+tcp _ADMIN._tcp.Declared.mesh SRV", "NOERROR", []string{"0 0 9001 Declared.mesh."}, nil},
		{"unknown listener", "_grpc._tcp.declared.mesh SRV", "NXDOMAIN", nil, nil},
		{"declared name", "api.outside.example A", "NOERROR", []string{declared4}, nil},
		{"declared name by TCP", "+tcp API.outside.example AAAA", "NOERROR", []string{declared6}, nil},
		{"way around a declared name", "api.outside.example HTTPS", "NOERROR", nil, nil},
		{"mail of a declared name", "api.outside.example MX", "NXDOMAIN", nil, []string{"udp 10.77.0.11 MX api.outside.example."}},
		{"name below a declared one", "www.api.outside.example A", "NXDOMAIN", nil, []string{"udp 10.77.0.11 A www.api.outside.example."}},
		{"elsewhere", "outside.example A", "NOERROR", []string{"10.77.0.1"}, []string{"udp 10.77.0.11 A outside.example."}},
		{"elsewhere by TCP", "+tcp outside.example AAAA", "NOERROR", []string{"fd77::1"}, []string{"tcp 10.77.0.11 AAAA outside.example."}},
		{"unknown elsewhere", "nobody.example A", "NXDOMAIN", nil, []string{"udp 10.77.0.11 A nobody.example."}},
		{"name that only ends alike", "hello.notmesh A", "NXDOMAIN", nil, []string{"udp 10.77.0.11 A hello.notmesh."}},
		{"another resolver", "@fd77::1 hello.mesh A", "NXDOMAIN", nil, []string{"udp fd77::11 A hello.mesh."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(one.queries(t))
			status, answers := one.dig(t, strings.Fields(test.query)...)
			if status != test.status || !slices.Equal(answers, test.answers) {
				t.Errorf("%s, %q, want %s, %q", status, answers, test.status, test.answers)
			}
			if forwarded := one.queries(t)[before:]; !slices.Equal(forwarded, test.forwarded) {
				t.Errorf("the resolver was asked %q, want %q", forwarded, test.forwarded)
			}
		})
	}
	t.Run("getaddrinfo", func(t *testing.T) {
		before := len(one.queries(t))
		addresses := one.run(t, "web.service", "getent", "ahosts", "hello.mesh")
		if !strings.Contains(addresses, virtual4) || !strings.Contains(addresses, virtual6) {
			t.Errorf("not both addresses:\n%s", addresses)
		}
		if forwarded := one.queries(t)[before:]; len(forwarded) != 0 {
			t.Errorf("the resolver was asked %q", forwarded)
		}
	})
	t.Run("another resolv.conf", func(t *testing.T) {
		one.write(t, "/etc/resolv.conf", "nameserver fd77::1\n")
		eventually(t, "the new resolver is followed", func() bool {
			return slices.Equal(one.status(t).DNS.Resolvers, []string{"[fd77::1]:53"})
		})
		for server, want := range map[string]string{"@fd77::1": "NOERROR", "@10.77.0.1": "NXDOMAIN"} {
			eventually(t, server+" answers "+want, func() bool {
				status, _ := one.dig(t, server, "hello.mesh", "A")
				return status == want
			})
		}
		if answer, code := one.page(t, hello); code != 0 {
			t.Errorf("exit code %d: %s", code, answer)
		}
	})
	t.Run("no resolver", func(t *testing.T) {
		// Programs then ask the host itself, where nobody need listen.
		one.use(t, resolvConf{resolvers: []string{"127.0.0.1:53", "[::1]:53"}})
		if answer, code := one.page(t, hello); code != 0 {
			t.Errorf("exit code %d: %s", code, answer)
		}
		if output, code := one.try(t, "", "getent", "ahosts", "outside.example"); code == 0 {
			t.Errorf("a name that nobody knows is %s", output)
		}
	})
}

// queries returns what the resolver of the lab was asked.
func (h host) queries(t *testing.T) []string {
	t.Helper()
	queries, err := h.lab.Queries()
	if err != nil {
		t.Fatal(err)
	}
	return queries
}

var digStatus = regexp.MustCompile(`status: ([A-Z]+)`)

// dig asks a question as the unit web and returns the status and the data of the answers.
func (h host) dig(t *testing.T, args ...string) (status string, answers []string) {
	t.Helper()
	output := h.run(t, "web.service", append([]string{"dig", "+noall", "+comments", "+answer", "+nocookie"}, args...)...)
	found := digStatus.FindStringSubmatch(output)
	if found == nil {
		t.Fatalf("dig %v has no status:\n%s", args, output)
	}
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) >= 5 && fields[2] == "IN" {
			answers = append(answers, strings.Join(fields[4:], " "))
		}
	}
	return found[1], answers
}

// TestNamesAfterDeath checks what is documented: without meshd a name goes to the resolver, which does not know it.
func TestNamesAfterDeath(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, _ := one.dig(t, "hello.mesh", "A"); status != "NXDOMAIN" {
		t.Errorf("status %s", status)
	}
	if status, answers := one.dig(t, lab.OutsideName, "A"); status != "NOERROR" || len(answers) != 1 {
		t.Errorf("%s: status %s, answers %q", lab.OutsideName, status, answers)
	}
	one.startMeshd(t)
	if status, _ := one.dig(t, "hello.mesh", "A"); status != "NOERROR" {
		t.Errorf("after the restart: status %s", status)
	}
}
