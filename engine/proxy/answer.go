package proxy

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// download passes on what there is of the answer.
func (x *exchange) download() bool {
	c, u := x.conn, x.up
	if !x.flush(&x.toClient, &c.client, x.sentDown) || !emptied(&c.download) {
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
	if x.answering && takePipe(&c.download, &u.side, &c.client, &x.answer) {
		n, err := x.bulk(&c.download, &x.answer)
		if n <= 0 && !errors.Is(err, errNothing) {
			x.serverEnds(err)
			return true
		}
		if x.downloaded = x.answer.Done(); x.downloaded {
			x.sawEnd()
			u.readable = u.closing // whether there is more is looked at before the next request
		}
		return n > 0
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
		if x.hints(l.head.Status()) {
			x.badAnswer(errHints)
			return
		}
		if x.dismiss(data, n) {
			return
		}
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
	if x.downloaded = done; done {
		x.sawEnd()
	}
	x.reusable = x.reusable && used == len(data) // what nobody asked for is no answer to the next
	x.send(&x.toClient, &c.client, data[:used], x.sentDown)
}

// passHead passes on the head of an answer, or of what comes before the answer; false when that is nothing to pass on.
func (x *exchange) passHead(data []byte, n int) bool {
	l := x.conn.loop
	h := &l.head
	if !x.until.try.IsZero() && (h.Status() >= 200 || h.Status() == 101) {
		x.until.try = time.Time{}
		x.arm()
	}
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
	if x.answering {
		x.headAt = l.now
		x.held = false // it is not sent again any more
		x.saw(data[:n], h)
		x.assess(!x.grpc || x.grpcCode > 0 || x.code != 200)
		x.stick(&edits)
	}
	if x.toClient.bytes == nil {
		x.toClient.bytes = l.buffer()
	}
	x.toClient.bytes = http1.AppendResponse(x.toClient.bytes, data[:n], h, &edits)
	return true
}

// stick gives a client the cookie by which its next requests get to the same endpoint, if it has none and is to have one.
func (x *exchange) stick(edits *http1.Edits) {
	if x.hash.Cookie == nil {
		return
	}
	cookie := http1.Field{Name: "Set-Cookie", Value: x.hash.AppendSetCookie(nil)}
	edits.Add = append(slices.Clone(edits.Add), cookie) // it is the route's, for all requests
}

// badAnswer ends the work on a request of which nobody could say what was answered.
func (x *exchange) badAnswer(err error) {
	x.conn.out.log.Debug("answer refused", "id", x.conn.id, "endpoint", x.endpoint.Name(), "error", err)
	x.endpoint.Status(502, x.conn.loop.now)
	x.failTry(502, mesh.ReasonBadAnswer)
}

// serverEnds follows from the end of what the endpoint says.
func (x *exchange) serverEnds(err error) {
	switch {
	case x.answering && err == nil && x.up.broken == nil && x.endless:
		x.downloaded, x.reusable = true, false
		x.sawEnd()
	case x.up.hungUp: // it has taken that for the end of the client
		x.conn.end(mesh.ReasonClientReset, errors.Join(err, io.ErrUnexpectedEOF))
	case x.answering:
		if !x.assessed {
			x.endpoint.Status(502, x.conn.loop.now)
		}
		why := mesh.ReasonEndpointReset
		if isMalformed(err) {
			why = mesh.ReasonBadAnswer
		}
		x.conn.end(why, errors.Join(err, io.ErrUnexpectedEOF))
	case isMalformed(err):
		x.badAnswer(err)
	case isNoMessage(err): // for HTTP/2, what is added to a request on its way included: the endpoint has not seen it
		x.leaveServer(cut)
		x.refuse(err)
	case x.isUntouched(err):
		x.repeat()
	case errors.Is(err, errRefused):
		x.failTry(502, mesh.ReasonRefused)
	default:
		if (!x.up.mayBeStale(err) || x.heard) && x.up.isToBlame(err) {
			x.endpoint.Reset(time.Now())
		}
		switch why := mesh.ReasonEndpointReset; {
		case x.triesAgain(502, why):
		case x.grpc && x.conn.client.stream != nil && isResetByPeer(err):
			x.conn.end(why, err) // a code of HTTP/2 tells a client of gRPC more than a status of ours: that its time is over, for one
		default:
			x.respond(502, why)
		}
	}
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
	x.over()
	x.empty(&x.toServer)
	why := mesh.ReasonDone
	if x.reason != "" {
		why = x.reason
	}
	x.record(x.code, why)
	switch {
	case c.carrier != nil:
		if x.endless {
			_ = c.client.shutdown() // it fails only when the answer has ended otherwise
		}
		c.end(why, nil)
	case x.keepsAlive:
		x.stage, x.task = forHead, task{}
		x.expect()
		x.rest()
	case x.uploaded && len(x.input) == 0 && !c.client.readable:
		c.end(why, nil)
	default:
		x.part(why)
	}
}

// errUpgrade says that an endpoint speaks another protocol from now on, which nobody has asked for.
var errUpgrade = errors.New("an upgrade that nobody has asked for")
