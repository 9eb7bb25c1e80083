package http1

import "strings"

const (
	// MaxHead is how many bytes a head may have, with the empty lines before it.
	MaxHead = 64 << 10
	// MaxFields is how many fields a head may have.
	MaxFields = 256
	// maxOptions is how many elements Connection may have: each field may be looked up among them.
	maxOptions = 64
)

// Head is where things are in the head of a message, and what they mean. The bytes stay in the buffer that was parsed:
// whatever takes a buffer wants that one, or a copy.
//
// A Head serves for one message after the other, and allocates only until it has seen the one with the most fields.
type Head struct {
	line, seen  int  // begin of the line that is looked at; there is no control character up to there
	response    bool // what is parsed
	begun, over bool // the first line is read; there is a result

	start, end int // of the head, without the empty lines before it
	minor      uint8
	method     Method // of the request, or of the request that is responded to
	form       Form
	name       span // of the method
	target     span
	authority  span // in the target
	status     int
	fields     []field

	host             span
	hasHost          bool
	hasLength        bool
	length           int64
	chunked          bool
	expects          Expectation
	hasUpgrade, h2c  bool
	closes, keeps    bool // Connection says so
	upgrades         bool
	options          int  // how many elements Connection has
	namesOthers      bool // and some are names that do not matter
	ofConnection     bool // it has fields that do not travel
	trailers         bool // TE accepts them
	bodiless, wrongs bool // it has no body, whatever it says; and says that it has one, which it must not
}

// span is a part of the buffer. CR and LF follow on what it ends before, so MaxHead fits.
type span struct{ from, to uint16 }

func spanOf(from, to int) span { return span{uint16(from), uint16(to)} }

func (s span) of(buf []byte) []byte { return buf[s.from:s.to] }

// field is one line of a head; it begins with the name.
type field struct {
	name, value span
	id          Name
}

// Method is a method of requests; the zero value is any that means nothing to a proxy.
type Method uint8

// The methods.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodOptions
	MethodTrace
	MethodPut
	MethodDelete
	MethodPost
	MethodConnect
)

func methodOf(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "POST":
		return MethodPost
	case "CONNECT":
		return MethodConnect
	}
	return MethodOther
}

// Idempotent says whether a request that is made twice does what it does once.
func (m Method) Idempotent() bool { return m >= MethodGet && m <= MethodDelete }

// Form is how a request names what it wants.
type Form uint8

// The forms.
const (
	FormOrigin    Form = iota // a path
	FormAbsolute              // a whole URI, of http or https
	FormAuthority             // host:port, of a CONNECT and of that only
	FormAsterisk              // *, of an OPTIONS
)

// Expectation is what a request wants before it sends its body.
type Expectation uint8

// The expectations.
const (
	ExpectNothing Expectation = iota
	ExpectContinue
	ExpectOther
)

// Reset forgets a message of which not all has come. A Head with a result needs none.
func (h *Head) Reset() { *h = Head{fields: h.fields[:0]} }

// Method returns the method of a request as it came.
func (h *Head) Method(buf []byte) []byte { return h.name.of(buf) }

// MethodID returns the method of a request, or of the request that is responded to.
func (h *Head) MethodID() Method { return h.method }

// Target returns the target of a request as it came.
func (h *Head) Target(buf []byte) []byte { return h.target.of(buf) }

// Form returns which form the target has.
func (h *Head) Form() Form { return h.form }

// Authority returns whom a request is for: what the target says, or else Host. It may be empty.
func (h *Head) Authority(buf []byte) []byte {
	if h.form == FormAbsolute || h.form == FormAuthority {
		return h.authority.of(buf)
	}
	return h.host.of(buf)
}

// Status returns the status of a response.
func (h *Head) Status() int { return h.status }

// Minor returns the y of HTTP/1.y: 0 or 1.
func (h *Head) Minor() int { return int(h.minor) }

// Expects returns what a request wants before it sends its body.
func (h *Head) Expects() Expectation { return h.expects }

// AcceptsTrailers says whether TE does.
func (h *Head) AcceptsTrailers() bool { return h.trailers }

// Len returns how many fields there are.
func (h *Head) Len() int { return len(h.fields) }

// Field returns a field as it came, without white space around its value.
func (h *Head) Field(buf []byte, i int) (name, value []byte) {
	return h.fields[i].name.of(buf), h.fields[i].value.of(buf)
}

// Value returns the value of the first field with that name, and whether there is one.
func (h *Head) Value(buf []byte, name Name) ([]byte, bool) {
	for i := range h.fields {
		if h.fields[i].id == name {
			return h.fields[i].value.of(buf), true
		}
	}
	return nil, false
}

// IsGRPC says whether a message is one of gRPC.
func (h *Head) IsGRPC(buf []byte) bool {
	i := h.Find(buf, "content-type", 0)
	return i >= 0 && IsGRPC(h.fields[i].value.of(buf))
}

// IsGRPC says whether a Content-Type is one of gRPC, and not of gRPC-Web, whose messages end in another way.
func IsGRPC(contentType []byte) bool {
	const name = "application/grpc"
	n := len(name)
	return len(contentType) >= n && same(contentType[:n], name) && (len(contentType) == n || strings.IndexByte("+; \t", contentType[n]) >= 0)
}

// Fields finds the fields of a head by their names.
type Fields struct {
	Data []byte // that the head was read from
	Head *Head

	FromStranger bool // what only proxies have to say is not there
}

// Field returns the value of the field that is the i-th of its name, counted from 0, in whatever case.
func (f *Fields) Field(name string, i int) (value []byte, ok bool) {
	if f.FromStranger && OfProxies(name) {
		return nil, false
	}
	at := -1
	for ; i >= 0; i-- {
		if at = f.Head.Find(f.Data, name, at+1); at < 0 {
			return nil, false
		}
	}
	_, value = f.Head.Field(f.Data, at)
	return value, true
}

// Find returns the first field from index on that has that name, in whatever case; -1 when there is none.
func (h *Head) Find(buf []byte, name string, index int) int {
	for ; index < len(h.fields); index++ {
		if same(h.fields[index].name.of(buf), name) {
			return index
		}
	}
	return -1
}
