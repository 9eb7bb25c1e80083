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

// TestError loads each case of testdata/error. It expects the summaries that stand behind "# ERROR:" on the line they are
// about, separated by "; ", or before all files of an archive for a file as a whole, and the text of the golden file.
func TestError(t *testing.T) {
	for _, path := range cases(t, "error") {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) {
			golden := strings.TrimSuffix(path, filepath.Ext(path)) + ".txt"
			archive := readCase(t, path)
			c, d := loadCase(t, path)
			if c != nil || !d.HasErrors() {
				t.Error("Load returned a configuration")
			}
			if diff := cmp.Diff(wantedErrors(archive), foundErrors(d)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			compareGolden(t, golden, []byte(text(t, d)))
		})
	}
}

var marker = regexp.MustCompile(`(?m)\bERROR: (.*)$`)

func wantedErrors(a *txtar.Archive) []string {
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

func foundErrors(d *Diagnostics) []string {
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
