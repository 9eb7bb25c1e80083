package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	hostsPath = "/etc/hosts"

	// hostsInterval is how often the file is looked at: whoever else writes it may write it without our block.
	hostsInterval = 5 * time.Second

	maxHostsSize  = 16 << 20 // bytes of the whole file; lists against advertisements have some five million
	hostsAttempts = 3        // when somebody else writes the file at the same time
)

// hostsFile keeps a block of /etc/hosts, by which the names of the mesh outlive meshd. What stands outside of the block
// is never changed.
type hostsFile struct {
	path   string
	wanted func() (block string, err error) // without its marks; empty: there is to be no block
	log    *slog.Logger

	mu     sync.Mutex             // held while the file is compared and written
	rid    bool                   // the file has no block and is to have none
	failed atomic.Pointer[string] // why the block is not as it should be; nil: it is
}

// failure returns why the block is not as it should be, or nothing.
func (h *hostsFile) failure() string {
	if failed := h.failed.Load(); failed != nil {
		return *failed
	}
	return ""
}

// follow keeps the block until ctx ends. It stays then: while meshd is gone it is needed most.
func (h *hostsFile) follow(ctx context.Context) {
	ticks := time.NewTicker(hostsInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if !h.isBeingWritten() {
				h.keep()
			}
		}
	}
}

// isBeingWritten says whether the file has changed so lately that its writer may not be done: a file that is exchanged
// under somebody who writes it loses the rest.
func (h *hostsFile) isBeingWritten() bool {
	info, err := os.Stat(h.path)
	return err == nil && time.Since(info.ModTime()) < hostsInterval
}

// keep makes the block the one that is wanted now.
func (h *hostsFile) keep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	block, wrong := h.wanted()
	if h.rid && block == "" && wrong == nil {
		return
	}
	changed, err := setHostsBlock(h.path, block)
	h.rid = block == "" && err == nil
	if changed {
		h.log.Info("hosts file changed", "file", h.path, "bytes", len(block))
	}
	if err = errors.Join(wrong, err); err != nil {
		if text := err.Error(); text != h.failure() {
			h.log.Error("hosts file not kept", "file", h.path, "error", err)
			h.failed.Store(&text)
		}
		return
	}
	h.failed.Store(nil)
}

func isUnchanged(before, now fs.FileInfo) bool {
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// setHostsBlock gives a hosts file the block, or removes the one that it has if the block is empty.
func setHostsBlock(path, block string) (changed bool, err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a link stays one
	}
	for range hostsAttempts {
		if changed, err = trySetHostsBlock(path, block); !errors.Is(err, errHostsChanged) {
			break
		}
	}
	return changed, err
}

// removeHostsBlock removes the block from a hosts file, or with dry says only whether there is one.
func removeHostsBlock(path string, dry bool) (had bool, err error) {
	if !dry {
		return setHostsBlock(path, "")
	}
	text, _, err := readHosts(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rest, err := withHostsBlock(text, "")
	return rest != text, err
}

var errHostsChanged = errors.New("somebody else writes it at the same time")

func trySetHostsBlock(path, block string) (changed bool, err error) {
	text, before, err := readHosts(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing && (block != "" || strings.Contains(text, hostsBegin)) {
		return false, err
	}
	next, err := withHostsBlock(text, block)
	switch {
	case err != nil:
		return false, fmt.Errorf("%s: %w", path, err)
	case next == text:
		return false, nil
	case missing:
		err = os.WriteFile(path, []byte(next), 0o644)
	default:
		if err = swapHosts(path, next, before); cannotSwap(err) {
			err = overwriteHosts(path, next, text)
		}
	}
	return err == nil, err
}

func readHosts(path string) (string, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHostsSize+1))
	if err == nil && len(text) > maxHostsSize {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxHostsSize>>20)
	}
	return string(text), info, err
}

// swapHosts puts a file in the place of another whose owner, mode and labels it gets, so that a program which reads
// at that moment reads all of the one or all of the other.
func swapHosts(path, text string, before fs.FileInfo) error {
	next := filepath.Join(filepath.Dir(path), ".hosts.meshd")
	os.Remove(next) // of a meshd that died
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, copyAttributes(f, path, before), f.Sync(), f.Close())
	if err == nil {
		var now fs.FileInfo
		if now, err = os.Stat(path); err == nil && !isUnchanged(before, now) {
			err = errHostsChanged
		}
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		os.Remove(next)
	}
	return err
}

// copyAttributes gives f the owner, mode, SELinux label and access list that the file at path has.
func copyAttributes(f *os.File, path string, of fs.FileInfo) error {
	if owner, ok := of.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if err := f.Chmod(of.Mode().Perm()); err != nil {
		return err
	}
	for _, name := range []string{"security.selinux", "system.posix_acl_access"} {
		value := make([]byte, 4096)
		n, err := unix.Getxattr(path, name, value)
		if err != nil {
			continue // the file has none, or the file system knows none
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value[:n], 0); err != nil {
			return fmt.Errorf("copy %s of %s: %w", name, path, err)
		}
	}
	return nil
}

// cannotSwap says whether a file may be writable though nothing can take its place: it is mounted over, as in a
// container, or its folder is read-only, or we may not give its owner to another file.
func cannotSwap(err error) bool {
	for _, reason := range []error{unix.EBUSY, unix.EXDEV, unix.EROFS, unix.EPERM, unix.EACCES} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// overwriteHosts writes a file in its place. The block is at the end, where nearly always only it changes, so that
// a program which reads at that moment misses none of the other lines.
func overwriteHosts(path, text, before string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	write := func(text string) error {
		_, err := f.WriteAt([]byte(text), 0)
		if err != nil {
			return err
		}
		return f.Truncate(int64(len(text)))
	}
	if err := write(text); err != nil { // such as a disk that is full: what was there has its room still
		return errors.Join(err, write(before), f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}
