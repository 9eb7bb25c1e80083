package http2

import "encoding/binary"

const (
	// outBound is how much is to be sent before nobody adds messages any more.
	outBound = 64 << 10
	// outMost is how much is to be sent before a peer that asks for more answers, and does not read them, is left.
	outMost = 256 << 10
)

// output is what is to be sent.
type output struct {
	pool *Pool
	buf  []byte // nil: nothing
	sent int    // of buf

	// The last frame, if it is of a message: what follows may be put into it.
	last   int
	lastOf uint32 // 0: it is none
}

// pending returns how much is to be sent.
func (o *output) pending() int { return len(o.buf) - o.sent }

// extend makes room for n bytes. The last frame may move.
func (o *output) extend(n int) {
	if cap(o.buf)-len(o.buf) >= n {
		return
	}
	if o.sent > 0 {
		o.buf = o.buf[:copy(o.buf, o.buf[o.sent:])]
		o.last -= o.sent
		o.sent = 0
	}
	if o.buf == nil {
		o.buf = o.pool.buffer(n)
		return
	}
	o.buf = o.pool.grow(o.buf, n)
}

// frame begins a frame, for whose payload there is room.
func (o *output) frame(length int, k kind, flags uint8, id uint32) {
	o.extend(headerSize + length)
	o.lastOf = 0
	if k == kindData || k == kindHeaders {
		o.last, o.lastOf = len(o.buf), id
	}
	o.buf = appendFrame(o.buf, length, k, flags, id)
}

// word sends a frame of one number.
func (o *output) word(k kind, id, value uint32) {
	o.frame(4, k, 0, id)
	o.buf = binary.BigEndian.AppendUint32(o.buf, value)
}

// data sends data, in the last frame if that has room.
func (o *output) data(id uint32, data []byte) {
	if o.lastOf == id && kind(o.buf[o.last+3]) == kindData {
		had := len(o.buf) - o.last - headerSize
		n := min(len(data), frameSize-had)
		o.extend(n)
		setLength(o.buf[o.last:], had+n)
		o.buf = append(o.buf, data[:n]...)
		data = data[n:]
	}
	for len(data) > 0 {
		n := min(len(data), frameSize)
		o.frame(n, kindData, 0, id)
		o.buf = append(o.buf, data[:n]...)
		data = data[n:]
	}
}

// fields sends the block of fields of a message: one frame, and more when it is long.
func (o *output) fields(id uint32, block []byte) {
	n := min(len(block), frameSize)
	flags := uint8(0)
	if n == len(block) {
		flags = flagEndHeaders
	}
	o.frame(n, kindHeaders, flags, id)
	o.buf = append(o.buf, block[:n]...)
	for block = block[n:]; len(block) > 0; block = block[n:] {
		n = min(len(block), frameSize)
		flags = 0
		if n == len(block) {
			flags = flagEndHeaders
		}
		o.frame(n, kindContinuation, flags, id)
		o.buf = append(o.buf, block[:n]...)
		o.lastOf = id // the end of the message is said in the first
	}
}

// end ends a message: with the last frame, or one more.
func (o *output) end(id uint32) {
	if o.lastOf != id {
		o.frame(0, kindData, 0, id)
	}
	o.buf[o.last+4] |= flagEndStream
	o.lastOf = 0
}

// apart has the end of the message stand in a frame of its own, if nothing else follows.
func (o *output) apart() { o.lastOf = 0 }

// take takes note that n bytes have been sent.
func (o *output) take(n int) {
	o.sent += n
	if o.last < o.sent {
		o.lastOf = 0
	}
	if o.sent == len(o.buf) {
		o.pool.recycle(o.buf)
		o.buf, o.sent, o.lastOf = nil, 0, 0
	}
}
