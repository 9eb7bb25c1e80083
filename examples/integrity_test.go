package examples_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/examples/lab"
)

var (
	integrityBytes = flag.Int64("bytes", 64<<20, "how many bytes the tests of integrity send in each direction")
	integrityPause = flag.Duration("pause", 0, "for how long nothing is read over IPv4 that the other side wants to send")
)

const peerService = `service "peer" {
  port = 7100
  workload {
    unit = "peer.service"
  }
  endpoint {
    host = "app-2"
    port = 7100
  }
}
`

// startPeer makes a lab whose second host has the server of exchanges, as the service peer, and whose first host has
// meshd, which leaves the unit direct alone.
func startPeer(t *testing.T) (one, two host, daemon *lab.Unit) {
	t.Helper()
	one, two = newLab(t)
	one.write(t, moreFile, peerService)
	one.edit(t, nodeFile, captureBlock, "capture {\n  exclude {\n    units = [\"direct.service\"]\n  }\n}")
	return one, two, one.startMeshd(t)
}

// serverCommand returns the server of exchanges as a command.
func (h host) serverCommand(t *testing.T) *lab.Cmd {
	t.Helper()
	cmd := h.Command(t.Context(), "peer.service", self, "client", "serve", ":7100")
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// path is a way for bytes from one host to the other.
type path struct {
	name, unit, way, address string
	captured                 bool
}

func (h host) paths(t *testing.T, two host) []path {
	t.Helper()
	v4, v6 := h.virtual(t, "peer", 4)+":7100", "["+h.virtual(t, "peer", 6)+"]:7100"
	return []path{
		{"IPv4", "web.service", "tcp", v4, true},
		{"IPv6", "web.service", "tcp", v6, true},
		{"IPv4 by an IPv6 socket", "web.service", "mapped", v4, true},
		{"excluded, IPv4", "direct.service", "tcp", v4, false},
		{"excluded, IPv6", "direct.service", "tcp", v6, false},
		{"address of the endpoint", "web.service", "tcp", two.Addresses()[0].String() + ":7100", false},
	}
}

// TestIntegrity sends streams in every way over every path, and wants each byte, each end of a direction and each
// reset to arrive as it was sent.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	one, two, _ := startPeer(t)
	server := begin(t, two.serverCommand(t))
	one.run(t, "direct.service", "true") // so that meshd knows its cgroup as one that is excluded when it calls
	n := *integrityBytes
	for _, p := range one.paths(t, two) {
		t.Run(p.name, func(t *testing.T) {
			opened, exchanges := one.opened(t), uint64(0)
			for _, leader := range []string{"client", "server"} {
				for _, e := range []exchange{
					{"both-ways", leader, n}, {"small", leader, min(n, 64<<10)}, {"half", leader, n / 4},
					{"reset", leader, n / 4}, {"slow", leader, 48 << 20},
				} {
					if (e.kind == "both-ways" || e.kind == "small") && leader == "server" {
						continue // nobody leads
					}
					exchanges++
					t.Run(e.kind+" "+leader, func(t *testing.T) { one.exchange(t, p, server, e) })
				}
			}
			if got := one.opened(t) - opened; p.captured && got != exchanges || !p.captured && got != 0 {
				t.Errorf("of %d connections meshd was handed %d", exchanges, got)
			}
		})
	}
	eventually(t, "all connections have ended", func() bool { return len(one.connections(t)) == 0 })
}

// exchange does one exchange.
func (h host) exchange(t *testing.T, p path, server *talk, e exchange) {
	t.Helper()
	cmd := h.Command(t.Context(), p.unit, self, "client", "ask", p.way, p.address, e.String())
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	client := begin(t, cmd)
	if p.way == "mapped" {
		client.line(t) // the first one was the peer name
	}
	if e.kind == "slow" {
		leader, follower := client, server
		if e.leader == "server" {
			leader, follower = server, client
		}
		if line := follower.line(t); line != "stalled" {
			t.Fatalf("the side that sends says %q", line)
		}
		if p.name == "IPv4" && *integrityPause > 0 {
			pause(t, *integrityPause, client, server)
		}
		fmt.Fprintln(leader.says, "read")
	}
	for name, side := range map[string]*talk{"client": client, "server": server} {
		if line := side.line(t); !strings.HasSuffix(line, wentWell) {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// pause lets time pass in which clients have nothing to say.
func pause(t *testing.T, d time.Duration, clients ...*talk) {
	t.Helper()
	for _, c := range clients {
		c.giveUp.Reset(d + time.Minute)
	}
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test was ended in a pause")
	}
}
