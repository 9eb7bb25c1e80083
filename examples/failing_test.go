package examples_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

// refused is the exit code of curl for a connection that was refused.
const refused = 7

// outage is what callers get while meshd does not answer.
type outage struct {
	fail  string
	code  int    // of curl
	event string // that the kernel counts
}

var outages = []outage{
	{"open", 0, "direct_fail_open"},
	{"closed", refused, "refused_fail_closed"},
}

func TestMeshdHangs(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.fail, func(t *testing.T) {
			t.Parallel()
			testHangs(t, o)
		})
	}
}

// testHangs stops meshd without ending it, so that only the age of its heartbeat gives it away.
func testHangs(t *testing.T, o outage) {
	one, _ := newLab(t)
	one.edit(t, nodeFile, `fail = "open"`, fmt.Sprintf("fail = %q", o.fail))
	daemon := one.startMeshd(t)
	address := one.resolved(t)
	before := one.event(t, o.event)
	held := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	signal(t, daemon, syscall.SIGSTOP)
	// Until the heartbeat is too old the kernel hands connections to meshd, where they wait.
	eventually(t, "the kernel decides by itself", func() bool {
		_, code := one.page(t, append(address, "--max-time", "1")...)
		return code == o.code
	})
	wantOutage(t, one, o, address)

	signal(t, daemon, syscall.SIGCONT)
	eventually(t, "connections are captured again", func() bool {
		opened := one.opened(t)
		_, code := one.page(t, address...)
		return code == 0 && one.opened(t) > opened
	})
	if answer := held.ask(t, "AUTH "+password); answer != "+OK" {
		t.Errorf("the connection from before got %q", answer)
	}
	if after := one.event(t, o.event); after < before+10 {
		t.Errorf("the kernel counted %v times %s, want at least 10", after-before, o.event)
	}
}

// wantOutage makes ten connections while meshd does not answer.
func wantOutage(t *testing.T, h host, o outage, address []string) {
	t.Helper()
	for _, family := range []string{"-4", "-6"} {
		for range 5 {
			if answer, code := h.page(t, append(address, family, "--max-time", "10")...); code != o.code {
				t.Errorf("exit code %d, want %d: %s", code, o.code, answer)
			}
		}
	}
}

func signal(t *testing.T, unit *lab.Unit, sig syscall.Signal) {
	t.Helper()
	if err := unit.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestMeshdKilled(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.fail, func(t *testing.T) {
			t.Parallel()
			testKilled(t, o)
		})
	}
}

func testKilled(t *testing.T, o outage) {
	one, _ := newLab(t)
	one.edit(t, nodeFile, `fail = "open"`, fmt.Sprintf("fail = %q", o.fail))
	daemon := one.startMeshd(t)
	address := one.resolved(t)
	before := one.event(t, o.event)
	held := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	idle := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	if answer := held.ask(t, "AUTH "+password); answer != "+OK" {
		t.Fatalf("the cache answered %q", answer)
	}

	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*talk{held, idle} {
		c.rest(t) // would wait for ever if the connection hung
	}
	wantOutage(t, one, o, address)
	if output, code := one.try(t, "", "getent", "ahostsv4", "hello.mesh"); code == 0 {
		t.Errorf("a name was resolved without meshd: %s", output)
	}
	for _, listen := range []string{"127.0.0.1:15001", "[::1]:15001", "0.0.0.0:15020", "127.0.0.1:15053"} {
		output, _ := finish(t, one.clientCommand(t, "web.service", "listen", listen))
		if !strings.Contains(output, unix.EPERM.Error()) {
			t.Errorf("another program listened on %s while meshd was dead: %s", listen, output)
		}
	}

	one.startMeshd(t)
	if _, code := one.page(t, hello); code != 0 {
		t.Errorf("after the restart: exit code %d", code)
	}
	if opened := one.opened(t); opened != 1 {
		t.Errorf("meshd has %d connections opened since its restart, want 1", opened)
	}
	if after := one.event(t, o.event); after < before+10 {
		t.Errorf("the kernel counted %v times %s, want at least 10", after-before, o.event)
	}
	if n := one.event(t, "bind_denied"); n < 4 {
		t.Errorf("the kernel counted %v denied binds, want at least 4", n)
	}
	queries, err := one.lab.Queries()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(queries, func(q string) bool { return strings.HasSuffix(q, " hello.mesh.") }) {
		t.Errorf("no query for the name went to the resolver while meshd was dead: %q", queries)
	}
}

// TestFailedRestart has a mistake in the files when meshd is to come back.
func TestFailedRestart(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	address := one.resolved(t)
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Run("mistake", func(t *testing.T) {
		rewrite(servicesFile, "service {}\n")(t, one)
		if output, code := one.try(t, "", "meshd", "-cgroup", one.Cgroup()); code != 78 {
			t.Errorf("exit code %d, want 78\n%s", code, output)
		}
		if n := one.attached(t); n != len(hooks) {
			t.Errorf("%d programs are attached, want %d", n, len(hooks))
		}
		wantOutage(t, one, outages[0], address)
	})
	one.startMeshd(t)
	if _, code := one.page(t, address...); code != 0 || one.opened(t) != 1 {
		t.Errorf("after the repair: exit code %d", code)
	}
}

func TestSecondMeshd(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	output, code := one.try(t, "", "meshd", "-cgroup", one.Cgroup())
	want := fmt.Sprintf("another meshd runs on this host: pid %d", daemon.PID())
	if code != 1 || !strings.Contains(output, want) || strings.Count(output, "level=ERROR") != 1 {
		t.Errorf("exit code %d, want 1; output without %q:\n%s", code, want, output)
	}
	if _, code := one.page(t, hello); code != 0 {
		t.Errorf("the first meshd is hurt: exit code %d", code)
	}
	if opened := one.opened(t); opened != 1 {
		t.Errorf("the first meshd has %d connections opened, want 1", opened)
	}
}
