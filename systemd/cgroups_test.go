package systemd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// newCgroup makes an empty cgroup below the root of cgroup2, and removes it after the test with all below it.
func newCgroup(t *testing.T) string {
	t.Helper()
	mount, err := MountPoint()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp(mount, "meshd-test-")
	if err != nil {
		t.Fatalf("make a cgroup, which takes root: %v", err)
	}
	t.Cleanup(func() {
		var folders []string
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for _, folder := range slices.Backward(folders) {
			if err := os.Remove(folder); err != nil {
				t.Error(err)
			}
		}
	})
	return root
}

// mkdir makes a cgroup and its parents, and returns its id.
func mkdir(t *testing.T, elem ...string) uint64 {
	t.Helper()
	folder := filepath.Join(elem...)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	id, err := cgroupID(folder)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// logOf collects what a tree logs, a line each time.
type logOf struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logOf) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logOf) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openTree opens a tree, of which nothing may be left out.
func openTree(t *testing.T, root string) *Tree {
	t.Helper()
	var log logOf
	t.Cleanup(func() {
		if log.String() != "" {
			t.Errorf("logged: %s", &log)
		}
	})
	return openTreeWithLog(t, root, &log)
}

func openTreeWithLog(t *testing.T, root string, log *logOf) *Tree {
	t.Helper()
	tree, err := OpenTree(root, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// run follows the tree until the test ends.
func run(t *testing.T, tree *Tree) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tree.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func living(tree *Tree) map[string]uint64 {
	all := make(map[string]uint64)
	tree.Each(func(id uint64, path string) { all[path] = id })
	return all
}

// await waits until exactly these cgroups are living.
func await(t *testing.T, tree *Tree, want map[string]uint64) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !maps.Equal(living(tree), want) {
		select {
		case <-tree.Changes():
		case <-deadline:
			t.Fatalf("living: %v, want %v", living(tree), want)
		}
	}
}

func TestRootTreeFollows(t *testing.T) {
	root := newCgroup(t)
	slice := mkdir(t, root, "system.slice")
	tree := openTree(t, root)
	want := map[string]uint64{"/": mkdir(t, root), "/system.slice": slice}
	await(t, tree, want)
	run(t, tree)

	want["/system.slice/web.service"] = mkdir(t, root, "system.slice/web.service")
	await(t, tree, want)

	// All of a tree that is made faster than it can be watched.
	want["/a.slice/b.slice/_c.slice/d.service"] = mkdir(t, root, "a.slice/b.slice/_c.slice/d.service")
	for _, p := range []string{"/a.slice", "/a.slice/b.slice", "/a.slice/b.slice/_c.slice"} {
		want[p] = mkdir(t, root, p)
	}
	await(t, tree, want)

	web := want["/system.slice/web.service"]
	if err := os.Remove(filepath.Join(root, "system.slice/web.service")); err != nil {
		t.Fatal(err)
	}
	delete(want, "/system.slice/web.service")
	await(t, tree, want)
	if p, ok := tree.Path(web); p != "/system.slice/web.service" || !ok {
		t.Errorf("path of a cgroup that just ended: %q, %v", p, ok)
	}

	again := mkdir(t, root, "system.slice/web.service")
	want["/system.slice/web.service"] = again
	await(t, tree, want)
	if again == web {
		t.Errorf("the kernel has reused the id %d", web)
	}
	if p, ok := tree.Path(web); p != "/system.slice/web.service" || !ok {
		t.Errorf("path of the first cgroup after a restart of the unit: %q, %v", p, ok)
	}
}

// The kernel keeps the watch, and with it the folder, of a cgroup that has ended.
func TestRootTreeDropsWatches(t *testing.T) {
	root := newCgroup(t)
	tree := openTree(t, root)
	run(t, tree)
	want := map[string]uint64{"/": mkdir(t, root)}
	for range 3 {
		want["/short.service"] = mkdir(t, root, "short.service")
		await(t, tree, want)
		if err := os.Remove(filepath.Join(root, "short.service")); err != nil {
			t.Fatal(err)
		}
		delete(want, "/short.service")
		await(t, tree, want)
	}
	if got := watched(t, tree); got != 1 {
		t.Errorf("%d folders are watched, want the root only", got)
	}
}

// watched returns how many folders the kernel watches for a tree.
func watched(t *testing.T, tree *Tree) int {
	t.Helper()
	var info []byte
	err := tree.control(func(fd int) (err error) {
		info, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(info), "inotify wd:")
}

func TestRootTreeSurvivesLostEvents(t *testing.T) {
	root := newCgroup(t)
	mkdir(t, root, "old.slice/below.service")
	replaced := mkdir(t, root, "replaced.service")
	tree := openTree(t, root)
	for _, p := range []string{"old.slice/below.service", "old.slice", "replaced.service"} {
		if err := os.Remove(filepath.Join(root, p)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]uint64{
		"/": mkdir(t, root), "/replaced.service": mkdir(t, root, "replaced.service"),
		"/new.slice": mkdir(t, root, "new.slice"), "/new.slice/below.service": mkdir(t, root, "new.slice/below.service"),
	}
	if changed, err := tree.apply(overflow()); !changed || err != nil {
		t.Fatalf("overflow: changed %v, %v", changed, err)
	}
	if got := living(tree); !maps.Equal(got, want) {
		t.Errorf("living: %v, want %v", got, want)
	}
	if p, ok := tree.Path(replaced); p != "/replaced.service" || !ok {
		t.Errorf("path of the replaced cgroup: %q, %v", p, ok)
	}

	// What was watched anew is followed.
	run(t, tree)
	want["/new.slice/more.service"] = mkdir(t, root, "new.slice/more.service")
	await(t, tree, want)
}

// overflow is the event of a queue that was full.
func overflow() []byte {
	event := binary.NativeEndian.AppendUint32(nil, 0xffffffff)
	event = binary.NativeEndian.AppendUint32(event, unix.IN_Q_OVERFLOW)
	return append(event, make([]byte, 8)...)
}

func TestRootTreeEndsWithItsRoot(t *testing.T) {
	parent := newCgroup(t)
	mkdir(t, parent, "host")
	tree := openTree(t, filepath.Join(parent, "host"))
	if err := os.Remove(filepath.Join(parent, "host")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.apply(overflow()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read a tree without root: %v", err)
	}
}

// A user may make any number of cgroups inside of the own service manager's.
func TestRootTreeStopsAtUnits(t *testing.T) {
	root := newCgroup(t)
	const user = "user.slice/user-1000.slice/user@1000.service"
	before := mkdir(t, root, user, "app.slice/before.service")
	other := mkdir(t, root, "other/web.service") // not made by systemd
	want := map[string]uint64{
		"/": mkdir(t, root), "/user.slice": mkdir(t, root, "user.slice"), "/other": mkdir(t, root, "other"),
		"/user.slice/user-1000.slice": mkdir(t, root, "user.slice/user-1000.slice"),
		"/" + user:                    mkdir(t, root, user),
	}
	tree := openTree(t, root)
	run(t, tree)
	after := mkdir(t, root, user, "app.slice/after.service")
	want["/later.service"] = mkdir(t, root, "later.service")
	await(t, tree, want)
	if got := watched(t, tree); got != 3 {
		t.Errorf("%d folders are watched, want the root and two slices", got)
	}
	for p, id := range map[string]uint64{
		"/other/web.service":                     other,
		"/" + user + "/app.slice/before.service": before,
		"/" + user + "/app.slice/after.service":  after,
	} {
		if got, ok := tree.Path(id); got != p || !ok {
			t.Errorf("path %q, %v, want %q", got, ok, p)
		}
	}
}

func TestRootTreeSurvivesLongPaths(t *testing.T) {
	root := newCgroup(t)
	mkdirDeep(t, root, ".slice")
	var log logOf
	tree := openTreeWithLog(t, root, &log)
	run(t, tree)
	mkdir(t, root, "later.slice")
	mkdirDeep(t, filepath.Join(root, "later.slice"), ".slice")
	web := mkdir(t, root, "web.service")
	deadline := time.After(30 * time.Second)
	for living(tree)["/web.service"] != web {
		select {
		case <-tree.Changes():
		case <-deadline:
			t.Fatal("a unit was not seen beside the folders that could not be")
		}
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), unix.ENAMETOOLONG.Error()) {
		t.Errorf("logged %d lines, want one about long names: %s", got, &log)
	}
}

func TestTreeLogsEachCauseOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logOf
		tree := &Tree{log: slog.New(slog.NewTextHandler(&log, nil)), logged: make(map[unix.Errno]time.Time)}
		full := fmt.Errorf("watch cgroup: %w", unix.ENOSPC)
		for step, want := range []int{1, 1, 2, 2, 3, 3} {
			tree.skip("/a", []error{full, full, errFull, errFull, full, fs.ErrNotExist}[step])
			if got := strings.Count(log.String(), "\n"); got != want {
				t.Errorf("step %d: %d lines, want %d", step, got, want)
			}
			if step == 3 {
				time.Sleep(time.Hour)
			}
		}
	})
}

func TestRootTreeFindsWhatItHasNotSeen(t *testing.T) {
	parent := newCgroup(t)
	mkdir(t, parent, "host")
	tree := openTree(t, filepath.Join(parent, "host"))
	testLookup(t, tree, parent)
}

// testLookup makes cgroups below parent, of whose folder "host" tree is the index, that have to be looked up.
func testLookup(t *testing.T, tree *Tree, parent string) {
	t.Helper()
	inside := mkdir(t, parent, "host/system.slice/web.service")
	sibling := mkdir(t, parent, "host-2/web.service")
	for range 2 {
		if p, ok := tree.Path(inside); p != "/system.slice/web.service" || !ok {
			t.Errorf("path %q, %v", p, ok)
		}
		for _, id := range []uint64{sibling, mkdir(t, parent), 1, 1 << 60} {
			if p, ok := tree.Path(id); ok {
				t.Errorf("cgroup %d outside of the root has path %q", id, p)
			}
		}
	}
	if err := os.Remove(filepath.Join(parent, "host/system.slice/web.service")); err != nil {
		t.Fatal(err)
	}
	if p, ok := tree.Path(inside); p != "/system.slice/web.service" || !ok {
		t.Errorf("path after the end of the cgroup: %q, %v", p, ok)
	}
}

func TestRootTreeOfBindMount(t *testing.T) {
	parent := newCgroup(t)
	mkdir(t, parent, "host")
	mounted := filepath.Join(t.TempDir(), "cgroup")
	if err := os.Mkdir(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread, and its namespace, end with the goroutine
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount(filepath.Join(parent, "host"), mounted, "", unix.MS_BIND, ""); err != nil {
			t.Error(err)
			return
		}
		tree, err := OpenTree(mounted, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Error(err)
			return
		}
		defer tree.Close()
		testLookup(t, tree, parent)
	}()
	<-done
}

func TestOpenTreeOfOtherFolder(t *testing.T) {
	if _, err := OpenTree(t.TempDir(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error for a folder that is no cgroup")
	}
}
