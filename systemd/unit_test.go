package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installed returns a root folder with the unit files where a package puts them, and stand-ins of what they start.
func installed(t *testing.T) (root string, units []string) {
	t.Helper()
	root = t.TempDir()
	shipped, err := filepath.Glob("unit/*")
	if err != nil || len(shipped) == 0 {
		t.Fatalf("no unit files: %v", err)
	}
	folder := filepath.Join(root, "usr/lib/systemd/system")
	put := func(path string, text []byte, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range shipped {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		put(filepath.Join(folder, filepath.Base(from)), text, 0o644)
		units = append(units, filepath.Base(from))
	}
	for _, program := range []string{"usr/sbin/meshd", "usr/bin/meshctl"} {
		put(filepath.Join(root, program), nil, 0o755)
	}
	// What the host brings: the targets that ours name.
	for _, target := range []string{
		"sysinit", "local-fs", "network", "network-online", "nss-lookup", "shutdown", "multi-user", "basic", "umount", "final",
	} {
		put(filepath.Join(folder, target+".target"), []byte("[Unit]\nDescription="+target+"\n"), 0o644)
	}
	return root, units
}

// analyze runs systemd-analyze on the root folder alone, not on the units of this machine.
func analyze(t *testing.T, root string, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", append([]string{"--root=" + root}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestUnitsAreValid(t *testing.T) {
	root, units := installed(t)
	for _, unit := range units {
		if said := analyze(t, root, "verify", "--man=no", "--recursive-errors=yes", unit); said != "" {
			t.Errorf("%s: systemd has something to say:\n%s", unit, said)
		}
	}
}

// The scale of the threshold is ten times that of the score.
func TestUnitIsSandboxed(t *testing.T) {
	root, _ := installed(t)
	t.Log(analyze(t, root, "security", "--offline=yes", "--threshold=40", "meshd.service"))
}
