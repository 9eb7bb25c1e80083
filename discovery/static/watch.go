// Package static tells when the files of a static discovery have changed.
package static

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// defaultQuiet is how long files must rest before they count as written: editors, and tools that copy many files,
// take several steps.
const defaultQuiet = 2 * time.Second

// Watch calls changed when files that match globs may have changed, appeared or gone, and then nothing more has
// happened for the time quiet, of which 0 means 2 seconds. It returns nil when ctx ends, and an error when the
// folders can not be watched.
//
// It watches folders, as an editor that renames a new file into place leaves no trace in a watch of the file; a
// folder that does not exist yet is waited for. What a symbolic link to a single file points to is not watched. The
// calls come from one goroutine, one at a time; what happens during a call leads to another one. It knows nothing of
// what happened before it was called, so a caller lets it run for as long as the globs are the same.
func Watch(ctx context.Context, globs []string, quiet time.Duration, changed func()) error {
	f, err := open(globs)
	if err != nil {
		return err
	}
	defer f.watcher.Close()
	if quiet == 0 {
		quiet = defaultQuiet
	}
	return f.run(ctx, quiet, changed)
}

// debounce calls changed each time that events came and then none for the time quiet, until ctx ends.
func debounce(ctx context.Context, events <-chan struct{}, quiet time.Duration, changed func()) {
	timer := time.NewTimer(quiet)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			timer.Reset(quiet)
		case <-timer.C:
			changed()
		}
	}
}

// folders are all folders on the way from the root of the file system to the files of the globs. Those above are
// watched too, since any of them can be made, renamed or replaced.
type folders struct {
	watcher *fsnotify.Watcher
	globs   []string // absolute
}

// open begins to watch, so that nothing which happens from then on is lost.
func open(globs []string) (folders, error) {
	var f folders
	for _, glob := range globs {
		if _, err := filepath.Match(glob, ""); err != nil {
			return f, fmt.Errorf("watch files %s: %w", glob, err)
		}
		absolute, err := filepath.Abs(glob)
		if err != nil {
			return f, fmt.Errorf("watch files: %w", err)
		}
		f.globs = append(f.globs, absolute)
	}
	var err error
	if f.watcher, err = fsnotify.NewWatcher(); err != nil {
		return f, explain(fmt.Errorf("watch files: %w", err))
	}
	if err := f.watch(); err != nil {
		f.watcher.Close()
		return f, err
	}
	return f, nil
}

func (f folders) run(ctx context.Context, quiet time.Duration, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan struct{}, 1)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		debounce(ctx, events, quiet, changed)
	}()
	defer func() {
		cancel()
		<-settled
	}()
	return f.follow(ctx, events)
}

// follow puts an element into events when something on the way to a file, or a file, has changed.
func (f folders) follow(ctx context.Context, events chan<- struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-f.watcher.Events:
			name := filepath.Clean(event.Name)
			if !f.concerns(name) {
				continue
			}
			// What has this name now may be another folder, and a watch stays with the old one. Most names are
			// of files and have no watch.
			_ = f.watcher.Remove(name)
		case err := <-f.watcher.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watch files: %w", err)
			}
		}
		if err := f.watch(); err != nil {
			return err
		}
		select {
		case events <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// concerns says whether name is a file of a glob or a folder on the way to one.
func (f folders) concerns(name string) bool {
	return slices.ContainsFunc(f.globs, func(glob string) bool {
		for pattern := range upwards(glob) {
			if ok, _ := filepath.Match(pattern, name); ok {
				return true
			}
		}
		return false
	})
}

// watch watches all the folders that exist. It begins at the top, so that one that is made meanwhile is found or has
// an event.
func (f folders) watch() error {
	for _, glob := range f.globs {
		patterns := slices.Collect(upwards(filepath.Dir(glob)))
		for _, pattern := range slices.Backward(patterns) {
			found, err := filepath.Glob(pattern)
			if err != nil {
				return fmt.Errorf("watch files %s: %w", glob, err)
			}
			for _, folder := range found {
				err := f.watcher.Add(folder)
				ignore := errors.Is(err, fs.ErrNotExist) || // gone again
					errors.Is(err, fs.ErrPermission) && pattern != patterns[0] // may be entered, not read
				if err != nil && !ignore {
					return explain(fmt.Errorf("watch folder %s: %w", folder, err))
				}
			}
		}
	}
	return nil
}

// upwards returns path, the folder it is in, and so on to the root.
func upwards(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(path) && path != "/" {
			path = filepath.Dir(path)
		}
	}
}

// explain adds to the limits of inotify, whose errors speak of files and disks, where they are set.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w (see ulimit -n and the sysctl fs.inotify.max_user_instances)", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w (see the sysctl fs.inotify.max_user_watches)", err)
	}
	return err
}
