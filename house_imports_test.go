package meshd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/meshd/meshd"

// importRules says which of our own packages a package may import, itself or through others.
//
// A package is ruled by the row of its folder or, when there is none, of the nearest folder above. A folder stands for
// everything below it.
var importRules = map[string]struct {
	may     []string
	because string
}{
	".":             {[]string{"engine/config", "engine/http1", "engine/subset"}, "these tests read configurations and no more"},
	"engine":        {[]string{"engine"}, "it meets the kernel, Consul and systemd in interfaces that it declares itself"},
	"engine/mesh":   {nil, "everyone imports the nouns"},
	"engine/config": {[]string{"engine/http1", "engine/mesh", "engine/subset"}, "it turns text into nouns and nothing else"},
	"engine/subset": {[]string{"engine/mesh"}, "it is part of the language, whose texts engine/config checks"},
	"engine/http1":  {nil, "it knows bytes of messages, and not who sends them"},
	"engine/http2":  {[]string{"engine/http1"}, "it knows bytes of connections, and not whose they are"},
	"discovery":     {[]string{"discovery", "engine/config", "engine/mesh", "engine/http1", "engine/subset"}, "it finds services and does not know who uses them"},
	"bpf":           {[]string{"bpf", "engine/mesh"}, "it knows the kernel and the nouns, and never a neighbour"},
	"encrypt":       {[]string{"encrypt", "engine/mesh"}, "it knows keys and devices and the nouns, and never a neighbour"},
	"systemd":       {[]string{"systemd", "engine/mesh"}, "it knows systemd and the nouns, and never a neighbour"},
	"cmd/ctl": {[]string{
		"engine/config", "engine/control", "engine/mesh", "engine/http1", "engine/subset",
		"engine/explain", "engine/snapshot", "engine/route", "engine/balance", "engine/limit",
	}, "it asks the daemon, and is none; of files it explains by the code that decides, and carries no byte"},
	"cmd/daemon":   {[]string{"cmd/ctl", "engine", "discovery", "bpf", "encrypt", "systemd"}, "it knows everybody, but not who starts it"},
	"cmd/meshd":    {[]string{"cmd", "engine", "discovery", "bpf", "encrypt", "systemd"}, "it is three lines over cmd/daemon"},
	"examples":     {[]string{"examples", "engine/config", "engine/control", "engine/mesh", "engine/http1", "engine/subset"}, "it asks the daemon as cmd/ctl does"},
	"examples/lab": {[]string{"examples/lab"}, "it starts meshd as a program and links none of it"},

	"packaging":             {[]string{"packaging", "cmd/ctl", "cmd/daemon", "engine", "discovery", "bpf", "encrypt", "systemd"}, "it documents the program that it packs"},
	"examples/lab/meshdemo": {[]string{"examples/lab", "engine/config", "engine/control", "engine/mesh", "engine/http1", "engine/subset"}, "it asks the daemon as cmd/ctl does"},
}

// unwanted are packages that must not be linked into meshd, however useful to a dependency.
var unwanted = map[string]string{
	"testing":                "it registers flags and is of no use at run time",
	"net/http/pprof":         "its import alone puts handlers on the default mux",
	"plugin":                 "it needs dynamic linking",
	"text/template":          "it calls methods by name, so that the linker must keep all of them",
	"html/template":          "it calls methods by name, so that the linker must keep all of them",
	"k8s.io":                 "meshd knows nothing of Kubernetes",
	"google.golang.org/grpc": "meshd passes gRPC on and calls none",
}

// listed is a package as go list describes it.
type listed struct {
	ImportPath   string
	Standard     bool
	Deps         []string // all that it imports, itself or through others
	TestImports  []string
	XTestImports []string
}

// goList runs go list -json for linux/amd64 without cgo, whatever the machine, so that what it says is comparable.
func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Standard,Deps,TestImports,XTestImports"}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, &stderr)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var one listed
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

// TestImportDirections: imports point one way.
func TestImportDirections(t *testing.T) {
	for _, p := range goList(t, "./...") {
		name := ours(p.ImportPath)
		row := name
		for importRules[row].because == "" && row != "." {
			row = path.Dir(row)
		}
		rule := importRules[row]
		if row == "." && name != "." {
			t.Errorf("package %s: give its folder a row in importRules", name)
			continue
		}
		for _, dep := range slices.Concat(p.Deps, p.TestImports, p.XTestImports) {
			dep = ours(dep)
			if dep != "" && dep != name && !slices.ContainsFunc(rule.may, func(may string) bool { return below(dep, may) }) {
				t.Errorf("%s imports %s, itself or through others, but may import only %q of ours: %s", name, dep, rule.may, rule.because)
			}
		}
	}
}

// TestOnlyStd: everyone imports the nouns, so whatever they import would be imported by everyone; and what bytes of a
// stranger mean depends on no code but ours.
func TestOnlyStd(t *testing.T) {
	for _, folder := range []string{"engine/mesh", "engine/http1"} {
		for _, p := range goList(t, "-deps", "./"+folder) {
			if !p.Standard && ours(p.ImportPath) != folder {
				t.Errorf("%s imports %s, itself or through others", folder, p.ImportPath)
			}
		}
	}
}

// TestLinkedPackages: what is linked into the one binary of every host is looked at before it changes.
func TestLinkedPackages(t *testing.T) {
	const golden = "cmd/daemon/linked_packages.txt"
	var got []string
	for _, p := range goList(t, "-deps", "./cmd/meshd") {
		for name, because := range unwanted {
			if below(p.ImportPath, name) {
				t.Errorf("meshd links %s: %s; go list -deps ./cmd/meshd shows after what", p.ImportPath, because)
			}
		}
		if !p.Standard {
			got = append(got, p.ImportPath)
		}
	}
	slices.Sort(got)
	text := strings.Join(got, "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.Split(string(read(t, golden)), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("meshd links other packages than %s has (-file +linked):\n%s\nWhen that is meant, run: go test -run TestLinkedPackages . -update", golden, diff)
	}
}

// ours returns the folder of a package of this repository; empty for any other.
func ours(importPath string) string {
	if importPath == module {
		return "."
	}
	folder, _ := strings.CutPrefix(importPath, module+"/")
	if folder == importPath {
		return ""
	}
	return folder
}

// below says whether a package is in that folder or below it.
func below(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }
