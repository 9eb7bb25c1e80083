package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

// TestValid loads each case of testdata/valid and compares the result with the golden file beside it.
func TestValid(t *testing.T) {
	for _, path := range cases(t, "valid") {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) {
			golden := strings.TrimSuffix(path, filepath.Ext(path)) + ".json"
			c, d := loadCase(t, path)
			if d.Len() > 0 {
				t.Fatalf("unexpected problems:\n%s", text(t, d))
			}
			got, err := json.MarshalIndent(c, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, golden, append(got, '\n'))
		})
	}
}

// TestProblems loads each case of testdata/error, and of testdata/warning, which are valid. It expects the summaries that
// stand behind "# ERROR:" or "# WARNING:" on the line they are about, separated by "; ", or before all files of an archive
// for a file as a whole, and the text of the golden file.
func TestProblems(t *testing.T) {
	for _, path := range append(cases(t, "error"), cases(t, "warning")...) {
		folder, file := filepath.Split(path)
		severity, name := filepath.Base(folder), strings.TrimSuffix(file, filepath.Ext(file))
		t.Run(severity+"/"+name, func(t *testing.T) {
			golden := filepath.Join(folder, name+".txt")
			archive := readCase(t, path)
			c, d := loadCase(t, path)
			if wrong := severity == "error"; d.HasErrors() != wrong || (c == nil) != wrong {
				t.Errorf("Load returned a configuration: %v, want %v", c != nil, !wrong)
			}
			if diff := cmp.Diff(wantedProblems(archive), foundProblems(d)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			compareGolden(t, golden, []byte(text(t, d)))
		})
	}
}

var marker = regexp.MustCompile(`(?m)\b(?:ERROR|WARNING): (.*)$`)

func wantedProblems(a *txtar.Archive) []string {
	var want []string
	for _, m := range marker.FindAllSubmatch(a.Comment, -1) {
		want = append(want, string(m[1]))
	}
	for _, f := range a.Files {
		for i, line := range strings.Split(string(f.Data), "\n") {
			if m := marker.FindStringSubmatch(line); m != nil {
				for summary := range strings.SplitSeq(m[1], "; ") {
					want = append(want, fmt.Sprintf("%s:%d: %s", f.Name, i+1, summary))
				}
			}
		}
	}
	slices.Sort(want)
	return want
}

func foundProblems(d *Diagnostics) []string {
	var found []string
	for _, x := range d.List() {
		if x.Line == 0 {
			found = append(found, x.Summary)
			continue
		}
		found = append(found, fmt.Sprintf("%s:%d: %s", x.File, x.Line, x.Summary))
	}
	slices.Sort(found)
	return found
}

func cases(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	for _, kind := range []string{"*.hcl", "*.txtar"} {
		paths, err := filepath.Glob(filepath.Join("testdata", folder, kind))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, paths...)
	}
	if len(all) == 0 {
		t.Fatalf("no cases in testdata/%s", folder)
	}
	for i := range all {
		all[i], _ = filepath.Abs(all[i])
	}
	return all
}

// readCase returns the files of a case; one that is not an archive is the node's own file.
func readCase(t testing.TB, path string) *txtar.Archive {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".txtar" {
		return txtar.Parse(src)
	}
	return &txtar.Archive{Files: []txtar.File{{Name: "meshd.hcl", Data: src}}}
}

// loadCase loads a case from a folder of its own, so that names of files in problems are short and always the same.
func loadCase(t *testing.T, path string) (*Config, *Diagnostics) {
	t.Helper()
	archive := readCase(t, path)
	t.Chdir(t.TempDir())
	for _, f := range archive.Files {
		writeFile(t, f.Name, f.Data)
	}
	paths := []string{"meshd.hcl"}
	if _, err := os.Stat("conf.d"); err == nil {
		paths = append(paths, "conf.d")
	}
	return Load(Options{Paths: paths, Hostname: "app-1"})
}

// TestRoot loads a copy of the /etc/meshd of another host.
func TestRoot(t *testing.T) {
	t.Chdir(t.TempDir())
	for path, src := range map[string]string{
		"copy/meshd.hcl":       "discovery \"static\" {\n  files = [\"/etc/meshd/mesh.d/*.hcl\", \"/etc/meshd/../meshd/hosts.hcl\"]\n}\n",
		"copy/conf.d/node.hcl": "capture {}\n",
		"copy/mesh.d/mesh.hcl": "mesh \"shop\" {}\n",
		"copy/hosts.hcl":       "host \"app-9\" { addresses = [\"10.0.0.29\"] }\n",
	} {
		writeFile(t, path, []byte(src))
	}
	c, d := Load(Options{Root: "copy", Hostname: "app-9"})
	if c == nil {
		t.Fatalf("unexpected problems:\n%s", text(t, d))
	}
	want := []string{"copy/conf.d/node.hcl", "copy/hosts.hcl", "copy/mesh.d/mesh.hcl", "copy/meshd.hcl"}
	if diff := cmp.Diff(want, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	// What is given stays where it is, and only what it names is looked for in the root.
	writeFile(t, "app-8.hcl", []byte("discovery \"static\" {\n  files = [\"/etc/meshd/absent/*.hcl\"]\n}\n"))
	for root, want := range map[string]string{"copy": `Nothing matches "copy/absent/*.hcl"`, "": "meshctl validate -root DIR"} {
		_, d = Load(Options{Paths: []string{"app-8.hcl"}, Root: root, Hostname: "app-8"})
		if got := d.Error(); d.Len() != 1 || !strings.Contains(got, want) || root != "" && strings.Contains(got, "-root") {
			t.Errorf("root %q: got %s, want %s", root, got, want)
		}
	}
	_, d = Load(Options{Root: "absent", Hostname: "app-9"})
	if got := d.Error(); d.Len() != 1 || !strings.Contains(got, "absent/meshd.hcl does not exist") || !strings.Contains(got, "absent/conf.d/*.hcl") {
		t.Errorf("absent root: got %s", got)
	}
}

// writeFile writes a file that only its owner can write, whatever the umask.
func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, d *Diagnostics) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteText(&b, 80, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update and look at what it writes", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", filepath.Base(path), diff)
	}
}
