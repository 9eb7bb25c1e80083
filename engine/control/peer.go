package control

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a connection, as the kernel saw it when it connected.
type peer struct {
	uid    uint32
	pid    int32
	groups []uint32 // the effective one first, then the supplementary ones
}

// readPeer asks the kernel who connected. Nothing that the peer sends has a part in the answer.
func readPeer(conn *net.UnixConn) (peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	var p peer
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		var ucred *unix.Ucred
		if ucred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); sockErr != nil {
			return
		}
		var supplementary []uint32
		if supplementary, sockErr = peerGroups(fd); sockErr != nil {
			return
		}
		p = peer{uid: ucred.Uid, pid: ucred.Pid, groups: append([]uint32{ucred.Gid}, supplementary...)}
	})
	if err == nil {
		err = sockErr
	}
	if err != nil {
		return peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	return p, nil
}

// peerGroups reads SO_PEERGROUPS, for which golang.org/x/sys has no function: the kernel fills an array of group ids,
// or says ERANGE and the size that it needs. A process has at most 65536 groups.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == syscall.ERANGE && int(size) > len(groups)*4:
			groups = make([]uint32, size/4)
		default:
			return nil, errno
		}
	}
}

// rule says who may call: root, the user that meshd runs as, and the members of one group.
type rule struct {
	uid   uint32
	group int // 0 or less: no group
}

func (r rule) permits(p peer) bool {
	return p.uid == 0 || p.uid == r.uid || r.group > 0 && slices.Contains(p.groups, uint32(r.group))
}

// refuse tells a peer that is not permitted what would help.
func (r rule) refuse(p peer) *Error {
	if r.group <= 0 {
		return refuse(http.StatusForbidden, "use sudo", "access denied to uid %d: meshd found no group of its own, so it is for root only", p.uid)
	}
	return refuse(http.StatusForbidden, joinGroup, "access denied to uid %d: meshd is for root and the members of its group", p.uid)
}

// joinGroup is what a person does who may not call.
const joinGroup = "use sudo, or run usermod -aG meshd USER and log in again"

// peerListener accepts a bounded number of connections and knows the peer of each.
//
// What comes above the bound is closed at once: a tool then fails with a clear error, where in a queue it would hang.
type peerListener struct {
	*net.UnixListener
	max  int32
	open atomic.Int32
}

// Accept returns the next connection whose peer is known.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := readPeer(conn)
		if err != nil || l.open.Add(1) > l.max {
			if err == nil {
				l.open.Add(-1)
			}
			conn.Close()
			continue
		}
		return &peerConn{UnixConn: conn, peer: p, release: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
	}
}

type peerConn struct {
	*net.UnixConn
	peer    peer
	release func()
}

// Close closes the connection and makes room for another one.
func (c *peerConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}

type peerKey struct{}

// withPeer is the ConnContext of the server.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, conn.(*peerConn).peer)
}

// peerOf returns the peer that withPeer put there; the server has no connection without one.
func peerOf(ctx context.Context) peer { return ctx.Value(peerKey{}).(peer) }
