//go:build boot

package boot_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
	"github.com/meshd/meshd/systemd"
)

// crash boots a host, says which process is its first one, and waits to be killed.
func crash() error {
	l, err := lab.Up(context.Background(), lab.Config{Dir: folder, Tree: os.Getenv("MESHD_BOOT_TREE")})
	if err != nil {
		return err
	}
	b, err := l.Boot(context.Background(), "app-1")
	if err != nil {
		return err
	}
	fmt.Println(l.Name())
	fmt.Println(b.Leader())
	select {}
}

// TestCrash kills a process that has booted a host: nothing of the host is left.
func TestCrash(t *testing.T) {
	required(t, "MESHD_BOOT_TREE")
	mount, err := systemd.MountPoint()
	if err != nil {
		t.Fatal(err)
	}
	mounts := lines(t, "/proc/self/mounts")
	cmd := exec.Command(self, "client", "crash")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(output)
	name, _ := said.ReadString('\n')
	leader, err := said.ReadString('\n')
	if err != nil {
		t.Fatalf("the process says %q: %v", name, err)
	}
	name, leader = strings.TrimSpace(name), strings.TrimSpace(leader)
	if _, err := os.Stat(filepath.Join("/proc", leader)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for what, path := range map[string]string{
		"process 1 of the host": filepath.Join("/proc", leader),
		"the cgroup of the lab": filepath.Join(mount, "meshlab-"+name),
		"the state of the lab":  filepath.Join("/run/meshlab", name),
	} {
		eventually(t, what+" is gone", func() bool {
			_, err := os.Stat(path)
			return errors.Is(err, fs.ErrNotExist)
		})
	}
	if now := lines(t, "/proc/self/mounts"); now != mounts {
		t.Errorf("there were %d mounts, and now there are %d", mounts, now)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	return strings.Count(string(read(t, path)), "\n")
}
