package static

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan struct{}, 1)
		start, calls := time.Now(), []time.Duration(nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			debounce(ctx, events, 2*time.Second, func() { calls = append(calls, time.Since(start)) })
		}()
		for range 5 { // at 0, 1, 2, 3 and 4 seconds
			events <- struct{}{}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		events <- struct{}{} // at 15 seconds
		time.Sleep(5 * time.Second)
		events <- struct{}{}
		cancel()
		<-done
		if len(calls) != 2 || calls[0] != 6*time.Second || calls[1] != 17*time.Second {
			t.Errorf("changed was called after %v, want 6s and 17s", calls)
		}
	})
}

func TestDebounceKeepsWhatHappensDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan struct{}, 1)
		calls := 0
		events <- struct{}{}
		debounce(ctx, events, time.Second, func() {
			if calls++; calls == 1 {
				events <- struct{}{}
				return
			}
			cancel()
		})
		if calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

// watched is a watch that runs, and the calls that it makes.
type watched struct {
	t     *testing.T
	calls chan struct{}
}

func watch(t *testing.T, globs ...string) watched {
	t.Helper()
	f, err := open(globs)
	must(t, err)
	w := watched{t, make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- f.run(ctx, time.Millisecond, func() {
			select {
			case w.calls <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
		must(t, f.watcher.Close())
	})
	return w
}

func (w watched) expect(why string) {
	w.t.Helper()
	select {
	case <-w.calls:
	case <-time.After(30 * time.Second):
		w.t.Fatalf("no call after %s", why)
	}
}

// expectEach lets more files appear in folder than there can be calls under way for what happened before.
func (w watched) expectEach(folder string) {
	w.t.Helper()
	for range 16 {
		put(w.t, folder)
		w.expect("a file in " + folder)
	}
}

// put moves a file into folder, which is one event.
func put(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new")
	must(t, os.WriteFile(path, []byte("# new\n"), 0o600))
	must(t, os.Rename(path, filepath.Join(folder, "mesh.hcl")))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchFile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"write":   func(path string) error { return os.WriteFile(path, []byte("# new\n"), 0o600) },
		"replace": func(path string) error { return os.Rename(path+".tmp", path) },
		"remove":  os.Remove,
		"rename":  func(path string) error { return os.Rename(path, path+".bak") },
		"chmod":   func(path string) error { return os.Chmod(path, 0o640) },
		"create":  func(path string) error { return os.Link(path, filepath.Join(filepath.Dir(path), "b.hcl")) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.hcl")
			must(t, os.WriteFile(path, nil, 0o600))
			must(t, os.WriteFile(path+".tmp", []byte("# new\n"), 0o600))
			w := watch(t, filepath.Join(filepath.Dir(path), "*.hcl"))
			must(t, change(path))
			w.expect(name)
		})
	}
}

func TestWatchFolderThatAppears(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "etc", "mesh.d")
	w := watch(t, filepath.Join(folder, "*.hcl"))
	must(t, os.Mkdir(filepath.Dir(folder), 0o700))
	w.expect("its parent")
	must(t, os.Mkdir(folder, 0o700))
	w.expect("folder")
	put(t, folder)
	w.expect("file")
}

func TestWatchFoldersByWildcard(t *testing.T) {
	root := t.TempDir()
	w := watch(t, filepath.Join(root, "*", "mesh.hcl"))
	for _, name := range []string{"a", "b"} {
		must(t, os.Mkdir(filepath.Join(root, name), 0o700))
		w.expect("folder")
		put(t, filepath.Join(root, name))
		w.expect("file")
	}
}

func TestWatchFolderThatIsReplaced(t *testing.T) {
	root := t.TempDir()
	folder, next := filepath.Join(root, "mesh.d"), filepath.Join(root, "next")
	must(t, os.Mkdir(folder, 0o700))
	w := watch(t, filepath.Join(folder, "*.hcl"))
	for range 2 {
		must(t, os.Mkdir(next, 0o700))
		must(t, os.Rename(folder, filepath.Join(t.TempDir(), "old")))
		must(t, os.Rename(next, folder))
		w.expectEach(folder)
	}
	must(t, os.RemoveAll(folder))
	must(t, os.Mkdir(folder, 0o700))
	w.expectEach(folder)
}

func TestWatchLinkThatIsSwitched(t *testing.T) {
	root := t.TempDir()
	link := filepath.Join(root, "current")
	must(t, os.Symlink(t.TempDir(), link))
	w := watch(t, filepath.Join(link, "*.hcl"))
	for range 2 {
		must(t, os.Symlink(t.TempDir(), link+".next"))
		must(t, os.Rename(link+".next", link))
		w.expectEach(link)
	}
}

func TestConcerns(t *testing.T) {
	f := folders{globs: []string{"/etc/meshd/mesh.d/*.hcl", "/srv/*/mesh.hcl"}}
	for name, want := range map[string]bool{
		"/etc/meshd/mesh.d/a.hcl":    true,
		"/etc/meshd/mesh.d/a.hcl~":   false,
		"/etc/meshd/mesh.d/a/b.hcl":  false,
		"/etc/meshd/mesh.d":          true,
		"/etc/meshd":                 true,
		"/etc/passwd":                false,
		"/srv/a":                     true,
		"/srv/a/mesh.hcl":            true,
		"/srv/a/other.hcl":           false,
		"/etc/meshd/meshd.hcl":       false,
		"/etc/meshd/mesh.d/.mesh.sw": false,
	} {
		if got := f.concerns(name); got != want {
			t.Errorf("%s concerns: %v, want %v", name, got, want)
		}
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, Watch(ctx, []string{filepath.Join(t.TempDir(), "*.hcl")}, 0, func() {}))
}

func TestWatchRefusesMalformedGlob(t *testing.T) {
	for _, glob := range []string{"/etc/[/*.hcl", "/etc/meshd/[.hcl"} {
		if err := Watch(t.Context(), []string{glob}, 0, func() {}); err == nil {
			t.Errorf("no error for %s", glob)
		}
	}
}
