package http2

// Stream is a request and its answer. To its user it is a connection with HTTP/1.1 that carries no more than these.
type Stream struct {
	// User is what the user of the session knows the stream by. It is nil in a stream that Next returns for the first time.
	User any
}

// Session returns the session that the stream is of.
func (t *Stream) Session() *Session { return nil }

// ID returns the number of the stream; 0 when it has none yet, as nothing has been written to it.
func (t *Stream) ID() uint32 { return 0 }

// Read gives bytes of HTTP/1.1: of the request in the role of a server, of the answer in the role of a client. buf must have
// room for 64 bytes at least.
//
// The error is ErrNothing when there is nothing now, or nothing more; io.EOF at the end of an answer to a request of HTTP/1.0,
// which has no other end when it does not say its length; a *ResetError or ErrLost when there will be nothing more of a
// message that is not complete, or, in the role of a server, when the client wants no answer any more.
func (t *Stream) Read(buf []byte) (int, error) { return 0, nil }

// Write takes bytes of HTTP/1.1: of the answer in the role of a server, of the request in the role of a client. It takes as
// many as flow control and the bound on Output allow: with n < len(p) and no error, Next returns the stream when it takes more.
//
// The error is that of engine/http1 when the bytes are no message, ErrOver when one has ended before, a *ResetError or ErrLost.
func (t *Stream) Write(p []byte) (n int, err error) { return 0, nil }

// End says that nothing more is written. An answer whose end is that of its connection ends so; any other message has ended
// by itself, or ErrOver says that it has not.
func (t *Stream) End() error { return nil }

// Err returns why the stream is over before its messages were complete: a *ResetError, or ErrLost; nil when it is not.
// It is known before everything that has come is read.
func (t *Stream) Err() error { return nil }

// Readable says whether Read would give something, or an error other than ErrNothing.
func (t *Stream) Readable() bool { return false }

// Writable says whether Write would take something now, or give an error.
func (t *Stream) Writable() bool { return false }

// Close lets go of the stream, which must not be used after that. When both messages are complete, or the peer has reset it,
// nothing is sent. When the answer is complete and the request is not, the rest of the request is not wanted. Otherwise the
// stream is reset with the code.
func (t *Stream) Close(code Code) {}
