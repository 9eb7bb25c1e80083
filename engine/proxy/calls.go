package proxy

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file go to the kernel without telling Go's scheduler, which they may because none of them waits. One that
// wakes an application often lasts 20 µs. If the scheduler knew, its monitor would take the processor from under such a call,
// give it to another thread for nothing, and stay awake for that; and the loop would have to find another one.

// read returns how many bytes have come: 0 and no error at the end of the stream.
func read(fd int, buf []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

// write returns how many bytes the socket has taken; fewer than all when it takes no more for now.
func write(fd int, buf []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
		switch errno {
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return outcome(n, errno)
		}
	}
}

// splice moves up to most bytes between a socket and a pipe, and returns how many it moved.
func splice(from, to, most int) (int, error) {
	const flags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), flags)
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

// accept takes a connection that is there from the queue of a listener, and returns it with the address of its client.
func accept(fd int) (int, netip.AddrPort, error) {
	var from unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	accepted, err := outcome(n, errno)
	return accepted, addrPort(&from), err
}

// localAddr returns a socket's own address.
func localAddr(fd int) (netip.AddrPort, error) {
	var local unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&local)), uintptr(unsafe.Pointer(&size)))
	_, err := outcome(0, errno)
	return addrPort(&local), err
}

// connect begins to connect a socket that does not block.
func connect(fd int, to netip.AddrPort) error {
	var errno syscall.Errno
	if to.Addr().Is4() {
		address := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(to.Port()), Addr: to.Addr().As4()}
		_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)), unix.SizeofSockaddrInet4)
	} else {
		address := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(to.Port()), Addr: to.Addr().As16()}
		_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)), unix.SizeofSockaddrInet6)
	}
	_, err := outcome(0, errno)
	if errors.Is(err, unix.EINPROGRESS) {
		return nil
	}
	return err
}

// hasInput says whether something has come that nobody has read, the end of the stream and an error included.
func hasInput(fd int) bool {
	var b byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno != unix.EAGAIN
}

// hasEnded says whether the stream from the peer is over, and all of it has been read.
func hasEnded(fd int) bool {
	var b byte
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno == 0 && n == 0
}

// shutdown ends the stream to the peer.
func shutdown(fd int) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	_, err := outcome(0, errno)
	return err
}

func closeFD(fd int) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// poll returns the events that are there.
func poll(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), 0, 0, 0)
	return outcome(n, errno)
}

func outcome(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// addrPort returns an address of a TCP socket, unmapped.
func addrPort(a *unix.RawSockaddrAny) netip.AddrPort {
	switch a.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), networkOrder(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), networkOrder(in.Port))
	}
	return netip.AddrPort{}
}

// networkOrder turns a number into network order, or back.
func networkOrder(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}
