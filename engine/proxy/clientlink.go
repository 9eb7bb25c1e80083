package proxy

import (
	"errors"
	"runtime/debug"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// clientLink is a client's connection that speaks HTTP/2. Each of its streams is to the rest of this package a connection that
// carries one request.
type clientLink struct {
	link
	conn *conn       // of the client
	why  mesh.Reason // of its end, when it ends before its streams

	snapshot *snapshot.Snapshot // of the last request
	port     *snapshot.Port     // that the client has dialled, in it
	only     *balance.Endpoint  // if that was dialled by its own address

	unused time.Time // since when there is no stream, if it is watched; zero: there is one
}

// keptStreams bounds the connections of streams that a loop keeps for further ones.
const keptStreams = 256

// startLink turns a connection into one of HTTP/2. data is what has come.
func (x *exchange) startLink(data []byte) {
	c, l := x.conn, x.conn.loop
	k := &clientLink{conn: c}
	k.link = link{loop: l, session: http2.NewServer(&l.pool), socket: &c.client, owner: k}
	c.link = k
	x.stage = forStreams
	k.moved(len(data), 0)
	err := k.session.Feed(data, l.now)
	x.store(nil)
	if c.out.drains.Load() { // it is so young that the drain has let it be
		k.session.Leave()
	}
	k.serve()
	if err != nil && !k.over {
		k.failed(err)
	}
	k.queue()
}

// happened works on what an event says of the client, which has noted it.
func (k *clientLink) happened() {
	if k.conn.client.broken != nil {
		k.lose(k.conn.client.broken)
		return
	}
	if k.socket.readable {
		k.read()
	}
	if !k.over {
		k.queue()
	}
}

// about implements owner.
func (k *clientLink) about(t *http2.Stream) {
	c, known := t.User.(*conn)
	if !known {
		c = k.begin(t)
	}
	c.client.noteStream()
	if err := t.Err(); err != nil {
		c.broke(&c.client, err)
	}
	c.about(&c.client, 0)
}

// begin makes the connection of a stream.
func (k *clientLink) begin(t *http2.Stream) *conn {
	k.conn.leave() // the head that it has waited for has come
	l := k.loop
	var c *conn
	if last := len(l.spare) - 1; last >= 0 {
		c, l.spare = l.spare[last], l.spare[:last]
	} else {
		c = &conn{http: &exchange{}}
		c.upload = direction{conn: c, src: &c.client, dst: &c.server}
		c.download = direction{conn: c, src: &c.server, dst: &c.client}
	}
	of := k.conn
	c.out, c.loop, c.id, c.start, c.from = of.out, l, of.id, of.start, of.from
	c.flow, c.caller, c.source, c.port, c.pair = of.flow, of.caller, of.source, of.port, of.pair
	c.client = side{fd: -1, stream: t, link: &k.link, writable: true, reset: mesh.ReasonClientReset}
	c.server = side{fd: -1, reset: mesh.ReasonEndpointReset}
	c.carrier, c.firstBroken, c.ended = k, nil, false
	c.stage.Store(open)
	c.endpoint.Store(nil)
	*c.http = exchange{conn: c, snapshot: k.snapshot, port: k.port, only: k.only}
	if k.port != nil {
		c.http.faceStream(k.port)
	}
	t.User = c
	return c
}

// endStream is end of a stream.
func (c *conn) endStream(reason mesh.Reason, err error) {
	k := c.carrier
	c.leave()
	c.disarm()
	c.http.close(reason)
	if reason != mesh.ReasonDone {
		c.log(reason, err)
	}
	c.client.stream.Close(codeFor(reason, err))
	c.client.stream = nil
	k.queue()
	k.loop.spent = append(k.loop.spent, c)
}

// reuseStreams keeps the connections of streams that have ended in this turn. Whoever has called their end is back by now.
func (l *loop) reuseStreams() {
	for i, c := range l.spent {
		l.spent[i] = nil
		if len(l.spare) < keptStreams && !c.queued {
			l.spare = append(l.spare, c)
		}
	}
	l.spent = l.spent[:0]
	for i, u := range l.spentUpstreams {
		l.spentUpstreams[i] = nil
		if len(l.spareUpstreams) < keptStreams {
			*u = upstream{}
			l.spareUpstreams = append(l.spareUpstreams, u)
		}
	}
	l.spentUpstreams = l.spentUpstreams[:0]
}

// moved implements owner: as with any connection, what counts is what the application sends and gets.
func (k *clientLink) moved(came, sent int) {
	if came > 0 {
		k.conn.countSent(came)
	}
	if sent > 0 {
		k.conn.countReceived(sent)
	}
}

// settle implements owner.
func (k *clientLink) settle() {
	k.countRefused()
	c := k.conn
	switch {
	case k.session.IsOver():
		k.over = true
		if c.client.readable {
			k.part(mesh.ReasonDone) // closed now, it would reset what the client has not read yet
			return
		}
		c.end(mesh.ReasonDone, nil)
	case c.http.edge != nil:
		k.watch()
	case k.session.Waits():
		c.http.hurry()
	default:
		c.leave()
	}
}

// failed implements owner: the client is told why.
func (k *clientLink) failed(err error) {
	k.conn.out.log.Debug("client's HTTP/2 refused", "id", k.conn.id, "error", err)
	k.over = true
	k.countRefused()
	k.part(mesh.ReasonBadRequest)
}

// part ends a link whose client gets only what is in Output now.
func (k *clientLink) part(why mesh.Reason) {
	x := k.conn.http
	x.toClient = outbox{bytes: append(k.loop.buffer(), k.session.Output()...)}
	k.conn.link = nil
	x.part(why)
	x.move()
}

// lost implements owner.
func (k *clientLink) lost(err error) {
	reason := mesh.ReasonClientReset
	if err == nil && k.session.Len() == 0 {
		reason = mesh.ReasonDone
	}
	k.conn.end(reason, err)
}

// close ends the streams of a client whose connection has ended.
func (k *clientLink) close(reason mesh.Reason) {
	k.why = reason
	k.countRefused()
	k.endStreams()
}

// rest ends a link once its requests have been answered, as meshd drains.
func (k *clientLink) rest() {
	k.session.Leave()
	k.queue()
}

// tooSlow ends a link whose client has not ended what it has begun.
func (k *clientLink) tooSlow(why mesh.Reason) { k.conn.end(why, errSlow) }

// errSlow says that something has taken a client too long.
var errSlow = errors.New("the head of a request has not come in time")

// contain implements owner.
func (k *clientLink) contain() {
	if fault := recover(); fault != nil {
		k.conn.out.log.Error("connection panicked", "id", k.conn.id, "panic", fault, "stack", string(debug.Stack()))
		k.conn.end(mesh.ReasonInternal, nil)
	}
}

// endOf returns the reason of the end of a request whose client has broken it off, for the error of its side.
func (c *conn) endOf(err error) mesh.Reason {
	if isMalformed(err) {
		return mesh.ReasonBadRequest
	}
	if isNoMessage(err) { // for HTTP/2, what is added to an answer on its way included
		return mesh.ReasonBadAnswer
	}
	if c.carrier != nil && c.carrier.why != "" && c.carrier.why != mesh.ReasonDone {
		return c.carrier.why
	}
	return mesh.ReasonClientReset
}
