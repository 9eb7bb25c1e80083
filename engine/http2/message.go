package http2

import (
	"bytes"
	"math"
	"strconv"

	"github.com/meshd/meshd/engine/http1"
)

// message is what the fields of a block say, of which nothing may be said in two ways.
type message struct {
	list  *list
	wrong bool // it is malformed (RFC 9113, 8.1.1)

	method, scheme, path, authority, code []byte // nil: not there
	regular                               int    // where the fields begin that are no pseudo-fields

	methodID  method
	host      []byte
	hasHost   bool
	hasLength bool
	length    int64
	cookies   int
	trails    bool // fields behind the body are to be expected
	status    int

	lines int // fields that have been appended
}

// method is what a method means to a stream.
type method uint8

const (
	methodOther method = iota
	methodHead
	methodConnect
)

var (
	nameMethod    = []byte(":method")
	nameScheme    = []byte(":scheme")
	namePath      = []byte(":path")
	nameAuthority = []byte(":authority")
	nameStatus    = []byte(":status")
)

// read reads and checks what is the same in all messages.
func (m *message) read(l *list) {
	m.list = l
	for ; m.regular < len(l.fields); m.regular++ {
		name, value := l.field(m.regular)
		if len(name) == 0 || name[0] != ':' {
			break
		}
		var where *[]byte
		switch string(name) {
		case ":method":
			where = &m.method
		case ":scheme":
			where = &m.scheme
		case ":path":
			where = &m.path
		case ":authority":
			where = &m.authority
		case ":status":
			where = &m.code
		}
		if where == nil || *where != nil {
			m.wrong = true
			return
		}
		if *where = value; value == nil {
			*where = []byte{}
		}
	}
	for i := m.regular; i < len(l.fields) && !m.wrong; i++ {
		name, value := l.field(i)
		m.wrong = !validName(name) || !validValue(value)
		m.note(http1.NameOf(name), value)
		m.trails = m.trails || string(name) == "content-type" && http1.IsGRPC(value)
	}
}

// note takes over what a field says that has a meaning.
func (m *message) note(id http1.Name, value []byte) {
	switch id {
	case http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.Upgrade, http1.TransferEncoding:
		m.wrong = true
	case http1.TE:
		m.wrong = m.wrong || string(value) != "trailers"
	case http1.Host:
		m.wrong = m.wrong || m.hasHost
		m.hasHost, m.host = true, value
	case http1.ContentLength:
		length, ok := parseLength(value)
		m.wrong = m.wrong || m.hasLength || !ok
		m.hasLength, m.length = true, length
	case http1.Cookie:
		m.cookies++
	case http1.Trailer:
		m.trails = true
	}
}

// parseLength reads a number of digits and nothing else.
func parseLength(digits []byte) (length int64, ok bool) {
	for _, c := range digits {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 || length > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		length = length*10 + digit
	}
	return length, len(digits) > 0
}

// readRequest checks what is of a request.
func (m *message) readRequest() {
	switch string(m.method) {
	case "HEAD":
		m.methodID = methodHead
	case "CONNECT":
		m.methodID = methodConnect
	}
	// None at all is what an HTTP/1.0 request has become that names no host (RFC 9113, 8.3.1).
	named := m.authority != nil || m.hasHost
	if m.authority == nil {
		m.authority = m.host
	}
	switch {
	case m.code != nil || len(m.method) == 0 || !all(m.method, isToken):
	case named && (len(m.authority) == 0 || !http1.ValidHost(m.authority)):
	case m.hasHost && !bytes.EqualFold(m.host, m.authority):
	case m.methodID == methodConnect:
		m.wrong = m.wrong || m.scheme != nil || m.path != nil || !named || !hasPort(m.authority)
		return
	case string(m.scheme) != "http" && string(m.scheme) != "https":
	case string(m.path) == "*" && string(m.method) == "OPTIONS":
		return
	case len(m.path) > 0 && m.path[0] == '/' && all(m.path, isTarget):
		return
	}
	m.wrong = true
}

// hasPort says whether a valid host has a port behind it.
func hasPort(authority []byte) bool {
	last := authority[len(authority)-1]
	return authority[0] != ':' && last != ':' && last != ']' && bytes.IndexByte(authority, ':') >= 0
}

// formOf returns how the body is written in HTTP/1.1, if there is one. The length that was said gives way to fields behind the
// body, as only chunks have a place for those.
func (m *message) formOf(minor int) form {
	switch {
	case m.hasLength && (minor == 0 || !m.trails):
		return formLength
	case minor == 0:
		return formPlain
	}
	return formChunks
}

// appendRequest appends the head of a request in HTTP/1.1, and says whether it is no larger than anybody reads.
func (m *message) appendRequest(dst []byte, f form) (head []byte, ok bool) {
	dst = append(append(dst, m.method...), ' ')
	if m.methodID == methodConnect {
		dst = append(dst, m.authority...)
	} else {
		dst = append(dst, m.path...)
	}
	dst = append(append(append(dst, " HTTP/1.1\r\nHost: "...), m.authority...), "\r\n"...)
	m.lines = 1
	return m.appendFields(dst, f)
}

// appendFields appends the fields that are no pseudo-fields, and the empty line behind them.
func (m *message) appendFields(dst []byte, f form) (head []byte, ok bool) {
	joined := false
	if f == formChunks {
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
		m.lines++
	}
	for i := m.regular; i < len(m.list.fields); i++ {
		name, value := m.list.field(i)
		switch {
		case m.hasHost && m.method != nil && string(name) == "host":
			continue
		case f == formChunks && m.hasLength && string(name) == "content-length":
			continue
		case m.cookies > 1 && string(name) == "cookie":
			if joined {
				continue
			}
			dst, joined = m.appendCookies(dst), true
		default:
			dst = append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
		}
		m.lines++
	}
	dst = append(dst, "\r\n"...)
	return dst, !m.list.over && len(dst) < http1.MaxHead && m.lines <= http1.MaxFields
}

// appendCookies appends all that is said of cookies in one field.
func (m *message) appendCookies(dst []byte) []byte {
	separator := "cookie: "
	for i := m.regular; i < len(m.list.fields); i++ {
		if name, value := m.list.field(i); string(name) == "cookie" {
			dst = append(append(dst, separator...), value...)
			separator = "; "
		}
	}
	return append(dst, "\r\n"...)
}

// readAnswer checks what is of an answer.
func (m *message) readAnswer() {
	if m.method != nil || m.scheme != nil || m.path != nil || m.authority != nil || len(m.code) != 3 {
		m.wrong = true
		return
	}
	status, ok := parseLength(m.code)
	m.status = int(status)
	m.cookies = 0 // it is no field of answers, and so means nothing
	if !ok || status < 100 || status == 101 {
		m.wrong = true
	}
}

// appendAnswer appends the head of an answer in HTTP/1.1, and says whether it is no larger than anybody reads. empty says that
// it has no body, where one could be.
func (m *message) appendAnswer(dst []byte, f form, empty bool) (head []byte, ok bool) {
	dst = append(append(append(dst, "HTTP/1.1 "...), m.code...), ' ')
	dst = append(append(dst, http1.Phrase(m.status)...), "\r\n"...)
	if empty && !m.hasLength {
		dst = append(dst, "content-length: 0\r\n"...)
		m.lines++
	}
	return m.appendFields(dst, f)
}

// readTrailers checks what is of fields behind a body.
func (m *message) readTrailers() {
	m.wrong = m.wrong || m.regular > 0
	m.cookies = 0
	for i := range m.list.fields {
		name, _ := m.list.field(i)
		m.wrong = m.wrong || !http1.MayTrail(http1.NameOf(name))
	}
}

// appendTrailers appends fields behind a body, and says whether they are no larger than anybody reads.
func (m *message) appendTrailers(dst []byte) (trailers []byte, ok bool) {
	return m.appendFields(dst, formNone)
}

// class says of each byte where it may stand.
var class = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b > ' ' && b != 0x7f && b != '#':
			c[b] |= isTarget
		}
		if b >= ' ' && b != 0x7f || b == '\t' {
			c[b] |= isText
		}
		if http1.ValidName(string([]byte{byte(b)})) {
			c[b] |= isToken
			if b < 'A' || b > 'Z' {
				c[b] |= isName
			}
		}
	}
	return c
}()

const (
	isToken  = 1 << iota // in a method
	isName               // in the name of a field: in lower case
	isText               // in the value of one
	isTarget             // in a path
)

func all(text []byte, is uint8) bool {
	for _, c := range text {
		if class[c]&is == 0 {
			return false
		}
	}
	return true
}

func validName(name []byte) bool { return len(name) > 0 && all(name, isName) }

func validValue(value []byte) bool {
	n := len(value)
	return n == 0 || !isSpace(value[0]) && !isSpace(value[n-1]) && all(value, isText)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// appendNumber appends a length of a chunk.
func appendNumber(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 16) }
