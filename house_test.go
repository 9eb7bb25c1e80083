package meshd

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write cmd/daemon/linked_packages.txt")

// TestPackageComments: a package is one sentence, so a folder has one package comment.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{} // folder to the files that have one
	for _, path := range sources(t, ".go") {
		folder := filepath.Dir(path)
		if _, ok := comments[folder]; !ok {
			comments[folder] = nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		if file.Doc == nil {
			continue
		}
		comments[folder] = append(comments[folder], path)
		if want := commentStart(file, folder); !strings.HasPrefix(file.Doc.Text(), want) {
			t.Errorf("%s: the package comment does not start with %q", path, want)
		}
	}
	for folder, paths := range comments {
		if len(paths) != 1 {
			t.Errorf("folder %s has package comments in %q, want exactly one: in doc.go or the file that matters most", folder, paths)
		}
	}
}

func commentStart(file *ast.File, folder string) string {
	if file.Name.Name == "main" {
		return "Command " + filepath.Base(folder) + " "
	}
	return "Package " + file.Name.Name + " "
}

// TestFileSizes: a file is read in one sitting.
func TestFileSizes(t *testing.T) {
	const limit = 500
	for _, path := range sources(t, ".go", ".c", ".h") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source := read(t, path)
		if bytes.HasPrefix(source, []byte("// Code generated ")) {
			continue
		}
		if lines := bytes.Count(source, []byte("\n")); lines > limit {
			t.Errorf("%s has %d lines, want at most %d: split it by noun", path, lines, limit)
		}
	}
}

// TestKernelSourceLicences: a kernel program is loaded under a licence that the kernel accepts, so each file names it.
func TestKernelSourceLicences(t *testing.T) {
	for _, path := range sources(t, ".c", ".h") {
		if !strings.HasPrefix(path, "bpf/") {
			continue
		}
		first, _, _ := bytes.Cut(read(t, path), []byte("\n"))
		if !bytes.Contains(first, []byte("SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause")) {
			t.Errorf("%s does not begin with its SPDX-License-Identifier", path)
		}
	}
}

// sources returns the repository's files with one of those extensions, without what is built or hidden.
func sources(t *testing.T, extensions ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "bin" || path == "build" || strings.HasPrefix(path, ".") && path != "."):
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, filepath.Ext(path)):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("the repository has no files %q", extensions)
	}
	return found
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
