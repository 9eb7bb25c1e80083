package examples_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdleConnections has the connections of a pool idle until the kernel has asked, on both sides of meshd, whether
// their peers are still there: after a minute of silence, which is the longest clock that a connection has.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	const pool = 5
	var idle []*talk
	for range pool {
		// Programs of Go have their kernel ask as well, bash does not.
		c := begin(t, one.Command(t.Context(), "web.service", "bash", "-c", fmt.Sprintf(
			"exec 3<>/dev/tcp/%s/6379; echo connected; cat <&3 & exec cat >&3", one.virtual(t, "cache", 4))))
		if answer := c.ask(t, "AUTH "+password); answer != "+OK" {
			t.Fatalf("the cache answered %q", answer)
		}
		c.giveUp.Stop() // it is to say nothing
		idle = append(idle, c)
	}
	asked := one.tcpCounter(t, "TCPKeepAlive")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ticks := time.NewTicker(200 * time.Millisecond) // the kernel announces no probes
	defer ticks.Stop()
	for n := 0; n < 2*pool; n = one.tcpCounter(t, "TCPKeepAlive") - asked {
		select {
		case <-ctx.Done():
			t.Fatalf("for %d connections the kernel has asked %d times whether their peers are there", pool, n)
		case <-ticks.C:
		}
	}
	for _, c := range idle {
		if answer := c.ask(t, "PING"); answer != "+PONG" {
			t.Errorf("after the pause the cache answered %q", answer)
		}
	}
	if n := len(one.connections(t)); n != pool {
		t.Errorf("%d connections are open, want %d", n, pool)
	}
}

// tcpCounter returns a counter of the host's network.
func (h host) tcpCounter(t *testing.T, name string) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(h.read(t, "/proc/thread-self/net/netstat")) {
		fields := strings.Fields(line)
		if i := slices.Index(names, name); i >= 0 {
			n, err := strconv.Atoi(fields[i])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if fields[0] == "TcpExt:" {
			names = fields
		}
	}
	t.Fatalf("the kernel does not count %s", name)
	return 0
}
