package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"github.com/meshd/meshd/engine/http1"
)

// What meshd itself says in the head of a request.
const (
	requestID   = "x-request-id"
	traceparent = "traceparent"
)

// clientCert is by which proxies say whose certificate a client has shown. A service of the mesh must not read there what the
// client says of itself.
const clientCert = "x-forwarded-client-cert"

// marks is what a loop needs to mark one request.
type marks struct {
	remove []string
	set    []http1.Field
	add    []http1.Field // costs less than set, which looks for what it replaces
	parent []byte        // the traceparent
}

// mark has the head of a request say which request it is, and nothing of who sends it that only a proxy could say.
func (x *exchange) mark(data []byte, h *http1.Head, edits *http1.Edits) {
	m := &x.conn.loop.marks
	if h.Find(data, clientCert, 0) >= 0 && len(x.port.Service.Hostnames) == 0 {
		m.remove = append(append(m.remove[:0], edits.Remove...), clientCert)
		edits.Remove = m.remove
	}
	n := x.note
	if n == nil {
		return
	}
	if id, _ := h.Value(data, http1.XRequestID); (len(id) == 0 || x.edge != nil) && len(n.get(noteID)) > 0 && !sets(edits, requestID) {
		m.add = append(append(m.add[:0], edits.Add...), http1.Field{Name: requestID, Value: n.get(noteID)})
		edits.Add = m.add
	}
	if n.traced && !sets(edits, traceparent) {
		m.parent = n.span.Append(m.parent[:0])
		m.set = append(append(m.set[:0], edits.Set...), http1.Field{Name: traceparent, Value: m.parent})
		edits.Set = m.set
	}
}

// sets says whether a route gives requests that field.
func sets(edits *http1.Edits, name string) bool {
	for _, fields := range [2][]http1.Field{edits.Set, edits.Add} {
		for i := range fields {
			if strings.EqualFold(fields[i].Name, name) {
				return true
			}
		}
	}
	return false
}

// appendID appends an id for a request: a UUID of version 4.
func appendID(dst []byte) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	for i, n := range [...]int{4, 2, 2, 2, 6} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, id[:n])
		copy(id[:], id[n:])
	}
	return dst
}
