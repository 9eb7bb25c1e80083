package proxy

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is how many bytes a pipe holds: as many as an unprivileged process may ask for, see pipe(7).
	pipeSize = 1 << 20
	// keptPipes bounds the pipes that are kept for the next stream; each takes two descriptors.
	keptPipes = 32
	// maxPipes bounds those that are in use: readers that stop must not take the descriptors of all others.
	maxPipes = 256
	// spliceAfter is how many bytes a direction moves in reads that fill the buffer before it proves to be long.
	spliceAfter = 256 << 10
	// smallRead is what shows that a stream has ceased to be long.
	smallRead = 4 << 10
)

// pipe is a kernel buffer through which splice(2) moves bytes from one socket to another past this process. Like a
// buffer it is held only while bytes are in hand.
type pipe struct {
	r, w int
}

var (
	pipes      = make(chan *pipe, keptPipes)
	pipesInUse atomic.Int32
)

// newPipe returns an empty pipe; nil when there are too many, or no more descriptors.
func newPipe() *pipe {
	if pipesInUse.Add(1) > maxPipes {
		pipesInUse.Add(-1)
		return nil
	}
	select {
	case p := <-pipes:
		return p
	default:
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		pipesInUse.Add(-1)
		return nil
	}
	// One that stays small, because its user has too many large ones, works too.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: fds[0], w: fds[1]}
}

// release gives back a pipe that is empty again.
func (p *pipe) release() {
	select {
	case pipes <- p:
		pipesInUse.Add(-1)
	default:
		p.close()
	}
}

// close ends a pipe, and what is in it.
func (p *pipe) close() {
	pipesInUse.Add(-1)
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}

// movePipe is moveBuffer by way of a pipe.
func (d *direction) movePipe() int {
	if d.pipe = newPipe(); d.pipe == nil {
		d.long, d.moved = false, 0 // buffers do as well, only slower
		return 0
	}
	n, err := splice(d.src.fd, d.pipe.w, pipeSize)
	if n == 0 {
		d.pipe.release()
		d.pipe = nil
		d.emptyHanded(err)
		return 0
	}
	if n <= smallRead {
		d.long, d.moved = false, 0
	}
	d.left = n
	d.empty()
	return n
}

// empty writes what is in the pipe to the destination, as far as that takes it.
func (d *direction) empty() {
	for d.left > 0 {
		n, err := splice(d.pipe.r, d.dst.fd, d.left)
		d.left -= n
		d.passed(n)
		if errors.Is(err, unix.EAGAIN) {
			d.dst.writable = false
			return
		}
		if err != nil {
			d.conn.broke(d.dst, err)
			return
		}
	}
	d.pipe.release()
	d.pipe = nil
}
