package examples_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meshd/meshd/engine/control"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	virtual := netip.AddrPortFrom(netip.MustParseAddr(one.virtual(t, "cache", 4)), 6379)
	nobody := account(t, "nobody")
	for _, test := range []struct {
		name, group, unit, source string
		user                      *syscall.Credential
	}{
		{"service", "web.service", "web.service", "web", nil},
		{"folder of a service", "web.service/worker/7", "web.service", "web", nil},
		{"service as another user", "web.service", "web.service", "web", nobody},
		{"unit of no service", "other.service", "other.service", "host:app-1", nil},
		{"session", "", "session.scope", "host:app-1", nil},
		{"session of another user", "", "session.scope", "host:app-1", nobody},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := one.Command(t.Context(), test.group, redisCommand("cache.mesh", "subscribe", "news")...)
			want := control.Connection{
				Unit: test.unit, Source: test.source,
				OriginalDestination: virtual, Destination: "cache",
				Endpoint: "app-2:6379", EndpointAddress: netip.MustParseAddrPort("10.77.0.12:6379"),
				State: control.ConnectionOpen,
			}
			if test.user != nil {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: test.user}
				want.UID = test.user.Uid
			}
			client := subscribe(t, cmd)
			want.PID = uint32(cmd.Process.Pid)
			all := one.connections(t)
			if len(all) != 1 {
				t.Fatalf("there are %d connections, want one", len(all))
			}
			varying := cmpopts.IgnoreFields(control.Connection{}, "ID", "OpenedAt", "Client", "Sent", "Received")
			if diff := cmp.Diff(want, all[0], varying, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if c := all[0]; c.ID == 0 || c.OpenedAt.IsZero() || !c.Client.Addr().IsLoopback() || c.Sent == 0 || c.Received == 0 {
				t.Errorf("facts are missing: %+v", c)
			}
			table := one.run(t, "", "meshctl", "connections")
			if !strings.Contains(table, test.source) || !strings.Contains(table, fmt.Sprint(cmd.Process.Pid)) {
				t.Errorf("the table for people lacks source or process:\n%s", table)
			}
			client.end()
			eventually(t, "the connection has ended", func() bool { return len(one.connections(t)) == 0 })
		})
	}
}

// TestShortLived has processes end in the moment that they are connected, in cgroups that are removed then.
func TestShortLived(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	const times = 20
	script := fmt.Sprintf("for i in {1..%d}; do bash -c 'exec 3<>/dev/tcp/%s/80'; done", times, one.virtual(t, "hello", 4))
	one.run(t, "web.service", "bash", "-c", script)
	eventually(t, "all connections have ended", func() bool {
		return one.opened(t) == times && len(one.connections(t)) == 0
	})
	for _, series := range []string{
		`meshd_connections_opened_total{destination="hello",source="web"}`,
		`meshd_connections_closed_total{destination="hello",reason="done",source="web"}`,
	} {
		if n := one.metric(t, series); n != times {
			t.Errorf("%s is %v, want %d", series, n, times)
		}
	}
	if n := one.event(t, "flow_lost"); n != 0 {
		t.Errorf("the kernel lost %v flows", n)
	}
}

// TestIdentityIsNotShed has a process of web connect from a cgroup of its own making that is gone when meshd looks.
func TestIdentityIsNotShed(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	virtual := one.virtual(t, "hello", 4)
	signal(t, daemon, syscall.SIGSTOP) // for much less than the kernel takes for dead
	one.run(t, "web.service/gone", "bash", "-c", "exec 3<>/dev/tcp/"+virtual+"/80")
	if err := os.Remove(one.UnitCgroup("web.service/gone")); err != nil {
		t.Fatal(err)
	}
	signal(t, daemon, syscall.SIGCONT)
	eventually(t, "the connection is known as one of web", func() bool {
		return one.metric(t, `meshd_connections_opened_total{destination="hello",source="web"}`) == 1
	})
	if n := one.metric(t, `meshd_connections_opened_total{destination="hello",source="host:app-1"}`); n != 0 {
		t.Errorf("%v connections have the identity of the host", n)
	}
}

func TestAmbiguousWorkload(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	one.write(t, moreFile, "service \"twin\" {\n  workload {\n    unit  = \"we*.service\"\n    hosts = [\"*\"]\n  }\n}\n")
	one.startMeshd(t)
	if s := one.status(t); len(s.Problems) != 0 {
		t.Errorf("problems before anybody has called: %v", s.Problems)
	}
	if _, code := one.page(t, hello); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s := one.status(t)
	if len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0].What, "web.service calls, and matches the workloads of more than one service") {
		t.Fatalf("problems %v", s.Problems)
	}
	if n := one.metric(t, `meshd_connections_opened_total{destination="hello",source="host:app-1"}`); n != 1 {
		t.Errorf("%v connections have the identity of the host, want one", n)
	}
	remove(moreFile)(t, one)
	one.run(t, "", "meshctl", "reload")
	if s := one.status(t); len(s.Problems) != 0 {
		t.Errorf("problems after the repair: %v", s.Problems)
	}
}
