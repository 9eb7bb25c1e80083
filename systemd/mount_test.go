package systemd

import (
	"errors"
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
