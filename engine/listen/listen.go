// Package listen makes every listener of meshd, so that each can be adopted by name from the process before.
package listen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Set holds the listeners of one meshd.
//
// A name belongs to one purpose. Several listeners may have it, such as one for IPv4 and one for IPv6, or, for a
// moment, the old and the new one of a reload. An owner closes its listener itself; the set notices.
type Set struct {
	mu        sync.Mutex
	inherited map[string][]*os.File
	open      []listener
}

// Socket describes one open listener, for people.
type Socket struct {
	Name    string
	Network string // tcp, udp or unix
	Address string
}

// socket is what the three kinds of listener have in common.
type socket interface {
	Close() error
	File() (*os.File, error)
	SyscallConn() (syscall.RawConn, error)
}

type listener struct {
	Socket
	socket socket
}

// New returns a set that adopts from the inherited descriptors, which belong to it from then on; nil means none.
func New(inherited map[string][]*os.File) *Set {
	s := &Set{inherited: make(map[string][]*os.File, len(inherited))}
	for name, files := range inherited {
		s.inherited[name] = slices.Clone(files)
	}
	return s
}

// TCP returns a listener on addr in the network namespace of the calling thread. Port 0 takes any port.
//
// It is never a multipath TCP one, whose sockets the kernel programs do not see as TCP, and one on an IPv6 address
// never takes IPv4. Its backlog is net.core.somaxconn. A connection whose other side has vanished is found out after
// some two minutes.
func (s *Set) TCP(ctx context.Context, name string, addr netip.AddrPort) (*net.TCPListener, error) {
	return s.tcp(ctx, name, wanted{kind: unix.SOCK_STREAM, addr: unmap(addr)})
}

func onLoopback(port uint16) wanted {
	return wanted{kind: unix.SOCK_STREAM, addr: netip.AddrPortFrom(netip.IPv4Unspecified(), port), device: loopback}
}

// loopback is the name of the loopback device, which is the same in every network namespace.
const loopback = "lo"

func (s *Set) tcp(ctx context.Context, name string, w wanted) (*net.TCPListener, error) {
	l, err := s.openTCP(ctx, name, w)
	if err != nil {
		return nil, err
	}
	s.add(name, "tcp", w.shown(l.Addr()), l)
	return l, nil
}

// openTCP adopts or makes a listener, which is not in the set yet.
func (s *Set) openTCP(ctx context.Context, name string, w wanted) (*net.TCPListener, error) {
	adopted, err := adopt(s, name, w.matches, net.FileListener)
	if err != nil {
		return nil, err
	}
	l, ok := adopted.(*net.TCPListener)
	if !ok {
		if l, err = makeTCP(ctx, w); err != nil {
			return nil, fmt.Errorf("listen for %s: %w", name, explain(err, "tcp", w.addr))
		}
	}
	return l, nil
}

func makeTCP(ctx context.Context, w wanted) (*net.TCPListener, error) {
	config := net.ListenConfig{KeepAlive: -1} // once here, and not in Go at each accept
	config.SetMultipathTCP(false)
	config.Control = func(network, address string, conn syscall.RawConn) error {
		err := keepAlive(network, address, conn)
		if w.device != "" {
			controlErr := conn.Control(func(fd uintptr) { err = errors.Join(err, unix.BindToDevice(int(fd), w.device)) })
			err = errors.Join(err, controlErr)
		}
		return err
	}
	l, err := config.Listen(ctx, "tcp"+family(w.addr), w.addr.String())
	if err != nil {
		return nil, err
	}
	tcp := l.(*net.TCPListener)
	if err := refuseFastOpen(tcp); err != nil {
		tcp.Close()
		return nil, err
	}
	return tcp, nil
}

// refuseFastOpen has every handshake complete before the connection can be accepted, also on a host where
// net.ipv4.tcp_fastopen lets all listeners do without: who is calling is recorded at its end.
func refuseFastOpen(l *net.TCPListener) error {
	conn, err := l.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := conn.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt TCP_FASTOPEN", unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 0))
	})
	return errors.Join(err, controlErr)
}

// keepAlive sets what accepted sockets inherit: probes after a minute of silence, then every 15 s, five in all.
func keepAlive(_, _ string, conn syscall.RawConn) error {
	var err error
	controlErr := conn.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5),
		)
	})
	return errors.Join(err, controlErr)
}

// UDP returns a socket bound to addr in the network namespace of the calling thread. Port 0 takes any port.
func (s *Set) UDP(name string, addr netip.AddrPort) (*net.UDPConn, error) {
	addr = unmap(addr)
	adopted, err := adopt(s, name, wanted{kind: unix.SOCK_DGRAM, addr: addr}.matches, net.FilePacketConn)
	if err != nil {
		return nil, err
	}
	if c, ok := adopted.(*net.UDPConn); ok {
		s.add(name, "udp", c.LocalAddr().String(), c)
		return c, nil
	}
	c, err := net.ListenUDP("udp"+family(addr), net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, explain(err, "udp", addr))
	}
	s.add(name, "udp", c.LocalAddr().String(), c)
	return c, nil
}

// Unix returns a listener at path, whose file gets mode and the group gid; gid -1 leaves the group as it is.
//
// A file that a dead process left behind is replaced, that of a live one is an error. The file stays when the
// listener is closed, so that the next process can adopt the listener.
func (s *Set) Unix(name, path string, mode fs.FileMode, gid int) (*net.UnixListener, error) {
	matches := func(fd int) bool { return boundTo(fd, path) }
	adopted, err := adopt(s, name, matches, net.FileListener)
	if err != nil {
		return nil, err
	}
	l, ok := adopted.(*net.UnixListener)
	if !ok {
		if l, err = listenUnix(path); err != nil {
			return nil, fmt.Errorf("listen for %s: %w", name, err)
		}
	}
	if err := os.Chown(path, -1, gid); err != nil {
		l.Close()
		return nil, fmt.Errorf("give socket to group %d: %w", gid, err)
	}
	if err := os.Chmod(path, mode); err != nil { // last: nobody else gets in before
		l.Close()
		return nil, fmt.Errorf("set mode of socket: %w", err)
	}
	s.add(name, "unix", l.Addr().String(), l)
	return l, nil
}

func (s *Set) add(name, network, address string, l socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.living(), listener{Socket{Name: name, Network: network, Address: address}, l})
}

// Sockets lists the open listeners, sorted by name and address.
func (s *Set) Sockets() []Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sockets []Socket
	for _, l := range s.living() {
		sockets = append(sockets, l.Socket)
	}
	slices.SortFunc(sockets, func(a, b Socket) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Network, b.Network),
			strings.Compare(a.Address, b.Address))
	})
	return sockets
}

// Files returns a duplicate of the descriptor of each open listener, by name, to hand on to another process. The
// caller closes them.
//
// Whoever holds such a duplicate keeps the socket alive: connections to it wait there even when the listener
// here is closed.
func (s *Set) Files() (map[string][]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := make(map[string][]*os.File)
	for _, l := range s.living() {
		file, err := l.socket.File()
		if err != nil {
			return files, fmt.Errorf("duplicate descriptor of %s: %w", l.Name, err)
		}
		files[l.Name] = append(files[l.Name], file)
	}
	return files, nil
}

// living drops the listeners that their owners have closed, and returns the others. The caller holds the lock.
func (s *Set) living() []listener {
	s.open = slices.DeleteFunc(s.open, func(l listener) bool {
		raw, err := l.socket.SyscallConn()
		return err != nil || isClosed(raw.Control(func(uintptr) {}))
	})
	return s.open
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) }

// Leftover ends the inherited sockets that nobody has asked for, and returns their names, sorted. Call it when all
// listeners are made: a socket that nobody accepts from lets its clients hang.
func (s *Set) Leftover() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, files := range s.inherited {
		names = append(names, name)
		for _, f := range files {
			end(f)
		}
	}
	clear(s.inherited)
	slices.Sort(names)
	return names
}

// Close closes all listeners, and the inherited descriptors that were not adopted. What another process holds a
// duplicate of stays open there.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.open {
		if err := l.socket.Close(); err != nil && !isClosed(err) {
			errs = append(errs, err)
		}
	}
	for _, files := range s.inherited {
		for _, f := range files {
			errs = append(errs, f.Close())
		}
	}
	s.open = nil
	clear(s.inherited)
	return errors.Join(errs...)
}

func unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// family returns the suffix of Go's network names that keeps IPv4 and IPv6 apart.
func family(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "4"
	}
	return "6"
}
