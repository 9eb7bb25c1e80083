package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	labFolder = "/srv/lab"     // where a host sees the folder that describes the lab
	binFolder = "/run/lab/bin" // first in PATH: meshd and meshctl
)

// mountHost gives the calling thread's mount namespace the files of a host.
func mountHost(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// The folder is taken before anything is mounted, because it may lie below one of the mount points.
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(tree)
	if err := mountOverlays("/etc", "/var"); err != nil {
		return err
	}
	for _, m := range []struct{ kind, target string }{{"tmpfs", "/run"}, {"tmpfs", "/srv"}, {"bpf", "/sys/fs/bpf"}} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	if err := os.Mkdir(labFolder, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, labFolder, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s on %s: %w", dir, labFolder, err)
	}
	if err := unix.Mount("", labFolder, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", labFolder, err)
	}
	return nil
}

// mountOverlays makes folders of the machine writable without a trace: what a host changes, it alone sees.
//
// An overlay, unlike a mount over a single file, lets a program replace /etc/hosts by renaming.
func mountOverlays(folders ...string) error {
	const scratch = "/srv" // any folder: it is in the way only until the overlays hold what is mounted there
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", scratch, err)
	}
	for _, folder := range folders {
		upper, work := filepath.Join(scratch, folder, "upper"), filepath.Join(scratch, folder, "work")
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
			return err
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, upper, work)
		if err := unix.Mount("overlay", folder, "overlay", 0, options); err != nil {
			return fmt.Errorf("mount overlay on %s: %w", folder, err)
		}
	}
	if err := unix.Unmount(scratch, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", scratch, err)
	}
	return nil
}

// writeFiles writes the files in which one host differs from another, and those of meshd.
func writeFiles(host hostState, resolver netip.Addr, meshd string) error {
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	for _, address := range host.Addresses {
		hosts += address.String() + " " + host.Name + "\n"
	}
	for _, file := range []struct{ path, text string }{
		{"/etc/hostname", host.Name + "\n"},
		{"/etc/hosts", hosts},
		{"/etc/resolv.conf", "nameserver " + resolver.String() + "\noptions timeout:1 attempts:2\n"},
	} {
		// Removed first: on many machines /etc/resolv.conf is a link into /run.
		if err := os.Remove(file.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(file.path, []byte(file.text), 0o644); err != nil {
			return err
		}
	}
	for _, folder := range []string{"/etc/meshd", "/var/lib/meshd"} {
		if err := os.RemoveAll(folder); err != nil { // the machine may run a meshd of its own
			return err
		}
	}
	for _, folder := range []string{"/etc/meshd/mesh.d", "/run/lock", binFolder} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if meshd != "" {
		for _, name := range []string{"meshd", "meshctl"} {
			if err := os.Symlink(meshd, filepath.Join(binFolder, name)); err != nil {
				return err
			}
		}
	}
	return copyConfiguration()
}

// copyConfiguration makes the configuration of the lab the one that meshd finds.
func copyConfiguration() error {
	before, err := filepath.Glob("/etc/meshd/mesh.d/*.hcl")
	if err != nil {
		return err
	}
	for _, path := range before {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	paths, err := filepath.Glob(labFolder + "/mesh.d/*.hcl")
	if err != nil {
		return err
	}
	for _, path := range append(paths, labFolder+"/meshd.hcl") {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile("/etc/meshd"+strings.TrimPrefix(path, labFolder), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
