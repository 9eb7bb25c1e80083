package proxy

import (
	"time"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/trace"
)

// record counts a request that has ended, with the code of its answer, and tells of it; once. One that both sides have turned
// into a stream of bytes counts from then on, and is told of when that ends.
func (x *exchange) record(code int, why mesh.Reason) {
	c := x.conn
	if x.recorded {
		return
	}
	x.recorded = true
	r := observe.Request{
		Protocol: x.protocol(), Code: code, Reason: why, Duration: c.loop.now.Sub(x.begun),
		Sent: uint64(x.sentMost), Received: uint64(x.received),
	}
	if !c.ended {
		r.Received += uint64(len(x.toClient.bytes) - x.toClient.sent) // it is about to get that
	}
	if status, ok := x.grpcStatus(); ok {
		r.Code = status
	}
	c.pair.Request(r)
	if x.stage == forBytes {
		x.freed = bytesOf(c)
		return
	}
	x.tell(code, why, traffic{r.Sent, r.Received})
}

// cutOff records a request that is under way when its connection ends.
func (x *exchange) cutOff(why mesh.Reason) {
	switch {
	case x.begun.IsZero():
	case !x.recorded:
		x.record(x.code, why)
	case x.stage == forBytes:
		now := bytesOf(x.conn)
		x.tell(x.code, why, traffic{
			uint64(x.sentMost) + now.sent - x.freed.sent,
			uint64(x.received) + now.received - x.freed.received,
		})
	}
}

// traffic is bytes, as the client sees them.
type traffic struct{ sent, received uint64 }

func bytesOf(c *conn) traffic { return traffic{c.sent.Load(), c.received.Load()} }

// protocol returns what the client speaks.
func (x *exchange) protocol() observe.Protocol {
	switch {
	case x.grpc:
		return observe.GRPC
	case x.conn.carrier != nil:
		return observe.HTTP2
	}
	return observe.HTTP1
}

const versionHTTP2 = "HTTP/2"

// version returns the same as a line of the log shows it.
func (x *exchange) version() string {
	switch {
	case x.conn.carrier != nil:
		return versionHTTP2
	case x.minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// countRefused counts and tells of the requests that the session of a client has refused by itself.
func (k *clientLink) countRefused() {
	r := k.session.Refused()
	k.refused(r.Malformed, 0, mesh.ReasonBadRequest)
	k.refused(r.TooLarge, 431, mesh.ReasonBadRequest)
	k.refused(r.TooMany, 0, mesh.ReasonOverload)
}

func (k *clientLink) refused(n, code int, why mesh.Reason) {
	for range n {
		k.conn.pair.Request(observe.Request{Protocol: observe.HTTP2, Code: code, Reason: why})
		if l := k.loop; l.lines.On() {
			e := &l.entry
			k.conn.introduce(e, l.now, why)
			e.Protocol, e.Code = versionHTTP2, code
			l.lines.Add(e)
			*e = accesslog.Entry{}
		}
	}
}

// note is what is remembered of a request from its head on, if somebody is told of it at its end.
type note struct {
	bytes  []byte // one part behind the other
	ends   [4]int // of the parts
	trace  [32]byte
	inTree bool // trace is there
	span   trace.Span
	traced bool // the span is exported
}

// The parts of a note.
const (
	noteMethod = iota
	noteAuthority
	notePath
	noteID
)

// noteMost is how much of each part is remembered.
var noteMost = [...]int{noteMethod: 32, noteAuthority: 255, notePath: 4096, noteID: 128}

func (n *note) put(part int, value []byte) {
	n.bytes = append(n.bytes, value[:min(len(value), noteMost[part])]...)
	n.ends[part] = len(n.bytes)
}

func (n *note) get(part int) []byte {
	from := 0
	if part > 0 {
		from = n.ends[part-1]
	}
	return n.bytes[from:n.ends[part]]
}

// keptNotes bounds the notes that a loop keeps for further requests.
const keptNotes = 256

// notice remembers what will be told of a request.
func (x *exchange) notice(data []byte, h *http1.Head) {
	l := x.conn.loop
	x.grpc = h.MethodID() == http1.MethodPost && h.IsGRPC(data)
	logs, traces := l.lines.On(), l.spans.On()
	if !logs && !traces && !x.conn.out.requestIDs.Load() {
		return
	}
	if last := len(l.notes) - 1; last >= 0 {
		x.note, l.notes = l.notes[last], l.notes[:last]
	} else {
		x.note = &note{}
	}
	n := x.note
	*n = note{bytes: n.bytes[:0]}
	n.put(noteMethod, h.Method(data))
	n.put(noteAuthority, h.Authority(data))
	n.put(notePath, h.PathAndQuery(data))
	id, _ := h.Value(data, http1.XRequestID)
	if x.edge != nil { // it is whatever the client likes
		id = nil
	}
	if len(id) == 0 && x.conn.out.requestIDs.Load() {
		var made [36]byte
		id = appendID(made[:0])
	}
	n.put(noteID, id)
	parent, _ := h.Value(data, http1.Traceparent)
	if traces {
		n.span, n.traced = l.spans.Begin(parent)
		n.inTree = n.span.Trace != [16]byte{}
	} else if len(parent) > 0 {
		n.span.Context, n.inTree = trace.Parse(parent)
	}
	if n.inTree {
		n.span.AppendTrace(n.trace[:0])
	}
}

// forget gives the note back.
func (x *exchange) forget() {
	if x.note == nil {
		return
	}
	if l := x.conn.loop; len(l.notes) < keptNotes {
		l.notes = append(l.notes, x.note)
	}
	x.note = nil
}

// tell tells of a request that has ended.
func (x *exchange) tell(code int, why mesh.Reason, t traffic) {
	defer x.forget()
	l, n := x.conn.loop, x.note
	traced := n != nil && n.traced
	if !traced && !l.lines.On() {
		return
	}
	e := &l.entry
	x.conn.introduce(e, x.begun, why)
	e.Protocol, e.Code, e.GRPC, e.Attempts = x.version(), code, x.grpcCode-1, x.attempts
	e.Sent, e.Received, e.Duration = t.sent, t.received, l.now.Sub(x.begun)
	if !x.headAt.IsZero() {
		e.UntilHead = x.headAt.Sub(x.triedAt)
	}
	if x.last != nil {
		e.Endpoint = &x.last.Endpoint
	}
	if r := x.decision.Route; r != nil {
		e.Route = r.Name
	}
	if t := x.decision.Target; t != nil {
		e.Target, e.Subset = t.Service, t.Subset
	}
	if n != nil {
		e.Method, e.Authority, e.Path, e.RequestID = n.get(noteMethod), n.get(noteAuthority), n.get(notePath), n.get(noteID)
		if n.inTree {
			e.TraceID = n.trace[:]
		}
	}
	if traced {
		l.spans.Add(&n.span, e)
	}
	l.lines.Add(e)
	*e = accesslog.Entry{}
}

// introduce begins an entry with who calls whom.
func (c *conn) introduce(e *accesslog.Entry, begun time.Time, why mesh.Reason) {
	*e = accesslog.Entry{
		Begun: begun, Source: c.source, Unit: c.caller.Unit, PID: c.flow.PID, UID: c.flow.UID, Client: c.from, GRPC: -1, Reason: why,
	}
	if c.port != nil {
		e.Destination = c.port.Service.Name
	}
}

// tell tells of a connection that has ended, of which no requests were read.
func (c *conn) tell(why mesh.Reason) {
	l := c.loop
	if !l.lines.On() {
		return
	}
	e := &l.entry
	c.introduce(e, c.start, why)
	e.Protocol, e.Duration = string(mesh.TCP), time.Since(c.start)
	e.Sent, e.Received = c.sent.Load(), c.received.Load()
	if c.target != nil {
		e.Target, e.Subset = c.target.Service, c.target.Subset
	}
	if last := c.endpoint.Load(); last != nil {
		e.Endpoint = &last.Endpoint
	}
	l.lines.Add(e)
	*e = accesslog.Entry{}
}
