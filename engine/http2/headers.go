package http2

import (
	"encoding/binary"
	"errors"
)

// takeHeaders takes the beginning of a block of fields, or all of it.
func (s *Session) takeHeaders(payload []byte) error {
	f := &s.current
	if f.has(flagPadded) {
		if len(payload) == 0 {
			return s.fail(CodeFrameSize, "a padded frame that is empty")
		}
		padding := int(payload[0])
		if payload = payload[1:]; padding > len(payload) {
			return s.fail(CodeProtocol, "more padding than frame")
		}
		payload = payload[:len(payload)-padding]
	}
	itself := false
	if f.has(flagPriority) {
		if len(payload) < 5 {
			return s.fail(CodeFrameSize, "a frame whose length is wrong")
		}
		itself = binary.BigEndian.Uint32(payload)&maxID == f.id
		payload = payload[5:]
	}
	if itself {
		return s.fail(CodeProtocol, "a stream that depends on itself")
	}
	if f.has(flagEndHeaders) {
		return s.takeBlock(f.id, payload, f.has(flagEndStream))
	}
	s.blockID, s.blockEnds, s.continuations = f.id, f.has(flagEndStream), 0
	s.block = append(s.pool.buffer(blockSize), payload...)
	return nil
}

// takeContinuation takes more of a block of fields.
func (s *Session) takeContinuation(payload []byte) error {
	s.continuations++
	if s.continuations > maxContinuations || len(s.block)+len(payload) > maxBlock {
		return s.fail(CodeCalm, "too many fields")
	}
	if len(payload) == 0 {
		if err := s.glitch(1); err != nil {
			return err
		}
	}
	s.block = append(s.pool.grow(s.block, len(payload)), payload...)
	if !s.current.has(flagEndHeaders) {
		return nil
	}
	id, block := s.blockID, s.block
	s.blockID, s.block = 0, nil
	err := s.takeBlock(id, block, s.blockEnds)
	s.pool.recycle(block)
	return err
}

// takeBlock takes all fields of a message, or of its trailers.
func (s *Session) takeBlock(id uint32, block []byte, ends bool) error {
	l := &s.pool.list
	switch err := s.decoder.decode(block, l); { // whatever becomes of them: the next block counts on these
	case errors.Is(err, errTooMany):
		return s.fail(CodeCalm, err.Error())
	case err != nil:
		return s.fail(CodeCompression, err.Error())
	}
	t := s.streams[id]
	switch {
	case t == nil && !s.client && s.isNew(id):
		return s.takeRequest(id, l, ends)
	case t == nil:
		return s.takeLate(id)
	case t.err != nil:
		if s.closed.of(id) == wasReset {
			return s.glitch(1)
		}
		return s.refuse(id, CodeStreamClosed)
	case t.inDone:
		return s.wrong(id, CodeStreamClosed, "fields behind the end of a message")
	case s.unread > maxUnread:
		return s.wrong(id, CodeCalm, "too many fields that nobody has read")
	case t.inBegun:
		return s.takeTrailers(t, l, ends)
	}
	return s.takeAnswer(t, l, ends)
}

func (s *Session) isNew(id uint32) bool { return id%2 == 1 && id > s.lastID }

// takeLate takes fields for a stream that is not there.
func (s *Session) takeLate(id uint32) error {
	switch {
	case s.isIdle(id) || s.closed.of(id) == forgotten && !s.client:
		return s.fail(CodeProtocol, "a stream that cannot be begun")
	case s.wasCalledOff(id):
		return s.glitch(1)
	}
	return s.fail(CodeStreamClosed, "fields of a stream that is closed")
}

// takeRequest begins a stream.
func (s *Session) takeRequest(id uint32, l *list, ends bool) error {
	s.lastID = id
	if id > s.finalID { // the client has been told
		s.closed.note(id, wasReset)
		return s.glitch(1)
	}
	if s.active >= maxStreams || s.unread > maxUnread {
		s.refused.TooMany++
		return s.refuse(id, CodeRefused)
	}
	var m message
	m.read(l)
	if m.readRequest(); m.wrong || ends && m.length > 0 {
		s.refused.Malformed++
		return s.refuse(id, CodeProtocol)
	}
	f := m.formOf(1)
	if ends || m.methodID == methodConnect {
		f = formNone
	}
	text, ok := m.appendRequest(s.pool.text[:0], f)
	s.pool.text = text
	if !ok {
		return s.tooLarge(id, ends)
	}
	t := s.begin(id)
	s.active++
	t.active = true
	t.method = m.methodID
	t.opaque = t.method == methodConnect
	t.inBegun = true
	t.expect(&m, f)
	t.deliver(text)
	if ends || t.opaque {
		t.finishInput()
	}
	return nil
}

// tooLarge answers a request of which more fields have come than anybody reads.
func (s *Session) tooLarge(id uint32, ends bool) error {
	s.refused.TooLarge++
	block := s.encoder.begin(s.pool.text[:0])
	block = s.encoder.append(block, nameStatus, []byte("431"))
	s.pool.text = block
	s.fields(id, block)
	s.end(id)
	s.closed.note(id, wasEnded)
	if ends {
		return s.glitch(1)
	}
	return s.refuse(id, CodeNone)
}

// takeAnswer takes the head of an answer, or of what comes before it.
func (s *Session) takeAnswer(t *Stream, l *list, ends bool) error {
	var m message
	m.read(l)
	m.readAnswer()
	early := m.status < 200
	if early {
		t.early++
	}
	if m.wrong || early && ends || t.early > maxEarly || ends && m.length > 0 && !t.bodiless(m.status) {
		return s.wrong(t.id, CodeProtocol, "an answer that is none")
	}
	f, bodiless := m.formOf(t.minor), t.bodiless(m.status)
	if bodiless || ends {
		f = formNone
	}
	text, ok := m.appendAnswer(s.pool.text[:0], f, ends && !bodiless)
	s.pool.text = text
	if !ok {
		return s.wrong(t.id, CodeProtocol, "an answer with too many fields")
	}
	t.heard = true
	if !early {
		t.inBegun = true
		t.expect(&m, f)
	}
	t.deliver(text)
	if ends {
		t.finishInput()
	}
	return nil
}

// maxEarly is how many answers may come before the answer.
const maxEarly = 5

// takeTrailers takes the fields behind a body.
func (s *Session) takeTrailers(t *Stream, l *list, ends bool) error {
	var m message
	m.read(l)
	if m.readTrailers(); m.wrong || !ends || t.short() {
		return s.wrong(t.id, CodeProtocol, "fields behind a body that are none")
	}
	if t.form == formChunks {
		text, ok := m.appendTrailers(append(s.pool.text[:0], "0\r\n"...))
		s.pool.text = text
		if !ok {
			return s.wrong(t.id, CodeProtocol, "too many fields behind a body")
		}
		t.conclude(text)
	}
	t.finishInput()
	return nil
}

// endData takes the end of a body.
func (s *Session) endData(t *Stream) error {
	if t.short() {
		return s.wrong(t.id, CodeProtocol, "less data than were announced")
	}
	if t.form == formChunks {
		t.conclude(lastChunk)
	}
	t.finishInput()
	return nil
}

var lastChunk = []byte("0\r\n\r\n")
