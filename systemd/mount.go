package systemd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var errNoCgroup2 = errors.New("no cgroup2 is mounted: this host has cgroup v1 only; " +
	"boot it with systemd.unified_cgroup_hierarchy=1 on the kernel command line")

// MountPoint returns where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified beside cgroup v1.
func MountPoint() (string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find cgroup2: %w", err)
	}
	defer file.Close()
	return mountPoint(file)
}

// mountPoint reads the format of /proc/self/mountinfo, see proc_pid_mountinfo(5). The first mount of the whole tree
// wins, and where there is none, as in some containers, the first of a part of it.
func mountPoint(mountinfo io.Reader) (string, error) {
	var part string
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20) // options of overlay mounts are long
	for lines.Scan() {
		mount, fs, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if kind, _, _ := strings.Cut(fs, " "); kind != "cgroup2" || len(fields) < 5 {
			continue
		}
		if fields[3] == "/" {
			return unescape(fields[4]), nil
		}
		if part == "" {
			part = unescape(fields[4])
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read mountinfo: %w", err)
	}
	if part == "" {
		return "", errNoCgroup2
	}
	return part, nil
}

// unescape resolves the \040 and the like that the kernel writes for spaces in paths.
func unescape(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		path = rest
		if len(rest) >= 3 {
			if c, err := strconv.ParseUint(rest[:3], 8, 8); err == nil {
				b.WriteByte(byte(c))
				path = rest[3:]
			}
		}
	}
}

// IsHost says whether all that runs on this host is below path: it is the real root of cgroup2, or what is seen as the
// root in a container that systemd has booted. To those who use it such a container is a host.
func IsHost(path string) bool {
	return IsRoot(path) || isCgroup2(path) && isBooted("/run/systemd/system") && holdsInit("/proc/1/cgroup", path)
}

// isBooted is sd_booted(3): systemd is the first process.
func isBooted(folder string) bool {
	info, err := os.Lstat(folder)
	return err == nil && info.IsDir()
}

// holdsInit says whether process 1, whose cgroups are in that file, is in the cgroup2 tree at path. One from outside of
// the own namespace of cgroups, like the machine's in a container that sees it, has a path that begins with "/..".
func holdsInit(cgroups, path string) bool {
	text, err := os.ReadFile(cgroups)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		below, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok || strings.HasPrefix(below, "/..") {
			continue
		}
		members, err := os.ReadFile(filepath.Join(path, below, "cgroup.procs"))
		return err == nil && slices.Contains(strings.Fields(string(members)), "1")
	}
	return false
}

// IsRoot says whether path is the real root of cgroup2, not only the root that a container sees.
func IsRoot(path string) bool {
	id, err := cgroupID(path)
	return err == nil && id == 1 && isCgroup2(path)
}

func isCgroup2(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// cgroupID returns the id of the cgroup of a folder, which is its inode.
func cgroupID(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return st.Ino, nil
}
