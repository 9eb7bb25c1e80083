package http2

import (
	"io"

	"github.com/meshd/meshd/engine/http1"
)

// Stream is a request and its answer. To its user it is a connection with HTTP/1.1 that carries no more than these.
type Stream struct {
	// User is what the user of the session knows the stream by. It is nil in a stream that Next returns for the first time.
	User any

	session *Session
	id      uint32
	links   [places]link
	err     error // why the stream is over before its messages were complete
	active  bool  // it counts as such
	seen    bool  // by its user
	method  method
	minor   int // the y of the HTTP/1.y of the request

	// What has come from the peer.
	in         inbox
	head       int // bytes of in that are of heads,
	data       int // then of a body,
	tail       int // then what ends it
	form       form
	length     int64 // of the body, that is still to come; -1: nobody has said that
	early      int   // answers before the answer
	heard      bool  // something of an answer has come
	inBegun    bool  // the head has, in the role of a client that of the answer itself
	inDone     bool  // all has
	opaque     bool  // what comes behind the head is of no message
	window     int   // how much may be here that was not read
	recvWindow int   // what the peer has left of it
	consumed   int   // what it will be given back

	// What goes to the peer.
	outStage   outStage
	partial    []byte // a head or trailers of which not all has been written; nil: nothing
	body       http1.Body
	endless    bool // it ends with End
	sendWindow int
}

// form is how the body that comes is written in HTTP/1.1.
type form uint8

const (
	formNone form = iota
	formLength
	formChunks
	formPlain // up to the end of the stream
)

// outStage is what is to be written next.
type outStage uint8

const (
	outHead outStage = iota
	outBody
	outDone
)

// ID returns the number of the stream; 0 when it has none yet, as nothing has been written to it.
func (t *Stream) ID() uint32 { return t.id }

// Err returns why the stream is over before its messages were complete: a *ResetError, ErrLost, or what Write has found; nil when
// it is not. It is known before everything that has come is read.
func (t *Stream) Err() error { return t.err }

// done says whether both messages are complete.
func (t *Stream) done() bool { return t.inDone && t.outStage == outDone }

// bodiless says whether an answer with that status has no body.
func (t *Stream) bodiless(status int) bool {
	return t.method == methodHead || status < 200 || status == 204 || status == 304
}

// expect notes what body follows.
func (t *Stream) expect(m *message, f form) {
	t.form, t.length = f, -1
	if m.hasLength && f != formNone {
		t.length = m.length
	}
}

// short says whether less of a body has come than was announced.
func (t *Stream) short() bool { return t.length > 0 }

// deliver gives the head of a message to be read.
func (t *Stream) deliver(head []byte) {
	t.in.push(t.session.pool, head)
	t.head += len(head)
	t.session.unread += len(head)
	t.session.news.push(t)
}

// conclude gives what ends a body to be read.
func (t *Stream) conclude(tail []byte) {
	t.in.push(t.session.pool, tail)
	t.tail = len(tail)
	t.session.unread += len(tail)
}

// receive takes data of a body, and says whether they can be.
func (t *Stream) receive(data []byte) bool {
	if t.form == formNone || t.length >= 0 && t.length < int64(len(data)) {
		return false
	}
	if t.length >= 0 {
		t.length -= int64(len(data))
	}
	t.in.push(t.session.pool, data)
	t.data += len(data)
	t.session.hold(len(data))
	t.session.news.push(t)
	return true
}

// finishInput takes note that all has come.
func (t *Stream) finishInput() {
	t.inDone = true
	t.session.news.push(t)
	t.settle()
}

// settle takes note that both messages may be complete.
func (t *Stream) settle() {
	if t.done() {
		t.settled()
		t.session.glitches.earn(earnedByAnswer)
		t.session.resets.earn(1)
	}
}

// settled has the stream count no more.
func (t *Stream) settled() {
	if t.active {
		t.active = false
		t.session.active--
	}
}

// breakOff ends a stream before its messages are complete.
func (t *Stream) breakOff(err error) {
	if t.err != nil || t.done() {
		return
	}
	t.err = err
	s := t.session
	if !s.client { // whoever wants no answer has no request
		t.forgetIn()
	}
	t.leave(placeWrite)
	s.news.push(t)
	if !s.client && !t.seen {
		t.Close(CodeCancel)
	}
}

// forgetIn forgets what was not read.
func (t *Stream) forgetIn() {
	t.session.unread -= t.head + t.tail
	t.session.release(t.data)
	t.head, t.data, t.tail = 0, 0, 0
	t.in.clear(t.session.pool)
}

// Read gives bytes of HTTP/1.1: of the request in the role of a server, of the answer in the role of a client. buf must have
// room for 64 bytes at least.
//
// The error is ErrNothing when there is nothing now, or nothing more; io.EOF at the end of an answer to a request of HTTP/1.0,
// which has no other end when it does not say its length; a *ResetError or ErrLost when there will be nothing more of a
// message that is not complete, or, in the role of a server, when the client wants no answer any more.
func (t *Stream) Read(buf []byte) (int, error) {
	n := t.readHead(buf)
	if t.head == 0 {
		n += t.readBody(buf[n:])
	}
	switch {
	case n > 0:
		return n, nil
	case t.err != nil && (!t.inDone || !t.session.client):
		return 0, t.err
	case t.inDone && t.form == formPlain && t.data == 0:
		return 0, io.EOF
	}
	return 0, ErrNothing
}

// held is how many bytes are not given yet, lest a message looks complete that may still prove to be none.
func (t *Stream) held() int {
	if t.inBegun && !t.inDone && (t.form == formNone || t.form == formLength && t.length == 0) {
		return 1
	}
	return 0
}

// readHead reads what there is of heads.
func (t *Stream) readHead(buf []byte) int {
	n := t.head
	if t.data == 0 {
		n = max(0, n-t.held())
	}
	n = min(n, len(buf))
	t.in.pull(t.session.pool, buf[:n])
	t.head -= n
	t.session.unread -= n
	return n
}

// readBody reads what there is of a body, and its end.
func (t *Stream) readBody(buf []byte) (n int) {
	p := t.session.pool
	data := max(0, t.data-t.held())
	if t.form == formChunks {
		const frame = len("12345678\r\n\r\n") // around a chunk
		if data = min(data, len(buf)-frame); data > 0 {
			head := append(appendNumber(buf[:0], data), "\r\n"...)
			n = len(head) + data
			t.in.pull(p, buf[len(head):n])
			n += copy(buf[n:], "\r\n")
		}
	} else if data = min(data, len(buf)); data > 0 {
		t.in.pull(p, buf[:data])
		n = data
	}
	if data > 0 {
		t.data -= data
		t.credit(data)
		t.session.release(data)
	}
	if t.data == 0 && t.tail > 0 {
		tail := min(t.tail, len(buf)-n)
		t.in.pull(p, buf[n:n+tail])
		t.tail -= tail
		t.session.unread -= tail
		n += tail
	}
	return n
}

// Readable says whether Read would give something, or an error other than ErrNothing.
func (t *Stream) Readable() bool {
	return t.head+t.data+t.tail > t.held() ||
		t.err != nil && (!t.inDone || !t.session.client) ||
		t.inDone && t.form == formPlain
}

// Writable says whether Write would take something now, or give an error.
func (t *Stream) Writable() bool {
	s := t.session
	switch {
	case t.err != nil || t.outStage == outDone:
		return true
	case s.pending() >= outBound:
		return false
	}
	return t.outStage == outHead || t.sendWindow > 0 && s.sendWindow > 0
}

// Close lets go of the stream, which must not be used after that. When both messages are complete, or the peer has reset it,
// nothing is sent. When just the answer is complete, the rest of the request is called off. Otherwise the stream is reset
// with the code.
func (t *Stream) Close(code Code) {
	s := t.session
	if t.id != 0 {
		delete(s.streams, t.id)
		how := wasEnded
		switch {
		case t.err != nil:
			if s.closed.of(t.id) == wasReset {
				how = wasReset
			}
		case !t.done():
			if !s.client && t.outStage == outDone {
				code = CodeNone
			}
			if !s.lost && s.err == nil {
				s.word(kindReset, t.id, uint32(code))
			}
			how = wasReset
		}
		s.closed.note(t.id, how)
	}
	t.settled()
	s.spare += t.window - streamWindow
	s.open--
	t.forgetIn()
	s.pool.recycle(t.partial)
	t.leave(placeNews)
	t.leave(placeWrite)
	*t = Stream{in: t.in}
	s.pool.forget(t)
}
