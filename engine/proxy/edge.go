package proxy

import (
	"errors"
	"time"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// What the clients of a service have to keep to that says http { hardening = "edge" }: they may be strangers, of whom some are
// hostile. What their heads may have is in http1.CheckStranger. Who does nothing must not cost anything for long.
const (
	edgeHeadTimeout = 10 * time.Second // from the first byte of a head to its end; as HAProxy's documentation has it (timeout http-request)
	edgeIdle        = 75 * time.Second // without a request; as nginx (keepalive_timeout)
	edgeStall       = 30 * time.Second // in which a client takes nothing of an answer
	edgeBodyRate    = 240              // bytes of a body in a second, as Kestrel (MinRequestBodyDataRate),
	edgeBodyWindow  = 30 * time.Second // over which they are counted
	edgeInterim     = 5                // answers before the answer; as Go's client took
)

// guard watches a client that may be a stranger.
type guard struct {
	client  *client   // what it has under way, with all others of its identity
	took    time.Time // when it took something of the answer last
	window  time.Time // since when bytes of the body are counted
	came    int       // these bytes
	asked   bool      // it waits to be told that it may send the body
	interim int       // answers before the answer
}

var (
	errStalled = errors.New("the client takes nothing of the answer")
	errHints   = errors.New("too many answers before the answer")
)

// face begins to be on guard, or ends that, as the service says that is behind a port; false when the caller has too many
// connections to it.
func (x *exchange) face(p *snapshot.Port) bool {
	c := x.conn
	if c.carrier != nil {
		return x.faceStream(p)
	}
	switch edge := p != nil && p.Service.Edge; {
	case edge && x.edge == nil:
		held, ok := c.out.clients.take(clientKey{p.Service.Name, c.source})
		x.edge = &guard{client: held}
		return ok
	case !edge && x.edge != nil:
		x.letDown()
	}
	return true
}

// faceStream is face of a stream, which counts as no connection of its own.
func (x *exchange) faceStream(p *snapshot.Port) bool {
	link := x.conn.carrier.conn.http
	ok := link.face(p)
	x.edge = nil
	if link.edge != nil {
		x.guard = guard{client: link.edge.client}
		x.edge = &x.guard
	}
	return ok
}

// letDown ends to be on guard.
func (x *exchange) letDown() {
	if x.edge != nil && x.conn.carrier == nil {
		x.conn.out.clients.give(x.edge.client)
	}
	x.edge = nil
}

// expect bounds how long a client may be without a request.
func (x *exchange) expect() {
	if x.edge != nil {
		x.conn.loop.edge.idle.add(x.conn, x.conn.loop.now)
	}
}

// idle ends a connection that has been without a request for too long.
func (x *exchange) idle() {
	c := x.conn
	defer c.contain()
	if hasInput(c.client.fd) { // it may be about to come
		x.hurry()
		return
	}
	if c.link != nil {
		c.link.idle()
		return
	}
	x.told = true // there is nothing to tell
	c.end(mesh.ReasonIdle, nil)
}

// watch bounds how long a client may be without a stream, and how long it may take to begin one.
func (k *clientLink) watch() {
	c, l := k.conn, k.loop
	switch {
	case k.session.Len() > 0:
		k.unused = time.Time{}
	case k.unused.IsZero():
		k.unused = l.now
	}
	switch {
	case k.session.Waits():
		c.http.hurry()
	case k.session.Len() > 0:
		c.leave()
	case !l.now.Before(k.unused.Add(edgeIdle)): // it has done something meanwhile, but for a stream
		k.idle()
	case c.waiting.in != &l.edge.idle:
		c.leave()
		c.http.expect()
	}
}

// idle ends a link that has been without a stream for too long. The client hears which of its streams were taken.
func (k *clientLink) idle() {
	k.session.Quit()
	k.over = true
	k.part(mesh.ReasonIdle)
}

// edgeTimeouts are the times for clients before their requests.
type edgeTimeouts struct {
	idle timeouts // who has not begun one
	slow timeouts // who has
}

func newEdgeTimeouts() edgeTimeouts {
	return edgeTimeouts{idle: timeouts{after: edgeIdle}, slow: timeouts{after: edgeHeadTimeout}}
}

func (e *edgeTimeouts) next() time.Time { return earlier(e.idle.next(), e.slow.next()) }

func (e *edgeTimeouts) expire(now time.Time) {
	for c := e.idle.expired(now); c != nil; c = e.idle.expired(now) {
		c.http.idle()
	}
	for c := e.slow.expired(now); c != nil; c = e.slow.expired(now) {
		c.http.tooSlow(mesh.ReasonTooSlow)
	}
}

// watch begins to watch the client while it sends a request, of whose body came bytes have come, and takes the answer.
func (x *exchange) watch(h *http1.Head, came int) {
	g, now := x.edge, x.conn.loop.now
	*g = guard{client: g.client, took: now, window: now, came: came, asked: h.Expects() == http1.ExpectContinue && came == 0}
	x.until.look = now.Add(min(edgeStall, edgeBodyWindow))
}

// admitClient says whether the identity of the caller may have one more request under way, and answers one that is too many.
func (x *exchange) admitClient() bool {
	if x.edge == nil {
		return true
	}
	if !x.edge.client.begin() {
		x.decline(x.answerWith(429, mesh.ReasonOverload), mesh.ReasonOverload)
		return false
	}
	x.counts.client = x.edge.client
	return true
}

// goOnWatching watches on after all times of a request have been given up.
func (x *exchange) goOnWatching() {
	if x.edge != nil {
		x.edge.took = x.conn.loop.now
		x.until.look = x.edge.took.Add(edgeStall)
		x.arm()
	}
}

// came counts bytes of the body.
func (x *exchange) came(n int) {
	if x.edge != nil {
		x.edge.came += n
		x.edge.asked = false
	}
}

// took notes that the client has taken n bytes of the answer.
func (x *exchange) took(n int) {
	if x.edge != nil && n > 0 {
		x.edge.took = x.conn.loop.now
	}
}

// hints counts an answer of that status, and says whether it is one too many before the answer.
func (x *exchange) hints(status int) bool {
	g := x.edge
	if g == nil || status >= 200 || status == 101 {
		return false
	}
	g.asked = false
	g.interim++
	return g.interim > edgeInterim
}

// look ends what a client is too slow for, or finds out when to look again.
func (x *exchange) look() {
	g, now := x.edge, x.conn.loop.now
	next := now.Add(edgeStall)
	if x.isOffered() {
		if next = g.took.Add(edgeStall); !now.Before(next) {
			x.conn.end(mesh.ReasonTooSlow, errStalled)
			return
		}
	}
	switch until := g.window.Add(edgeBodyWindow); {
	case x.owesBody() && now.Before(until):
		next = earlier(next, until)
	case x.owesBody() && g.came < edgeBodyRate*int(edgeBodyWindow/time.Second):
		x.respond(408, mesh.ReasonTooSlow)
		return
	default:
		g.window, g.came = now, 0
		next = earlier(next, now.Add(edgeBodyWindow))
	}
	x.until.look = next
	x.arm()
}

// isOffered says whether there is something of an answer that the client has not taken.
func (x *exchange) isOffered() bool {
	d := &x.conn.download
	return x.toClient.sent < len(x.toClient.bytes) || d.pipe != nil || len(d.rest) > 0
}

// owesBody says whether all that is there of a request has been read, and there has to be more. It does not when the client may
// have stopped: because it has an answer, or because nobody has told it to go on.
func (x *exchange) owesBody() bool {
	return x.stage != forBytes && !x.uploaded && !x.answering && !x.edge.asked && !x.conn.client.readable
}
