package packaging

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// onlyIn has the files that a package has for the sake of its distribution.
var onlyIn = map[string][]string{
	"deb": {
		"/usr/share/doc/meshd/changelog.Debian.gz", "/usr/share/lintian/overrides/meshd", "/usr/share/zsh/vendor-completions/_meshctl",
	},
	"rpm": {"/usr/share/licenses/meshd", "/usr/share/licenses/meshd/LICENSE", "/usr/share/zsh/site-functions/_meshctl"},
}

var conffiles = []string{"/etc/meshd/mesh.d/mesh.hcl", "/etc/meshd/meshd.hcl", "/etc/ufw/applications.d/meshd"}

// TestFilesAreEqual: what is on a host does not depend on the format of the package.
func TestFilesAreEqual(t *testing.T) {
	deb, _ := debEntries(t)
	rpm := rpmEntries(t)
	for _, path := range onlyIn["deb"] {
		if _, found := deb[path]; !found {
			t.Errorf("the deb has no %s", path)
		}
		delete(deb, path)
	}
	for _, path := range onlyIn["rpm"] {
		if _, found := rpm[path]; !found {
			t.Errorf("the rpm has no %s", path)
		}
		delete(rpm, path)
	}
	// A deb has every folder above its files. An rpm has its own ones, and leaves those that others share to them.
	for path, e := range deb {
		if _, found := rpm[path]; e.Kind == "folder" && !found && !strings.Contains(path, "meshd") {
			delete(deb, path)
		}
	}
	if diff := cmp.Diff(deb, rpm); diff != "" {
		t.Errorf("files differ (-deb +rpm):\n%s", diff)
	}
}

func TestModesAndOwners(t *testing.T) {
	deb, _ := debEntries(t)
	for path, e := range deb {
		want := map[string]uint64{"folder": 0o755, "link": linkMode, "file": 0o644}[e.Kind]
		if path == "/usr/sbin/meshd" {
			want = 0o755
		}
		if e.Mode != want || e.User != "root" || e.Group != "root" {
			t.Errorf("%s %s has mode %o and belongs to %s:%s, want %o and root:root", e.Kind, path, e.Mode, e.User, e.Group, want)
		}
	}
	for _, path := range []string{
		"/usr/sbin/meshd", "/usr/bin/meshctl", "/usr/lib/systemd/system/meshd.service", "/usr/lib/systemd/system/meshd-online.target",
		"/usr/lib/systemd/system-preset/80-meshd.preset", "/usr/lib/sysusers.d/meshd.conf", "/usr/lib/tmpfiles.d/meshd.conf",
		"/etc/meshd", "/etc/meshd/conf.d", "/etc/meshd/mesh.d", "/usr/share/man/man8/meshd.8.gz", "/usr/share/man/man1/meshctl.1.gz",
		"/usr/share/man/man5/meshd.hcl.5.gz", "/usr/share/bash-completion/completions/meshctl", "/usr/share/doc/meshd/copyright",
	} {
		if _, found := deb[path]; !found {
			t.Errorf("the deb has no %s", path)
		}
	}
	if to := deb["/usr/bin/meshctl"].Content; to != "../sbin/meshd" {
		t.Errorf("meshctl leads to %s", to)
	}
}

// TestConffiles: what an administrator has changed is kept.
func TestConffiles(t *testing.T) {
	entries, _ := debEntries(t)
	got := strings.Fields(run(t, "dpkg-deb", "--info", built.deb, "conffiles"))
	slices.Sort(got)
	if diff := cmp.Diff(conffiles, got); diff != "" {
		t.Errorf("conffiles of the deb (-want +got):\n%s", diff)
	}
	got = nil
	for line := range strings.Lines(run(t, "rpm", "-qp", "--queryformat", `[%{FILENAMES} %{FILEFLAGS:fflags}\n]`, built.rpm)) {
		if path, flags, _ := strings.Cut(strings.TrimSpace(line), " "); flags == "cn" { // %config(noreplace)
			got = append(got, path)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(conffiles, got); diff != "" {
		t.Errorf("configuration files of the rpm (-want +got):\n%s", diff)
	}
	for path, e := range entries {
		if strings.HasPrefix(path, "/etc/") && e.Kind == "file" && !slices.Contains(conffiles, path) {
			t.Errorf("%s is no conffile", path)
		}
	}
}

// TestBinary: it runs everywhere, is no larger than a host has room for, and knows which release it is.
func TestBinary(t *testing.T) {
	_, contents := debEntries(t)
	binary := contents["/usr/sbin/meshd"]
	const most = 30 << 20
	if len(binary) > most {
		t.Errorf("meshd has %d bytes, want at most %d", len(binary), most)
	}
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range file.Progs {
		if s.Type == elf.PT_INTERP {
			t.Error("meshd is linked dynamically")
		}
	}
	path := filepath.Join(t.TempDir(), "meshd")
	if err := os.WriteFile(path, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	if out := run(t, path, "-version"); !strings.HasPrefix(out, "meshd "+version+" (") {
		t.Errorf("meshd -version prints %q", out)
	}
}

// TestOtherArchitecture: what the packages for arm64 hold runs there, and both say so.
func TestOtherArchitecture(t *testing.T) {
	folder := t.TempDir()
	if err := runBuild(folder, "arm64"); err != nil {
		t.Fatal(err)
	}
	deb, rpm := filepath.Join(folder, "meshd_1.2.3~rc1-1_arm64.deb"), filepath.Join(folder, "meshd-1.2.3~rc1-1.aarch64.rpm")
	if got := strings.TrimSpace(run(t, "dpkg-deb", "--field", deb, "Architecture")); got != "arm64" {
		t.Errorf("the deb is for %s", got)
	}
	if got := run(t, "rpm", "-qp", "--queryformat", "%{ARCH}", rpm); got != "aarch64" {
		t.Errorf("the rpm is for %s", got)
	}
	unpacked := t.TempDir()
	run(t, "dpkg-deb", "--extract", deb, unpacked)
	binary, err := os.ReadFile(filepath.Join(unpacked, "usr/sbin/meshd"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	if file.Machine != elf.EM_AARCH64 {
		t.Errorf("the meshd of the deb is for %v", file.Machine)
	}
	digests := run(t, "rpm", "-qp", "--queryformat", `[%{FILENAMES} %{FILEDIGESTS}\n]`, rpm)
	if want := fmt.Sprintf("/usr/sbin/meshd %x\n", sha256.Sum256(binary)); !strings.Contains(digests, want) {
		t.Errorf("the meshd of the rpm is another one than %q:\n%s", want, digests)
	}
}

// TestReproducible: whoever builds the same commit gets the same bytes.
func TestReproducible(t *testing.T) {
	build(t)
	again := t.TempDir()
	if err := runBuild(again, "amd64", "TZ=Asia/Tokyo", "LC_ALL=de_DE.UTF-8", "USER=someone"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{built.deb, built.rpm, built.sbom} {
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(again, filepath.Base(path)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs when it is built again", filepath.Base(path))
		}
	}
}

// TestLintian: the deb is as Debian's policy wants it. What is not is in deb/lintian-overrides, with its reason.
func TestLintian(t *testing.T) {
	build(t)
	out, err := exec.CommandContext(t.Context(), "lintian", "--allow-root", "--fail-on", "error,warning,info", "--display-info", built.deb).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	for _, script := range []string{"post", "postun", "preun"} {
		run(t, "sh", "-n", filepath.Join("rpm", script))
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "unused-override") {
			t.Error(line)
		}
	}
}

// TestFields are those that a person or a package manager looks at.
func TestFields(t *testing.T) {
	build(t)
	for field, want := range map[string]string{
		"Package": "meshd", "Version": "1.2.3~rc1-1", "Section": "net", "Priority": "optional", "Architecture": "amd64", "Depends": "systemd (>= 249)",
	} {
		if got := strings.TrimSpace(run(t, "dpkg-deb", "--field", built.deb, field)); got != want {
			t.Errorf("field %s of the deb is %q, want %q", field, got, want)
		}
	}
	want := "meshd 1.2.3~rc1-1 x86_64 Apache-2.0"
	if got := run(t, "rpm", "-qp", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{LICENSE}", built.rpm); got != want {
		t.Errorf("the rpm is %q, want %q", got, want)
	}
}

// TestLicencesAndParts: each module that is linked has its licence in the copyright file, and a line in the list of parts.
func TestLicencesAndParts(t *testing.T) {
	_, contents := debEntries(t)
	copyright := string(contents["/usr/share/doc/meshd/copyright"])
	text, err := os.ReadFile(built.sbom)
	if err != nil {
		t.Fatal(err)
	}
	var parts struct {
		BOMFormat  string
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	if parts.BOMFormat != "CycloneDX" {
		t.Errorf("the list of parts is in the format %q", parts.BOMFormat)
	}
	listed := map[string]string{}
	for _, c := range parts.Components {
		listed[c.Name] = c.Version
	}
	modules := map[string]string{}
	for line := range strings.Lines(run(t, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "../cmd/meshd")) {
		if name, v, found := strings.Cut(strings.TrimSpace(line), " "); found {
			modules[name] = v
		}
	}
	if len(modules) == 0 {
		t.Fatal("meshd links no modules")
	}
	for name, v := range modules {
		if !strings.Contains(copyright, "\n"+name+" "+v+"\n") {
			t.Errorf("the copyright file does not name %s %s", name, v)
		}
		if listed[name] != v {
			t.Errorf("the list of parts has %s in version %q, want %s", name, listed[name], v)
		}
	}
	for name := range maps.Keys(listed) {
		if modules[name] == "" && name != "std" && name != "github.com/meshd/meshd" {
			t.Errorf("the list of parts has %s, which is not linked", name)
		}
	}
}

func TestFirewalld(t *testing.T) {
	_, contents := debEntries(t)
	var service struct {
		Ports []struct {
			Port     string `xml:"port,attr"`
			Protocol string `xml:"protocol,attr"`
		} `xml:"port"`
	}
	if err := xml.Unmarshal(contents["/usr/lib/firewalld/services/meshd.xml"], &service); err != nil {
		t.Fatal(err)
	}
	if len(service.Ports) != 1 || service.Ports[0].Port != "15008" || service.Ports[0].Protocol != "tcp" {
		t.Errorf("firewalld opens %v", service.Ports)
	}
	if profile := string(contents["/etc/ufw/applications.d/meshd"]); !strings.Contains(profile, "\nports=15008/tcp\n") {
		t.Errorf("ufw opens other ports:\n%s", profile)
	}
}
