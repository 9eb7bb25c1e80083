package http2

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/meshd/meshd/engine/http1"
)

// Write takes bytes of HTTP/1.1: of the answer in the role of a server, of the request in the role of a client. It takes as
// many as flow control and the bound on Output allow: with n < len(p) and no error, Next returns the stream when it takes more.
//
// Of fields it drops those that are of one connection, and not what Connection names: that has been done by whoever has
// written the head with engine/http1.
//
// The error is that of engine/http1 when the bytes are no message, ErrUpgrade when it is one of those, a *ResetError or ErrLost:
// then the stream is over, and Next returns it. It is ErrOver when a message has ended before.
func (t *Stream) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if t.err != nil {
			return n, t.err
		}
		if t.session.pending() >= outBound {
			break
		}
		var used int
		switch t.outStage {
		case outHead:
			used, err = t.writeHead(p[n:])
		case outBody:
			used, err = t.writeBody(p[n:])
		default:
			err = ErrOver
		}
		if n += used; used == 0 {
			break
		}
	}
	switch {
	case err != nil && t.err == nil && !errors.Is(err, ErrOver):
		t.giveUp(err)
	case n < len(p) && err == nil:
		t.wait()
	}
	return n, err
}

// giveUp ends a stream for what its user has written.
func (t *Stream) giveUp(err error) {
	s := t.session
	if t.id != 0 && s.err == nil && !s.lost {
		s.word(kindReset, t.id, uint32(CodeInternal))
		s.closed.note(t.id, wasReset)
	}
	t.breakOff(err)
}

// writeHead writes a head, if all of it is there.
func (t *Stream) writeHead(p []byte) (used int, err error) {
	s := t.session
	h, text := &s.pool.head, p
	had := len(t.partial)
	if had > 0 {
		p = p[:min(len(p), http1.MaxHead-had)]
		t.partial = append(s.pool.grow(t.partial, len(p)), p...)
		text = t.partial
	}
	var size int
	if s.client {
		size, err = http1.ParseRequest(text, h)
	} else {
		to := http1.MethodOther
		if t.method == methodHead {
			to = http1.MethodHead
		}
		size, err = http1.ParseResponse(text, h, to)
	}
	if err != nil {
		return 0, err
	}
	if size == 0 {
		h.Reset()
		if had == 0 {
			t.partial = append(s.pool.buffer(len(p)), p...)
		}
		return len(p), nil
	}
	if s.client {
		err = t.sendRequest(text[:size], h)
	} else {
		err = t.sendAnswer(text[:size], h)
	}
	t.forgetPartial()
	return size - had, err
}

func (t *Stream) forgetPartial() {
	t.session.pool.recycle(t.partial)
	t.partial = nil
}

// sendRequest sends the head of a request.
func (t *Stream) sendRequest(text []byte, h *http1.Head) error {
	s := t.session
	switch {
	case h.MethodID() == http1.MethodConnect:
		return http1.ErrTarget
	case s.lost:
		return ErrLost
	case s.err != nil || s.Leaves():
		return &ResetError{Code: CodeRefused, Untouched: true}
	case h.MethodID() == http1.MethodHead:
		t.method = methodHead
	}
	t.minor = h.Minor()
	t.id, t.sendWindow = s.nextID, s.peer.window
	if s.nextID += 2; s.nextID > lastNumber {
		s.Leave()
	}
	s.streams[t.id] = t
	block := s.encoder.begin(s.pool.text[:0])
	block = s.encoder.append(block, nameMethod, h.Method(text))
	block = s.encoder.append(block, nameScheme, schemeHTTP)
	if authority := h.Authority(text); len(authority) > 0 {
		block = s.encoder.append(block, nameAuthority, authority)
	}
	if path := h.PathAndQuery(text); len(path) > 0 && path[0] == '/' || string(path) == "*" {
		block = s.encoder.append(block, namePath, path)
	} else {
		block = s.encoder.append(block, namePath, t.wholePath(path, h))
	}
	t.sendHead(block, text, h)
	return nil
}

// lastNumber is behind which stream others are begun on another connection.
const lastNumber = maxID - 2*maxStreams

// wholePath completes the path of a whole URI that has none.
func (t *Stream) wholePath(query []byte, h *http1.Head) []byte {
	if len(query) == 0 && h.MethodID() == http1.MethodOptions { // RFC 9110, 7.1
		return []byte("*")
	}
	return append([]byte("/"), query...)
}

var schemeHTTP = []byte("http")

// sendAnswer sends the head of an answer, or of what comes before it.
func (t *Stream) sendAnswer(text []byte, h *http1.Head) error {
	s := t.session
	if h.Status() == 101 {
		return ErrUpgrade
	}
	var digits [3]byte
	block := s.encoder.begin(s.pool.text[:0])
	block = s.encoder.append(block, nameStatus, strconv.AppendInt(digits[:0], int64(h.Status()), 10))
	t.sendHead(block, text, h)
	return nil
}

// sendHead sends a head after its pseudo-fields. The peer's setting of how large it may be is advice, and not looked at: a
// server answers 431 to more than it reads, as it would have to a client without us.
func (t *Stream) sendHead(block, text []byte, h *http1.Head) {
	s := t.session
	framing := h.Framing()
	lengthless := h.Status() == 204 || h.Status() > 0 && h.Status() < 200
	if framing.Kind == http1.LengthBody && framing.Length == 0 && h.Status() > 0 {
		// That it has no body is said in another way. Where trailers are meant to be all of an answer, a length is strange.
		lengthless = lengthless || h.IsGRPC(text)
	}
	for i := range h.Len() {
		name, value := h.Field(text, i)
		id := http1.NameOf(name)
		switch {
		case id == http1.TE:
			if value = trailersOnly; !h.AcceptsTrailers() {
				continue
			}
		case id == http1.TransferEncoding || id <= http1.TE && id != http1.Other:
			continue
		case id == http1.Host && s.client, id == http1.ContentLength && lengthless:
			continue
		}
		block = s.encoder.append(block, s.lower(name), value)
	}
	s.pool.text = block
	s.fields(t.id, block)
	if h.Status() > 0 && h.Status() < 200 {
		return
	}
	if s.client && framing.Kind == http1.ChunkedBody {
		s.output.apart() // some servers tell a body of nothing from none
	}
	t.body.Begin(framing)
	t.endless = framing.Kind == http1.UntilClose
	if t.outStage = outBody; t.body.Done() {
		t.finishOutput()
	}
}

var trailersOnly = []byte("trailers")

// lower returns a name in lower case, for use within this call.
func (s *Session) lower(name []byte) []byte {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			s.pool.name = append(s.pool.name[:0], name...)
			for ; i < len(name); i++ {
				if c := name[i]; 'A' <= c && c <= 'Z' {
					s.pool.name[i] = c | 0x20
				}
			}
			return s.pool.name
		}
	}
	return name
}

// writeBody writes a part of a body.
func (t *Stream) writeBody(p []byte) (used int, err error) {
	s := t.session
	used, data, trailers, err := t.body.Next(p, t.quota())
	if len(data) > 0 {
		s.output.data(t.id, data)
		t.spent(len(data))
	}
	if err != nil {
		return used, err
	}
	done := t.body.Done()
	if len(trailers) > 0 && (!done || len(t.partial) > 0) {
		t.partial = append(s.pool.grow(t.partial, len(trailers)), trailers...)
		trailers = t.partial
	}
	if done {
		if len(trailers) > len("\r\n") {
			t.sendTrailers(trailers)
		}
		t.forgetPartial()
		t.finishOutput()
	}
	return used, nil
}

// sendTrailers sends the fields behind a body, which engine/http1 has found to be in order.
func (t *Stream) sendTrailers(lines []byte) {
	s := t.session
	block := s.encoder.begin(s.pool.text[:0])
	for {
		line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		lines = rest
		name, value, _ := bytes.Cut(line, []byte(":"))
		block = s.encoder.append(block, s.lower(name), bytes.Trim(value, " \t"))
	}
	s.pool.text = block
	s.fields(t.id, block)
}

// finishOutput ends the message that goes to the peer.
func (t *Stream) finishOutput() {
	t.outStage = outDone
	t.session.end(t.id)
	t.settle()
}

// End says that nothing more is written. An answer whose end is that of its connection ends so. Any other has ended by itself,
// or ErrOver says that it has not, and the stream is to be closed with a code.
func (t *Stream) End() error {
	switch {
	case t.err != nil:
		return t.err
	case t.outStage == outDone:
		return nil
	case t.outStage == outBody && t.endless:
		t.finishOutput()
		return nil
	}
	return ErrOver
}
