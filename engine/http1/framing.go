package http1

import "math"

// BodyKind is how the end of a body is known.
type BodyKind uint8

// The kinds of bodies.
const (
	NoBody BodyKind = iota
	LengthBody
	ChunkedBody
	UntilClose // of responses only
)

// Framing is what body follows on a head.
type Framing struct {
	Kind   BodyKind
	Length int64 // of a LengthBody; may be 0
}

// note takes over what a field says that has a meaning.
func (h *Head) note(f field, value []byte) error {
	if f.id.ofConnection() {
		h.ofConnection = true
	}
	switch f.id {
	case Host:
		if h.response {
			return nil
		}
		if h.hasHost || !ValidHost(value) {
			return ErrHost
		}
		h.hasHost, h.host = true, f.value
	case ContentLength:
		// RFC 9110, 8.6 leaves it to us whether to refuse a second one that says the same or to mend it.
		if h.hasLength {
			return ErrContentLength
		}
		h.hasLength = true
		return h.readLength(value)
	case TransferEncoding:
		if h.chunked || h.minor == 0 || !same(value, "chunked") {
			return ErrTransferEncoding
		}
		h.chunked = true
	case Connection:
		return h.readConnection(value)
	case Upgrade:
		h.hasUpgrade = true
		h.h2c = h.h2c || lists(value, "h2c")
	case TE:
		h.trailers = h.trailers || lists(value, "trailers")
	case Expect:
		switch {
		case h.minor == 0: // RFC 9110, 10.1.1: it does not know that word
		case h.expects == ExpectNothing && same(value, "100-continue"):
			h.expects = ExpectContinue
		default:
			h.expects = ExpectOther
		}
	}
	return nil
}

// readLength reads a number that an int64 has room for.
func (h *Head) readLength(digits []byte) error {
	if len(digits) == 0 {
		return ErrContentLength
	}
	for _, c := range digits {
		digit := int64(c) - '0'
		// There are servers that say the most that there can be, of a stream without an end.
		if digit < 0 || digit > 9 || h.length > (math.MaxInt64-digit)/10 {
			return ErrContentLength
		}
		h.length = h.length*10 + digit
	}
	return nil
}

func (h *Head) readConnection(list []byte) error {
	for len(list) > 0 {
		if h.options++; h.options > maxOptions {
			return ErrTooMany
		}
		var option []byte
		option, list = element(list)
		switch {
		case len(option) == 0:
		case same(option, "close"):
			h.closes = true
		case same(option, "keep-alive"):
			h.keeps = true
		case same(option, "upgrade"):
			h.upgrades = true
		case NameOf(option) == Other:
			h.namesOthers = true
		}
	}
	return nil
}

// finish checks what can be said only of the whole head.
func (h *Head) finish(buf []byte) error {
	if h.hasLength && h.chunked {
		return ErrFraming
	}
	if h.response {
		h.bodiless = h.method == MethodHead || h.status < 200 || h.status == 204 || h.status == 304 || h.tunnels()
		h.wrongs = (h.status < 200 || h.status == 204 || h.tunnels()) && (h.chunked || h.length > 0)
		return nil
	}
	switch {
	case !h.hasHost && h.minor == 1:
		return ErrHost
	case h.hasHost && h.form == FormAbsolute && !same(h.host.of(buf), h.authority.of(buf)):
		return ErrHost
	}
	return nil
}

// tunnels says whether a CONNECT has been granted.
func (h *Head) tunnels() bool { return h.method == MethodConnect && h.status/100 == 2 }

// Framing returns what body follows.
func (h *Head) Framing() Framing {
	switch {
	case h.bodiless:
		return Framing{Kind: NoBody}
	case h.chunked:
		return Framing{Kind: ChunkedBody}
	case h.hasLength:
		return Framing{Kind: LengthBody, Length: h.length}
	case h.response:
		return Framing{Kind: UntilClose}
	}
	return Framing{Kind: NoBody}
}

// KeepAlive says whether whoever sent the head expects the connection to stay after the message. It never does when
// the end of the message is the end of the connection, or could be mistaken.
func (h *Head) KeepAlive() bool {
	if h.closes || h.wrongs || h.response && h.Framing().Kind == UntilClose {
		return false
	}
	return h.minor == 1 || h.keeps
}

// Upgrades says whether a request asks for another protocol on its connection, or a response, which then has status 101,
// grants that. HTTP/2 is never asked for in this way: whoever speaks it over TCP begins with it.
func (h *Head) Upgrades() bool {
	if !h.upgrades || !h.hasUpgrade || h.h2c || h.minor == 0 {
		return false
	}
	return !h.response || h.status == 101
}
