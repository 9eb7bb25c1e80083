package config

import (
	"path/filepath"
	"testing"
)

func TestThisHost(t *testing.T) {
	const hosts = `
mesh "shop" {}
host "app-1" { addresses = ["10.0.0.21"] }
host "app-1.eu.example" { addresses = ["10.0.0.22"] }
`
	tests := []struct {
		hostname, node string
		want           string // empty: an error
	}{
		{"app-1", "", "app-1"},
		{"APP-1", "", "app-1"},
		{"app-1.us.example", "", "app-1"},
		{"app-1.eu.example", "", "app-1.eu.example"},
		{"build-7", `node { name = "app-1" }`, "app-1"},
		{"app-1", `node { name = "app-1.eu.example" }`, "app-1.eu.example"},
		{"app-1", `node { name = "app-2" }`, ""},
		{"app-2", "", ""},
		{"", "", ""},
	}
	for _, test := range tests {
		path := filepath.Join(t.TempDir(), "meshd.hcl")
		writeFile(t, path, []byte(test.node+hosts))
		c, d := Load(Options{Paths: []string{path}, Hostname: test.hostname})
		got := ""
		if c != nil {
			got = c.Host.Name
		}
		if got != test.want || c == nil && d.Len() != 1 {
			t.Errorf("on %q with %q: got host %q, want %q; problems:\n%s", test.hostname, test.node, got, test.want, text(t, d))
		}
	}
}
