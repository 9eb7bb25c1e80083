package config

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiagnostics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshd.hcl")
	writeFile(t, path, []byte("capture {\n  mode = \"some\"\n  fail = \"none\"\n}\n"))
	_, d := Load(Options{Paths: []string{path}})

	want := path + `:2: Unknown capture mode. There is no capture mode "some". Write "mesh" or "off". (and 1 more)`
	if got := d.Error(); got != want {
		t.Errorf("Error: got %q, want %q", got, want)
	}
	got, err := json.Marshal(d.List()[1])
	if err != nil {
		t.Fatal(err)
	}
	wantJSON := `{"severity":"error","summary":"Unknown fail mode","detail":"There is no fail mode \"none\". Write \"open\" or \"closed\".",` +
		`"file":"` + path + `","line":3,"column":10}`
	if string(got) != wantJSON {
		t.Errorf("JSON: got %s, want %s", got, wantJSON)
	}
	var colored bytes.Buffer
	if err := d.WriteText(&colored, 0, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colored.String(), "\x1b[31mError") {
		t.Errorf("no color in %q", colored.String())
	}
}

func TestDiagnosticsErrorIsNoWarning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshd.hcl")
	writeFile(t, path, []byte("mesh \"shop\" {}\nservice \"web\" { port = 80 }\nresolver \"wep\" {}\n"))
	_, d := Load(Options{Paths: []string{path}, Hostname: "app-1"})
	if got := d.Error(); d.List()[1].Severity != "warning" || !strings.Contains(got, "No host for this machine") {
		t.Errorf("Error: got %q; problems:\n%s", got, text(t, d))
	}
}

func TestDiagnosticsEmpty(t *testing.T) {
	d := &Diagnostics{}
	if d.HasErrors() || d.Len() != 0 || len(d.List()) != 0 || d.Error() != "no problems" {
		t.Errorf("got %d problems: %s", d.Len(), d.Error())
	}
}
