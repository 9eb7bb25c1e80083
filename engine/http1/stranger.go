package http1

import "bytes"

const (
	// MaxStrangerHead is how many bytes a head from a stranger may have, as in HAProxy (tune.bufsize).
	MaxStrangerHead = 16 << 10
	// MaxStrangerFields is how many fields it may have, as in Envoy (max_headers_count) and Apache (LimitRequestFields).
	MaxStrangerFields = 100
)

// CheckStranger says what is wrong with the head of a request when its sender may be anybody; nil when nothing is.
//
// Gateways that hand fields on as variables, such as CGI, write a hyphen as an underscore. So a name with an underscore, which
// nobody needs, could be read as that of another field. And a field that Connection names goes on no further: nobody may take
// away in this way what a proxy before has said.
func (h *Head) CheckStranger(buf []byte) error {
	switch {
	case h.end-h.start > MaxStrangerHead:
		return ErrTooLarge
	case len(h.fields) > MaxStrangerFields:
		return ErrTooMany
	}
	for i := range h.fields {
		if bytes.IndexByte(h.fields[i].name.of(buf), '_') >= 0 {
			return ErrUnderscore
		}
	}
	if h.options == 0 {
		return nil
	}
	for i := range h.fields {
		if h.fields[i].id != Connection {
			continue
		}
		for list := h.fields[i].value.of(buf); len(list) > 0; {
			var option []byte
			option, list = element(list)
			if id := NameOf(option); id == Traceparent || id == Tracestate || OfProxies(option) {
				return ErrReserved
			}
		}
	}
	return nil
}

// CheckEdits says what is wrong with the head of a request from a stranger that is to be edited: Connection must not name what is
// added on the way.
func (h *Head) CheckEdits(buf []byte, e *Edits) error {
	if h.options == 0 {
		return nil
	}
	for _, fields := range [2][]Field{e.Set, e.Add} {
		for i := range fields {
			if named(h, buf, fields[i].Name) {
				return ErrReserved
			}
		}
	}
	return nil
}

// FromStranger has the body refused when what stands behind it are fields that must not come from a stranger.
func (b *Body) FromStranger() { b.stranger = true }

// mayFollow says whether a stranger may send the trailer whose name has been read.
func (b *Body) mayFollow() bool {
	return !b.underscore && !OfProxies(b.name[:min(b.nameLen, len(b.name))])
}

// OfProxies says whether fields of that name are for proxies to say: who the client is, whom it has asked for, and which
// request it is. A stranger is not believed there. Case does not matter, nor does whether a hyphen is an underscore. All that matters
// are the first bytes, as many as a Body has of the name of a trailer.
func OfProxies[T []byte | string](name T) bool {
	if len(name) < len("x-mesh-") || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' { // most are not
		return false
	}
	for _, prefix := range [...]string{"x-forwarded-", "x-mesh-", "x-meshd-"} {
		if len(name) >= len(prefix) && sameLoose(name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, whole := range [...]string{"forwarded", "x-real-ip", "x-request-id"} {
		if sameLoose(name, whole) {
			return true
		}
	}
	return false
}

// sameLoose says whether a name is a text in lower case, when underscores are hyphens.
func sameLoose[T []byte | string](name T, text string) bool {
	if len(name) != len(text) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c == '_' {
			c = '-'
		}
		if lower(c) != text[i] {
			return false
		}
	}
	return true
}
