package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

// TestExamples brings up every example and runs the commands that its README shows.
func TestExamples(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("[0-9][0-9]-*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("examples: %v, %v", folders, err)
	}
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			testExample(t, folder)
		})
	}
}

func testExample(t *testing.T, folder string) {
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(t, lab.Config{Dir: folder, Meshd: meshd})
	for _, known := range l.Hosts() {
		h := startUnits(t, l, known.Name())
		h.run(t, "", "meshctl", "validate")
		h.startMeshd(t)
		if s := h.status(t); s.State != control.StateReady || len(s.Problems) != 0 {
			t.Errorf("%s is %s, with problems %v", h.Name(), s.State, s.Problems)
		}
	}
	commands := commandsOf(string(text))
	if len(commands) == 0 {
		t.Error("README.md has no console block with a command of a host")
	}
	for _, c := range commands {
		h := l.Host(c.host)
		if h == nil {
			t.Errorf("%s# %s: there is no such host", c.host, c.line)
			continue
		}
		if output, code := (host{Host: h}).try(t, "", "sh", "-c", c.line); code != 0 {
			t.Errorf("%s# %s: exit code %d\n%s", c.host, c.line, code, output)
		}
	}
}

// command is what a README shows that one types on a host.
type command struct{ host, line string }

// commandsOf returns the lines HOST# COMMAND of the console blocks of a text.
func commandsOf(markdown string) []command {
	var all []command
	inside := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		if fence, ok := strings.CutPrefix(line, "```"); ok {
			inside = fence == "console"
			continue
		}
		if name, typed, ok := strings.Cut(line, "# "); ok && inside && !strings.Contains(name, " ") {
			all = append(all, command{name, typed})
		}
	}
	return all
}

func TestCheck(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	output, code := one.try(t, "", "meshctl", "check")
	if code != 0 || !strings.Contains(output, "0 failed") {
		t.Errorf("before the start: exit code %d\n%s", code, output)
	}
	one.startMeshd(t)
	checks := make(map[string]control.CheckStatus)
	for _, c := range query[control.CheckReport](t, one, "check").Checks {
		checks[c.Name] = c.Status
	}
	for _, name := range []string{"bpffs", "capabilities", "daemon", "kernel", "names", "ports", "programs", "capture"} {
		if checks[name] != control.CheckOK {
			t.Errorf("check %s is %q", name, checks[name])
		}
	}
}

// TestLists looks at the tables for people, whose JSON the other tests read.
func TestLists(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	for _, test := range []struct {
		command string
		rows    []string // words of a row, in their order
	}{
		{"services", []string{"cache " + one.virtual(t, "cache", 4), "hello", "stock", "web"}},
		{"endpoints", []string{"cache app-2 10.77.0.12:6379", "hello app-1 10.77.0.11:8080", "hello app-2 10.77.0.12:8080"}},
		{"endpoints cache", []string{"cache app-2 10.77.0.12:6379"}},
		{"version", []string{"meshd"}},
	} {
		output := words(one.run(t, "", append([]string{"meshctl"}, strings.Fields(test.command)...)...))
		for _, row := range test.rows {
			if !strings.Contains(output, row) {
				t.Errorf("meshctl %s does not show %q:\n%s", test.command, row, output)
			}
		}
	}
}
