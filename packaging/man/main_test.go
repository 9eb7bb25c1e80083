package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPages: the pages that are committed are those that the programs and the configuration have today.
func TestPages(t *testing.T) {
	pages, err := write("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what make gen writes (-generated +committed):\n%s", name, diff)
		}
		lint := exec.CommandContext(t.Context(), "man", "--warnings", "--encoding=UTF-8", "--local-file", "--troff-device=utf8", name)
		lint.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=t", "MANWIDTH=80")
		var said strings.Builder
		lint.Stderr = &said
		if err := lint.Run(); err != nil || said.Len() > 0 {
			t.Errorf("man %s: %v: %s", name, err, said.String())
		}
	}
}

// TestEveryArgumentHasItsText: what the configuration decodes is in the manual, and a comment that is missing is an error.
func TestEveryArgumentHasItsText(t *testing.T) {
	schema, err := readSchema("../../engine/config")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("meshd.hcl.5")
	if err != nil {
		t.Fatal(err)
	}
	arguments := 0
	var look func([]block)
	look = func(blocks []block) {
		for _, b := range blocks {
			if !strings.Contains(string(page), "\n.SS "+escape(b.Path)) {
				t.Errorf("meshd.hcl.5 has no block %s", b.Path)
			}
			for _, a := range b.Arguments {
				arguments++
				if !strings.Contains(string(page), "\n.B "+escape(a.Name)+"\n"+escape(a.Text)) {
					t.Errorf("meshd.hcl.5 has no argument %s.%s", b.Path, a.Name)
				}
			}
			look(b.Blocks)
		}
	}
	look(schema)
	if arguments < 40 {
		t.Errorf("the configuration has %d arguments, which is too few to be all", arguments)
	}
}

func TestSchema(t *testing.T) {
	read := func(declarations string) ([]block, error) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "a.go"), []byte("package config\n\n"+declarations), 0o600); err != nil {
			t.Fatal(err)
		}
		return readSchema(folder)
	}
	got, err := read("var nodeBlocks = []string{\"dns\"}\n" + `
type blocks struct {
	DNS []*dnsBlock ` + "`hcl:\"dns,block\"`" + `
}

// dnsBlock is about names: dns "a" {}.
type dnsBlock struct {
	// Name is its name.
	Name string ` + "`hcl:\"name,label\"`" + `

	// HostsFile writes
	// names.
	HostsFile bool ` + "`hcl:\"hosts_file,optional\"`" + `
	HostsFileRange int ` + "`hcl:\"hosts_file,attr_value_range\"`" + `

	first int
}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{{
		Path: "dns", Labels: []string{"NAME"}, Text: "dns is about names.\nNAME is its name.", NodeOnly: true,
		Arguments: []argument{{Name: "hosts_file", Text: "hosts_file writes names."}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}

	_, err = read("type blocks struct {\n\tDNS *dns `hcl:\"dns,block\"`\n}\n\ntype dns struct {\n\tFile bool `hcl:\"file\"`\n}\n")
	if err == nil || !strings.Contains(err.Error(), "about dns") || !strings.Contains(err.Error(), "dns.file") {
		t.Errorf("a block and an argument without a comment: %v", err)
	}
}

func TestSpellings(t *testing.T) {
	if err := checkSpellings([]block{{Path: "node"}}); err == nil || !strings.Contains(err.Error(), "node.name") {
		t.Errorf("a spelling of an argument that is not there: %v", err)
	}
}
