package http2

import (
	"encoding/binary"
	"time"
)

const (
	// maxBlock is how long a block of fields may be that comes in more than one frame,
	maxBlock = 64 << 10
	// and maxContinuations how many frames may follow on the first.
	maxContinuations = 8
)

// input is what has come of the frame that comes.
type input struct {
	preface int // bytes of it that are still to come
	greeted bool

	had     int // bytes of the header
	header  [headerSize]byte
	current frame
	left    int    // bytes of the payload that are still to come
	payload []byte // what has come of it, where it must be there as a whole; nil: nothing

	padding int // of DATA, at its end
	padded  bool
	sink    bool // the data are for the stream; otherwise for nobody

	blockID       uint32 // of the stream whose fields come; 0: none
	block         []byte // what has come of them
	blockEnds     bool   // END_STREAM stood at its beginning
	continuations int
}

// Feed takes all of what has come from the peer.
//
// An error, a *ConnectionError, ends the session: Output has a GOAWAY with the reason, which is to be sent before the
// connection is closed; streams whose messages are not complete are reset, and Next returns them.
func (s *Session) Feed(data []byte, now time.Time) error {
	s.now = now
	for s.err == nil && !s.lost {
		if s.preface > 0 {
			if data = s.feedPreface(data); s.preface > 0 {
				break
			}
		}
		if s.had < headerSize {
			n := copy(s.header[s.had:], data)
			data = data[n:]
			if s.had += n; s.had < headerSize {
				break
			}
			s.current = readFrame(s.header[:])
			s.left = s.current.length
			if s.checkFrame() != nil {
				break
			}
		}
		n := min(s.left, len(data))
		whole := n == s.left
		if s.feedPayload(data[:n], whole) != nil {
			break
		}
		data = data[n:]
		if s.left -= n; !whole {
			break
		}
		s.had = 0
		if s.pending() > outMost {
			return s.fail(CodeCalm, "answers that nobody reads")
		}
	}
	if s.err != nil {
		return s.err
	}
	return nil
}

// feedPreface compares what comes with the preface.
func (s *Session) feedPreface(data []byte) []byte {
	n := min(len(data), s.preface)
	want := Preface[len(Preface)-s.preface:][:n]
	if string(data[:n]) != want {
		_ = s.fail(CodeProtocol, "no preface of HTTP/2")
		return nil
	}
	s.preface -= n
	return data[n:]
}

// checkFrame looks at the header of a frame.
func (s *Session) checkFrame() error {
	f := &s.current
	switch {
	case f.length > frameSize:
		return s.fail(CodeFrameSize, "a frame that is too long")
	case !s.greeted && (f.kind != kindSettings || f.has(flagAck)):
		return s.fail(CodeProtocol, "no settings at the beginning")
	case s.blockID != 0 && (f.kind != kindContinuation || f.id != s.blockID):
		return s.fail(CodeProtocol, "a frame among those of a block of fields")
	case s.blockID == 0 && f.kind == kindContinuation:
		return s.fail(CodeProtocol, "a block of fields without beginning")
	}
	ofStream, length := true, f.length
	switch f.kind {
	case kindSettings:
		ofStream = false
		if length = f.length - f.length%6; f.has(flagAck) {
			length = 0
		}
	case kindPing:
		ofStream, length = false, 8
	case kindGoAway:
		ofStream, length = false, max(8, f.length)
	case kindReset:
		length = 4
	case kindPriority:
		length = 5
	case kindPush:
		return s.fail(CodeProtocol, "a push that nobody wants")
	case kindWindow:
		ofStream, length = f.id != 0, 4
	case kindUnknown:
		ofStream = f.id != 0
	}
	switch {
	case ofStream && f.id == 0:
		return s.fail(CodeProtocol, "a frame of no stream")
	case !ofStream && f.id != 0:
		return s.fail(CodeProtocol, "a frame of a stream that is of the connection")
	case length != f.length:
		return s.fail(CodeFrameSize, "a frame whose length is wrong")
	case f.kind == kindData:
		return s.beginData()
	}
	return nil
}

// feedPayload takes a part of the payload of a frame, the last when whole is true.
func (s *Session) feedPayload(data []byte, whole bool) error {
	switch s.current.kind {
	case kindData:
		return s.feedData(data, whole)
	case kindUnknown:
		if whole {
			return s.glitch(1)
		}
		return nil
	}
	if s.payload != nil || !whole {
		if s.payload == nil {
			s.payload = s.pool.buffer(blockSize)
		}
		s.payload = append(s.payload, data...)
		data = s.payload
	}
	if !whole {
		return nil
	}
	err := s.handle(data)
	if s.payload != nil {
		s.pool.recycle(s.payload)
		s.payload = nil
	}
	return err
}

// handle acts on a frame that is none of data.
func (s *Session) handle(payload []byte) error {
	f := &s.current
	switch f.kind {
	case kindHeaders:
		return s.takeHeaders(payload)
	case kindContinuation:
		return s.takeContinuation(payload)
	case kindPriority:
		return s.takePriority(payload)
	case kindReset:
		return s.takeReset(Code(binary.BigEndian.Uint32(payload)))
	case kindSettings:
		return s.takeSettings(payload)
	case kindPing:
		return s.takePing(payload)
	case kindGoAway:
		return s.takeGoAway(payload)
	case kindWindow:
		return s.takeWindow(binary.BigEndian.Uint32(payload) & maxWindow)
	}
	return nil
}

// forgetInput gives back what holds a part of a frame.
func (s *Session) forgetInput() {
	s.pool.recycle(s.payload)
	s.pool.recycle(s.block)
	s.payload, s.block = nil, nil
}

func (s *Session) takeSettings(payload []byte) error {
	s.greeted = true
	if err := s.glitch(1 + len(payload)/6); err != nil || s.current.has(flagAck) {
		return err
	}
	for ; len(payload) > 0; payload = payload[6:] {
		value := binary.BigEndian.Uint32(payload[2:])
		if err := s.set(binary.BigEndian.Uint16(payload), value); err != nil {
			return err
		}
	}
	s.frame(0, kindSettings, flagAck, 0)
	return nil
}

// set follows a setting of the peer's.
func (s *Session) set(name uint16, value uint32) error {
	switch name {
	case settingTableSize:
		s.encoder.limitTable(int(min(value, tableSize)))
	case settingPush:
		if value > 1 || s.client && value > 0 {
			return s.fail(CodeProtocol, "a setting of pushes that is none")
		}
	case settingMostStreams:
		s.peer.streams = int(min(value, maxStreams))
	case settingWindow:
		return s.setWindow(value)
	case settingFrameSize:
		if value < frameSize || value >= 1<<24 {
			return s.fail(CodeProtocol, "a setting of the size of frames that is none")
		}
	}
	return nil
}

func (s *Session) takePing(payload []byte) error {
	if err := s.glitch(1); err != nil {
		return err
	}
	if !s.current.has(flagAck) {
		s.ping(payload, flagAck)
		return nil
	}
	if s.leaving == announced && string(payload) == string(leavePing[:]) {
		s.leave()
	}
	return nil
}

func (s *Session) takeGoAway(payload []byte) error {
	if err := s.glitch(1); err != nil {
		return err
	}
	s.peerLeft = true
	if !s.client {
		s.Leave()
		return nil
	}
	lastID := binary.BigEndian.Uint32(payload) & maxID
	for id, t := range s.streams {
		if id > lastID && !t.heard {
			t.breakOff(&ResetError{Code: CodeRefused, Untouched: true})
		}
	}
	return nil
}

// takePriority takes what nobody follows any more, but checks it.
func (s *Session) takePriority(payload []byte) error {
	if err := s.glitch(1); err != nil {
		return err
	}
	if id := s.current.id; binary.BigEndian.Uint32(payload)&maxID == id {
		return s.wrong(id, CodeProtocol, "a stream that depends on itself")
	}
	return nil
}

func (s *Session) takeReset(code Code) error {
	id := s.current.id
	t := s.streams[id]
	if t == nil {
		if s.isIdle(id) {
			return s.fail(CodeProtocol, "a reset of a stream that was never begun")
		}
		return s.glitch(1)
	}
	if t.err != nil || t.done() {
		return s.glitch(1)
	}
	untouched := s.client && code == CodeRefused && !t.heard
	t.breakOff(&ResetError{Code: code, Untouched: untouched})
	if s.client {
		return nil // it may do with its streams what it likes
	}
	return s.reset()
}

// isIdle says whether a stream has not been begun, by whomever it may be.
func (s *Session) isIdle(id uint32) bool {
	if s.client {
		return id%2 == 0 || id >= s.nextID
	}
	return id%2 == 0 || id > s.lastID
}

// wrong resets a stream for what the peer has sent, or ends the session when it is not open.
func (s *Session) wrong(id uint32, code Code, why string) error {
	t := s.streams[id]
	if t == nil {
		return s.fail(code, why)
	}
	if t.err != nil {
		return s.glitch(1)
	}
	s.word(kindReset, id, uint32(code))
	s.closed.note(id, wasReset)
	if !s.client && !t.seen {
		s.refused.Malformed++
	}
	t.breakOff(&ResetError{Code: code, Ours: true})
	return s.reset()
}
