package examples_test

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is needed of io_uring to connect one socket: a ring with room for one call. See io_uring_setup(2).

type uringParams struct {
	sqEntries, cqEntries, flags, sqCPU, sqIdle, features, wqFD uint32
	_                                                          [3]uint32
	sq, cq                                                     uringOffsets
}

type uringOffsets struct {
	head, tail, mask, entries, x, y, z, _ uint32 // of the submissions: flags, dropped, array; of the completions: overflow, cqes, flags
	_                                     uint64
}

type uringCall struct {
	opcode, _ uint8
	_         uint16
	fd        int32
	addrLen   uint64 // of a connect
	addr      uint64
	_         [40]byte
}

type uringResult struct {
	_      uint64
	result int32
	_      uint32
}

const (
	uringConnectOp     = 16
	uringGetEvents     = 1
	uringCallsOffset   = 0x10000000
	uringResultsOffset = 0x8000000
)

// uringConnect connects a socket by io_uring. EPERM says that the kernel lets nobody use io_uring.
func uringConnect(fd int, to unix.Sockaddr) error {
	var params uringParams
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(ring))
	var memory [3][]byte
	for i, area := range []struct {
		offset int64
		size   int
	}{
		{0, int(params.sq.z) + 4},
		{uringResultsOffset, int(params.cq.y) + int(params.cqEntries)*int(unsafe.Sizeof(uringResult{}))},
		{uringCallsOffset, int(unsafe.Sizeof(uringCall{}))},
	} {
		m, err := unix.Mmap(int(ring), area.offset, area.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		defer unix.Munmap(m)
		memory[i] = m
	}
	raw, length := rawAddress(to)
	*(*uringCall)(unsafe.Pointer(&memory[2][0])) = uringCall{
		opcode: uringConnectOp, fd: int32(fd), addrLen: uint64(length), addr: uint64(uintptr(unsafe.Pointer(&raw[0]))),
	}
	*(*uint32)(unsafe.Pointer(&memory[0][params.sq.z])) = 0
	atomic.AddUint32((*uint32)(unsafe.Pointer(&memory[0][params.sq.tail])), 1)
	for {
		_, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, ring, 1, 1, uringGetEvents, 0, 0)
		if errno != unix.EINTR {
			break
		}
	}
	if errno != 0 {
		return errno
	}
	result := (*uringResult)(unsafe.Pointer(&memory[1][params.cq.y])).result
	runtime.KeepAlive(raw)
	if result < 0 {
		return syscall.Errno(-result)
	}
	return nil
}

// rawAddress writes an address as system calls read it.
func rawAddress(address unix.Sockaddr) (raw []byte, length int) {
	port := func(p int) [2]byte { return [2]byte{byte(p >> 8), byte(p)} }
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr}
		*(*[2]byte)(unsafe.Pointer(&sa.Port)) = port(a.Port)
		raw = (*[unix.SizeofSockaddrInet4]byte)(unsafe.Pointer(&sa))[:]
	case *unix.SockaddrInet6:
		sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.Addr}
		*(*[2]byte)(unsafe.Pointer(&sa.Port)) = port(a.Port)
		raw = (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(&sa))[:]
	}
	return raw, len(raw)
}

// connectRaw is connect(2) with an address of no family, which package unix has no name for.
func connectRaw(fd int, address *unix.RawSockaddr) error {
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(address)), unsafe.Sizeof(*address))
	if errno != 0 {
		return errno
	}
	return nil
}
