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
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/bpf"
)

const (
	// deadAfter is the age of a heartbeat from which the kernel programs take meshd for dead.
	deadAfter = 3 * time.Second
	// beatInterval is short against it, so that a few lost beats of a busy host do no harm.
	beatInterval = 500 * time.Millisecond
)

// ownership is being the one meshd of a host: the lock that only one can hold, and the heartbeat by which the kernel
// programs know that this one lives. Whoever has it may bind the control socket and steer the kernel.
type ownership struct {
	lock *os.File

	mu     sync.Mutex
	silent bool // meshd is about to end and beats no more
}

// takeOwnership fails when another meshd owns the host, and then names it.
func takeOwnership(runDir string) (*ownership, error) {
	lock, err := openLock(runDir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: meshd is root's to start: systemctl start meshd", err)
	}
	if err != nil {
		return nil, err
	}
	path := lock.Name()
	if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_SETLK, wholeFile(unix.F_WRLCK)); err != nil {
		owner := readOwner(lock)
		lock.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("another meshd runs on this host: %s holds %s; see it with meshctl status, end it with systemctl stop meshd", owner, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	pid := fmt.Appendf(nil, "%d\n", os.Getpid())
	if err := errors.Join(lock.Truncate(0), writeAt(lock, pid)); err != nil {
		lock.Close()
		return nil, fmt.Errorf("write lock: %w", err)
	}
	return &ownership{lock: lock}, nil
}

func lockFile(runDir string) string { return filepath.Join(runDir, "lock") }

func wholeFile(kind int16) *unix.Flock_t { return &unix.Flock_t{Type: kind, Whence: io.SeekStart} }

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

func readOwner(lock *os.File) string {
	buf := make([]byte, 32)
	n, _ := lock.ReadAt(buf, 0)
	if pid := strings.TrimSpace(string(buf[:n])); pid != "" {
		return "pid " + pid
	}
	return "a process that is just starting"
}

func openLock(runDir string) (*os.File, error) {
	if err := os.MkdirAll(runDir, 0o750); err != nil {
		return nil, fmt.Errorf("make runtime folder: %w", err)
	}
	lock, err := os.OpenFile(lockFile(runDir), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return lock, nil
}

// isOwned says whether a meshd owns the host. It only asks, so that a meshd which starts meanwhile is not kept out.
func isOwned(runDir string) bool {
	lock, err := os.Open(lockFile(runDir))
	if err != nil {
		return false
	}
	defer lock.Close()
	asked := wholeFile(unix.F_WRLCK)
	return unix.FcntlFlock(lock.Fd(), unix.F_OFD_GETLK, asked) == nil && asked.Type != unix.F_UNLCK
}

// isOwnerKnown says whether this user may look at the lock, from which isOwned knows. It is root's, as whoever can open it
// could hold it.
func isOwnerKnown(runDir string) bool {
	lock, err := os.Open(lockFile(runDir))
	if err != nil {
		return !errors.Is(err, fs.ErrPermission)
	}
	lock.Close()
	return true
}

// beat tells the kernel programs that meshd lives until ctx ends. The error is that somebody else took over.
func (o *ownership) beat(ctx context.Context, kernel *bpf.Kernel, log *slog.Logger) error {
	ticks := time.NewTicker(beatInterval)
	defer ticks.Stop()
	for {
		switch err := o.beatOnce(kernel); {
		case errors.Is(err, bpf.ErrSuperseded):
			return err
		case err != nil:
			log.Error("heartbeat failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

func (o *ownership) beatOnce(kernel *bpf.Kernel) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent {
		return nil
	}
	return kernel.Beat()
}

// silence makes the kernel programs take meshd for dead from now on.
func (o *ownership) silence(kernel *bpf.Kernel) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent = true
	return kernel.Silence()
}

// release lets another meshd own the host. The file stays: of two that each lock one of that name, both would own it.
func (o *ownership) release() { o.lock.Close() }
