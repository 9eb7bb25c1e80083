package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/config"
)

// loadShipped loads the shipped configuration, each file changed by edit, as that of a host.
func loadShipped(t *testing.T, hostname string, edit func(string) string) *config.Config {
	t.Helper()
	root := t.TempDir()
	for from, to := range map[string]string{"meshd.hcl": "meshd.hcl", "mesh.hcl": "mesh.d/mesh.hcl"} {
		text, err := os.ReadFile(filepath.Join("etc", from))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.Load(config.Options{Root: root, Hostname: hostname})
	if problems.Len() > 0 {
		var said strings.Builder
		if err := problems.WriteText(&said, 0, false); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("the shipped configuration has problems:\n%s", said.String())
	}
	return c
}

// TestShippedConfiguration: it is valid on every host, and captures nothing.
func TestShippedConfiguration(t *testing.T) {
	c := loadShipped(t, "any-host", func(text string) string { return text })
	if c.Catalog.Mesh.Name != "" || len(c.Catalog.Services) > 0 || c.DNS.HostsFile {
		t.Errorf("the shipped configuration does something: %+v", c)
	}
}

// TestShippedExample: without their # the blocks in the comments are valid, and say what is the default anyway.
func TestShippedExample(t *testing.T) {
	shipped := loadShipped(t, "app-1", func(text string) string { return text })
	c := loadShipped(t, "app-1", uncomment)
	if len(c.Catalog.Services) != 1 || c.Host.Name != "app-1" || !c.Static.Watch {
		t.Errorf("the example is %+v", c)
	}
	if c.Prometheus != shipped.Prometheus || c.Capture.Mode != shipped.Capture.Mode || c.Capture.Fail != shipped.Capture.Fail || c.DNS != shipped.DNS {
		t.Errorf("the comments of meshd.hcl do not have the defaults:\n%+v\n%+v", c, shipped)
	}
}

// uncomment takes the # away from blocks, and leaves the sentences theirs.
func uncomment(text string) string {
	var lines []string
	inBlock := false
	for line := range strings.Lines(text) {
		bare, commented := strings.CutPrefix(line, "# ")
		if commented && strings.HasSuffix(bare, " {\n") {
			inBlock = true
		}
		if inBlock && commented {
			line = bare
		}
		if bare == "}\n" {
			inBlock = false
		}
		lines = append(lines, strings.Replace(line, "  # watch", "  watch", 1))
	}
	return strings.Join(lines, "")
}
