package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadRefuses checks that a file which Load must not trust or cannot read is one error that names the fix.
func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		summary string // behind the path
		fix     string
	}{
		{"group can write", chmod(0o620), "can be written by others than its owner", "chmod go-w "},
		{"world can write", chmod(0o602), "can be written by others than its owner", "chmod go-w "},
		{"folder in a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file", "Name a file"},
		{"pipe", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file", "Name a file"},
		{"dangling link", func(t *testing.T, path string) {
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		}, "does not exist", "Create it"},
		{"too large", func(t *testing.T, path string) {
			writeFile(t, path, nil)
			if err := os.Truncate(path, maxFileSize+1); err != nil {
				t.Fatal(err)
			}
		}, "is larger than 4 MiB", "Split the file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "mesh.hcl")
			test.prepare(t, path)
			c, d := Load(Options{Paths: []string{folder}, Hostname: "app-1"})
			if c != nil || d.Len() != 1 {
				t.Fatalf("got %d problems, want 1:\n%s", d.Len(), text(t, d))
			}
			got := d.List()[0]
			if want := path + " " + test.summary; got.Summary != want || got.File != path || got.Line != 0 {
				t.Errorf("got %q in %q, want %q", got.Summary, got.File, want)
			}
			if !strings.Contains(got.Detail, test.fix) {
				t.Errorf("detail %q does not say %q", got.Detail, test.fix)
			}
		})
	}
}

func chmod(mode fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		writeFile(t, path, nil)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrust(t *testing.T) {
	const self, stranger = 1000, 1001
	tests := []struct {
		mode  fs.FileMode
		owner int
		fix   string
	}{
		{0o644, 0, ""},
		{0o600, self, ""},
		{0o644, stranger, "chown root mesh.hcl"},
		{0o664, self, "chmod go-w mesh.hcl"},
		{0o646, 0, "chmod go-w mesh.hcl"},
		{fs.ModeDevice | 0o600, 0, "Name a file"},
	}
	for _, test := range tests {
		err := trust("mesh.hcl", test.mode, test.owner, self)
		if (err == nil) != (test.fix == "") || err != nil && !strings.Contains(err.Error(), test.fix) {
			t.Errorf("%v of %d: got %v, want %q", test.mode, test.owner, err, test.fix)
		}
	}
}

func TestReadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshd.hcl")
	c, d := Load(Options{Paths: []string{path}})
	if c != nil || d.Len() != 1 || d.List()[0].Summary != path+" does not exist" {
		t.Fatalf("unexpected problems:\n%s", text(t, d))
	}
}

// TestReadLink loads a file through a link, as configuration management and snapshots of volumes leave them.
func TestReadLink(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "data", "v1"), []byte("capture {}\n"))
	link := filepath.Join(folder, "meshd.hcl")
	if err := os.Symlink("data/v1", link); err != nil {
		t.Fatal(err)
	}
	if c, d := Load(Options{Paths: []string{link}}); c == nil {
		t.Fatalf("unexpected problems:\n%s", text(t, d))
	}
}

func TestReadTooManyFiles(t *testing.T) {
	folder := t.TempDir()
	for i := range maxFiles + 2 {
		writeFile(t, filepath.Join(folder, fmt.Sprintf("%04d.hcl", i)), nil)
	}
	c, d := Load(Options{Paths: []string{folder}})
	if c != nil || d.Len() != 1 || d.List()[0].Summary != "More than 1000 files" {
		t.Fatalf("unexpected problems:\n%s", text(t, d))
	}
}

// TestHash checks that the hash follows the contents of files and not where they are.
func TestHash(t *testing.T) {
	load := func(src string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "meshd.hcl")
		writeFile(t, path, []byte(src))
		c, d := Load(Options{Paths: []string{path}})
		if c == nil {
			t.Fatalf("unexpected problems:\n%s", text(t, d))
		}
		return c.Hash
	}
	first, same, other := load("capture {}\n"), load("capture {}\n"), load("node {}\n")
	if first != same || first == other {
		t.Errorf("got %s, %s for the same and %s for other contents", first, same, other)
	}
}
