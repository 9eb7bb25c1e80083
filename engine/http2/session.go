package http2

import "time"

// Pool keeps what sessions need now and then: buffers and streams. The zero value is empty and ready. It is for the sessions
// of one goroutine.
type Pool struct{}

// Session is one connection of HTTP/2. It is for one goroutine.
type Session struct{}

// NewServer returns a session whose peer is a client. It expects the preface; Output has its settings at once.
func NewServer(p *Pool) *Session { return &Session{} }

// NewClient returns a session whose peer is a server. Output has the preface and its settings at once.
func NewClient(p *Pool) *Session { return &Session{} }

// Feed takes all of what has come from the peer.
//
// An error, a *ConnectionError, ends the session: Output has a GOAWAY with the reason, which is to be sent before the
// connection is closed; all streams are reset, and Next returns them.
func (s *Session) Feed(data []byte, now time.Time) error { return nil }

// Output is what is to be sent next. It is empty when there is nothing, and valid until anything else is called.
func (s *Session) Output() []byte { return nil }

// Sent takes note that the first n bytes of Output have been sent.
func (s *Session) Sent(n int) {}

// Next returns a stream about which something is new since its user has looked: it is new itself (its User is nil, in the
// role of a server), it can be read, it takes more after Write has not taken all, or it was reset. It is nil when there is none.
//
// A stream is returned once for each change: its user reads it until ErrNothing, and writes until less than all was taken.
// What is sent with that, and how room is shared, is as fair as Next is asked until it is nil, after each Feed and Sent.
func (s *Session) Next() *Stream { return nil }

// Open begins a stream, in the role of a client. It is nil when Room is 0.
func (s *Session) Open() *Stream { return nil }

// Room says how many streams may be opened now, in the role of a client: it is 0 too when either side leaves.
func (s *Session) Room() int { return 0 }

// Leave announces that no new streams are taken. Those that there are go on.
func (s *Session) Leave() {}

// Leaves says whether one of both sides has announced that it takes no new streams.
func (s *Session) Leaves() bool { return false }

// Lost takes note that the connection is gone. Streams whose messages are not complete fail with ErrLost, and Next returns them.
func (s *Session) Lost() {}

// Len returns how many streams are open: their users have not closed them.
func (s *Session) Len() int { return 0 }

// IsOver says whether the connection may be closed: one side has left, no stream is open, and all has been sent.
func (s *Session) IsOver() bool { return false }

// Waits says whether the peer has begun what it must end before anything else can come: its preface and settings, or the
// fields of a message. The user bounds how long that may take.
func (s *Session) Waits() bool { return false }
