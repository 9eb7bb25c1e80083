package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Queue is a TCP listener whose owner accepts by itself and waits by an epoll of its own. The Go runtime does not watch it,
// and so none of Go's threads is woken for each connection.
type Queue struct {
	file *os.File
	addr net.Addr
}

// Queue is TCP for an owner that accepts by itself.
func (s *Set) Queue(ctx context.Context, name string, addr netip.AddrPort) (*Queue, error) {
	return s.queue(ctx, name, wanted{kind: unix.SOCK_STREAM, addr: unmap(addr)})
}

// LoopbackQueue is Queue for every IPv4 address of the loopback device, 127.0.0.0/8. It is bound to that device, so that
// nothing from outside of the host reaches it.
func (s *Set) LoopbackQueue(ctx context.Context, name string, port uint16) (*Queue, error) {
	return s.queue(ctx, name, onLoopback(port))
}

func (s *Set) queue(ctx context.Context, name string, w wanted) (*Queue, error) {
	l, err := s.openTCP(ctx, name, w)
	if err != nil {
		return nil, err
	}
	q, err := newQueue(l)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	s.add(name, "tcp", w.shown(q.Addr()), q)
	return q, nil
}

// newQueue makes a queue of a listener that nobody has used yet, and closes that.
func newQueue(l *net.TCPListener) (*Queue, error) {
	fd, err := copyOf(l)
	if err == nil {
		err = unix.SetNonblock(fd, false) // or the runtime would watch it
	}
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	q := &Queue{file: os.NewFile(uintptr(fd), "queue"), addr: l.Addr()}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// copyOf returns a further descriptor of a socket.
func copyOf(s interface {
	SyscallConn() (syscall.RawConn, error)
}) (fd int, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(controlErr, err)
}

// Addr returns the address on which connections arrive.
func (q *Queue) Addr() net.Addr { return q.addr }

// SyscallConn gives access to the descriptor, which does not block.
func (q *Queue) SyscallConn() (syscall.RawConn, error) { return q.file.SyscallConn() }

// File returns a duplicate, which the caller closes.
func (q *Queue) File() (*os.File, error) {
	fd, err := copyOf(q)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "queue"), nil
}

// Close ends the listening, once nobody uses the descriptor any more.
func (q *Queue) Close() error { return q.file.Close() }
