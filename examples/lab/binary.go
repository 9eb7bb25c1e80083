package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Meshd returns the meshd binary for a test: that of MESHD_BINARY, or one that is built now.
func Meshd(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MESHD_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "meshd")
	build := exec.Command("go", "build", "-o", path, "github.com/meshd/meshd/cmd/meshd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return path
}
