package systemd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMountPoint(t *testing.T) {
	const v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	for name, tc := range map[string]struct{ mountinfo, want string }{
		"only cgroup2": {"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			"/sys/fs/cgroup"},
		"hybrid": {v1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"/sys/fs/cgroup/unified"},
		"part first": {"50 23 0:26 /lab /srv/lab rw - cgroup2 none rw\n29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"/sys/fs/cgroup"},
		"part only": {"50 23 0:26 /lab /srv/a\\040lab rw - cgroup2 none rw\n", "/srv/a lab"},
		"malformed": {"cgroup2\n - cgroup2 x\n\n29 23 0:26 / /c\\1 rw - cgroup2 cgroup2 rw\n", "/c1"},
	} {
		if got, err := mountPoint(strings.NewReader(tc.mountinfo)); got != tc.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tc.want)
		}
	}
	if _, err := mountPoint(strings.NewReader(v1)); !errors.Is(err, errNoCgroup2) {
		t.Errorf("cgroup v1 only: %v", err)
	}
}

func TestRootIsRoot(t *testing.T) {
	part := newCgroup(t)
	mount, err := MountPoint()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{mount: true, part: false, "/proc": false, "/not there": false} {
		if got := IsRoot(path); got != want {
			t.Errorf("%s is the root: %v, want %v", path, got, want)
		}
	}
}

// On a machine the root is the host, and a part of it is not, which has no process 1. In a booted container process 1 is in
// the tree; one that it does not hold has a path which leads out of the tree.
func TestHostIsWhatHoldsInit(t *testing.T) {
	mount, err := MountPoint()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{mount: true, newCgroup(t): false, "/proc": false} {
		if got := IsHost(path); got != want {
			t.Errorf("%s is the host: %v, want %v", path, got, want)
		}
	}

	const v1 = "9:name=systemd:/init.scope\n"
	for name, tc := range map[string]struct {
		cgroups, procs string
		want           bool
	}{
		"booted container":         {v1 + "0::/init.scope\n", "1\n17\n", true},
		"process 1 is another":     {"0::/init.scope\n", "17\n11\n", false},
		"process 1 of the machine": {"0::/../../init.scope\n", "1\n", false},
		"only cgroup v1":           {v1, "1\n", false},
	} {
		folder := t.TempDir()
		cgroups := filepath.Join(folder, "cgroup")
		scope := filepath.Join(folder, "part", "whole", "init.scope")
		err := errors.Join(
			os.WriteFile(cgroups, []byte(tc.cgroups), 0o600),
			os.MkdirAll(scope, 0o700),
			os.MkdirAll(filepath.Join(folder, "init.scope"), 0o700), // where a path that leads out would end
			os.WriteFile(filepath.Join(folder, "init.scope", "cgroup.procs"), []byte(tc.procs), 0o600),
			os.WriteFile(filepath.Join(scope, "cgroup.procs"), []byte(tc.procs), 0o600),
		)
		if err != nil {
			t.Fatal(err)
		}
		if got := holdsInit(cgroups, filepath.Join(folder, "part", "whole")); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestBootedBySystemd(t *testing.T) {
	folder := t.TempDir()
	if !isBooted(folder) || isBooted(filepath.Join(folder, "not there")) {
		t.Error("the folder of systemd is not what decides")
	}
}
