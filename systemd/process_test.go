package systemd

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestProcess asks for a process that is started inside the tree, and for this one, which is not.
func TestProcess(t *testing.T) {
	root := newCgroup(t)
	mkdir(t, root, "a.slice", "b.service", "c")
	tree, err := OpenTree(root, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()

	folder, err := os.Open(filepath.Join(root, "a.slice/b.service/c"))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	cat := exec.CommandContext(t.Context(), "cat")
	cat.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
	stdin, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	path, inside, err := tree.Process(cat.Process.Pid)
	if path != "/a.slice/b.service/c" || !inside || err != nil {
		t.Errorf("a process inside the tree is in %q, %v, %v", path, inside, err)
	}
	if path, inside, err := tree.Process(os.Getpid()); inside || err != nil {
		t.Errorf("a process outside is in %q, %v, %v", path, inside, err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cat.Wait(); err != nil {
		t.Fatal(err)
	}
	if path, inside, err := tree.Process(cat.Process.Pid); err == nil {
		t.Errorf("process %s has ended, and is in %q, %v", strconv.Itoa(cat.Process.Pid), path, inside)
	}
}

func TestCgroup2Of(t *testing.T) {
	for text, want := range map[string]string{
		"0::/a/b.service\n":                           "/a/b.service",
		"12:cpu:/x\n1:name=systemd:/y\n0::/a b/c\n":   "/a b/c",
		"12:cpu:/x\n":                                 "/",
		"0::/../outside of the namespace/b.service\n": "/../outside of the namespace/b.service",
	} {
		if got := cgroup2Of(text); got != want {
			t.Errorf("cgroup2Of(%q) = %q, want %q", text, got, want)
		}
	}
}
