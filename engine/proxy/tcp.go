package proxy

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// The sizes of buffers. A direction begins with the small one and takes the large one while reads fill the small.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

var small, large = bufferPool(smallBuffer), bufferPool(largeBuffer)

func bufferPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}
}

// relay moves the bytes of both directions until both have ended.
//
// It adds nothing of its own to what TCP does: the end of one direction ends just that one, a reset of one side resets
// the other, and a side that does not read stops the other from being read. Go sets TCP_NODELAY on both sockets, so
// what was read is sent at once.
//
// Each direction gets a goroutine of its own, because the stack of the one that has dialled is larger than they need, and
// most connections of a host are idle.
func (c *conn) relay(upstream *net.TCPConn) {
	both := &[2]direction{
		{
			conn: c, src: c.client, dst: upstream, srcReset: mesh.ReasonClientReset, dstReset: mesh.ReasonEndpointReset,
			total: &c.sent, count: c.pair.Sent, pool: small,
		},
		{
			conn: c, src: upstream, dst: c.client, srcReset: mesh.ReasonEndpointReset, dstReset: mesh.ReasonClientReset,
			total: &c.received, count: c.pair.Received, pool: small,
		},
	}
	both[0].other, both[1].other = &both[1], &both[0]
	c.running.Store(2)
	for i := range both {
		go both[i].serve()
	}
}

// direction is one way through a connection.
//
// It holds a buffer, or a pipe, only from a read that brought bytes to the end of the write that passes them on, so an
// idle connection holds none.
type direction struct {
	conn               *conn
	src, dst           *net.TCPConn
	srcReset, dstReset mesh.Reason
	total              *atomic.Uint64
	count              func(n int)
	other              *direction  // the one whose dst is src
	ended              atomic.Bool // set before dst is told of the end of the stream
	failed             atomic.Bool // dst takes no more

	pool  *sync.Pool            // small or large
	moved int                   // bytes in large reads, without a small one since
	long  bool                  // the stream has proved to be long: it goes through pipes
	pipe  *pipe                 // nil while no bytes are in hand
	left  int                   // bytes that are still in pipe
	sink  syscall.RawConn       // of dst
	drain func(fd uintptr) bool // one closure for all calls

	reason mesh.Reason // why it broke; empty at the end of the stream
	err    error
}

// serve runs the direction; the last one ends the connection.
func (d *direction) serve() {
	defer func() {
		if d.conn.running.Add(-1) == 0 {
			d.conn.over()
		}
	}()
	defer d.conn.contain()
	d.run()
}

func (d *direction) run() {
	src, err := d.src.SyscallConn()
	if err != nil {
		d.conn.end(d.srcReset, err)
		return
	}
	if d.sink, err = d.dst.SyscallConn(); err != nil {
		d.conn.end(d.dstReset, err)
		return
	}
	d.drain = d.empty
	switch err := src.Read(d.move); {
	case err != nil:
		d.conn.end(d.srcReset, err)
	case d.reason == d.dstReset:
		d.refused()
	case d.reason != "":
		d.conn.end(d.reason, d.err)
	default:
		d.finish(src)
	}
}

// lastWords is how long what a destination has said last may still take to be passed on once it takes no more.
const lastWords = 10 * time.Second

// refused leaves a destination that takes no more to the other direction, which still passes on what the destination has
// said last, and then finds its reset. It does not wait for ever: whom that is for may not read while it writes to us.
//
// When the other direction has ended already, or leaves it to this one in the same way, nobody else sees it.
func (d *direction) refused() {
	_ = d.src.SetWriteDeadline(time.Now().Add(lastWords))
	if d.conn.ended.Load() != nil { // by somebody who may have set the deadline before us
		_ = d.src.SetWriteDeadline(longAgo)
	}
	d.failed.Store(true)
	switch {
	case d.other.failed.Load():
		d.conn.end(d.other.reason, d.other.err)
	case d.other.ended.Load():
		d.conn.end(d.reason, d.err)
	}
}

// move passes on what the source has. It returns false when there is nothing for now, and the runtime calls it again
// when there may be; true when the stream has ended or broken.
//
// It reads until there is nothing: a short read does not tell, because the end of the stream or a reset may have come with
// the bytes, and then nothing would wake us for it. Everything is done inside of one wait for the source, as each new one
// would begin by forgetting what has arrived since.
func (d *direction) move(fd uintptr) (done bool) {
	for {
		var empty bool
		if d.long {
			done, empty = d.movePipe(int(fd))
		} else {
			done, empty = d.moveBuffer(int(fd))
		}
		if done || empty {
			return done
		}
	}
}

// moveBuffer reads once into a buffer and writes that to the destination. empty says that there was nothing.
func (d *direction) moveBuffer(fd int) (done, empty bool) {
	buf := d.pool.Get().(*[]byte)
	defer d.pool.Put(buf)
	n, err := unix.Read(fd, *buf)
	if n <= 0 {
		return d.emptyHanded(err)
	}
	written, err := d.dst.Write((*buf)[:n])
	d.passed(written)
	if err != nil {
		return d.broke(d.dstReset, err)
	}
	d.adapt(n, len(*buf))
	return false, false
}

// emptyHanded is what follows from a read that brought nothing.
func (d *direction) emptyHanded(err error) (done, empty bool) {
	switch {
	case err == nil:
		return true, false // the end of the stream
	case errors.Is(err, unix.EAGAIN):
		return false, true
	case errors.Is(err, unix.EINTR):
		return false, false
	}
	return d.broke(d.srcReset, err)
}

func (d *direction) broke(reason mesh.Reason, err error) (done, empty bool) {
	d.reason, d.err = reason, err
	return true, false
}

// adapt chooses how the next bytes are read, after n were read into a buffer of that size.
func (d *direction) adapt(n, size int) {
	switch {
	case n <= smallBuffer && size > smallBuffer:
		d.pool, d.moved = small, 0
	case n < size:
	case size == smallBuffer:
		d.pool = large
	default:
		d.moved += n
		d.long = d.moved >= spliceAfter
	}
}

// passed counts bytes that were passed on.
func (d *direction) passed(n int) {
	d.total.Add(uint64(n))
	d.count(n)
}

// finish passes on the end of the stream.
//
// A reset reads like one when the other direction was told of it first, by a write. A socket that is closed without our
// having ended the stream to it was reset.
func (d *direction) finish(src syscall.RawConn) {
	// Asked again after the state: the other direction may have ended meanwhile, and its end have closed the socket.
	if !d.other.ended.Load() && isReset(d.src) && !d.other.ended.Load() {
		d.conn.end(d.srcReset, unix.ECONNRESET)
		return
	}
	d.ended.Store(true)
	if d.other.failed.Load() { // and has left it to this one
		d.conn.end(d.srcReset, d.other.err)
		return
	}
	if d.conn.directions.Add(-1) == 0 {
		// Both sides have said all: closing tells dst. The watch of the other direction is over.
		_ = d.dst.SetReadDeadline(longAgo)
		return
	}
	if err := d.dst.CloseWrite(); err != nil {
		d.conn.end(d.dstReset, err)
		return
	}
	// The source may still be reset while the other direction goes on, and no read would tell.
	if err := src.Read(d.broken); err == nil {
		d.conn.end(d.srcReset, d.err)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		d.conn.end(d.srcReset, err)
	}
}

// broken waits for an error of the source, whose stream has ended.
func (d *direction) broken(fd uintptr) (done bool) {
	errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	d.err = err
	return err != nil
}
