package systemd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
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
