package proxy

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// edges are the events of a socket that a loop works on.
const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// dialSocket begins to connect a socket, which is returned while the connect is under way.
//
// It is closed with RST unless [closeInOrder] closes it: when meshd is killed the kernel closes it, and a FIN would be
// taken for the end of what was sent, and a half of it for the whole.
func dialSocket(to netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("make socket: %w", err)
	}
	err = forward(fd)
	if err == nil {
		err = connect(fd, to)
	}
	if err != nil {
		closeFD(fd)
		return -1, fmt.Errorf("connect to %s: %w", to, err)
	}
	return fd, nil
}

// forward sets what both sides of a connection have: bytes leave at once, and a close is a reset.
func forward(fd int) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil {
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	return err
}

// closeWithReset closes a socket at once, and throws away what it has not been sent yet.
func closeWithReset(fd int) {
	// Once more: connections that came before anybody served the listener have not inherited it.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	closeFD(fd)
}

// closeInOrder closes a socket that still gets what it has not been sent yet, and then FIN.
func closeInOrder(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	closeFD(fd)
}

// socketError takes the error that a socket has met since somebody asked last; nil when there is none.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// keepAlive notices that the host of an endpoint is gone while nothing is sent: after some two minutes. An endpoint that
// answers may be silent for as long as it likes.
//
// TCP_USER_TIMEOUT is left alone. It would end a connection sooner whose bytes get no answer, but Linux applies it as well
// to an endpoint that answers every probe and just does not read, and how long that may last is not ours to say.
func keepAlive(fd int) {
	// They fail only when the connection has just ended.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

const keepAliveIdle = 60 // seconds
