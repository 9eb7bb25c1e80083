package http2

import (
	"errors"
	"strconv"
)

// Preface is what a client sends first.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Code is why a stream or a connection ends (RFC 9113, 7).
type Code uint32

// The codes.
const (
	CodeNone Code = iota
	CodeProtocol
	CodeInternal
	CodeFlowControl
	CodeSettingsTimeout
	CodeStreamClosed
	CodeFrameSize
	CodeRefused
	CodeCancel
	CodeCompression
	CodeConnect
	CodeCalm
	CodeInadequateSecurity
	CodeHTTP11Required
)

var codeNames = [...]string{
	CodeNone:               "NO_ERROR",
	CodeProtocol:           "PROTOCOL_ERROR",
	CodeInternal:           "INTERNAL_ERROR",
	CodeFlowControl:        "FLOW_CONTROL_ERROR",
	CodeSettingsTimeout:    "SETTINGS_TIMEOUT",
	CodeStreamClosed:       "STREAM_CLOSED",
	CodeFrameSize:          "FRAME_SIZE_ERROR",
	CodeRefused:            "REFUSED_STREAM",
	CodeCancel:             "CANCEL",
	CodeCompression:        "COMPRESSION_ERROR",
	CodeConnect:            "CONNECT_ERROR",
	CodeCalm:               "ENHANCE_YOUR_CALM",
	CodeInadequateSecurity: "INADEQUATE_SECURITY",
	CodeHTTP11Required:     "HTTP_1_1_REQUIRED",
}

// String is the name of the code in RFC 9113.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// The errors of streams that are no resets.
var (
	ErrNothing = errors.New("nothing has come")
	ErrLost    = errors.New("the connection of the stream is lost")
	ErrOver    = errors.New("the message is over")
	ErrUpgrade = errors.New("a stream cannot become another protocol")
)

// ResetError says that a stream has been reset.
type ResetError struct {
	Code      Code
	Untouched bool // the peer has done nothing for it, and says so: it may be sent again, whatever it is
	Ours      bool // the session has reset it itself, for what the peer has sent
}

// Error has the code.
func (e *ResetError) Error() string {
	if e.Ours {
		return "stream reset for what the peer has sent: " + e.Code.String()
	}
	return "stream reset by the peer: " + e.Code.String()
}

// ConnectionError is why a session ends.
type ConnectionError struct {
	Code Code
	Why  string
}

// Error has the code and the reason.
func (e *ConnectionError) Error() string { return e.Why + ": " + e.Code.String() }
