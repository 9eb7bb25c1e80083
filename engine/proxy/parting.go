package proxy

import (
	"io"
	"time"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// respond answers for the endpoint, and ends the connection with that.
func (x *exchange) respond(code int, why mesh.Reason) {
	x.leaveServer(cut)
	x.empty(&x.toServer)
	a := x.answerWith(code, why)
	a.Close = true
	x.say(a)
	x.over()
	x.record(a.Status, why)
	x.part(why)
}

// say puts an answer of our own behind what the client has not taken yet.
func (x *exchange) say(a http1.Answer) {
	if x.toClient.bytes == nil {
		x.toClient.bytes = x.conn.loop.buffer()
	}
	a.Bodiless = x.method == http1.MethodHead
	for i := range a.Fields {
		if a.Fields[i].Name == "Grpc-Status" {
			x.sawStatus(a.Fields[i].Value)
		}
	}
	x.toClient.bytes = http1.AppendAnswer(x.toClient.bytes, a)
}

// part ends a connection whose client has been told all. It may be sending still: if that met a closed socket, its reset
// would take away from the client what it has not read yet.
func (x *exchange) part(why mesh.Reason) {
	x.stage, x.why = forEnd, why
	x.conn.leave()
	x.conn.loop.parting.add(x.conn, x.conn.loop.now)
}

// discard reads what a client sends that has been told all.
func (x *exchange) discard() bool {
	c := x.conn
	if !x.told {
		if !x.flush(&x.toClient, &c.client, x.sentDown) {
			return false
		}
		x.empty(&x.toClient)
		x.told = true
		if c.carrier != nil {
			c.end(x.why, nil)
			return true
		}
		if err := c.client.shutdown(); err != nil {
			c.end(x.why, err)
			return true
		}
	}
	if !c.client.readable {
		return false
	}
	n, err := c.client.read(c.loop.scratch)
	if n <= 0 {
		return x.clientEnds(err)
	}
	return true
}

// hangUp tells the endpoint that the client has ended its side of the connection while it waits for the answer. Most clients are
// gone then, and most servers take it for that; those that answer all the same are heard. What a client has sent for its next
// requests comes before such an end. In HTTP/2 there is no such half: there the request is cancelled.
func (x *exchange) hangUp() {
	c, u := x.conn, x.up
	if !c.client.closing || u.hungUp || c.client.fd < 0 || len(x.input) > 0 || !hasEnded(c.client.fd) {
		return
	}
	if u.link != nil {
		c.end(mesh.ReasonClientReset, io.ErrUnexpectedEOF)
		return
	}
	u.hungUp = true
	if err := u.shutdown(); err != nil {
		c.broke(&u.side, err)
	}
}

// tooSlow ends the wait for a head.
func (x *exchange) tooSlow(why mesh.Reason) {
	defer x.conn.contain()
	if k := x.conn.link; k != nil {
		k.tooSlow(why)
		return
	}
	x.store(nil)
	x.partial, x.task = nil, task{begun: x.conn.loop.now}
	x.respond(408, why)
	x.move()
}

// rest ends a connection that waits for a request while meshd drains. One that is so young that its first request may be
// under way stays: its client would not know that it can be sent again.
func (x *exchange) rest() {
	c := x.conn
	defer c.contain()
	switch {
	case c.link != nil:
		c.link.rest()
	case !c.out.drains.Load() || x.stage != forHead || len(x.input) > 0:
	case c.client.readable || hasInput(c.client.fd):
	case c.received.Load() > 0 || time.Since(c.start) > lastWords:
		c.end(mesh.ReasonDone, nil)
	}
}
