package systemd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errFull is why a cgroup is left out of the index.
var errFull = fmt.Errorf("more than %d slices and units are alive", maxRecords)

// Tree knows the paths of the cgroups below one folder, by their ids. A path begins with a slash; that of the
// folder itself is "/".
//
// By inotify it follows the slices and what is directly in them: the units. A cgroup inside a unit can not change
// which unit that is, and anybody may make many of them, deep inside one another, so Path looks these up when asked.
// Each leaves out those that can not be followed, such as those beyond 16384, and the log says why.
type Tree struct {
	root    string
	log     *slog.Logger
	inotify *os.File
	folders map[int32]string // path by watch; it, watches and logged are touched by OpenTree and Run only
	watches map[string]int32 // watch by path
	logged  map[unix.Errno]time.Time
	index   *index
	changes chan struct{}
}

// OpenTree reads the cgroups below root, a folder of a cgroup2 mount. Run must follow it, Close must end it.
func OpenTree(root string, log *slog.Logger) (*Tree, error) {
	root, err := filepath.EvalSymlinks(root) // lookups by id return resolved paths
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	if !isCgroup2(root) {
		return nil, fmt.Errorf("%s is not a folder of a cgroup2 mount; `grep cgroup2 /proc/mounts` shows those", root)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch cgroups: %w", err)
	}
	t := &Tree{
		root:    root,
		log:     log,
		inotify: os.NewFile(uintptr(fd), "inotify"),
		folders: make(map[int32]string),
		watches: make(map[string]int32),
		logged:  make(map[unix.Errno]time.Time),
		index:   newIndex(),
		changes: make(chan struct{}, 1),
	}
	if err := t.scan("/"); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close frees what OpenTree took. Run must have returned.
func (t *Tree) Close() error { return t.inotify.Close() }

// Path returns the path of a cgroup, also of a unit that ended less than a minute ago. It is false for a cgroup that
// is not below the root, and for one whose path is longer than the kernel can tell.
//
// A cgroup inside a unit, or so new that its event was not read yet, is looked up in the kernel, which takes
// CAP_DAC_READ_SEARCH. The last 2048 of those stay known.
func (t *Tree) Path(id uint64) (string, bool) {
	if p, ok := t.index.path(id); ok {
		return p, true
	}
	p, ok := t.lookup(id)
	if ok {
		t.index.remember(id, p)
	}
	return p, ok
}

// Resolve returns the path of a process's cgroup, given its id and before it those of its ancestors, from the top. A
// zero means none. Those above the root of the tree may be among them.
//
// A process can connect from a cgroup that is removed before anybody asks. The nearest ancestor that is still known
// stands for it then, but only inside a unit, where it has the same one. It is false where there is neither.
func (t *Tree) Resolve(ids []uint64) (string, bool) {
	own := true
	for _, id := range slices.Backward(ids) {
		if id == 0 {
			continue
		}
		if p, ok := t.Path(id); ok {
			if own || UnitOf(p) != "" {
				return p, true
			}
			return "", false // nor is there a unit further up
		}
		own = false
	}
	return "", false
}

// Each calls f for every living cgroup that is followed, in no order.
func (t *Tree) Each(f func(id uint64, path string)) {
	for p, id := range t.index.alive() {
		f(id, p)
	}
}

// Changes returns a channel that holds one element when slices or units came or went since the last receive. It is
// never closed.
func (t *Tree) Changes() <-chan struct{} { return t.changes }

// Run follows the tree until ctx ends, then returns nil. It returns an error when the root is gone or inotify fails.
func (t *Tree) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = t.inotify.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 1<<16)
	for {
		n, err := t.inotify.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch cgroups: %w", err)
		}
		changed, err := t.apply(buf[:n])
		if err != nil {
			return err
		}
		if changed {
			select {
			case t.changes <- struct{}{}:
			default: // the reader has not taken the last one yet
			}
		}
	}
}

// apply takes over a batch of inotify events, see inotify(7), and says whether anything came or went.
func (t *Tree) apply(events []byte) (changed bool, err error) {
	for len(events) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:end]), "\x00")
		events = events[end:]

		folder, known := t.folders[watch]
		switch p := path.Join(folder, name); {
		case mask&unix.IN_Q_OVERFLOW != 0:
			changed = true
			err = t.rescan()
		case !known || mask&unix.IN_ISDIR == 0:
		case mask&unix.IN_CREATE != 0:
			changed = true
			t.skip(p, t.scan(p))
		case mask&unix.IN_DELETE != 0:
			changed = t.drop(p) || changed
		}
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// scan records the cgroup at p and, when it is a slice, all units below it. A folder is watched before it is read, so
// that one made in between is seen twice rather than never.
func (t *Tree) scan(p string) error {
	folder := filepath.Join(t.root, p)
	id, err := cgroupID(folder)
	if err != nil {
		return fmt.Errorf("read cgroup: %w", err)
	}
	if !t.index.add(id, p) {
		return errFull
	}
	if !holdsUnits(p) {
		return nil
	}
	// Folders of cgroup2 can not be renamed: they come and go only.
	if err := t.watch(p); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("read cgroup: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			below := path.Join(p, entry.Name())
			t.skip(below, t.scan(below))
		}
	}
	return nil
}

// skip logs that the cgroup at p could not be scanned, if so. It does once an hour for each cause, as one cause can
// meet any number of cgroups. What was gone by the time it was looked at has an event under way.
func (t *Tree) skip(p string, err error) {
	if err == nil || isGone(err) {
		return
	}
	cause, _ := errors.AsType[unix.Errno](err) // 0: errFull
	if time.Since(t.logged[cause]) < time.Hour {
		return
	}
	t.logged[cause] = time.Now()
	t.log.Warn("cgroup not followed", "cgroup", p, "error", err)
}

// isGone says whether err is about a cgroup that has ended.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// watch has inotify tell about the folders that come and go in that of p.
func (t *Tree) watch(p string) error {
	const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR
	folder := filepath.Join(t.root, p)
	var watch int
	err := t.control(func(fd int) (err error) {
		watch, err = unix.InotifyAddWatch(fd, folder, events) // the same number again for the same cgroup
		return err
	})
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("watch cgroup %s: the user has no inotify watches left; raise the sysctl "+
			"fs.inotify.max_user_watches: %w", folder, err)
	}
	if err != nil {
		return fmt.Errorf("watch cgroup %s: %w", folder, err)
	}
	if t.watches[p] != int32(watch) {
		t.unwatch(p)
	}
	t.folders[int32(watch)], t.watches[p] = p, int32(watch)
	return nil
}

// unwatch ends the watch of p. The kernel does not do so at the end of a cgroup, and keeps its folder until then.
func (t *Tree) unwatch(p string) {
	watch, ok := t.watches[p]
	if !ok {
		return
	}
	delete(t.watches, p)
	delete(t.folders, watch)
	_ = t.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(watch)) // EINVAL: it has ended after all
		return err
	})
}

func (t *Tree) control(f func(fd int) error) error {
	raw, err := t.inotify.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// drop notes the end of the cgroup at p, and says whether it was known and has ended. It has not when the event is
// about an older cgroup of that path.
func (t *Tree) drop(p string) bool {
	recorded, ok := t.index.id(p)
	now, err := cgroupID(filepath.Join(t.root, p))
	if ended := isGone(err) || err == nil && now != recorded; !ok || !ended {
		return false
	}
	t.unwatch(p)
	t.index.remove(p)
	return true
}

// rescan compares the index with the folders, after events were lost.
func (t *Tree) rescan() error {
	for p := range t.index.alive() {
		t.drop(p)
	}
	err := t.scan("/")
	if isGone(err) {
		return err
	}
	t.skip("/", err)
	return nil
}

// lookup asks the kernel for the path of a living cgroup.
func (t *Tree) lookup(id uint64) (string, bool) {
	const fileIDKernfs = 0xfe // FILEID_KERNFS of linux/exportfs.h: the handle is the 64-bit id
	handle := unix.NewFileHandle(fileIDKernfs, binary.NativeEndian.AppendUint64(nil, id))
	mount, err := unix.Open(t.root, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(mount)
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	folder, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", false
	}
	// The kernel shows a folder outside of the mount by a path that leads elsewhere, or nowhere.
	if now, err := cgroupID(folder); err != nil || now != id {
		return "", false
	}
	return below(t.root, folder)
}
