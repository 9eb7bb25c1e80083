package lab

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// readiness is the socket at which a unit says that it is ready, in the protocol of sd_notify(3).
type readiness struct {
	path    string // inside the host
	ready   chan struct{}
	store   *fdStore // nil: descriptors are not kept
	conn    *net.UnixConn
	reading sync.WaitGroup
}

// listenReadiness opens the socket of a unit. It must be closed.
func (h *Host) listenReadiness(unit string) (*readiness, error) { return h.listenStoring(unit, nil) }

// listenStoring is listenReadiness for a unit with a store.
func (h *Host) listenStoring(unit string, store *fdStore) (*readiness, error) {
	r := &readiness{path: "/run/lab/notify/" + unit, ready: make(chan struct{}), store: store}
	err := h.Do(func() (err error) {
		if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
			return err
		}
		if err := os.RemoveAll(r.path); err != nil {
			return err
		}
		r.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.path, Net: "unixgram"})
		if err != nil {
			return err
		}
		return os.Chmod(r.path, 0o666)
	})
	if err != nil {
		return nil, err
	}
	r.reading.Go(r.read)
	return r, nil
}

// read goes on after the unit is ready: a program that nobody listens to would block after a few messages.
func (r *readiness) read() {
	message, control := make([]byte, 4096), make([]byte, 4096)
	once := sync.OnceFunc(func() { close(r.ready) })
	for {
		n, m, _, _, err := r.conn.ReadMsgUnix(message, control)
		if err != nil {
			return
		}
		said, fds := strings.Split(string(message[:n]), "\n"), descriptors(control[:m])
		if r.store != nil {
			r.store.obey(said, fds)
		} else {
			(&fdStore{}).obey(nil, fds) // closes them
		}
		if slices.Contains(said, "READY=1") {
			once()
		}
	}
}

// announced returns a channel that is closed when the unit is ready; never for a unit that does not say it.
func (r *readiness) announced() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.ready
}

func (r *readiness) close() {
	if r == nil {
		return
	}
	r.conn.Close()
	r.reading.Wait()
}
