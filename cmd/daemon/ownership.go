package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/bpf"
)

// beatInterval is short against the 3 s after which the kernel programs take meshd for dead, so that a few lost beats
// of a busy host do no harm.
const beatInterval = 500 * time.Millisecond

// ownership is being the one meshd of a host: the lock that only one can hold, and the heartbeat by which the kernel
// programs know that this one lives. Whoever has it may bind the control socket and steer the kernel.
type ownership struct {
	lock *os.File
	last atomic.Int64 // Unix nanoseconds of the last heartbeat

	mu     sync.Mutex
	silent bool // meshd is about to end and beats no more
}

// takeOwnership fails when another meshd owns the host, and then names it.
func takeOwnership(runDir string) (*ownership, error) {
	if err := os.MkdirAll(runDir, 0o750); err != nil {
		return nil, fmt.Errorf("make runtime folder: %w", err)
	}
	path := filepath.Join(runDir, "lock")
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner := readOwner(lock)
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
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

// isOwned says whether a meshd owns the host.
func isOwned(runDir string) bool {
	lock, err := os.Open(filepath.Join(runDir, "lock"))
	if err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
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
	err := kernel.Beat()
	if err == nil {
		o.last.Store(time.Now().UnixNano())
	}
	return err
}

// silence makes the kernel programs take meshd for dead from now on.
func (o *ownership) silence(kernel *bpf.Kernel) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent = true
	return kernel.Silence()
}

// beats says whether the heartbeat is as young as the kernel programs want it.
func (o *ownership) beats() bool {
	return time.Since(time.Unix(0, o.last.Load())) < 3*time.Second
}

// release lets another meshd own the host. The file stays: removing it would let two lock two files of one name.
func (o *ownership) release() { o.lock.Close() }
