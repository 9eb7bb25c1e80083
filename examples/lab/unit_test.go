package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

func TestUnitServesOtherHost(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	unit, err := l.Host("app-2").Start(t.Context(), "hello.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range l.Host("app-2").Addresses() {
		url := "http://" + netip.AddrPortFrom(address, 8080).String()
		answer, err := l.Host("app-1").Command(t.Context(), "", "curl", "-sS", url).CombinedOutput()
		if err != nil || string(answer) != "app-2\n" {
			t.Errorf("curl %s: %q, %v", url, answer, err)
		}
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", unit.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(group), "/app-2/system.slice/hello.service\n") {
		t.Errorf("the unit is in cgroup %s", group)
	}
	if _, err := l.Host("app-2").Start(t.Context(), "hello.service"); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("second start: %v", err)
	}
	if err := unit.Stop(); err != nil {
		t.Fatal(err)
	}
	units, err := l.Host("app-2").Units()
	if err != nil || len(units) != 0 {
		t.Errorf("after stop there are units %v, %v", units, err)
	}
	log, err := unit.Log()
	if err != nil || strings.Count(log, "GET / ") != 2 {
		t.Errorf("the log has not both requests: %v\n%s", err, log)
	}
}

func TestUnitRunsAsUser(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	unit, err := l.Host("app-2").Start(t.Context(), "stock.service")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", unit.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the unit runs as root")
	}
	answer, err := l.Host("app-1").Command(t.Context(), "web.service", "redis-cli", "-h", "app-2.invalid", "ping").CombinedOutput()
	if err == nil {
		t.Errorf("a name that does not exist was resolved: %s", answer)
	}
	answer, err = l.Host("app-1").Command(t.Context(), "web.service", "redis-cli", "-h", "10.77.0.12", "-p", "6380", "ping").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(answer), "DENIED") {
		t.Errorf("protected mode did not refuse: %q, %v", answer, err)
	}
}

func TestStartMeshd(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(t, lab.Config{Dir: example, Meshd: self})
	host := l.Host("app-1")
	unit, err := host.StartMeshd(t.Context(), "-more")
	if err != nil {
		t.Fatal(err)
	}
	if err := unit.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := unit.Wait(); err != nil {
		t.Fatal(err)
	}
	log, err := unit.Log()
	if want := "arguments [-cgroup " + host.Cgroup() + " -more]\nterminated\n"; err != nil || log != want {
		t.Errorf("log %q, want %q, error %v", log, want, err)
	}
	_, err = host.StartMeshd(t.Context(), "-broken")
	if err == nil || !strings.Contains(err.Error(), "exit status 78") || !strings.Contains(err.Error(), "this cannot work") {
		t.Errorf("a meshd that ends at once: %v", err)
	}
}

func TestUnitEnds(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("meshd.hcl", "host \"app-1\" {\n  addresses = [\"10.77.0.11\"]\n}\n")
	write("units/app-1/broken.service", "[Service]\nExecStart=/bin/sh -c 'echo no such quote; exit 2'\n")
	write("units/app-1/mute.service", "[Service]\nExecStart=/bin/false\n")
	write("units/app-1/deaf.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n[X-Lab]\nListen=9000\n")
	write("units/app-1/idle.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")
	host := lab.New(t, lab.Config{Dir: dir}).Host("app-1")

	const prefix = "start %s.service on host app-1: "
	for unit, want := range map[string]string{
		"broken": prefix + "it ended at once: exit status 2\nno such quote",
		"mute":   prefix + "it ended at once: exit status 1",
	} {
		if _, err := host.Start(t.Context(), unit+".service"); err == nil || err.Error() != fmt.Sprintf(want, unit) {
			t.Errorf("start %s: %q", unit, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := host.Start(ctx, "deaf.service")
	if !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), "its unit file has [X-Lab] Listen=9000") {
		t.Errorf("start deaf: %q", err)
	}
	idle, err := host.Start(t.Context(), "idle.service")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(idle.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("a unit that was killed: %v", err)
	}
	if err := host.Stop("mute.service"); err != nil {
		t.Error(err)
	}
	want := []lab.EndedUnit{
		{Name: "broken.service", How: "exit status 2"},
		{Name: "deaf.service", How: "signal: killed"},
		{Name: "idle.service", How: "signal: killed"},
	}
	ended, err := host.Ended()
	if diff := cmp.Diff(want, ended); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
