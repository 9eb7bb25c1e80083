package examples_test

import (
	"fmt"
	"testing"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
)

func TestBalancing(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	for _, test := range []struct {
		name     string
		policy   mesh.Balancing
		weight   int // of app-2; that of app-1 is 1
		from, to int // how many of 60 requests may get app-2
	}{
		{"round robin", mesh.RoundRobin, 1, 28, 32},
		{"weighted round robin", mesh.RoundRobin, 3, 42, 48},
		// The odds of a sound balancer outside of these bounds are less than one in a million.
		{"random", mesh.Random, 1, 10, 50},
		{"weighted random", mesh.Random, 9, 40, 60},
		{"least request", mesh.LeastRequest, 1, 10, 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			one.balance(t, test.policy, test.weight)
			answers, code := one.page(t, "--fail", "--fail-early", "-H", "Connection: close", hello+"?[1-60]")
			counts := tally(answers)
			if n := counts["app-2"]; code != 0 || n < test.from || n > test.to || n+counts["app-1"] != 60 {
				t.Errorf("exit code %d, answers %v, want %d to %d of app-2", code, counts, test.from, test.to)
			}
		})
	}
	t.Run("busy endpoint", func(t *testing.T) {
		one.balance(t, mesh.LeastRequest, 1)
		one.talk(t, "web.service", "tcp", "hello.mesh:80")
		var held []control.Connection
		eventually(t, "meshd has connected to an endpoint", func() bool {
			held = one.connections(t)
			return len(held) == 1 && held[0].State == control.ConnectionOpen
		})
		idle := map[string]string{"app-1:8080": "app-2", "app-2:8080": "app-1"}[held[0].Endpoint]
		// In a pace at which each has ended before the next begins.
		answers, _ := one.page(t, "--rate", "10/s", "-H", "Connection: close", hello+"?[1-20]")
		if counts := tally(answers); counts[idle] < 15 {
			t.Errorf("%s is busy and the answers are %v", held[0].Endpoint, counts)
		}
	})
}

// balance sets the policy of the service hello and the weight of its second endpoint.
func (h host) balance(t *testing.T, policy mesh.Balancing, weight int) {
	t.Helper()
	h.write(t, moreFile, fmt.Sprintf("resolver \"hello\" {\n  load_balancer {\n    policy = %q\n  }\n}\n", policy))
	services := h.read(t, "/srv/lab/mesh.d/services.hcl")
	h.write(t, servicesFile, services)
	h.edit(t, servicesFile, "host = \"app-2\"\n    port = 8080", fmt.Sprintf("host = \"app-2\"\n    port = 8080\n    weight = %d", weight))
	h.run(t, "", "meshctl", "reload")
}
