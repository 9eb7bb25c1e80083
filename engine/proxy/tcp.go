package proxy

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
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
func (c *conn) relay(upstream *net.TCPConn) {
	out := direction{
		conn: c, src: c.client, dst: upstream, srcReset: mesh.ReasonClientReset, dstReset: mesh.ReasonEndpointReset,
		total: &c.sent, count: c.pair.Sent, pool: small,
	}
	back := direction{
		conn: c, src: upstream, dst: c.client, srcReset: mesh.ReasonEndpointReset, dstReset: mesh.ReasonClientReset,
		total: &c.received, count: c.pair.Received, pool: small,
	}
	var other sync.WaitGroup
	other.Go(back.run)
	out.run()
	other.Wait()
}

// direction is one way through a connection.
//
// It holds a buffer only from a read that brought bytes to the end of the write that passes them on, so an idle
// connection holds none.
type direction struct {
	conn               *conn
	src, dst           *net.TCPConn
	srcReset, dstReset mesh.Reason
	total              *atomic.Uint64
	count              func(n int)

	pool *sync.Pool // small or large
	buf  *[]byte    // of pool; nil while no bytes are in hand
	n    int        // bytes in buf
	err  error      // of the last system call
}

func (d *direction) run() {
	defer d.conn.contain()
	raw, err := d.src.SyscallConn()
	if err != nil {
		d.conn.end(d.srcReset, err)
		return
	}
	read := d.read // one closure for all reads
	for {
		if err := raw.Read(read); err != nil || d.err != nil {
			d.conn.end(d.srcReset, errors.Join(err, d.err))
			return
		}
		if d.buf == nil {
			break
		}
		if err := d.write(); err != nil {
			d.conn.end(d.dstReset, err)
			return
		}
	}
	if err := d.dst.CloseWrite(); err != nil {
		d.conn.end(d.dstReset, err)
		return
	}
	if d.conn.directions.Add(-1) == 0 {
		_ = d.dst.SetReadDeadline(time.Unix(1, 0)) // ends the watch of the other direction
		return
	}
	// The source may still be reset while the other direction goes on, and no read would tell.
	if err := raw.Read(d.broken); err == nil {
		d.conn.end(d.srcReset, d.err)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		d.conn.end(d.srcReset, err)
	}
}

// read reads what the source has into a buffer; at the end of the stream it leaves buf nil. It returns false when
// there is nothing yet, and the runtime calls it again when there may be.
func (d *direction) read(fd uintptr) (done bool) {
	d.buf = d.pool.Get().(*[]byte)
	n, err := unix.Read(int(fd), *d.buf)
	for err == unix.EINTR {
		n, err = unix.Read(int(fd), *d.buf)
	}
	if n > 0 {
		d.n, d.err = n, nil
		return true
	}
	d.release()
	if err == unix.EAGAIN {
		return false
	}
	d.err = err
	return true
}

// write passes on what was read, and chooses the buffer of the next read.
func (d *direction) write() error {
	n, err := d.dst.Write((*d.buf)[:d.n])
	filled := d.n == len(*d.buf)
	d.release()
	d.total.Add(uint64(n))
	d.count(n)
	if filled {
		d.pool = large
	} else if d.n <= smallBuffer {
		d.pool = small
	}
	return err
}

func (d *direction) release() {
	d.pool.Put(d.buf)
	d.buf = nil
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
