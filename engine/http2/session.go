package http2

import (
	"encoding/binary"
	"time"
)

const (
	// maxStreams is how many requests a client may have under way, and how many we have under way at a server.
	maxStreams = 250
	// streamWindow is how much of a body is held that its user has not read. When it reads, the window grows, up to mostWindow,
	// as long as the windows of all streams have not grown by more than spareWindow.
	streamWindow = 64 << 10
	mostWindow   = 1 << 20
	spareWindow  = 4 << 20
	// connectionWindow is how much of bodies is held of a connection in any case. What has come is given back at once, up to
	// mostLent, which has room for all streams, so that those whose users do not read hold up no others; but only as long as all
	// connections of the pool together hold no more than mostHeld.
	connectionWindow = 256 << 10
	mostLent         = maxStreams*streamWindow + spareWindow
	mostHeld         = 64 << 20
	// maxUnread is how much of heads and trailers is held that their users have not read, before no more are taken.
	maxUnread = 1 << 20

	defaultWindow = 64<<10 - 1
)

// Session is one connection of HTTP/2. It is for one goroutine.
//
// What it holds of its peer's is bounded: of bodies by the windows above, for all connections of a pool together, of fields that are unread by maxUnread, of those that
// come by maxBlock, each in whole blocks, and of answers to what is no message by outMost.
type Session struct {
	pool   *Pool
	client bool // that is our role
	now    time.Time
	err    *ConnectionError
	lost   bool

	input
	output
	decoder decoder
	encoder encoder

	streams map[uint32]*Stream
	open    int // streams that their users have not closed
	active  int // in the role of a server: those of them whose messages are not complete
	unread  int // bytes of heads and trailers
	lastID  uint32
	nextID  uint32 // in the role of a client
	closed  closures
	news    queue
	writers queue // streams that have more to write and may, in the order in which they do
	stalled queue // those that wait for a window
	turn    uint32
	quantum int // what is left of the turn

	recvWindow int // that the peer has left
	consumed   int // what it will be given back
	held       int // bytes of bodies that were not read
	lent       int // of these, how many were given back all the same
	spare      int // by how much windows of streams may grow
	sendWindow int
	peer       settings

	leaving  leaving
	peerLeft bool
	finalID  uint32 // in the role of a server: no stream behind it is taken any more
	refused  Refused
	resets   budget
	glitches budget
}

// Refused is how many requests of a client came to nothing before its user has seen a stream.
type Refused struct {
	Malformed int // and so were reset
	TooLarge  int // were answered with 431
	TooMany   int // were refused, as too much is under way
}

// Refused returns what has been refused since it was called last, in the role of a server.
func (s *Session) Refused() Refused {
	r := s.refused
	s.refused = Refused{}
	return r
}

// settings are those of the peer.
type settings struct {
	streams int
	window  int // of new streams
}

// leaving is how far we have announced that we take no new streams.
type leaving uint8

const (
	stays leaving = iota
	announced
	left
)

// leavePing follows on the announcement: when it is answered, the peer knows.
var leavePing = [8]byte{'l', 'e', 'a', 'v', 'e'}

// NewServer returns a session whose peer is a client. It expects the preface; Output has its settings at once.
func NewServer(p *Pool) *Session {
	s := newSession(p)
	s.input.preface = len(Preface)
	s.finalID = maxID
	s.greet(
		setting{settingMostStreams, maxStreams},
		setting{settingWindow, streamWindow},
		setting{settingMostOfFields, maxList},
	)
	return s
}

// NewClient returns a session whose peer is a server. Output has the preface and its settings at once.
func NewClient(p *Pool) *Session {
	s := newSession(p)
	s.client, s.nextID = true, 1
	s.peer.streams = 100 // until it says otherwise, as RFC 9113, 6.5.2 recommends no less
	s.extend(len(Preface))
	s.buf = append(s.buf, Preface...)
	s.greet(
		setting{settingPush, 0},
		setting{settingWindow, streamWindow},
		setting{settingMostOfFields, maxList},
	)
	return s
}

func newSession(p *Pool) *Session {
	s := &Session{pool: p, streams: map[uint32]*Stream{}, sendWindow: defaultWindow, recvWindow: connectionWindow, spare: spareWindow}
	s.output.pool = p
	s.peer.window = defaultWindow
	p.secrets.addKnown()
	s.decoder.secrets, s.encoder.secrets = &p.secrets, &p.secrets
	s.decoder.limit, s.encoder.limit = tableSize, tableSize
	s.news.place, s.writers.place, s.stalled.place = placeNews, placeWrite, placeWrite
	return s
}

type setting struct {
	name  uint16
	value uint32
}

// greet sends our settings.
func (s *Session) greet(settings ...setting) {
	s.frame(6*len(settings), kindSettings, 0, 0)
	for _, one := range settings {
		s.buf = appendSetting(s.buf, one.name, one.value)
	}
	s.word(kindWindow, 0, uint32(s.recvWindow-defaultWindow))
}

// Output is what is to be sent next. It is empty when there is nothing, and valid until anything else is called.
func (s *Session) Output() []byte { return s.buf[s.sent:] }

// Sent takes note that the first n bytes of Output have been sent.
func (s *Session) Sent(n int) {
	if s.pending() > 0 {
		s.take(n)
	}
}

// Next returns a stream about which something is new since its user has looked: it is new itself (its User is nil, in the
// role of a server), it can be read, it takes more after Write has not taken all, or it is over. It is nil when there is none.
// One that is over before anybody has seen it is never returned.
//
// A stream is returned once for each change: its user reads it until ErrNothing, and writes until less than all was taken.
// Ask until it is nil, after each Feed and each Sent.
func (s *Session) Next() *Stream {
	if t := s.news.pop(); t != nil {
		t.seen = true
		return t
	}
	for s.pending() <= outBound/2 {
		t := s.writers.pop()
		if t == nil {
			break
		}
		if t.Writable() {
			s.turn, s.quantum = t.id, outBound/4
			return t
		}
		s.stalled.push(t)
	}
	return nil
}

// Open begins a stream, in the role of a client. It is nil when Room is 0.
func (s *Session) Open() *Stream {
	if s.Room() == 0 {
		return nil
	}
	return s.begin(0)
}

// Room says how many streams may be opened now, in the role of a client: it is 0 too when either side leaves.
func (s *Session) Room() int {
	if !s.client || s.err != nil || s.lost || s.Leaves() {
		return 0
	}
	return max(0, min(s.peer.streams, maxStreams)-s.open)
}

// begin adds a stream; one without id is added to those that frames are for when it gets one.
func (s *Session) begin(id uint32) *Stream {
	t := s.pool.stream()
	t.session, t.id, t.sendWindow = s, id, s.peer.window
	t.window, t.recvWindow = streamWindow, streamWindow
	if id != 0 {
		s.streams[id] = t
	}
	s.open++
	return t
}

// Leave announces that no new streams are taken. Those that there are go on.
func (s *Session) Leave() {
	switch {
	case s.leaving != stays || s.err != nil:
	case s.client:
		s.leaving = left
		s.goAway(0, CodeNone)
	default:
		// What the client has sent before it hears of this is answered as ever (RFC 9113, 6.8).
		s.leaving = announced
		s.goAway(maxID, CodeNone)
		s.ping(leavePing[:], 0)
	}
}

// Quit announces the same, and that streams on their way are not taken either.
func (s *Session) Quit() {
	if s.leaving != left && s.err == nil {
		s.leave()
	}
}

// leave ends what Leave has begun.
func (s *Session) leave() {
	s.leaving, s.finalID = left, s.lastID
	s.goAway(s.lastID, CodeNone)
}

func (s *Session) goAway(lastID uint32, code Code) {
	s.frame(8, kindGoAway, 0, 0)
	s.buf = binary.BigEndian.AppendUint32(s.buf, lastID)
	s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(code))
}

func (s *Session) ping(payload []byte, flags uint8) {
	s.frame(8, kindPing, flags, 0)
	s.buf = append(s.buf, payload...)
}

// Leaves says whether one of both sides has announced that it takes no new streams.
func (s *Session) Leaves() bool { return s.leaving != stays || s.peerLeft }

// Lost takes note that the connection is gone. Streams whose messages are not complete fail with ErrLost, and Next returns them.
func (s *Session) Lost() {
	s.lost = true
	for _, t := range s.streams {
		t.breakOff(ErrLost)
	}
	s.pool.recycle(s.buf)
	s.buf, s.sent, s.lastOf = nil, 0, 0
	s.forgetInput()
}

// Len returns how many streams are open: their users have not closed them.
func (s *Session) Len() int { return s.open }

// IsOver says whether the connection may be closed: one side has left, no stream is open, and all has been sent.
func (s *Session) IsOver() bool {
	if s.err == nil && !s.lost && s.leaving != left && (!s.client || !s.peerLeft) {
		return false
	}
	return s.open == 0 && s.pending() == 0
}

// Waits says whether the peer has begun what it must end before anything else can come: its preface and settings, or the
// fields of a message. The user bounds how long that may take.
func (s *Session) Waits() bool {
	return s.preface > 0 || !s.greeted || s.blockID != 0 || s.had > 0 && (s.had < headerSize || s.current.kind != kindData)
}

// fail ends the session. It returns the error with which Feed is to return.
func (s *Session) fail(code Code, why string) error {
	s.err = &ConnectionError{Code: code, Why: why}
	s.goAway(min(s.lastID, s.finalID), code)
	for _, t := range s.streams {
		t.breakOff(&ResetError{Code: code, Ours: true})
	}
	s.forgetInput()
	return s.err
}

// closures remembers how some streams were closed that are there no more.
type closures [256]uint32 // no fewer than may have been open at once

// closure is how a stream was closed.
type closure uint8

const (
	forgotten closure = iota
	wasEnded          // by both sides, or by a reset of the peer's
	wasReset          // by us: the peer may not have known that when it sent what comes
)

func (c *closures) note(id uint32, how closure) {
	c[id/2%uint32(len(c))] = id<<1 | uint32(how-wasEnded)
}

// wasCalledOff says whether we have reset a stream, as far as that is remembered: a server has many streams of ours under way
// when it is slow, and is not to blame for what is still to come of those.
func (s *Session) wasCalledOff(id uint32) bool {
	how := s.closed.of(id)
	return how == wasReset || how == forgotten && s.client
}

func (c *closures) of(id uint32) closure {
	if mark := c[id/2%uint32(len(c))]; mark>>1 == id {
		return wasEnded + closure(mark&1)
	}
	return forgotten
}
