package lab_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

func TestFilesArePrivate(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	paths := []string{
		"/run/mark", "/etc/mark", "/var/lib/meshd/mark", "/var/tmp/mark", "/tmp/mark", "/root/mark", "/home/mark",
		"/dev/shm/mark", "/sys/fs/bpf/mark",
	}
	one, two := l.Host("app-1"), l.Host("app-2")
	err := one.Do(func() error {
		if _, err := os.Stat("/srv/lab/meshd.hcl"); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile("/srv/lab/mark", nil, 0o644); !errors.Is(err, unix.EROFS) {
			t.Errorf("the folder of the lab can be written: %v", err)
		}
		for _, path := range paths {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unseen := func() error {
		for _, path := range paths {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is seen elsewhere: %v", path, err)
			}
		}
		return nil
	}
	if err := errors.Join(unseen(), two.Do(unseen)); err != nil {
		t.Fatal(err)
	}
	name, err := two.Command(t.Context(), "", "sh", "-c", "hostname; ls /etc/meshd/mesh.d").Output()
	if err != nil || string(name) != "app-2\nhosts.hcl\nservices.hcl\n" {
		t.Errorf("host name and configuration: %q, %v", name, err)
	}
}

// TestMachineIsReadOnly looks at every mount that a host sees: it can write only to those that the lab made.
func TestMachineIsReadOnly(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(t, lab.Config{Dir: example, Meshd: self})
	writable := []string{"/dev/shm", "/etc", "/home", "/proc/sys/net", "/root", "/run", "/srv", "/sys/fs/bpf", "/tmp", "/var"}
	mounts, err := l.Host("app-1").Command(t.Context(), "", "cat", "/proc/self/mountinfo").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		target, options := fields[4], strings.Split(fields[5], ",")
		if !slices.Contains(options, "ro") && !slices.Contains(got, target) {
			got = append(got, target)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(writable, got); diff != "" {
		t.Error(diff)
	}
	// Of the files that are read-only, devices and the settings of the own network can be written all the same.
	const script = "echo x > /dev/null && exec 3<> /dev/ptmx && echo 1 > /proc/sys/net/ipv4/ip_forward && ! touch /mark /usr/mark"
	if output, err := l.Host("app-1").Command(t.Context(), "", "sh", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
