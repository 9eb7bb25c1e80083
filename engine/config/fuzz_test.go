package config

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzLoad looks for text that makes Load panic or break its promise about what it returns.
func FuzzLoad(f *testing.F) {
	seed(f)
	path := filepath.Join(f.TempDir(), "meshd.hcl")
	f.Fuzz(func(t *testing.T, src []byte) {
		loadText(t, path, src)
	})
}

// FuzzFormat looks for text that Format changes in more than its layout, or twice.
func FuzzFormat(f *testing.F) {
	seed(f)
	path := filepath.Join(f.TempDir(), "meshd.hcl")
	f.Fuzz(func(t *testing.T, src []byte) {
		once, d := Format("meshd.hcl", src)
		if d.HasErrors() {
			return
		}
		twice, d := Format("meshd.hcl", once)
		if d.HasErrors() || !bytes.Equal(once, twice) {
			t.Fatalf("%q becomes %q and then %q; problems:\n%s", src, once, twice, text(t, d))
		}
		before, after := loadText(t, path, src), loadText(t, path, once)
		if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(Config{}, "Hash"), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})); diff != "" {
			t.Fatalf("%q does not mean the same when formatted (-before +after):\n%s", src, diff)
		}
	})
}

func loadText(t *testing.T, path string, src []byte) *Config {
	t.Helper()
	if bytes.Contains(src, []byte("static")) {
		return nil // its patterns could match any file of the machine
	}
	writeFile(t, path, src)
	c, d := Load(Options{Paths: []string{path}, Hostname: "app-1"})
	if (c == nil) != d.HasErrors() {
		t.Fatalf("Load returned %v and problems:\n%s", c, text(t, d))
	}
	return c
}

func seed(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"valid/*.hcl", "warning/*.hcl", "error/*.hcl", "valid/*.txtar", "error/*.txtar"} {
		paths, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(paths) == 0 {
			f.Fatalf("no cases in testdata/%s: %v", pattern, err)
		}
		for _, path := range paths {
			for _, file := range readCase(f, path).Files {
				f.Add(file.Data)
			}
		}
	}
}
