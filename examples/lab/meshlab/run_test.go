package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// meshlab runs one command line and returns its exit code and what it wrote.
func meshlab(ctx context.Context, args ...string) (code int, output string) {
	var out bytes.Buffer
	p := &program{getenv: os.Getenv, stdin: strings.NewReader("from stdin\n"), stdout: &out, stderr: &out}
	code = p.run(ctx, args)
	return code, out.String()
}

func TestSession(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "meshd.hcl", "host \"app-1\" {\n  addresses = [\"10.78.0.11\"]\n}\n")
	write(t, dir, "units/app-1/idle.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")
	const name = "meshlab-session"
	in := func(args ...string) []string { return append([]string{"-lab", name}, args...) }
	t.Cleanup(func() { meshlab(context.Background(), in("down")...) }) // after a failure
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"up", dir, "-no-meshd", "-name", name}, exitOK, "app-1: started idle.service\nlab " + name + " is up"},
		{[]string{"up", dir, "-no-meshd", "-name", name}, exitFailure, "it exists"},
		{[]string{"list"}, exitOK, name},
		{[]string{"status", "-lab", name}, exitOK, "app-1    10.78.0.11  idle.service"},
		{in("status"), exitOK, "app-1    10.78.0.11  idle.service"},
		{in("exec", "app-1", "-unit", "web.service", "--", "cat", "/proc/self/cgroup", "-"), exitOK, "app-1/system.slice/web.service\nfrom stdin"},
		{in("exec", "app-1", "-unit", "idel.service", "true"), exitOK, "warning: app-1 has neither a unit file idel.service"},
		{in("exec", "app-1", "--", "sh", "-c", "exit 7"), 7, ""},
		{in("exec", "app-1", "systemctl", "restart", "meshd"), 1, "meshlab -lab " + name + " start app-1 meshd.service"},
		{in("exec", "app-1", "journalctl", "-u", "meshd"), 1, "meshlab -lab " + name + " logs app-1 meshd.service"},
		{in("exec", "app-1", "no-such-program"), 127, "no-such-program"},
		{in("exec", "app-9", "true"), exitFailure, "has no host app-9, only outside, app-1"},
		{in("exec", "app-1"), exitUsage, "usage: meshlab exec HOST [-unit U] -- CMD\n"},
		{in("exec", "outside", "getent", "hosts", "outside.example"), exitOK, "10.78.0.1"},
		{in("queries"), exitOK, "udp 10.78.0.1 AAAA outside.example.\n"},
		{in("start", "app-1", "idle.service"), exitFailure, "it runs already"},
		{in("stop", "app-1", "idle.service"), exitOK, ""},
		{in("start", "app-1", "idle.service"), exitOK, "app-1: started idle.service\n"},
		{in("start", "app-1", "broken.service"), exitFailure, "it ended at once: exit status 2\nno such quote\n"},
		{in("status"), exitOK, "broken.service  dead, exit status 2: meshlab logs app-1 broken.service\n"},
		{in("stop", "app-1", "broken.service"), exitOK, ""},
		{in("stop", "app-1", "broken.service"), exitFailure, "it does not run"},
		{in("start", "app-1", "hello.service"), exitFailure, "hello.service"},
		{in("start", "app-1", "meshd.service"), exitFailure, "meshd"},
		{in("logs", "app-1", "idle.service"), exitOK, ""},
		{in("logs", "app-1", "hello.service"), exitFailure, "never started"},
		{in("down"), exitOK, ""},
		{in("status"), exitFailure, "no such lab"},
	} {
		code, output := meshlab(t.Context(), step.args...)
		if code != step.code || !strings.Contains(output, step.want) {
			t.Errorf("meshlab %s: exit %d, want %d and %q:\n%s", strings.Join(step.args, " "), code, step.code, step.want, output)
		}
		// After up, which starts all units.
		write(t, dir, "units/app-1/broken.service", "[Service]\nExecStart=/bin/sh -c 'echo no such quote; exit 2'\n")
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitUsage, "meshlab up DIR"},
		{"-h", exitOK, "meshlab up DIR"},
		{"fly", exitUsage, `unknown verb "fly": it is one of up, list, status`},
		{"up -h", exitOK, "-no-meshd"},
		{"up", exitUsage, "usage: meshlab up DIR\n"},
		{"down now", exitUsage, "usage: meshlab down [-all]\n"},
		{"status -h", exitOK, "what has ended.\n\nusage: meshlab status\n"},
		{"start -h", exitOK, "Listen=PORT"},
		{"list -x", exitUsage, "-x"},
	} {
		code, output := meshlab(t.Context(), strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(output, c.want) {
			t.Errorf("meshlab %s: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.want, output)
		}
	}
}

func TestSync(t *testing.T) {
	const name = "meshlab-sync"
	dir := t.TempDir()
	write(t, dir, "meshd.hcl", "discovery \"static\" {\n  files = [\"/etc/meshd/mesh.d/*.hcl\"]\n}\nmesh \"m\" {\n  trust_domain = \"m.example\"\n}\n"+
		"host \"app-1\" {\n  addresses = [\"10.78.0.11\"]\n}\n")
	write(t, dir, "mesh.d/clock.hcl", "service \"clock\" {\n  port = 80\n  endpoint {\n    host = \"app-1\"\n  }\n}\n")
	binary := lab.Meshd(t)
	lab := func(code int, wants []string, args ...string) {
		t.Helper()
		got, output := meshlab(t.Context(), append([]string{"-lab", name}, args...)...)
		for _, want := range wants {
			if got != code || !strings.Contains(output, want) {
				t.Errorf("meshlab %s: exit %d, want %d and %q:\n%s", args, got, code, want, output)
			}
		}
	}
	t.Cleanup(func() { meshlab(context.Background(), "-lab", name, "down") })
	lab(exitOK, []string{"app-1: started meshd.service"}, "up", dir, "-meshd", binary)

	write(t, dir, "mesh.d/clock.hcl", "servcie \"clock\" {}\n")
	lab(exitFailure, []string{"nothing was changed", "on " + dir + "/mesh.d/clock.hcl line 1"}, "sync")
	lab(exitOK, []string{"service \"clock\""}, "exec", "app-1", "cat", "/etc/meshd/mesh.d/clock.hcl")

	write(t, dir, "mesh.d/clock.hcl", "service \"watch\" {\n  port = 81\n  endpoint {\n    host = \"app-1\"\n  }\n}\n")
	lab(exitOK, []string{"app-1# meshctl reload\nreloaded"}, "sync")
	lab(exitOK, []string{"watch"}, "exec", "app-1", "meshctl", "services")

	lab(exitOK, []string{""}, "stop", "app-1", "meshd.service")
	lab(exitOK, []string{"app-1: copied; meshd does not run there"}, "sync")
}

func TestSeveralLabs(t *testing.T) {
	dirs := map[string]string{"meshlab-red": t.TempDir(), "meshlab-blue": t.TempDir()}
	for name, dir := range dirs {
		write(t, dir, "meshd.hcl", "host \"app-1\" {\n  addresses = [\"10.78.0.11\"]\n}\n")
		t.Cleanup(func() { meshlab(context.Background(), "-lab", name, "down") })
		if code, output := meshlab(t.Context(), "-lab", name, "up", dir, "-no-meshd"); code != exitOK {
			t.Fatal(output)
		}
	}
	chosen := func(want string) {
		t.Helper()
		if _, output := meshlab(t.Context(), "exec", "app-1", "cat", "/proc/self/cgroup"); !strings.Contains(output, want) {
			t.Errorf("got %q, want %q", output, want)
		}
	}
	t.Chdir(t.TempDir())
	for name, dir := range dirs {
		chosen("\n  -lab " + name + "  (" + dir + ")")
	}
	t.Chdir(dirs["meshlab-red"])
	chosen("/meshlab-meshlab-red/")
	t.Setenv("MESHLAB", "meshlab-blue")
	chosen("/meshlab-meshlab-blue/")
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		folder, other string
		want          bool
	}{
		{"/a/b", "/a/b", true},
		{"/a/b/c", "/a/b", true},
		{"/a", "/a/b", false},
		{"/a/bc", "/a/b", false},
	} {
		if got := within(c.folder, c.other); got != c.want {
			t.Errorf("within(%s, %s) = %t", c.folder, c.other, got)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
