package systemd

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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

func openTree(t *testing.T, root string) *Tree {
	t.Helper()
	tree, err := OpenTree(root)
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
	want["/a/b/c/d/e"] = mkdir(t, root, "a/b/c/d/e")
	for _, p := range []string{"/a", "/a/b", "/a/b/c", "/a/b/c/d"} {
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
	var info []byte
	err := tree.control(func(fd int) (err error) {
		info, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		return err
	})
	if got := strings.Count(string(info), "inotify wd:"); got != 1 || err != nil {
		t.Errorf("%d folders are watched, want the root only (%v)", got, err)
	}
}

func TestRootTreeSurvivesLostEvents(t *testing.T) {
	root := newCgroup(t)
	mkdir(t, root, "old/below")
	replaced := mkdir(t, root, "replaced")
	tree := openTree(t, root)
	for _, p := range []string{"old/below", "old", "replaced"} {
		if err := os.Remove(filepath.Join(root, p)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]uint64{
		"/": mkdir(t, root), "/replaced": mkdir(t, root, "replaced"),
		"/new": mkdir(t, root, "new"), "/new/below": mkdir(t, root, "new/below"),
	}

	event := binary.NativeEndian.AppendUint32(nil, 0xffffffff)
	event = binary.NativeEndian.AppendUint32(event, unix.IN_Q_OVERFLOW)
	event = append(event, make([]byte, 8)...)
	if changed, err := tree.apply(event); !changed || err != nil {
		t.Fatalf("overflow: changed %v, %v", changed, err)
	}
	if got := living(tree); !maps.Equal(got, want) {
		t.Errorf("living: %v, want %v", got, want)
	}
	if p, ok := tree.Path(replaced); p != "/replaced" || !ok {
		t.Errorf("path of the replaced cgroup: %q, %v", p, ok)
	}

	// What was watched anew is followed.
	run(t, tree)
	want["/new/below/more"] = mkdir(t, root, "new/below/more")
	await(t, tree, want)
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
		tree, err := OpenTree(mounted)
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
	if _, err := OpenTree(t.TempDir()); err == nil {
		t.Error("no error for a folder that is no cgroup")
	}
}

func TestIndexForgetsTheGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newIndex()
		x.add(10, "/a")
		x.add(11, "/b")
		x.remember(12, "/c")
		x.remove("/a")
		time.Sleep(remembered - time.Second)
		x.remove("/b")
		if _, ok := x.path(10); !ok {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Second)
		x.remove("/not there")
		for id, want := range map[uint64]bool{10: false, 11: true, 12: false} {
			if _, ok := x.path(id); ok != want {
				t.Errorf("cgroup %d known: %v, want %v", id, ok, want)
			}
		}
	})
}

func TestIndexIsBounded(t *testing.T) {
	x := newIndex()
	for id := range uint64(maxRecords) {
		x.add(id+1, filepath.Join("/", time.Duration(id).String()))
	}
	if x.add(1<<40, "/over") {
		t.Error("there was room for one more living cgroup")
	}
	x.remove("/1ns")
	if !x.add(1<<40, "/over") {
		t.Error("no room after a cgroup has gone")
	}
	if _, ok := x.path(2); ok {
		t.Error("the cgroup that has gone is known beyond the bound")
	}
	if len(x.paths) != maxRecords {
		t.Errorf("%d records, want %d", len(x.paths), maxRecords)
	}
}
