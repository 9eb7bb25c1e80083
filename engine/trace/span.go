package trace

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/mesh"
)

// Span is a request as a trace shows it: as a span of the client's side of a call.
type Span struct {
	Context
	Parent [8]byte // zero: the trace begins here
}

// The fields of opentelemetry/proto/trace/v1/trace.proto and common.proto that are written.
const (
	spanTrace      = 1
	spanID         = 2
	spanParent     = 4
	spanName       = 5
	spanKind       = 6
	spanStart      = 7
	spanEnd        = 8
	spanAttributes = 9
	spanStatus     = 15
	spanFlags      = 16

	statusMessage = 2
	statusCode    = 3
	statusError   = 2 // Status.STATUS_CODE_ERROR

	kindClient = 3 // Span.SPAN_KIND_CLIENT

	keyName     = 1
	keyValue    = 2
	valueString = 1
	valueInt    = 3
)

// appendSpan appends the message of a span, of the request that e describes.
func appendSpan(dst []byte, s *Span, e *accesslog.Entry) []byte {
	begun := e.Begun.UnixNano()
	dst = appendBytes(dst, spanTrace, s.Trace[:])
	dst = appendBytes(dst, spanID, s.Span[:])
	if s.Parent != [8]byte{} {
		dst = appendBytes(dst, spanParent, s.Parent[:])
	}
	method := methodName(e.Method)
	dst = appendString(dst, spanName, method)
	dst = appendInt(dst, spanKind, kindClient)
	dst = appendFixed(dst, spanStart, begun)
	dst = appendFixed(dst, spanEnd, begun+max(e.Duration, 0).Nanoseconds())
	dst = appendAttributes(dst, method, e)
	if isError(e) {
		at := 0
		dst, at = begin(dst, spanStatus)
		if e.Reason != mesh.ReasonDone {
			dst = appendString(dst, statusMessage, string(e.Reason))
		}
		dst = end(appendInt(dst, statusCode, statusError), at)
	}
	dst = protowire.AppendTag(dst, spanFlags, protowire.Fixed32Type)
	return protowire.AppendFixed32(dst, 1) // sampled
}

// isError says whether the client has not got what it asked for.
func isError(e *accesslog.Entry) bool {
	return e.Code == 0 || e.Code >= 400 || e.GRPC > 0 || e.Reason != mesh.ReasonDone
}

// appendAttributes appends what the semantic conventions of HTTP clients name, and what meshd knows besides.
func appendAttributes(dst []byte, method string, e *accesslog.Entry) []byte {
	dst = attribute(dst, "http.request.method", method)
	if method == otherMethod {
		dst = attribute(dst, "http.request.method_original", e.Method)
	}
	host, port := e.Authority, 80
	if i := bytes.LastIndexByte(host, ':'); i > bytes.LastIndexByte(host, ']') {
		if n, err := strconv.ParseUint(string(host[i+1:]), 10, 16); err == nil {
			port = int(n)
		}
		host = host[:i]
	}
	dst = attribute(dst, "server.address", host)
	dst = number(dst, "server.port", port)
	dst = attribute(dst, "url.full", []byte("http://"), e.Authority, e.Path)
	if _, version, ok := strings.Cut(e.Protocol, "/"); ok {
		dst = attribute(dst, "network.protocol.version", version)
	}
	if e.Endpoint != nil && e.Endpoint.Address.IsValid() {
		var at [64]byte
		dst = attribute(dst, "network.peer.address", e.Endpoint.Address.Addr().AppendTo(at[:0]))
		dst = number(dst, "network.peer.port", int(e.Endpoint.Address.Port()))
	}
	if e.Code > 0 {
		dst = number(dst, "http.response.status_code", e.Code)
	}
	if e.GRPC >= 0 {
		dst = attribute(dst, "rpc.system", "grpc")
		dst = number(dst, "rpc.grpc.status_code", e.GRPC)
	}
	if e.Attempts > 1 {
		dst = number(dst, "http.request.resend_count", e.Attempts-1)
	}
	switch {
	case e.Reason != mesh.ReasonDone:
		dst = attribute(dst, "error.type", string(e.Reason))
	case e.Code >= 400:
		var code [8]byte
		dst = attribute(dst, "error.type", strconv.AppendInt(code[:0], int64(e.Code), 10))
	}
	dst = attribute(dst, "peer.service", e.Destination)
	dst = attribute(dst, "meshd.route", e.Route)
	dst = attribute(dst, "meshd.unit", e.Unit)
	dst = attribute(dst, "meshd.reason", string(e.Reason))
	return attribute(dst, "meshd.request_id", e.RequestID)
}

// otherMethod stands for every method that is not one of methods, so that names of spans are few.
const otherMethod = "_OTHER"

var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY"}

func methodName(method []byte) string {
	for _, m := range methods {
		if string(method) == m {
			return m
		}
	}
	return otherMethod
}

// begin begins a message, or a string, in a message. Its length, which end fills in, takes four bytes whatever it is.
func begin(dst []byte, field protowire.Number) (b []byte, at int) {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return append(dst, 0, 0, 0, 0), len(dst)
}

func end(dst []byte, at int) []byte {
	n := len(dst) - at - 4
	dst[at], dst[at+1], dst[at+2], dst[at+3] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)|0x80, byte(n>>21)&0x7f
	return dst
}

func appendBytes(dst []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), value)
}

func appendString(dst []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), value)
}

func appendInt(dst []byte, field protowire.Number, value int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), uint64(value))
}

func appendFixed(dst []byte, field protowire.Number, value int64) []byte {
	return binary.LittleEndian.AppendUint64(protowire.AppendTag(dst, field, protowire.Fixed64Type), uint64(value))
}

// attribute appends an attribute whose value is made of those parts, unless that is empty.
func attribute[T []byte | string](dst []byte, name string, parts ...T) []byte {
	empty := true
	for _, p := range parts {
		empty = empty && len(p) == 0
	}
	if empty {
		return dst
	}
	dst, all := begin(dst, spanAttributes)
	dst = appendString(dst, keyName, name)
	dst, value := begin(dst, keyValue)
	dst, text := begin(dst, valueString)
	for _, p := range parts {
		dst = appendValid(dst, p)
	}
	return end(end(end(dst, text), value), all)
}

func number(dst []byte, name string, n int) []byte {
	dst, all := begin(dst, spanAttributes)
	dst = appendString(dst, keyName, name)
	dst, value := begin(dst, keyValue)
	return end(end(appendInt(dst, valueInt, n), value), all)
}

// appendValid appends text with U+FFFD in the place of what is no UTF-8: a decoder would refuse all spans for it.
func appendValid[T []byte | string](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			dst = append(dst, text[i])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)]))
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}
