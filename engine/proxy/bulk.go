package proxy

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/http1"
)

// longBody is how much of a body must be known to be still to come for it to go through a pipe: two calls of splice(2) and a
// pipe cost more than a read and a write of less.
const longBody = 128 << 10

// takePipe gets a pipe for what comes next of a body, if that is long and may be passed on unread; without one it is copied.
func takePipe(d *direction, src, dst *side, body *http1.Body) bool {
	if body.Unread() < longBody || src.stream != nil || dst.stream != nil {
		return false
	}
	d.src, d.dst = src, dst
	d.pipe = newPipe()
	return d.pipe != nil
}

// bulk passes on what has come of a long body through the pipe of a direction, past this process. It returns how much it was;
// when that is nothing, err is errNothing, or why there will be no more, where nil is the end of what src says.
func (x *exchange) bulk(d *direction, body *http1.Body) (n int, err error) {
	n, err = splice(d.src.fd, d.pipe.w, int(min(body.Unread(), pipeSize)))
	if n <= 0 {
		d.pipe.release()
		d.pipe = nil
		if errors.Is(err, unix.EAGAIN) {
			d.src.readable = false
			return 0, errNothing
		}
		d.src.drained = true
		return 0, err
	}
	body.Advance(n)
	x.budget -= n
	d.left = n
	d.empty()
	return n, nil
}

// emptied passes on what a direction holds of a long body; false while there is still some.
func emptied(d *direction) bool { return d.pipe == nil || d.flush() }
