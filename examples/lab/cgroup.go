package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is the folder of a cgroup2 group.
type cgroup string

// cgroupRoot returns where cgroup2 is mounted. Labs only ever make folders below it.
func cgroupRoot() (cgroup, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return cgroup(fields[4]), nil
		}
	}
	return "", errors.New("find cgroup2: it is not mounted: try mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

func (c cgroup) child(path string) cgroup { return cgroup(filepath.Join(string(c), path)) }

func (c cgroup) file(name string) string { return filepath.Join(string(c), name) }

func (c cgroup) exists() bool {
	_, err := os.Stat(string(c))
	return err == nil
}

// pids returns the processes of the group and of those below it.
func (c cgroup) pids() ([]int, error) {
	var pids []int
	for _, group := range c.tree() {
		text, err := os.ReadFile(group.file("cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", group.file("cgroup.procs"), err)
			}
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// tree returns the group and those below it, parents first. A group that vanishes meanwhile may be missing.
func (c cgroup) tree() []cgroup {
	var groups []cgroup
	_ = filepath.WalkDir(string(c), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, cgroup(path))
		}
		return nil
	})
	return groups
}

// signal sends a signal to every process of the group and of those below it.
func (c cgroup) signal(sig unix.Signal) error {
	pids, err := c.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return nil
}

// kill ends every process of the group and of those below it, even one that is forking.
func (c cgroup) kill() error {
	if err := os.WriteFile(c.file("cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("kill processes: %w", err)
	}
	return c.waitEmpty(killLimit)
}

// killLimit is how long the kernel may take to end processes that were killed.
const killLimit = 10 * time.Second

var errPopulated = errors.New("processes are left")

// waitEmpty waits until no process is left in the group and below it, woken by the kernel.
func (c cgroup) waitEmpty(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	path := c.file("cgroup.events")
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	for {
		text := make([]byte, 256)
		n, err := unix.Pread(fd, text, 0)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if strings.Contains(string(text[:n]), "populated 0") {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			pids, _ := c.pids()
			return fmt.Errorf("empty cgroup %s: %w: %v", c, errPopulated, pids)
		}
		changed := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		if _, err := unix.Poll(changed, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return fmt.Errorf("watch %s: %w", path, err)
		}
	}
}

// destroy kills what runs in the group and removes it and those below it.
//
// It tries more than once, because the process that made the lab may just be starting another one.
func (c cgroup) destroy() error {
	var err error
	for range 3 {
		if !c.exists() {
			return nil
		}
		if err = c.kill(); err != nil {
			continue
		}
		for _, group := range slices.Backward(c.tree()) {
			if err = os.Remove(string(group)); err != nil {
				break
			}
		}
	}
	if !c.exists() {
		return nil
	}
	return fmt.Errorf("remove cgroup %s: %w", c, err)
}
