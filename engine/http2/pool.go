package http2

import "github.com/meshd/meshd/engine/http1"

const (
	// blockSize is the size of the buffers that hold what has come and was not read, and what is to be sent when that is little.
	blockSize = 16 << 10
	// outSize is the size of those that hold more that is to be sent.
	outSize = 80 << 10

	keptBlocks  = 256
	keptOuts    = 16
	keptStreams = 1024
)

// Pool keeps what sessions need now and then: buffers and streams. The zero value is empty and ready. It is for the sessions
// of one goroutine.
type Pool struct {
	blocks  [][]byte
	outs    [][]byte
	streams []*Stream
	held    int // bytes of bodies that were not read, of all sessions

	secrets secrets // of all sessions: what comes in one goes out in another

	// These are of use within one call.
	list list
	head http1.Head
	text []byte
	name []byte
}

// buffer returns an empty buffer with room for n bytes.
func (p *Pool) buffer(n int) []byte {
	switch {
	case n <= blockSize:
		if b, ok := pop(&p.blocks); ok {
			return b
		}
		return make([]byte, 0, blockSize)
	case n <= outSize:
		if b, ok := pop(&p.outs); ok {
			return b
		}
		return make([]byte, 0, outSize)
	}
	return make([]byte, 0, n)
}

// recycle takes a buffer back. One of another size is left to the collector.
func (p *Pool) recycle(b []byte) {
	switch {
	case cap(b) == blockSize && len(p.blocks) < keptBlocks:
		p.blocks = append(p.blocks, b[:0])
	case cap(b) == outSize && len(p.outs) < keptOuts:
		p.outs = append(p.outs, b[:0])
	}
}

// grow returns a buffer with the same bytes and room for n more, in place of b.
func (p *Pool) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	if len(b)+n > outSize {
		n = max(n, len(b)) // what is not kept grows by doubling
	}
	grown := append(p.buffer(len(b)+n), b...)
	p.recycle(b)
	return grown
}

func (p *Pool) stream() *Stream {
	if t, ok := pop(&p.streams); ok {
		return t
	}
	return new(Stream)
}

func (p *Pool) forget(t *Stream) {
	if len(p.streams) < keptStreams {
		p.streams = append(p.streams, t)
	}
}

func pop[T any](list *[]T) (last T, ok bool) {
	n := len(*list)
	if n == 0 {
		return last, false
	}
	last = (*list)[n-1]
	*list = (*list)[:n-1]
	return last, true
}
