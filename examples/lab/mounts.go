package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	labFolder   = "/srv/lab"       // where a host sees the folder that describes the lab
	binFolder   = "/run/lab/bin"   // first in PATH: meshd, meshctl, and what explains the commands that a lab lacks
	buildFolder = "/run/lab/build" // where a host sees the folder of the meshd binary
	treeFolder  = "/run/lab/tree"  // where the outside sees the files that booted hosts begin with
)

// mountHost gives the calling thread's mount namespace the files of a host: those of the machine, which it cannot
// write, and over them the folders that are its own.
func mountHost(dir, meshd, system string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// The trees are taken before anything is mounted, because they may lie below one of the mount points.
	trees := []tree{
		{source: dir, target: labFolder, attributes: unix.MOUNT_ATTR_RDONLY},
		{source: "/proc/sys/net", target: "/proc/sys/net"}, // has the settings of the network namespace that looks
	}
	if meshd != "" {
		// The folder and not the file: a new build replaces the file, and the next start shall find it.
		trees = append(trees, tree{source: filepath.Dir(meshd), target: buildFolder, attributes: unix.MOUNT_ATTR_RDONLY})
	}
	if system != "" {
		trees = append(trees, tree{source: system, target: treeFolder, attributes: unix.MOUNT_ATTR_RDONLY})
	}
	for i := range trees {
		if err := trees[i].take(); err != nil {
			return err
		}
		defer unix.Close(trees[i].fd)
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, readOnly); err != nil {
		return fmt.Errorf("make mounts read-only: %w", err)
	}
	if err := mountOverlays("/etc", "/var"); err != nil {
		return err
	}
	if err := mountEmpty(); err != nil {
		return err
	}
	for _, t := range trees {
		if err := t.mount(); err != nil {
			return err
		}
	}
	return nil
}

// mountEmpty mounts the folders that are empty on a new host.
func mountEmpty() error {
	for _, m := range []struct{ kind, target, mode string }{
		{"tmpfs", "/run", "755"},
		{"tmpfs", "/srv", "755"},
		{"tmpfs", "/home", "755"},
		{"tmpfs", "/root", "700"},
		{"tmpfs", "/tmp", "1777"},
		{"tmpfs", "/dev/shm", "1777"},
		{"bpf", "/sys/fs/bpf", "755"},
	} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, "mode="+m.mode); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
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

// tree is a folder of the machine that a host sees elsewhere or otherwise than the machine does.
type tree struct {
	source, target string
	attributes     uint64
	fd             int // of the mount that is not in its place yet
}

func (t *tree) take() (err error) {
	t.fd, err = unix.OpenTree(unix.AT_FDCWD, t.source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open %s: %w", t.source, err)
	}
	return nil
}

func (t *tree) mount() error {
	if err := os.MkdirAll(t.target, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, t.target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s on %s: %w", t.source, t.target, err)
	}
	if err := unix.MountSetattr(t.fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: t.attributes}); err != nil {
		return fmt.Errorf("make %s read-only: %w", t.target, err)
	}
	return nil
}
