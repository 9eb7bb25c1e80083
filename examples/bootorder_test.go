package examples_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/control"
)

// TestStartBeforeNetwork starts meshd on a host that has neither a network nor a resolver yet, and then gets both.
func TestStartBeforeNetwork(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	one.write(t, moreFile, elsewhere)
	if err := one.Do(func() error { return os.Remove("/etc/resolv.conf") }); err != nil {
		t.Fatal(err)
	}
	one.run(t, "", "ip", "link", "set", "eth0", "down")
	one.run(t, "", "ip", "address", "flush", "dev", "eth0")

	one.startMeshd(t)
	if output := one.run(t, "", "meshctl", "wait"); output != "meshd on app-1 is ready" {
		t.Errorf("meshctl wait: %s", output)
	}
	// Not for one family alone, which glibc refuses to look up while the host has no address of it.
	if output := one.run(t, "", "getent", "ahosts", "hello.mesh"); !strings.Contains(output, "STREAM") {
		t.Errorf("the name is answered with %s", output)
	}
	if s := one.status(t); !hasProblem(s, "outside.example") {
		t.Errorf("nothing is said of the name that cannot be found: %+v", s.Problems)
	}

	one.run(t, "", "ip", "link", "set", "eth0", "up")
	for _, a := range one.Addresses() {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		one.run(t, "", "ip", "address", "add", fmt.Sprintf("%s/%d", a, bits), "dev", "eth0")
	}
	one.use(t, resolvConf{text: "nameserver 10.77.0.1\n", resolvers: []string{"10.77.0.1:53"}})
	eventually(t, "the name outside is found", func() bool { return !hasProblem(one.status(t), "outside.example") })
	eventually(t, "its addresses are those of the service", func() bool {
		return len(query[control.EndpointList](t, one, "endpoints", "elsewhere").Endpoints) == 2
	})
	if status, answers := one.dig(t, "-4", "+tcp", "-p", "5300", "@outside.example", "outside.example", "A"); status != "NOERROR" || len(answers) != 1 {
		t.Errorf("the server outside says %s %q", status, answers)
	}
	testHello(t, one, 4)
	for _, p := range one.status(t).Problems {
		if !strings.Contains(p.What, "nobody.example") {
			t.Errorf("left is the problem %+v", p)
		}
	}
}

// TestRestartRemembers kills a meshd that has found out something, and starts it where it cannot find that out again.
func TestRestartRemembers(t *testing.T) {
	t.Parallel()
	one, two := newCheckedLab(t)
	one.write(t, moreFile, elsewhere)
	daemon := one.startMeshd(t)
	two.stop(t, "hello.service")
	down := one.awaitState(t, "app-2:8080", control.EndpointDown)
	eventually(t, "it is written", func() bool { return strings.Contains(one.read(t, endpointsState), `"state":"down"`) })
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}

	one.write(t, "/etc/resolv.conf", "nameserver 10.77.0.250\n") // where nobody is
	daemon = one.startMeshd(t)
	e := one.endpoint(t, "hello", "app-2:8080")
	if e.State != control.EndpointDown || len(e.History) == 0 || !e.History[0].At.Equal(down.History[0].At) {
		t.Errorf("after the restart: %+v", e)
	}
	one.wantOnly(t, "app-2 is down", "app-1")
	if failed := one.endpoint(t, "hello", "app-2:8080").Failed; failed != 0 {
		t.Errorf("the endpoint that is down was tried %d times", failed)
	}
	for _, name := range []string{"10.77.0.1:53", "[fd77::1]:53"} {
		if e := one.endpoint(t, "elsewhere", name); e.Hostname != "outside.example" {
			t.Errorf("endpoint %s: %+v", name, e)
		}
	}
	two.start(t, "hello.service")
	one.awaitState(t, "app-2:8080", control.EndpointUp)

	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Run("corrupt", func(t *testing.T) { testCorruptState(t, one) })
	t.Run("read-only", func(t *testing.T) { testStateReadOnly(t, one) })
}

const endpointsState = "/var/lib/meshd/endpoints.state"

func testCorruptState(t *testing.T, h host) {
	text := h.read(t, endpointsState)
	h.write(t, endpointsState, text[:len(text)/2])
	daemon := h.startMeshd(t)
	aside := endpointsState + ".corrupt"
	if s := h.status(t); !hasProblem(s, "endpoints.state could not be trusted") || h.read(t, aside) != text[:len(text)/2] {
		t.Errorf("problems %+v", s.Problems)
	}
	if log := logOf(t, daemon); !strings.Contains(log, "its checksum is wrong") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
	testHello(t, h, 4)
	if err := h.Do(func() error { return os.Remove(aside) }); err != nil {
		t.Fatal(err)
	}
	if s := h.status(t); hasProblem(s, "could not be trusted") {
		t.Errorf("problems %+v", s.Problems)
	}
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
}

func testStateReadOnly(t *testing.T, h host) {
	const folder = "/var/lib/meshd"
	if err := h.Do(func() error { return unix.Mount("none", folder, "tmpfs", unix.MS_RDONLY, "") }); err != nil {
		t.Fatal(err)
	}
	h.startMeshd(t)
	eventually(t, "status says that nothing is kept", func() bool {
		return hasProblem(h.status(t), "cannot be kept for its next start: open /var/lib/meshd/")
	})
	testHello(t, h, 4)
	if err := h.Do(func() error { return unix.Unmount(folder, unix.MNT_DETACH) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written again", func() bool { return !hasProblem(h.status(t), "cannot be kept") })
}
