package listen

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// adopt takes the inherited descriptor of that name which matches, and makes a listener of it with convert; it
// returns nil when there is none. In that case the descriptors of that name, which have the same purpose but
// another address, are ended, so that they do not stand in the way of the new listener.
func adopt[L any](s *Set, name string, matches func(fd int) bool, convert func(*os.File) (L, error)) (l L, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := s.inherited[name]
	i := slices.IndexFunc(files, func(f *os.File) (ok bool) {
		control(f, func(fd int) { ok = matches(fd) })
		return ok
	})
	if i < 0 {
		for _, f := range files {
			end(f)
		}
		delete(s.inherited, name)
		return l, nil
	}
	file := files[i]
	defer file.Close() // convert has duplicated it
	if s.inherited[name] = slices.Delete(files, i, i+1); len(s.inherited[name]) == 0 {
		delete(s.inherited, name)
	}
	if l, err = convert(file); err != nil {
		return l, fmt.Errorf("adopt listener %s: %w", name, err)
	}
	return l, nil
}

// siocUnixFile is SIOCUNIXFILE of linux/un.h: it returns a descriptor of the file that a unix socket is bound to,
// and takes CAP_NET_ADMIN.
const siocUnixFile = 0x89e0

// wanted is an internet socket that is looked for among those inherited.
type wanted struct {
	kind   int // SOCK_STREAM or SOCK_DGRAM
	addr   netip.AddrPort
	device string // that it is bound to; empty: none
}

// matches says whether fd is the socket that TCP or UDP would make. Its network namespace counts too: a socket of
// the same address whose container is gone would never see a connection.
func (w wanted) matches(fd int) bool {
	domain, protocol, only6, listening := unix.AF_INET, unix.IPPROTO_UDP, true, true
	if w.addr.Addr().Is6() {
		domain = unix.AF_INET6
		only6 = option(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) == 1
	}
	if w.kind == unix.SOCK_STREAM {
		protocol = unix.IPPROTO_TCP // not MPTCP
		listening = option(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) == 1
	}
	bound, ok := boundAddr(fd)
	return ok && only6 && listening &&
		option(fd, unix.SOL_SOCKET, unix.SO_DOMAIN) == domain &&
		option(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL) == protocol &&
		bound.Addr() == w.addr.Addr().WithZone("") &&
		(bound.Port() == w.addr.Port() || w.addr.Port() == 0) &&
		boundDevice(fd) == w.device &&
		inOurNetns(fd)
}

// boundAddr returns the address of an internet socket, without the zone.
func boundAddr(fd int) (netip.AddrPort, bool) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, false
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), uint16(name.Port)), true
	}
	return netip.AddrPort{}, false
}

// boundDevice returns the name of the device that a socket is bound to; empty for none.
func boundDevice(fd int) string {
	name, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	if err != nil {
		return ""
	}
	return name
}

// shown is the address of a listener for people, with its device as ss shows it: 0.0.0.0%lo:15001.
func (w wanted) shown(addr net.Addr) string {
	if w.device == "" {
		return addr.String()
	}
	host, port, _ := strings.Cut(addr.String(), ":")
	return host + "%" + w.device + ":" + port
}

// inOurNetns says whether a socket is in the network namespace of the calling thread.
func inOurNetns(fd int) bool {
	ours, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(ours)
	want, err := unix.GetsockoptUint64(ours, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return false
	}
	got, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return err == nil && got == want
}

// boundTo says whether fd is a listening unix socket that clients of path reach.
//
// The address of a socket does not tell: the file may have been removed, with its folder, and made anew since.
func boundTo(fd int, path string) bool {
	if option(fd, unix.SOL_SOCKET, unix.SO_DOMAIN) != unix.AF_UNIX ||
		option(fd, unix.SOL_SOCKET, unix.SO_TYPE) != unix.SOCK_STREAM ||
		option(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) != 1 {
		return false
	}
	file, err := unix.IoctlRetInt(fd, siocUnixFile)
	if err != nil {
		return false
	}
	defer unix.Close(file)
	var bound, there unix.Stat_t
	return unix.Fstat(file, &bound) == nil && unix.Lstat(path, &there) == nil &&
		bound.Dev == there.Dev && bound.Ino == there.Ino
}

// option returns the value of a socket option, or -1.
func option(fd, level, name int) int {
	v, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		return -1
	}
	return v
}

// end shuts a socket down and closes it. Closing alone would not free its address, as a service manager that has
// stored the socket goes on to hold it; the shutdown makes it drop the socket.
func end(f *os.File) {
	control(f, func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) }) // UDP says ENOTCONN and obeys
	f.Close()
}

// control runs f with the descriptor of a file. Unlike Fd it leaves the mode of the descriptor alone.
func control(file *os.File, f func(fd int)) {
	if raw, err := file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
