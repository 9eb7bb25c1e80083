package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// TestTooManyHostnames checks the bound on what has to be looked up again and again: one name of many endpoints is one.
func TestTooManyHostnames(t *testing.T) {
	load := func(names int) *Diagnostics {
		var src strings.Builder
		src.WriteString("mesh \"shop\" {}\nhost \"app-1\" { addresses = [\"10.0.0.21\"] }\nservice \"db\" {\n  port = 80\n")
		for i := range names {
			for port := 1; port < 3; port++ {
				fmt.Fprintf(&src, "  endpoint {\n    address = \"n%d.example.com\"\n    port = %d\n  }\n", i, port)
			}
		}
		src.WriteString("}\n")
		path := filepath.Join(t.TempDir(), "meshd.hcl")
		writeFile(t, path, []byte(src.String()))
		_, d := Load(Options{Paths: []string{path}, Hostname: "app-1"})
		return d
	}
	if d := load(maxHostnames); d.Len() > 0 {
		t.Errorf("unexpected problems:\n%s", text(t, d))
	}
	if d := load(maxHostnames + 1); !d.HasErrors() || d.List()[0].Summary != "Too many host names" {
		t.Errorf("unexpected problems:\n%s", text(t, d))
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{"1h": "1h", "1h30m": "1h30m", "90s": "1m30s", "10m": "10m", "5s": "5s", "10ms": "10ms"} {
		if got := (&builder{problems: &problems{}}).duration(hcl.Range{}, "interval", text, 0, maxInterval*2); short(got) != want {
			t.Errorf("%s is written %s, want %s", text, short(got), want)
		}
	}
}
