package http1

import "bytes"

// ParseRequest reads the head of a request at the beginning of buf. It returns how many bytes that is; 0 without an error
// says that it is not there to its end. The next call then must begin with the same bytes, and goes on where this one
// has stopped.
func ParseRequest(buf []byte, h *Head) (int, error) {
	if h.over || h.response {
		h.Reset()
	}
	return h.parse(buf)
}

// ParseResponse reads the head of a response to a request of that method, as ParseRequest does.
func ParseResponse(buf []byte, h *Head, to Method) (int, error) {
	if h.over || !h.response {
		h.Reset()
	}
	h.response, h.method = true, to
	return h.parse(buf)
}

func (h *Head) parse(buf []byte) (int, error) {
	n, err := h.lines(buf)
	if err != nil {
		n = 0
	}
	h.over = n > 0 || err != nil
	return n, err
}

// lines reads line after line.
func (h *Head) lines(buf []byte) (int, error) {
	for {
		end, err := h.lineEnd(buf)
		if end < 0 || err != nil {
			return 0, err
		}
		next := end + len("\r\n")
		switch {
		case h.begun && end == h.line:
			h.end = next
			return next, h.finish(buf)
		case h.begun:
			err = h.field(buf, end)
		case h.response:
			err = h.statusLine(buf, end)
		case end == h.line && h.line < maxEmpty:
			// RFC 9112, 2.2: there are clients that send an empty line behind a body.
		default:
			err = h.requestLine(buf, end)
		}
		if err != nil {
			return 0, err
		}
		h.line, h.seen = next, next
	}
}

// maxEmpty is how many bytes of empty lines may stand before a request.
const maxEmpty = len("\r\n\r\n")

// lineEnd returns where the line ends that is looked at; -1 when that has not come yet.
func (h *Head) lineEnd(buf []byte) (int, error) {
	limit := min(len(buf), MaxHead)
	end := h.seen + control(buf[h.seen:limit])
	h.seen = end
	switch {
	case end == limit || buf[end] == '\r' && end+1 == limit:
		if limit == MaxHead {
			return 0, ErrTooLarge
		}
		return -1, nil
	case buf[end] == '\r' && buf[end+1] == '\n':
		return end, nil
	case h.begun:
		return 0, ErrField
	case h.response:
		return 0, ErrStatusLine
	}
	return 0, ErrRequestLine
}

// requestLine reads the line that ends there.
func (h *Head) requestLine(buf []byte, end int) error {
	h.begun, h.start = true, h.line
	line := buf[h.line:end]
	first := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if first <= 0 || first+1 >= last || !all(line[:first], isToken) {
		return ErrRequestLine
	}
	if string(line) == "PRI * HTTP/2.0" {
		return ErrPreface
	}
	if err := h.version(line[last+1:], ErrRequestLine); err != nil {
		return err
	}
	h.name = spanOf(h.line, h.line+first)
	h.target = spanOf(h.line+first+1, h.line+last)
	h.method = methodOf(h.name.of(buf))
	return h.readTarget(h.target.of(buf))
}

// statusLine reads the line that ends there.
func (h *Head) statusLine(buf []byte, end int) error {
	h.begun, h.start = true, h.line
	line := buf[h.line:end]
	version, rest, _ := bytes.Cut(line, []byte(" "))
	if err := h.version(version, ErrStatusLine); err != nil {
		return err
	}
	// The space before a reason that is empty must be there, and often is not.
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return ErrStatusLine
	}
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return ErrStatusLine
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 {
		return ErrStatusLine
	}
	return nil
}

// version reads a version; otherwise is the error when it is none at all.
func (h *Head) version(text []byte, otherwise Error) error {
	switch {
	case string(text) == "HTTP/1.1":
		h.minor = 1
	case string(text) == "HTTP/1.0":
	case len(text) > 5 && string(text[:5]) == "HTTP/" && '0' <= text[5] && text[5] <= '9':
		return ErrVersion
	default:
		return otherwise
	}
	return nil
}

// readTarget reads what stands between method and version.
func (h *Head) readTarget(target []byte) error {
	switch {
	case !all(target, isTarget):
		return ErrTarget
	case h.method == MethodConnect:
		h.form, h.authority = FormAuthority, h.target
		if target[len(target)-1] == ':' || bytes.IndexByte(target, ':') < 0 || target[len(target)-1] == ']' {
			return ErrTarget // without a port
		}
		return h.checkAuthority(target)
	case target[0] == '/':
		return nil
	case string(target) == "*" && h.method == MethodOptions:
		h.form = FormAsterisk
		return nil
	}
	h.form = FormAbsolute
	scheme := bytes.Index(target, []byte("://"))
	if scheme < 0 || !same(target[:scheme], "http") && !same(target[:scheme], "https") {
		return ErrTarget
	}
	from := scheme + len("://")
	to := from
	for to < len(target) && target[to] != '/' && target[to] != '?' {
		to++
	}
	h.authority = spanOf(int(h.target.from)+from, int(h.target.from)+to)
	return h.checkAuthority(target[from:to])
}

func (h *Head) checkAuthority(authority []byte) error {
	if len(authority) == 0 || authority[0] == ':' || !ValidHost(authority) {
		return ErrTarget
	}
	return nil
}

// ValidHost says whether a text is host or host:port, with a host that may be empty.
func ValidHost(text []byte) bool {
	host, port := cutPort(text)
	if len(host) > 0 && host[0] == '[' {
		return len(host) > 2 && host[len(host)-1] == ']' && validAddress(host[1:len(host)-1]) && validPort(port)
	}
	return all(host, isHost) && validPort(port)
}

// validAddress says whether there is nothing in a text that no address of IPv6 has.
func validAddress(text []byte) bool {
	for _, c := range text {
		if class[c]&isHex == 0 && c != ':' && c != '.' {
			return false
		}
	}
	return true
}

func validPort(port []byte) bool {
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(port) <= 5
}

// cutPort cuts an authority at the colon before its port.
func cutPort(text []byte) (host, port []byte) {
	at := len(text)
	for at > 0 && '0' <= text[at-1] && text[at-1] <= '9' {
		at--
	}
	if at > 0 && text[at-1] == ':' {
		return text[:at-1], text[at:]
	}
	return text, nil
}

// field reads the line that ends there.
func (h *Head) field(buf []byte, end int) error {
	if len(h.fields) == MaxFields {
		return ErrTooMany
	}
	colon := h.line
	for colon < end && class[buf[colon]]&isToken != 0 {
		colon++
	}
	if colon == h.line || colon == end || buf[colon] != ':' {
		return ErrField
	}
	from, to := trim(buf, colon+1, end)
	f := field{
		name:  spanOf(h.line, colon),
		value: spanOf(from, to),
		id:    NameOf(buf[h.line:colon]),
	}
	h.fields = append(h.fields, f)
	if f.id == Other {
		return nil
	}
	return h.note(f, f.value.of(buf))
}
