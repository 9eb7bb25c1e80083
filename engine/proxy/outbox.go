package proxy

import (
	"slices"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// bufferSize is what a buffer holds that waits for something; most heads, with what comes along, are smaller.
const bufferSize = 16 << 10

// keptBuffers bounds the buffers that a loop keeps.
const keptBuffers = 256

// buffer returns an empty buffer.
func (l *loop) buffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b
	}
	return make([]byte, 0, bufferSize)
}

// recycle takes a buffer back. One that has grown is left to the collector.
func (l *loop) recycle(b []byte) {
	if cap(b) == bufferSize && len(l.buffers) < keptBuffers {
		l.buffers = append(l.buffers, b[:0])
	}
}

// outbox is what a side has not taken yet.
type outbox struct {
	bytes []byte // nil: nothing
	sent  int    // of bytes
}

// flush writes what is in an outbox; false while there is still some.
func (x *exchange) flush(o *outbox, to *side, count func(int)) bool {
	if o.sent < len(o.bytes) && to.writable {
		n, err := to.write(o.bytes[o.sent:])
		o.sent += n
		count(n)
		if err != nil {
			x.conn.broke(to, err)
		}
	}
	return o.sent == len(o.bytes)
}

// send writes data, and leaves in the outbox what is not taken.
func (x *exchange) send(o *outbox, to *side, data []byte, count func(int)) {
	if len(o.bytes)-o.sent > 0 || len(data) < bufferSize/2 && o.bytes != nil {
		o.bytes = append(o.bytes, data...) // one call for a head and what follows
		x.flush(o, to, count)
		return
	}
	n, err := to.write(data)
	count(n)
	if err != nil {
		x.conn.broke(to, err)
		return
	}
	if n < len(data) {
		if o.bytes == nil {
			o.bytes = x.conn.loop.buffer()
		}
		o.bytes, o.sent = append(o.bytes[:0], data[n:]...), 0
	}
}

// sentUp counts bytes of the request that have been passed on; what a try before this has passed on too counts once.
func (x *exchange) sentUp(n int) {
	x.passed()
	if x.sent += n; x.sent > x.sentMost {
		x.conn.countSent(x.sent - x.sentMost)
		x.sentMost = x.sent
	}
}

// sentDown counts bytes of the answer that have been passed on.
func (x *exchange) sentDown(n int) {
	x.passed()
	x.took(n)
	x.received += n
	x.conn.countReceived(n)
}

// empty forgets what has been sent.
func (x *exchange) empty(o *outbox) {
	x.conn.loop.recycle(o.bytes)
	*o = outbox{}
}

// speakFreely turns the connection into one of bytes, after both sides have agreed to that. data is what the endpoint has
// said after that already.
func (x *exchange) speakFreely(data []byte) {
	c := x.conn
	c.upload = direction{conn: c, src: &c.client, dst: &x.up.side, rest: slices.Concat(x.toServer.bytes[x.toServer.sent:], x.input)}
	c.download = direction{conn: c, src: &x.up.side, dst: &c.client, rest: slices.Concat(x.toClient.bytes[x.toClient.sent:], data)}
	x.empty(&x.toServer)
	x.empty(&x.toClient)
	x.store(nil)
	x.until.all, x.until.try = time.Time{}, time.Time{} // the request has been answered
	x.arm()
	x.record(x.code, mesh.ReasonDone)
	c.loop.again(c)
}
