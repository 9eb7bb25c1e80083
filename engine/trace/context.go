// Package trace tells a collector of the requests that are sampled, by OTLP over HTTP.
//
// context.go reads and continues what a request says of its trace, span.go writes what is told of it, export.go sends that.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// Context is the place of a request in a trace: the ids of W3C Trace Context.
type Context struct {
	Trace   [16]byte
	Span    [8]byte // of who sends the request
	Sampled bool
}

// length is that of a traceparent of version 00, and of what later versions begin with.
const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// Parse returns what a traceparent says; false when it says nothing that a trace could go on from.
func Parse(value []byte) (c Context, ok bool) {
	if len(value) < length || value[2] != '-' || value[35] != '-' || value[52] != '-' {
		return c, false
	}
	var version, flags [1]byte
	if !unhex(version[:], value[:2]) || !unhex(c.Trace[:], value[3:35]) || !unhex(c.Span[:], value[36:52]) || !unhex(flags[:], value[53:55]) {
		return c, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(value) > length, len(value) > length && value[length] != '-':
		return c, false
	case c.Trace == [16]byte{} || c.Span == [8]byte{}:
		return c, false
	}
	c.Sampled = flags[0]&1 != 0
	return c, true
}

// unhex decodes lower case alone, as the standard wants.
func unhex(dst, src []byte) bool {
	for _, c := range src {
		if c >= 'A' && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// New returns the context of a trace that begins.
func New() Context {
	c := Context{Span: newSpan(), Sampled: true}
	binary.BigEndian.PutUint64(c.Trace[:], rand.Uint64())
	binary.BigEndian.PutUint64(c.Trace[8:], rand.Uint64()|1)
	return c
}

// Child returns the context of a span below that of c.
func (c Context) Child() Context {
	c.Span = newSpan()
	return c
}

func newSpan() (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // all zero is none
	return id
}

// Append appends the traceparent.
func (c *Context) Append(dst []byte) []byte {
	dst = append(dst, "00-"...)
	dst = c.AppendTrace(dst)
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, c.Span[:])
	if c.Sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

// AppendTrace appends the id of the trace, in hexadecimal.
func (c *Context) AppendTrace(dst []byte) []byte { return hex.AppendEncode(dst, c.Trace[:]) }
