package proxy

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
)

// turn is how many bytes a direction may move, about, before it is the turn of other connections.
const turn = 1 << 20

// side is the socket of one of the two who talk, or a stream of one of HTTP/2.
type side struct {
	fd     int           // -1: there is none
	stream *http2.Stream // nil: there is none
	link   *link         // that the stream is of
	reset  mesh.Reason   // of a connection that it ends

	readable, writable bool  // until a call finds the opposite
	closing            bool  // it says no more than what has come: read on until there is nothing
	drained            bool  // and that has been read
	urgent             bool  // it has sent urgent data, at which a read stops early
	broken             error // it takes nothing any more
}

// note takes over what an event has said.
func (s *side) note(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.readable = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.writable = true
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.closing = true
	}
	if events&unix.EPOLLPRI != 0 {
		s.urgent = true
	}
}

// direction is one way through a connection.
//
// It adds nothing of its own to what TCP does: the end of one direction ends just that one, a reset of one side resets
// the other, and a side that does not read stops the other from being read. Both sockets have TCP_NODELAY, so what was
// read is sent at once.
//
// It holds bytes only while its destination takes no more, so an idle connection holds none.
type direction struct {
	conn     *conn
	src, dst *side

	rest  []byte // was read, and is still to be written
	moved int    // bytes in reads that filled the buffer, without another since
	long  bool   // the stream has proved to be long: it goes through pipes
	pipe  *pipe  // nil while no bytes are in it
	left  int    // bytes that are in pipe
	over  bool   // everything has been passed on
}

// pump passes on what can be passed on without waiting. It says whether its turn was over before that was all.
func (d *direction) pump() (more bool) {
	for left := turn; left > 0; {
		if d.over || d.dst.broken != nil || !d.flush() {
			return false
		}
		if d.src.drained {
			d.finish()
			return false
		}
		if !d.src.readable || !d.dst.writable {
			return false
		}
		if d.long && !d.src.urgent { // splice(2) does not get past it
			left -= d.movePipe()
		} else {
			left -= d.moveBuffer()
		}
	}
	return true
}

// flush writes what is in hand; false while there is still some.
func (d *direction) flush() bool {
	switch {
	case d.pipe != nil && d.dst.writable:
		d.empty()
	case len(d.rest) > 0 && d.dst.writable:
		n := d.write(d.rest)
		if d.rest = d.rest[n:]; len(d.rest) == 0 {
			d.rest = nil
		}
	}
	return d.pipe == nil && len(d.rest) == 0
}

// moveBuffer reads once, writes that to the destination, and returns how much it was.
func (d *direction) moveBuffer() int {
	buf := d.conn.loop.scratch
	n, err := read(d.src.fd, buf)
	if n <= 0 {
		d.emptyHanded(err)
		return 0
	}
	d.hasRead(n, len(buf))
	if written := d.write(buf[:n]); written < n && d.dst.broken == nil {
		d.rest = slices.Clone(buf[written:n])
	}
	return n
}

// hasRead draws conclusions from a read of n bytes where there was room for most.
//
// A read that is short has left nothing, and an event will tell of what comes later: the end of the stream or a reset too,
// unless an event has told of that before, or it stopped at urgent data.
func (d *direction) hasRead(n, most int) {
	if n < most {
		d.moved = 0
		d.src.readable = d.src.closing || d.src.urgent
		return
	}
	d.moved += n
	d.long = d.long || d.moved >= spliceAfter
}

// emptyHanded is what follows from a read that brought nothing.
func (d *direction) emptyHanded(err error) {
	if errors.Is(err, unix.EAGAIN) {
		d.src.readable = false
		return
	}
	d.src.drained = true
	if err != nil {
		d.conn.broke(d.src, err)
	}
}

// write writes to the destination and returns how many bytes that took.
func (d *direction) write(buf []byte) int {
	n, err := write(d.dst.fd, buf)
	d.passed(n)
	if err != nil {
		d.conn.broke(d.dst, err)
	}
	d.dst.writable = n == len(buf)
	return n
}

// passed counts bytes that were passed on.
func (d *direction) passed(n int) {
	if d.conn.http != nil {
		d.conn.http.passed()
		if d == &d.conn.download {
			d.conn.http.took(n)
		}
	}
	if d == &d.conn.upload {
		d.conn.countSent(n)
	} else {
		d.conn.countReceived(n)
	}
}

// countSent counts bytes that the application has sent. Those of streams count with their link, as they come and go.
func (c *conn) countSent(n int) {
	if c.carrier != nil {
		return
	}
	c.sent.Add(uint64(n))
	c.pair.Sent(n)
}

// countReceived counts bytes that the application gets, in the same way.
func (c *conn) countReceived(n int) {
	if c.carrier != nil {
		return
	}
	c.received.Add(uint64(n))
	c.pair.Received(n)
}

// finish passes on the end of the stream, unless that was a reset, or the close of the connection is about to tell it.
func (d *direction) finish() {
	d.over = true
	c := d.conn
	if d.src.broken != nil || c.upload.over && c.download.over {
		return
	}
	c.stage.Store(halfClosed)
	if err := shutdown(d.dst.fd); err != nil {
		c.broke(d.dst, err)
	}
}

// drop forgets what is in hand.
func (d *direction) drop() {
	d.rest = nil
	if d.pipe != nil {
		d.pipe.close()
		d.pipe, d.left = nil, 0
	}
}

// read reads what the side has said, and draws the conclusions that hasRead does. errNothing says that there is nothing now.
func (s *side) read(buf []byte) (int, error) {
	if s.stream != nil {
		return s.readStream(buf)
	}
	n, err := read(s.fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		s.readable = false
		return 0, errNothing
	case err != nil || n == 0:
		s.drained = true
	case n < len(buf):
		s.readable = s.closing || s.urgent
	}
	return n, err
}

var errNothing = errors.New("nothing has come")

// write writes to the side, and notes whether it takes more.
func (s *side) write(buf []byte) (n int, err error) {
	if s.stream != nil {
		n, err = s.stream.Write(buf)
		s.link.queue()
	} else {
		n, err = write(s.fd, buf)
	}
	s.writable = n == len(buf)
	return n, err
}

// socketError takes the error that the side has met since somebody asked last; nil when there is none.
func (s *side) socketError() error {
	if s.fd < 0 {
		return s.broken
	}
	return socketError(s.fd)
}

// shutdown says that nothing more follows.
func (s *side) shutdown() error {
	if s.stream != nil {
		s.link.queue()
		return s.stream.End()
	}
	return shutdown(s.fd)
}
