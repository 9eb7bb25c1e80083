package packaging

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const version = "1.2.3-rc1"

// built has the packages of this machine's architecture, which all tests read.
var built struct {
	sync.Once
	folder, deb, rpm, sbom string
	err                    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.folder != "" {
		os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

func build(t *testing.T) {
	t.Helper()
	built.Do(func() {
		built.folder, built.err = os.MkdirTemp("", "packages")
		if built.err == nil {
			built.err = runBuild(built.folder, "amd64")
		}
		built.deb = filepath.Join(built.folder, "meshd_1.2.3~rc1-1_amd64.deb")
		built.rpm = filepath.Join(built.folder, "meshd-1.2.3~rc1-1.x86_64.rpm")
		built.sbom = filepath.Join(built.folder, "meshd_1.2.3-rc1_amd64.cdx.json")
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
}

func runBuild(folder, architecture string, environment ...string) error {
	cmd := exec.Command("./build", version, architecture, folder)
	cmd.Env = append(os.Environ(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build packages: %w:\n%s", err, out)
	}
	return nil
}

// run returns what a program prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// entry is a file of a package, as it will be on a host.
type entry struct {
	Kind        string // file, folder, link
	Mode        uint64
	User, Group string
	Content     string // sha256 of a file, or what a link leads to
}

// linkMode is that of every link: Linux has no other.
const linkMode = 0o777

// debEntries returns the files of the deb by their paths, and what is in them.
func debEntries(t *testing.T) (map[string]entry, map[string][]byte) {
	t.Helper()
	build(t)
	entries, contents := map[string]entry{}, map[string][]byte{}
	for archive := tar.NewReader(strings.NewReader(run(t, "dpkg-deb", "--fsys-tarfile", built.deb))); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		e := entry{Mode: uint64(h.Mode), User: h.Uname, Group: h.Gname}
		path := strings.TrimSuffix(strings.TrimPrefix(h.Name, "."), "/")
		switch h.Typeflag {
		case tar.TypeDir:
			e.Kind = "folder"
		case tar.TypeSymlink:
			e.Kind, e.Content, e.Mode = "link", h.Linkname, linkMode
		case tar.TypeReg:
			text, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			contents[path] = text
			e.Kind, e.Content = "file", fmt.Sprintf("%x", sha256.Sum256(text))
		default:
			t.Fatalf("%s is a %q", h.Name, h.Typeflag)
		}
		entries[path] = e
	}
}

// rpmEntries returns the files of the rpm by their paths.
func rpmEntries(t *testing.T) map[string]entry {
	t.Helper()
	build(t)
	entries := map[string]entry{}
	list := run(t, "rpm", "-qp", "--queryformat", `[%{FILENAMES}\t%{FILEMODES}\t%{FILEUSERNAME}\t%{FILEGROUPNAME}\t%{FILEDIGESTS}\t%{FILELINKTOS}\n]`, built.rpm)
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		mode, err := strconv.ParseUint(f[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		e := entry{Mode: mode & 0o7777, User: f[2], Group: f[3]}
		switch mode &^ 0o7777 {
		case 0o040000:
			e.Kind = "folder"
		case 0o120000:
			e.Kind, e.Content, e.Mode = "link", f[5], linkMode
		case 0o100000:
			e.Kind, e.Content = "file", f[4]
		default:
			t.Fatalf("%s has mode %o", f[0], mode)
		}
		entries[f[0]] = e
	}
	return entries
}
