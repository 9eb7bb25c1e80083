package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// meshlab runs one command line and returns its exit code and what it wrote.
func meshlab(ctx context.Context, args ...string) (code int, output string) {
	var out bytes.Buffer
	code = run(ctx, strings.NewReader("from stdin\n"), &out, &out, args)
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
		{in("status"), exitOK, "app-1    10.78.0.11  idle.service"},
		{in("exec", "app-1", "-unit", "web.service", "--", "cat", "/proc/self/cgroup", "-"), exitOK, "app-1/system.slice/web.service\nfrom stdin"},
		{in("exec", "app-1", "--", "sh", "-c", "exit 7"), 7, ""},
		{in("exec", "app-1", "no-such-program"), 127, "no-such-program"},
		{in("exec", "app-9", "true"), exitFailure, "has no host app-9, only outside, app-1"},
		{in("exec", "app-1"), exitUsage, "usage: meshlab [-lab NAME] exec HOST CMD..."},
		{in("exec", "outside", "getent", "hosts", "outside.example"), exitOK, "10.78.0.1"},
		{in("queries"), exitOK, "udp 10.78.0.1 AAAA outside.example.\n"},
		{in("start", "app-1", "idle.service"), exitFailure, "it runs already"},
		{in("stop", "app-1", "idle.service"), exitOK, ""},
		{in("start", "app-1", "idle.service"), exitOK, ""},
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
		{"fly", exitUsage, "meshlab up DIR"},
		{"up -h", exitOK, "-no-meshd"},
		{"up", exitUsage, "usage: meshlab [-lab NAME] up DIR"},
		{"down now", exitUsage, "usage: meshlab [-lab NAME] down"},
		{"list -x", exitUsage, "-x"},
	} {
		code, output := meshlab(t.Context(), strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(output, c.want) {
			t.Errorf("meshlab %s: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.want, output)
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
