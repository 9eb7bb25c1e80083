package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/snapshot"
)

// exchange is the HTTP/1.1 of one client's connection: one request after the other, each with its answer. Between two
// requests it holds no buffer and no connection to an endpoint.
type exchange struct {
	conn  *conn
	up    *upstream // that carries the request; nil: none
	stage exchangeStage
	why   mesh.Reason // of the end that forEnd waits for
	told  bool        // the client knows of the end

	partial  *http1.Head // of input; nil: nothing of it has been read
	input    []byte      // of the client, that nobody has used: a part of a head, or the next request
	toClient outbox
	toServer outbox

	snapshot *snapshot.Snapshot // of the last request
	port     *snapshot.Port     // that the client has dialled, in it
	only     *balance.Endpoint  // if that was dialled by its own address

	task
}

// task is one request and its answer.
type task struct {
	decision  route.Decision
	tried     balance.Tried
	triedOnly bool
	endpoint  *balance.Endpoint // acquired; nil: none
	begun     time.Time         // when the head of the request was there

	method     http1.Method // of the request: it says what an answer may have
	upgrades   bool         // the client asks for another protocol
	minor      int          // the y of the HTTP/1.y of the request
	keepsAlive bool         // the client, and so do we
	mayRepeat  bool         // the request, which toServer holds as a whole
	request    http1.Body
	answer     http1.Body
	uploaded   bool // all of the request is in toServer, or sent
	heard      bool // something of an answer has come
	answering  bool // the head of the answer has been passed on
	downloaded bool // all of the answer is in toClient, or sent
	endless    bool // the answer ends with the connection
	reusable   bool // the connection to the endpoint, after this
	code       int  // of the answer
}

// exchangeStage says what an exchange waits for.
type exchangeStage int

const (
	forHead    exchangeStage = iota // of a request
	forConnect                      // to an endpoint
	forAnswer                       // and, meanwhile, for the rest of the request
	forEnd                          // of a client who has been told all, and may still be sending
	forBytes                        // both sides have agreed to speak something else
)

// headTimeout is how long a client may take from the first byte of a request to the end of its head.
const headTimeout = time.Minute

// about looks at what has become of a side, and says whether that was all there is to do.
func (x *exchange) about(s *side) bool {
	c := x.conn
	switch {
	case x.stage == forBytes:
		return false
	case s == &c.client && s.broken != nil:
		c.end(mesh.ReasonClientReset, s.broken)
		return true
	case x.stage == forConnect && s == &x.up.side && s.writable:
		x.connected()
	}
	return c.ended
}

// move does what can be done without waiting.
func (x *exchange) move() {
	for range turn / scratchSize { // a step moves no more than scratch holds
		if x.conn.ended || !x.step() {
			return
		}
	}
	x.conn.loop.again(x.conn)
}

// step does one thing; false when there is nothing to do until an event.
func (x *exchange) step() bool {
	switch x.stage {
	case forHead:
		return x.readHead()
	case forAnswer:
		return x.download() || x.stage == forAnswer && !x.conn.ended && x.upload()
	case forEnd:
		return x.discard()
	}
	return false
}

// readHead reads until the head of a request is there, and begins to work on it.
func (x *exchange) readHead() bool {
	c := x.conn
	if len(x.input) > 0 {
		if x.take(x.input) { // a request that came with the one before
			return true
		}
		x.hurry()
	}
	if !c.client.readable {
		return false
	}
	buf := c.loop.scratch
	had := copy(buf, x.input)
	n, err := c.client.read(buf[had:])
	if n <= 0 {
		return x.clientEnds(err)
	}
	if data := buf[:had+n]; !x.take(data) {
		x.store(data)
		x.hurry()
	}
	return true
}

// hurry bounds how long the client may take to the end of a head of which something has come.
func (x *exchange) hurry() {
	if c := x.conn; c.waiting.in == nil {
		c.loop.slow.add(c, c.loop.now)
	}
}

// store keeps what the client has sent and nobody has used yet.
func (x *exchange) store(data []byte) {
	if len(data) == 0 {
		x.conn.loop.recycle(x.input)
		x.input = nil
		return
	}
	if x.input == nil {
		x.input = x.conn.loop.buffer()
	}
	x.input = append(x.input[:0], data...) // which may be its own end
}

// take begins to work on a request, if its head is there.
func (x *exchange) take(data []byte) bool {
	h := &x.conn.loop.head
	if x.partial != nil {
		h = x.partial
	}
	n, err := http1.ParseRequest(data, h)
	if n == 0 && err == nil {
		if x.partial == nil { // it is to go on where it was, and the loop's serves others meanwhile
			x.partial = new(http1.Head)
			*x.partial, *h = *h, http1.Head{}
		}
		return false
	}
	x.conn.leave()
	x.partial = nil
	if err != nil {
		x.refuse(err)
	} else {
		x.begin(data, n, h)
	}
	return true
}

// refuse answers a request that is none, of which nothing goes on.
func (x *exchange) refuse(err error) {
	x.store(nil)
	x.task = task{begun: x.conn.loop.now, method: x.method} // none of it is uploaded: who knows where it ends
	code := 400
	if e, ok := errors.AsType[http1.Error](err); ok {
		code = e.Status()
	}
	x.respond(code, mesh.ReasonBadRequest)
}

// begin works on a request whose head, h, is the first n bytes of data.
func (x *exchange) begin(data []byte, n int, h *http1.Head) {
	l := x.conn.loop
	x.task = task{begun: l.now, method: h.MethodID(), minor: h.Minor(), upgrades: h.Upgrades()}
	x.keepsAlive = h.KeepAlive() && x.minor == 1
	if x.method == http1.MethodConnect {
		x.respond(405, mesh.ReasonBadRequest)
		return
	}
	if !x.locate() {
		x.respond(503, mesh.ReasonNotInMesh)
		return
	}
	x.request.Begin(h.Framing())
	used, done, err := x.request.Feed(data[n:])
	if err != nil {
		x.refuse(err)
		return
	}
	x.uploaded = done
	x.mayRepeat = done && used == 0 && x.method.Idempotent()
	edits, err := x.route(data[:n], h)
	if err != nil {
		x.refuse(err)
		return
	}
	if x.decision.Route != nil && x.decision.Target == nil {
		x.answerItself()
		x.store(data[n+used:])
		return
	}
	if x.isFull() {
		x.respond(503, mesh.ReasonOverload)
		return
	}
	x.toServer.bytes = http1.AppendRequest(l.buffer(), data[:n], h, &edits)
	x.toServer.bytes = append(x.toServer.bytes, data[n:n+used]...)
	x.toServer.sent = 0
	x.store(data[n+used:])
	x.reach(nil, false)
}

// upload passes on what there is of the request.
func (x *exchange) upload() bool {
	c, u := x.conn, x.up
	if u == nil || u.broken != nil || !x.flush(&x.toServer, &u.side, c.countSent) {
		return false
	}
	if !x.mayRepeat {
		x.empty(&x.toServer)
	}
	if x.uploaded || !c.client.readable || !u.writable {
		return false
	}
	buf := c.loop.scratch
	n, err := c.client.read(buf)
	if n <= 0 {
		return x.clientEnds(err)
	}
	used, done, err := x.request.Feed(buf[:n])
	if err != nil {
		x.badBody(err)
		return true
	}
	x.uploaded = done
	x.store(buf[used:n])
	x.send(&x.toServer, &u.side, buf[:used], c.countSent)
	return true
}

// badBody ends a request whose body is none. The endpoint must not take what it has for the whole.
func (x *exchange) badBody(err error) {
	if x.answering {
		x.conn.end(mesh.ReasonBadRequest, err)
		return
	}
	x.leaveServer(cut)
	x.refuse(err)
}

// clientEnds follows from a read of the client that brought nothing.
func (x *exchange) clientEnds(err error) bool {
	c := x.conn
	switch {
	case errors.Is(err, errNothing):
		return false
	case err != nil:
		c.end(mesh.ReasonClientReset, err)
	case x.stage == forHead && len(x.input) == 0:
		c.end(mesh.ReasonDone, nil)
	case x.stage == forEnd:
		c.end(x.why, nil)
	default:
		c.end(mesh.ReasonClientReset, io.ErrUnexpectedEOF)
	}
	return true
}

// download passes on what there is of the answer.
func (x *exchange) download() bool {
	c, u := x.conn, x.up
	if !x.flush(&x.toClient, &c.client, c.countReceived) {
		return false
	}
	x.empty(&x.toClient)
	if x.downloaded {
		x.finish()
		return true
	}
	if !u.readable || !c.client.writable {
		return false
	}
	buf := c.loop.scratch
	had := copy(buf, u.input)
	n, err := u.read(buf[had:])
	if errors.Is(err, errNothing) {
		return false
	}
	if n <= 0 {
		x.serverEnds(err)
		return true
	}
	x.heard = true
	x.hear(buf[:had+n])
	return true
}

// hear works on what has come from the endpoint.
func (x *exchange) hear(data []byte) {
	c, l, u := x.conn, x.conn.loop, x.up
	for !x.answering {
		n, err := http1.ParseResponse(data, &l.head, x.method)
		if err != nil {
			x.badAnswer(err)
			return
		}
		if n == 0 {
			l.head.Reset() // it serves other connections meanwhile
			u.store(data)
			return
		}
		u.store(nil)
		if !x.passHead(data, n) {
			x.badAnswer(errUpgrade)
			return
		}
		data = data[n:]
		if x.stage == forBytes {
			x.speakFreely(data)
			return
		}
	}
	used, done, err := x.answer.Feed(data)
	if err != nil {
		c.end(mesh.ReasonBadAnswer, err)
		return
	}
	x.downloaded = done
	x.reusable = x.reusable && used == len(data) // what nobody asked for is no answer to the next
	x.send(&x.toClient, &c.client, data[:used], c.countReceived)
}

// passHead passes on the head of an answer, or of what comes before the answer; false when that is nothing to pass on.
func (x *exchange) passHead(data []byte, n int) bool {
	l := x.conn.loop
	h := &l.head
	edits := http1.Edits{}
	switch code := h.Status(); {
	case code == 101 && x.upgrades && h.Upgrades():
		x.code, x.answering = code, true
		x.stage = forBytes
		edits.Upgrade = true
	case code == 101:
		return false
	case code < 200 && x.minor == 0: // RFC 9110, 15.2: it knows no answer before the answer
		return true
	case code >= 200:
		x.code, x.answering = code, true
		framing := h.Framing()
		x.answer.Begin(framing)
		x.endless = framing.Kind == http1.UntilClose
		x.reusable = h.KeepAlive() && x.minor == 1
		// Whoever answers before it has the whole request may never read the rest.
		x.keepsAlive = x.keepsAlive && !x.endless && x.uploaded && !x.conn.out.drains.Load()
		edits.Close, edits.KeepAlive = !x.keepsAlive, x.keepsAlive && h.Minor() == 0
		if r := x.decision.Route; r != nil {
			edits.Remove, edits.Set, edits.Add = r.Response.Remove, r.Response.Set, r.Response.Add
		}
	}
	if x.toClient.bytes == nil {
		x.toClient.bytes = l.buffer()
	}
	x.toClient.bytes = http1.AppendResponse(x.toClient.bytes, data[:n], h, &edits)
	return true
}

// badAnswer ends the work on a request of which nobody could say what was answered.
func (x *exchange) badAnswer(err error) {
	x.conn.out.log.Debug("answer refused", "id", x.conn.id, "endpoint", x.endpoint.Name(), "error", err)
	x.respond(502, mesh.ReasonBadAnswer)
}

// serverEnds follows from the end of what the endpoint says.
func (x *exchange) serverEnds(err error) {
	switch {
	case x.answering && err == nil && x.up.broken == nil && x.endless:
		x.downloaded, x.reusable = true, false
	case x.answering:
		x.conn.end(mesh.ReasonEndpointReset, errors.Join(err, io.ErrUnexpectedEOF))
	case x.mayRepeat && x.up.reused && !x.heard:
		x.repeat()
	default:
		x.endpoint.Reset(time.Now())
		x.leaveServer(cut)
		x.respond(502, mesh.ReasonEndpointReset)
	}
}

// repeat sends a request again, once, on a new connection: the endpoint has closed the one before while it was idle.
func (x *exchange) repeat() {
	x.leaveServer(cut)
	x.toServer.sent, x.tried, x.triedOnly = 0, balance.Tried{}, false
	x.reach(nil, true)
}

// finish ends the work on a request that has been answered.
func (x *exchange) finish() {
	c := x.conn
	if x.endpoint != nil {
		x.endpoint.Deliver()
	}
	how := inOrder
	switch {
	case !x.uploaded || x.toServer.sent < len(x.toServer.bytes): // the endpoint would take the next request for the rest of this
		how = cut
	case x.reusable && x.up != nil && x.up.isQuiet():
		how = reuse
	}
	x.leaveServer(how)
	x.empty(&x.toServer)
	c.pair.Request(x.code, mesh.ReasonDone, c.loop.now.Sub(x.begun))
	switch {
	case x.keepsAlive:
		x.stage, x.task = forHead, task{}
		x.rest()
	case x.uploaded && len(x.input) == 0 && !c.client.readable:
		c.end(mesh.ReasonDone, nil)
	default:
		x.part(mesh.ReasonDone)
	}
}

// errUpgrade says that an endpoint speaks another protocol from now on, which nobody has asked for.
var errUpgrade = errors.New("an upgrade that nobody has asked for")

// close gives back what the exchange holds when its connection ends.
func (x *exchange) close(reason mesh.Reason) {
	if x.endpoint != nil && reason == mesh.ReasonEndpointReset && !x.heard {
		x.endpoint.Reset(time.Now())
	}
	how := cut
	if reason == mesh.ReasonDone {
		how = inOrder
	}
	x.leaveServer(how)
	x.store(nil)
	x.empty(&x.toClient)
	x.empty(&x.toServer)
}
