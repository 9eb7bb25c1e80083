package proxy

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/http1"
)

// longBody is how much of a body must be known to be still to come for it to go through a pipe: two calls of splice(2) and a
// pipe cost more than a read and a write of less.
const longBody = 128 << 10

// isLong says whether what comes next of a body is long, and needs not be read. What is in the way of it must have gone before.
func isLong(body *http1.Body) bool { return body.Unread() >= longBody }

// bulk passes on what has come of a long body through the pipe of a direction, past this process. It returns how much it was;
// when that is nothing, err is errNothing, or why there will be no more, where nil is the end of what src says.
func (x *exchange) bulk(d *direction, src, dst *side, body *http1.Body) (n int, err error) {
	d.src, d.dst = src, dst
	if d.pipe = newPipe(); d.pipe == nil {
		return x.bulkCopied(d, body)
	}
	n, err = splice(src.fd, d.pipe.w, int(min(body.Unread(), pipeSize)))
	if n <= 0 {
		d.pipe.release()
		d.pipe = nil
		if errors.Is(err, unix.EAGAIN) {
			src.readable = false
			return 0, errNothing
		}
		src.drained = true
		return 0, err
	}
	body.Skip(n)
	x.budget -= n
	d.left = n
	d.empty()
	return n, nil
}

// bulkCopied does the same without a pipe, of which there are only so many.
func (x *exchange) bulkCopied(d *direction, body *http1.Body) (int, error) {
	buf := x.conn.loop.scratch
	n, err := d.src.read(buf) // no more than of the body, which is longer
	if n > 0 {
		body.Skip(n)
		written := d.write(buf[:n])
		d.rest = append(d.rest[:0], buf[written:n]...)
	}
	return n, err
}

// emptied passes on what a direction holds of a long body; false while there is still some.
func (x *exchange) emptied(d *direction) bool {
	return d.pipe == nil && len(d.rest) == 0 || d.flush()
}
