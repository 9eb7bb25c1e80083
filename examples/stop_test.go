package examples_test

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

func TestStop(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	address := one.resolved(t)
	held := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	held.ask(t, "AUTH "+password)
	opened := one.opened(t)

	signal(t, daemon, syscall.SIGTERM)
	eventually(t, "meshd drains", func() bool { return one.status(t).State == control.StateDraining })
	if answer, code := one.page(t, address...); code != 0 {
		t.Errorf("a new connection while meshd drains: exit code %d, %s", code, answer)
	}
	if n := one.opened(t); n != opened {
		t.Errorf("meshd has taken on %d connections while it drains", n-opened)
	}
	if answer := held.ask(t, "PING"); answer != "+PONG" {
		t.Errorf("an open connection got %q while meshd drains", answer)
	}
	if answer := held.ask(t, "QUIT"); answer != "+OK" {
		t.Errorf("the answer to QUIT is %q", answer)
	}
	wantEnd(t, daemon, false)

	if n := one.attached(t); n != len(hooks) || !one.has(t, pins) {
		t.Errorf("after the stop %d programs are attached, want %d", n, len(hooks))
	}
	if answer, code := one.page(t, address...); code != 0 {
		t.Errorf("a new connection after the stop: exit code %d, %s", code, answer)
	}
	t.Run("cleanup", func(t *testing.T) { testCleanup(t, one, address) })
	one.startMeshd(t)
	if _, code := one.page(t, address...); code != 0 || one.opened(t) != 1 {
		t.Errorf("after the cleanup and a start: exit code %d", code)
	}
}

// wantEnd waits for the end of a meshd that was told to stop.
func wantEnd(t *testing.T, daemon *lab.Unit, withResets bool) {
	t.Helper()
	if err := daemon.Wait(); err != nil {
		t.Errorf("meshd ended with %v", err)
	}
	log := logOf(t, daemon)
	if said := strings.Contains(log, `msg="open connections reset"`); said != withResets {
		t.Errorf("the log says that connections were reset: %t, want %t\n%s", said, withResets, log)
	}
	if strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has errors:\n%s", log)
	}
}

func testCleanup(t *testing.T, h host, address []string) {
	output, code := h.try(t, "", "meshctl", "cleanup")
	if code != 2 || !strings.Contains(output, "would remove the kernel programs and maps in "+pins) {
		t.Errorf("cleanup without -yes: exit code %d\n%s", code, output)
	}
	if n := h.attached(t); n != len(hooks) {
		t.Errorf("cleanup without -yes has left %d programs, want %d", n, len(hooks))
	}
	if output := h.run(t, "", "meshctl", "cleanup", "-yes"); !strings.Contains(output, "removed the kernel programs and maps in "+pins) {
		t.Errorf("cleanup said %q", output)
	}
	h.wantNothing(t)
	if _, code := h.page(t, address...); code != refused {
		t.Errorf("a virtual address after the cleanup: exit code %d, want %d", code, refused)
	}
	if output := h.run(t, "", "meshctl", "cleanup", "-yes"); output != "nothing to remove" {
		t.Errorf("a second cleanup said %q", output)
	}
}

// TestStopRunsOut stops a meshd whose connections do not end.
func TestStopRunsOut(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	daemon := one.startMeshd(t, "-drain", "100ms")
	held := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	signal(t, daemon, syscall.SIGTERM)
	if text := held.rest(t); !strings.Contains(text, unix.ECONNRESET.Error()) {
		t.Errorf("the client of a connection that was cut off saw %q", text)
	}
	wantEnd(t, daemon, true)
}

// TestRestartUnderLoad checks that a restart fails no new connection: the kernel makes them while meshd is away.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	one.underLoad(t, func() {
		if err := daemon.Stop(); err != nil {
			t.Error(err)
		}
		wantEnd(t, daemon, false)
		daemon = one.startMeshd(t)
	})
}

func TestCleanupRefuses(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	for _, state := range []string{"runs", "hangs"} {
		if state == "hangs" {
			signal(t, daemon, syscall.SIGSTOP)
		}
		output, code := one.try(t, "", "meshctl", "cleanup", "-yes")
		if code != 1 || !strings.Contains(output, "systemctl stop meshd") {
			t.Errorf("cleanup while meshd %s: exit code %d\n%s", state, code, output)
		}
		if n := one.attached(t); n != len(hooks) {
			t.Errorf("cleanup while meshd %s has left %d programs, want %d", state, n, len(hooks))
		}
	}
}
