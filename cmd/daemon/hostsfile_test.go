package daemon

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// hostsRig is a hosts file in a folder of its own.
type hostsRig struct {
	*hostsFile
	block string // that is wanted
	wrong error
}

func newHostsRig(t *testing.T, text string) *hostsRig {
	t.Helper()
	r := &hostsRig{block: "244.0.0.1 a.mesh\n"}
	r.hostsFile = &hostsFile{
		path:   filepath.Join(t.TempDir(), "hosts"),
		wanted: func() (string, error) { return r.block, r.wrong },
		log:    slog.New(slog.DiscardHandler),
	}
	r.write(t, text)
	return r
}

func (r *hostsRig) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// want looks at the file, and at what is beside it.
func (r *hostsRig) want(t *testing.T, text string) {
	t.Helper()
	got, err := os.ReadFile(r.path)
	if err != nil || string(got) != text {
		t.Errorf("the file has %q, %v; want %q", got, err, text)
	}
	files, err := os.ReadDir(filepath.Dir(r.path))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are in the folder, %v; want 1", len(files), err)
	}
}

const (
	hostsLocal = "127.0.0.1 localhost\n"
	hostsNew   = hostsLocal + "# BEGIN meshd\n244.0.0.1 a.mesh\n# END meshd\n"
)

func TestHostsFileKeep(t *testing.T) {
	r := newHostsRig(t, hostsLocal)
	if err := os.Chmod(r.path, 0o604); err != nil {
		t.Fatal(err)
	}
	r.keep()
	r.want(t, hostsNew)
	info, err := os.Stat(r.path)
	if err != nil || info.Mode() != 0o604 {
		t.Errorf("mode %v, %v; want that of the file before", info.Mode(), err)
	}

	r.keep()
	if same, err := os.Stat(r.path); err != nil || !os.SameFile(info, same) {
		t.Errorf("a file that was right was written, %v", err)
	}
	r.write(t, hostsLocal) // as who else writes it does
	r.keep()
	r.want(t, hostsNew)

	r.block = ""
	r.keep()
	r.want(t, hostsLocal)
	r.keep()
	r.want(t, hostsLocal)
	r.block = "244.0.0.1 a.mesh\n"
	r.keep()
	r.want(t, hostsNew)
	if r.failure() != "" {
		t.Errorf("failure %q", r.failure())
	}
}

func TestHostsFileLeftOver(t *testing.T) {
	r := newHostsRig(t, hostsLocal)
	if err := os.WriteFile(filepath.Join(filepath.Dir(r.path), ".hosts.meshd"), []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.keep()
	r.want(t, hostsNew)
}

func TestHostsFileIsLink(t *testing.T) {
	r := newHostsRig(t, hostsLocal)
	link := filepath.Join(t.TempDir(), "hosts")
	if err := os.Symlink(r.path, link); err != nil {
		t.Fatal(err)
	}
	target := r.path
	r.path = link
	r.keep()
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link became %v, %v", info, err)
	}
	r.path = target
	r.want(t, hostsNew)
}

func TestHostsFileMissing(t *testing.T) {
	r := newHostsRig(t, "")
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.block = ""
	r.keep()
	if _, err := os.Stat(r.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a block a file came to be: %v", err)
	}
	r.block = "244.0.0.1 a.mesh\n"
	r.keep()
	r.want(t, strings.TrimPrefix(hostsNew, hostsLocal))
}

// What cannot be done is said, leaves the file as it is, and is tried again.
func TestHostsFileFails(t *testing.T) {
	r := newHostsRig(t, hostsLocal+"# END meshd\n")
	r.keep()
	r.want(t, hostsLocal+"# END meshd\n")
	if !strings.Contains(r.failure(), `"# END meshd" has no "# BEGIN meshd" before it: remove it`) {
		t.Errorf("failure %q", r.failure())
	}
	r.write(t, hostsNew)
	r.block, r.wrong = "", errors.New("too many names")
	r.keep()
	r.want(t, hostsLocal)
	if r.failure() != "too many names" {
		t.Errorf("failure %q", r.failure())
	}
	r.block, r.wrong = "244.0.0.1 a.mesh\n", nil
	r.keep()
	r.want(t, hostsNew)
	if r.failure() != "" {
		t.Errorf("failure %q", r.failure())
	}
}

// A host that has no use for the block is not told of a file that meshd cannot deal with.
func TestHostsFileUnused(t *testing.T) {
	r := newHostsRig(t, strings.Repeat("10.0.0.1 other\n", maxHostsSize/15+1))
	r.keep()
	if !strings.Contains(r.failure(), "larger than 16 MiB") {
		t.Errorf("failure %q", r.failure())
	}
	r.block = ""
	r.keep()
	if r.failure() != "" {
		t.Errorf("failure %q", r.failure())
	}
}

// A file that is changed while ours is written is read again.
func TestHostsFileChangedMeanwhile(t *testing.T) {
	r := newHostsRig(t, hostsLocal)
	_, before, err := readHosts(r.path)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, hostsLocal+"10.0.0.1 other\n")
	if err := swapHosts(r.path, hostsNew, before); !errors.Is(err, errHostsChanged) {
		t.Errorf("got %v, want %v", err, errHostsChanged)
	}
	r.want(t, hostsLocal+"10.0.0.1 other\n")
}

func TestHostsFileOverwritten(t *testing.T) {
	r := newHostsRig(t, hostsNew+strings.Repeat("10.0.0.1 other\n", 100))
	if err := overwriteHosts(r.path, hostsLocal, ""); err != nil {
		t.Fatal(err)
	}
	r.want(t, hostsLocal)
	if !cannotSwap(&os.LinkError{Op: "rename", Err: syscall.EBUSY}) || cannotSwap(syscall.ENOSPC) {
		t.Error("a file that is mounted over is written in its place, and one for which there is no room is not")
	}
}

func TestRemoveHostsBlock(t *testing.T) {
	r := newHostsRig(t, hostsNew)
	for _, step := range []struct {
		dry, had bool
		text     string
	}{{true, true, hostsNew}, {false, true, hostsLocal}, {true, false, hostsLocal}, {false, false, hostsLocal}} {
		if had, err := removeHostsBlock(r.path, step.dry); had != step.had || err != nil {
			t.Errorf("dry %t: had %t, %v; want %t", step.dry, had, err, step.had)
		}
		r.want(t, step.text)
	}
	for _, dry := range []bool{true, false} {
		if had, err := removeHostsBlock(r.path+".none", dry); had || err != nil {
			t.Errorf("no file, dry %t: had %t, %v", dry, had, err)
		}
	}
}
