package route

import (
	"bytes"
	"sync"

	"github.com/meshd/meshd/engine/mesh"
)

// found says whether one of the parameters of a query is meant.
func (p *parameter) found(query []byte) bool {
	for len(query) > 0 {
		var name, value []byte
		if name, value, query = cutParameter(query); isDecoded(name, p.name) && p.holdsDecoded(value) {
			return true
		}
	}
	return false
}

// cutParameter returns the first parameter of a query, and what is behind it. Where there is none between two ampersands its name
// is empty.
func cutParameter(query []byte) (name, value, rest []byte) {
	pair := query
	if end := bytes.IndexByte(query, '&'); end >= 0 {
		pair, rest = query[:end], query[end+1:]
	}
	if equals := bytes.IndexByte(pair, '='); equals >= 0 {
		return pair[:equals], pair[equals+1:], rest
	}
	return pair, nil, rest
}

func (p *parameter) holdsDecoded(value []byte) bool {
	switch {
	case p.kind == mesh.TextExact:
		return isDecoded(value, p.text.text)
	case p.kind == mesh.TextPresent || bytes.IndexByte(value, '%') < 0 && bytes.IndexByte(value, '+') < 0:
		return p.holds(value)
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	decoded := (*room)[:0]
	for len(value) > 0 {
		var c byte
		c, value = decode(value)
		decoded = append(decoded, c)
	}
	*room = decoded
	return p.holds(decoded)
}

// rooms are where values are decoded to that a regular expression must see in one piece.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// isDecoded says whether b is s once it is decoded.
func isDecoded(b []byte, s string) bool {
	for i := range len(s) {
		if len(b) == 0 {
			return false
		}
		var c byte
		if c, b = decode(b); c != s[i] {
			return false
		}
	}
	return len(b) == 0
}

// decode returns the first character of a text of a query and what is behind it. A percent sign that begins no code is
// itself.
func decode(b []byte) (byte, []byte) {
	switch {
	case b[0] == '+':
		return ' ', b[1:]
	case b[0] == '%' && len(b) > 2:
		high, ok1 := digit(b[1])
		low, ok2 := digit(b[2])
		if ok1 && ok2 {
			return high<<4 | low, b[3:]
		}
	}
	return b[0], b[1:]
}

// digit returns the value of a hexadecimal digit.
func digit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
