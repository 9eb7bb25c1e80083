package examples_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	hostsPath   = "/etc/hosts"
	dnsBlock    = "dns {\n  hosts_file = true\n}\n"
	hostsMarked = "# BEGIN meshd\n%s# END meshd\n"
)

// wantHosts wants the hosts file to have exactly these names of the mesh, behind what it had before.
func (h host) wantHosts(t *testing.T, before string, names ...string) {
	t.Helper()
	var block strings.Builder
	for _, name := range names {
		for _, family := range []string{"A", "AAAA"} {
			_, addresses := h.dig(t, name, family) // which does not read the file
			fmt.Fprintf(&block, "%s %s\n", strings.Join(addresses, " "), name)
		}
	}
	want := before
	if names != nil {
		want += fmt.Sprintf(hostsMarked, block.String())
	}
	if text := h.read(t, hostsPath); text != want {
		t.Errorf("%s is\n%s\nwant\n%s", hostsPath, text, want)
	}
}

// switchHosts switches the names in the hosts file on or off.
func (h host) switchHosts(t *testing.T, on bool) {
	t.Helper()
	text := strings.TrimSuffix(h.read(t, nodeFile), dnsBlock)
	if on {
		text += dnsBlock
	}
	h.write(t, nodeFile, text)
	h.run(t, "", "meshctl", "reload")
}

// TestHostsFile has the names in the hosts file, where they outlive meshd.
func TestHostsFile(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	one.installStyles(t)
	before := one.read(t, hostsPath)
	const owner = 1 // daemon
	change := func() error {
		return errors.Join(os.Chown(hostsPath, owner, owner), os.Chmod(hostsPath, 0o664))
	}
	if err := one.Do(change); err != nil {
		t.Fatal(err)
	}
	one.wantHosts(t, before)
	one.switchHosts(t, true)
	names := []string{"cache.mesh", "hello.mesh", "stock.mesh"}
	one.wantHosts(t, before, names...)
	one.write(t, moreFile, moreService)
	one.run(t, "", "meshctl", "reload")
	one.wantHosts(t, before, "cache.mesh", "hello.mesh", "more.mesh", "stock.mesh")
	one.write(t, moreFile, "")
	one.run(t, "", "meshctl", "reload")
	one.wantHosts(t, before, names...)
	var info unix.Stat_t
	if err := one.Do(func() error { return unix.Stat(hostsPath, &info) }); err != nil {
		t.Fatal(err)
	}
	if info.Uid != owner || info.Gid != owner || info.Mode&0o777 != 0o664 {
		t.Errorf("owner %d:%d, mode %o; want those of the file before", info.Uid, info.Gid, info.Mode)
	}

	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"-4", "-6"} {
		if answer, code := one.page(t, family, hello); code != 0 {
			t.Errorf("a name while meshd is dead, %s: exit code %d, %s", family, code, answer)
		}
	}
	for _, s := range styles {
		if lines, found := one.resolve(t, s, "4", "hello.mesh"); !found || len(lines) != 1 {
			t.Errorf("%s while meshd is dead: %q", s.name, lines)
		}
	}
	if output := one.run(t, "", "meshctl", "cleanup", "-yes"); !strings.Contains(output, "removed the names of the mesh in "+hostsPath) {
		t.Errorf("cleanup said %q", output)
	}
	one.wantHosts(t, before)

	daemon = one.startMeshd(t)
	one.wantHosts(t, before, names...)
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if answer, code := one.page(t, hello); code != 0 {
		t.Errorf("a name after a stop: exit code %d, %s", code, answer)
	}
	one.startMeshd(t)
	one.switchHosts(t, false)
	one.wantHosts(t, before)
}

// TestHostsFileMounted has a hosts file of which nothing can take the place, as in a container.
func TestHostsFileMounted(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	before := one.read(t, hostsPath)
	one.write(t, "/run/hosts", before)
	mount := func(flags uintptr) {
		t.Helper()
		if err := one.Do(func() error { return unix.Mount("/run/hosts", hostsPath, "", flags, "") }); err != nil {
			t.Fatal(err)
		}
	}
	mount(unix.MS_BIND)
	one.switchHosts(t, true)
	one.wantHosts(t, before, "cache.mesh", "hello.mesh", "stock.mesh")
	one.switchHosts(t, false)
	one.wantHosts(t, before)

	mount(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY)
	one.switchHosts(t, true)
	one.wantHosts(t, before)
	problems := one.status(t).Problems
	if len(problems) != 1 || !strings.Contains(problems[0].What, "read-only file system") || !strings.Contains(problems[0].Fix, "hosts_file") {
		t.Errorf("problems %+v", problems)
	}
	mount(unix.MS_BIND | unix.MS_REMOUNT)
	eventually(t, "meshd tries again", func() bool { return len(one.status(t).Problems) == 0 })
	one.wantHosts(t, before, "cache.mesh", "hello.mesh", "stock.mesh")
}
