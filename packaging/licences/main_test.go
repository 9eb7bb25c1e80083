package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listOf returns what go list says about a package of each of those modules.
func listOf(t *testing.T, modules ...module) string {
	t.Helper()
	var list strings.Builder
	for _, m := range modules {
		text, err := json.Marshal(map[string]any{"ImportPath": m.Path + "/x", "Module": m})
		if err != nil {
			t.Fatal(err)
		}
		list.Write(text)
	}
	return list.String()
}

// folderOf returns a folder with a file of that name and text.
func folderOf(t *testing.T, name, text string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestCollect(t *testing.T) {
	golang := filepath.Join(folderOf(t, "LICENSE", "of Go\n"), "LICENSE")
	apache := "Apache License\nVersion 2.0\n\nEND OF TERMS AND CONDITIONS\nCopyright [yyyy] [name]\nCopyright 2014 Somebody\n"
	text, err := collect(strings.NewReader(listOf(t,
		module{Path: "example.com/b", Version: "v1", Dir: folderOf(t, "LICENSE.md", "of A and B")},
		module{Path: "example.com/a", Version: "v2", Dir: folderOf(t, "COPYING", "of A and B\n")},
		module{Path: "example.com/c", Version: "v3", Dir: "/nowhere", Replace: &module{Dir: folderOf(t, "LICENSE", apache)}},
		module{Path: "example.com/self", Main: true},
	)), golang)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nthe standard library of Go\n\nof Go\n", "\nexample.com/a v2\nexample.com/b v1\n\nof A and B\n",
		"\nexample.com/c v3\n\nCopyright 2014 Somebody\nApache License, Version 2.0, as above.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the copyright file lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "example.com/self") || strings.Contains(text, "TERMS AND CONDITIONS") {
		t.Errorf("the copyright file has too much:\n%s", text)
	}
}

func TestCollectFails(t *testing.T) {
	golang := filepath.Join(folderOf(t, "LICENSE", "of Go\n"), "LICENSE")
	for list, want := range map[string]string{
		"":  "names no modules",
		"{": "read list of packages",
		listOf(t, module{Path: "example.com/a", Dir: folderOf(t, "main.go", "")}): "example.com/a has no licence",
		listOf(t, module{Path: "example.com/a", Dir: "/nowhere"}):                 "go mod download",
	} {
		if _, err := collect(strings.NewReader(list), golang); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("collect %q: %v, want %q", list, err, want)
		}
	}
}
