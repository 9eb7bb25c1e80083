package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/snapshot"
)

// exchange is the HTTP/1.1 of one client's connection: one request after the other, each with its answer. Between two
// requests it holds no buffer and no connection to an endpoint. That of a stream of HTTP/2 has just one.
type exchange struct {
	conn  *conn
	up    *upstream // that carries the request; nil: none
	stage exchangeStage
	why   mesh.Reason // of the end that forEnd waits for
	told  bool        // the client knows of the end

	budget int // bytes that are left of its turn

	partial  *http1.Head // of input; nil: nothing of it has been read
	input    []byte      // of the client, that nobody has used: a part of a head, or the next request
	toClient outbox
	toServer outbox

	snapshot *snapshot.Snapshot // of the last request
	port     *snapshot.Port     // that the client has dialled, in it
	only     *balance.Endpoint  // if that was dialled by its own address

	note  *note  // of the request; nil: nobody is told of it
	edge  *guard // the client may be a stranger; nil: it is none
	guard guard  // edge of a stream
	task
}

// task is one request and its answer.
type task struct {
	decision  route.Decision
	hash      route.Hash
	tried     balance.Tried
	triedOnly bool
	endpoint  *balance.Endpoint // acquired; nil: none
	begun     time.Time         // when the head of the request was there

	method     http1.Method // of the request: it says what an answer may have
	upgrades   bool         // the client asks for another protocol
	minor      int          // the y of the HTTP/1.y of the request
	keepsAlive bool         // the client, and so do we
	mayRepeat  bool         // the request has no body and does twice what it does once
	held       bool         // toServer keeps what has been sent, so that it can be sent again
	request    http1.Body
	answer     http1.Body
	uploaded   bool // all of the request is in toServer, or sent
	heard      bool // something of an answer has come
	answering  bool // the head of the answer has been passed on
	downloaded bool // all of the answer is in toClient, or sent
	endless    bool // the answer ends with the connection
	reusable   bool // the connection to the endpoint, after this
	code       int  // of the answer

	attempts int         // how often the request was sent, repeats on a stale connection aside
	repeated bool        // it was sent again after such a one
	reason   mesh.Reason // of an answer of our own; empty: the endpoint's
	until    until
	counts   counts
	mirror   *mirror // a copy of the request; nil: none
	sent     int     // bytes of the request that this try has passed on,
	sentMost int     // and that the one with the most has
	head     int     // length of the head in toServer
	received int     // bytes of the answer that have been passed on

	last     *balance.Endpoint // that was tried; nil: none
	triedAt  time.Time         // when it was sent to that
	headAt   time.Time         // when the head of the answer came; zero: it has not
	grpc     bool              // it is one of gRPC
	grpcCode int               // the status of gRPC, and 1; 0: none was answered
	assessed bool              // the balancer has been told of the answer
	recorded bool              // its end is
	freed    traffic           // of the connection, when it was turned into a stream of bytes
}

// counts is where a request counts as one of others.
type counts struct {
	requests *balance.Load // under way; nil: it counts as none there
	pending  *balance.Load
	client   *client // as one of the identity that sends it
	budget   *route.Budget
	again    bool // in the budget, as one that was sent again
}

// exchangeStage says what an exchange waits for.
type exchangeStage int

const (
	forHead    exchangeStage = iota // of a request
	forTime                         // to pass before the request is sent, or sent again
	forConnect                      // to an endpoint
	forAnswer                       // and, meanwhile, for the rest of the request
	forEnd                          // of a client who has been told all, and may still be sending
	forBytes                        // both sides have agreed to speak something else
	forStreams                      // it has turned out to be HTTP/2, of which each stream has an exchange of its own
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
		c.end(c.endOf(s.broken), s.broken)
		return true
	case x.stage == forConnect && s == &x.up.side && s.writable:
		x.connected()
	}
	return c.ended
}

// move does what can be done without waiting.
func (x *exchange) move() {
	for x.budget = turn; x.budget > 0; x.budget -= scratchSize { // a step moves no more, or takes more of it
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
	c, l := x.conn, x.conn.loop
	list := &l.slow
	if x.edge != nil {
		list = &l.edge.slow
	}
	if c.waiting.in == nil || c.waiting.in == &l.edge.idle {
		c.leave()
		list.add(c, l.now)
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
	if n == 0 && err == nil && x.edge != nil && len(data) > http1.MaxStrangerHead {
		h.Reset()
		err = http1.ErrTooLarge
	}
	if n == 0 && err == nil {
		if x.partial == nil { // it is to go on where it was, and the loop's serves others meanwhile
			x.partial = new(http1.Head)
			*x.partial, *h = *h, http1.Head{}
		}
		return false
	}
	x.conn.leave()
	x.partial = nil
	switch {
	case err == nil:
		x.begin(data, n, h)
	case x.beginsHTTP2(data, err):
		x.startLink(data)
	default:
		x.refuse(err)
	}
	return true
}

// beginsHTTP2 says whether a client speaks HTTP/2: it begins so, or it speaks neither, and is told that in what the service speaks.
func (x *exchange) beginsHTTP2(data []byte, err error) bool {
	switch {
	case x.snapshot != nil: // it has made a request
		return false
	case errors.Is(err, http1.ErrRequestLine):
		return x.conn.port.Protocol.IsHTTP2()
	}
	return errors.Is(err, http1.ErrPreface) && bytes.HasPrefix(data, []byte(http2.Preface[:3]))
}

// refuse answers a request that is none, of which nothing goes on.
func (x *exchange) refuse(err error) {
	why := mesh.ReasonBadRequest
	if x.edge != nil && http1.OfStranger(err) {
		why = mesh.ReasonHardening
	}
	x.conn.out.log.Debug("request refused", "id", x.conn.id, "reason", string(why), "error", err)
	x.store(nil)
	x.over() // a body may be refused long after its head was admitted
	if x.begun.IsZero() {
		x.begun = x.conn.loop.now
	}
	x.uploaded, x.mirror = false, nil // none of it is: who knows where it ends
	code := 400
	if e, ok := errors.AsType[http1.Error](err); ok {
		code = e.Status()
	}
	x.respond(code, why)
}

// begin works on a request whose head, h, is the first n bytes of data.
func (x *exchange) begin(data []byte, n int, h *http1.Head) {
	l := x.conn.loop
	x.task = task{begun: l.now, method: h.MethodID(), minor: h.Minor(), upgrades: h.Upgrades()}
	x.keepsAlive = h.KeepAlive() && x.minor == 1
	here := x.locate()
	x.notice(data[:n], h)
	if x.method == http1.MethodConnect {
		x.respond(405, mesh.ReasonBadRequest)
		return
	}
	if !here {
		x.respond(503, mesh.ReasonNotInMesh)
		return
	}
	x.request.Begin(h.Framing())
	if x.edge != nil {
		if err := h.CheckStranger(data); err != nil {
			x.refuse(err)
			return
		}
		x.request.FromStranger()
	}
	used, done, err := x.request.Feed(data[n:])
	if err != nil {
		x.refuse(err)
		return
	}
	x.uploaded = done
	x.mayRepeat = done && used == 0 && x.method.Idempotent()
	edits, err := x.route(data[:n], h)
	if x.edge != nil && err == nil {
		x.watch(h, used)
		edits.FromStranger = true
		err = h.CheckEdits(data, &edits)
	}
	if err != nil {
		x.refuse(err)
		return
	}
	x.held = x.mayRepeat || x.toHTTP2() && used <= heldFreely // endpoints of HTTP/2 say which requests they have not touched
	if x.decision.Route != nil && x.decision.Target == nil {
		x.answerItself()
		x.store(data[n+used:])
		return
	}
	if !x.admit() {
		x.store(data[n+used:])
		return
	}
	x.mark(data[:n], h, &edits)
	x.toServer = outbox{bytes: http1.AppendRequest(l.buffer(), data[:n], h, &edits)}
	x.head = len(x.toServer.bytes)
	x.mirror = x.copyHead(data[:n], h, &edits)
	x.copyBody(data[n : n+used])
	x.toServer.bytes = append(x.toServer.bytes, data[n:n+used]...)
	x.store(data[n+used:])
	x.setOut()
}

// upload passes on what there is of the request.
func (x *exchange) upload() bool {
	c, u := x.conn, x.up
	if u == nil || u.broken != nil || !x.flush(&x.toServer, &u.side, x.sentUp) || !emptied(&c.upload) {
		return false
	}
	if !x.held {
		x.empty(&x.toServer)
	}
	if x.uploaded {
		x.hangUp()
		return false
	}
	if !c.client.readable || !u.writable {
		return false
	}
	if !x.held && x.mirror == nil && takePipe(&c.upload, &c.client, &u.side, &x.request) {
		n, err := x.bulk(&c.upload, &x.request)
		if n <= 0 {
			return x.clientEnds(err)
		}
		x.came(n)
		x.uploaded = x.request.Done()
		return true
	}
	buf := c.loop.scratch
	n, err := c.client.read(buf)
	if n <= 0 {
		return x.clientEnds(err)
	}
	x.came(n)
	used, done, err := x.request.Feed(buf[:n])
	if err != nil {
		x.badBody(err)
		return true
	}
	x.uploaded = done
	x.store(buf[used:n])
	x.passUp(buf[:used])
	if done {
		x.mirrorNow()
	}
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
		c.end(c.endOf(err), err)
	case x.stage == forHead && len(x.input) == 0:
		c.end(mesh.ReasonDone, nil)
	case x.stage == forEnd:
		c.end(x.why, nil)
	default:
		c.end(mesh.ReasonClientReset, io.ErrUnexpectedEOF)
	}
	return true
}

// close gives back what the exchange holds when its connection ends.
func (x *exchange) close(reason mesh.Reason) {
	if x.endpoint != nil && reason == mesh.ReasonEndpointReset && !x.heard && !x.up.reused {
		x.endpoint.Reset(time.Now())
	}
	how := cut
	if reason == mesh.ReasonDone {
		how = inOrder
	}
	x.cutOff(reason)
	x.leaveServer(how)
	x.over()
	x.letDown()
	x.store(nil)
	x.empty(&x.toClient)
	x.empty(&x.toServer)
}
