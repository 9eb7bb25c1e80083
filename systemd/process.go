package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Process returns the path of the cgroup that a process is in, below the root of the tree; inside is false when it is not below
// that. An error means that there is no such process.
func (t *Tree) Process(pid int) (path string, inside bool, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", false, fmt.Errorf("read cgroup of process %d: %w", pid, err)
	}
	mount, err := MountPoint()
	if err != nil {
		return "", false, err
	}
	if mount, err = filepath.EvalSymlinks(mount); err != nil {
		return "", false, fmt.Errorf("find cgroup2: %w", err)
	}
	path, inside = below(t.root, filepath.Join(mount, cgroup2Of(string(text))))
	return path, inside, nil
}

// cgroup2Of returns the path in the format of /proc/PID/cgroup, see cgroups(7).
func cgroup2Of(text string) string {
	for line := range strings.Lines(text) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return "/"
}

// below returns a folder's path below the root, of which it may be itself.
func below(root, folder string) (string, bool) {
	if folder == root {
		return "/", true
	}
	path, found := strings.CutPrefix(folder, strings.TrimSuffix(root, "/")+"/")
	if !found {
		return "", false
	}
	return "/" + path, true
}
