package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	const src = "mesh \"shop\" {\ndomain=\"mesh\" # of names\n  trust_domain   = \"shop.example\"\n}\n"
	const want = "mesh \"shop\" {\n  domain       = \"mesh\" # of names\n  trust_domain = \"shop.example\"\n}\n"
	got, d := Format("mesh.hcl", []byte(src))
	if d.Len() != 0 {
		t.Fatalf("unexpected problems:\n%s", text(t, d))
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFormatError(t *testing.T) {
	got, d := Format("mesh.hcl", []byte("mesh \"shop\" {\n"))
	if got != nil || !d.HasErrors() || d.List()[0].File != "mesh.hcl" {
		t.Errorf("got %q and problems:\n%s", got, text(t, d))
	}
}
