package http2

// setWindow follows the peer's setting of the windows of streams.
func (s *Session) setWindow(value uint32) error {
	if value > maxWindow {
		return s.fail(CodeFlowControl, "a setting of windows that is none")
	}
	more := int(value) - s.peer.window
	s.peer.window = int(value)
	for _, t := range s.streams {
		if t.sendWindow += more; t.sendWindow > maxWindow {
			return s.fail(CodeFlowControl, "a window that is too large")
		}
		t.mayWrite()
	}
	return nil
}

func (s *Session) takeWindow(more uint32) error {
	if err := s.glitch(1); err != nil {
		return err
	}
	id := s.current.id
	if id == 0 {
		return s.widen(int(more))
	}
	t := s.streams[id]
	switch {
	case t == nil && s.isIdle(id):
		return s.fail(CodeProtocol, "a window of a stream that was never begun")
	case t == nil:
		return nil // it was on its way when the stream was closed
	case more == 0:
		return s.wrong(id, CodeProtocol, "a window that grows by nothing")
	}
	if t.sendWindow += int(more); t.sendWindow > maxWindow {
		return s.wrong(id, CodeFlowControl, "a window that is too large")
	}
	t.mayWrite()
	return nil
}

// widen widens the window of the connection.
func (s *Session) widen(more int) error {
	if more == 0 {
		return s.fail(CodeProtocol, "a window that grows by nothing")
	}
	none := s.sendWindow <= 0
	if s.sendWindow += more; s.sendWindow > maxWindow {
		return s.fail(CodeFlowControl, "a window that is too large")
	}
	if none {
		for t := s.stalled.first; t != nil; {
			next := t.links[placeWrite].next
			t.mayWrite()
			t = next
		}
	}
	return nil
}

// mayWrite puts a stream that waits for a window behind those that write, if it has one now.
func (t *Stream) mayWrite() {
	if t.links[placeWrite].in == &t.session.stalled && t.sendWindow > 0 && t.session.sendWindow > 0 {
		t.leave(placeWrite)
		t.session.writers.push(t)
	}
}

// wait has Next return a stream when it takes more.
func (t *Stream) wait() {
	if t.outStage == outBody && (t.sendWindow <= 0 || t.session.sendWindow <= 0) {
		t.session.stalled.push(t)
	} else {
		t.session.writers.push(t)
	}
}

// quota returns how many bytes of a body a stream may send now.
func (t *Stream) quota() int {
	s := t.session
	n := min(t.sendWindow, s.sendWindow, outBound-s.pending())
	if s.writers.first != nil { // others wait
		if s.turn != t.id {
			return 0
		}
		n = min(n, s.quantum)
	}
	return max(0, n)
}

// spent takes note of n bytes of a body that were sent.
func (t *Stream) spent(n int) {
	s := t.session
	t.sendWindow -= n
	s.sendWindow -= n
	s.quantum -= n
	s.glitches.earn(n / bytesForGlitch)
	if t.sendWindow > 0 && s.sendWindow > 0 { // a window that is opened by a few bytes each time accounts for nothing
		s.glitches.earn(earnedByFrame)
	}
}

// beginData begins a frame of data.
func (s *Session) beginData() error {
	f := &s.current
	if s.recvWindow -= f.length; s.recvWindow < 0 {
		return s.fail(CodeFlowControl, "more data than the connection has room for")
	}
	s.padding, s.padded = 0, false
	t := s.streams[f.id]
	s.sink = t != nil && t.err == nil
	switch {
	case s.isIdle(f.id):
		return s.fail(CodeProtocol, "data of a stream that was never begun")
	case f.has(flagPadded) && f.length == 0:
		return s.fail(CodeFrameSize, "a padded frame that is empty")
	case (t == nil || t.err != nil) && !s.wasCalledOff(f.id):
		return s.refuse(f.id, CodeStreamClosed)
	case t == nil || t.err != nil || t.opaque:
		return s.emptyData(f.length)
	case t.inDone:
		s.sink = false
		return s.wrong(f.id, CodeStreamClosed, "data behind the end of a message")
	case !t.inBegun:
		s.sink = false
		return s.wrong(f.id, CodeProtocol, "data before the fields of an answer")
	}
	if t.recvWindow -= f.length; t.recvWindow < 0 {
		s.sink = false
		return s.wrong(f.id, CodeFlowControl, "more data than the stream has room for")
	}
	return s.emptyData(f.length)
}

// emptyData takes note of a frame without data that ends nothing.
func (s *Session) emptyData(length int) error {
	if length == 0 && !s.current.has(flagEndStream) {
		return s.glitch(1)
	}
	return nil
}

// refuse resets a stream that is closed already, which is the peer's mistake.
func (s *Session) refuse(id uint32, code Code) error {
	s.word(kindReset, id, uint32(code))
	s.closed.note(id, wasReset)
	return s.reset()
}

// feedData takes a part of the payload of a frame of data.
func (s *Session) feedData(data []byte, whole bool) error {
	f := &s.current
	length, left := len(data), s.left
	if f.has(flagPadded) && !s.padded && length > 0 {
		s.padded, s.padding = true, int(data[0])
		if s.padding >= f.length {
			return s.fail(CodeProtocol, "more padding than frame")
		}
		if err := s.emptyData(f.length - 1 - s.padding); err != nil {
			return err
		}
		data, left = data[1:], left-1
	}
	data = data[:min(len(data), max(0, left-s.padding))]
	t := s.streams[f.id]
	if !s.sink || t == nil || t.err != nil || t.opaque {
		s.credit(length)
		return nil
	}
	if length > len(data) {
		s.credit(length - len(data))
		t.credit(length - len(data))
	}
	if len(data) > 0 {
		s.glitches.earn(len(data) / bytesForGlitch)
		if !t.receive(data) {
			s.credit(len(data))
			return s.wrong(f.id, CodeProtocol, "more data than were announced")
		}
	}
	if whole && f.has(flagEndStream) {
		return s.endData(t)
	}
	return nil
}

// credit gives back n bytes of the window of the connection.
func (s *Session) credit(n int) {
	s.consumed += n
	if s.consumed >= connectionWindow/2 && s.err == nil && !s.lost {
		s.word(kindWindow, 0, uint32(s.consumed))
		s.recvWindow += s.consumed
		s.consumed = 0
	}
}

// hold takes note that n bytes of a body have come, to be read.
func (s *Session) hold(n int) {
	s.held += n
	s.pool.held += n
	s.Lend()
}

// release takes note that n bytes of a body were read, or are forgotten.
func (s *Session) release(n int) {
	s.held -= n
	s.pool.held -= n
	paid := min(n, s.lent)
	s.lent -= paid
	s.credit(n - paid)
	s.Lend()
}

// Lend gives the peer back what it may send as if it had been read, if there is room for that. It is to be called now and then, as
// other sessions of the pool may have made room.
func (s *Session) Lend() {
	if n := min(s.held, mostLent) - s.lent; n > 0 && s.pool.held <= mostHeld {
		s.lent += n
		s.credit(n)
	}
}

// credit gives back n bytes of the window of a stream, and more when it can be wider.
func (t *Stream) credit(n int) {
	s := t.session
	if t.consumed += n; t.consumed < t.window/2 || t.inDone || t.err != nil {
		return
	}
	more := t.consumed
	if t.window < mostWindow && t.window <= s.spare {
		s.spare -= t.window
		more += t.window
		t.window *= 2
	}
	s.word(kindWindow, t.id, uint32(more))
	t.recvWindow += more
	t.consumed = 0
}
