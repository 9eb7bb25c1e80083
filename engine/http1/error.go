package http1

import "errors"

// Error is why a message is refused. The list is closed.
type Error uint8

// The errors of heads, of bodies and of paths.
const (
	ErrRequestLine Error = iota + 1
	ErrStatusLine
	ErrTarget
	ErrVersion
	ErrPreface // it is HTTP/2, spoken with prior knowledge
	ErrField
	ErrHost
	ErrContentLength
	ErrTransferEncoding
	ErrFraming // Content-Length and Transfer-Encoding at once
	ErrTooLarge
	ErrTooMany
	ErrChunk
	ErrTrailer
	ErrPath
	ErrUnderscore // in the name of a field from a stranger
	ErrReserved   // a field from a stranger that only proxies have to say, where it cannot be left out
)

var errorTexts = [...]string{
	ErrRequestLine:      "bad-request-line",
	ErrStatusLine:       "bad-status-line",
	ErrTarget:           "bad-target",
	ErrVersion:          "unsupported-version",
	ErrPreface:          "http2-preface",
	ErrField:            "bad-field",
	ErrHost:             "bad-host",
	ErrContentLength:    "bad-content-length",
	ErrTransferEncoding: "bad-transfer-encoding",
	ErrFraming:          "conflicting-framing",
	ErrTooLarge:         "head-too-large",
	ErrTooMany:          "too-many-fields",
	ErrChunk:            "bad-chunk",
	ErrTrailer:          "bad-trailer",
	ErrPath:             "bad-path",
	ErrUnderscore:       "underscore-in-name",
	ErrReserved:         "reserved-field",
}

// Error is one word.
func (e Error) Error() string { return errorTexts[e] }

// OfStranger says whether an error is, or may be, one of those that only a stranger's request has.
func OfStranger(err error) bool {
	switch e, _ := errors.AsType[Error](err); e {
	case ErrTooLarge, ErrTooMany, ErrUnderscore, ErrReserved:
		return true
	}
	return false
}

// Status is what a client is told whose request is refused. One whose server is refused is told 502.
func (e Error) Status() int {
	switch e {
	case ErrVersion, ErrPreface:
		return 505
	case ErrTooLarge, ErrTooMany:
		return 431
	}
	return 400
}
