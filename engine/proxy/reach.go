package proxy

import (
	"fmt"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// reach gets a connection to an endpoint, or answers that there is none. err is why the endpoint before did not accept.
func (x *exchange) reach(err error, fresh bool) {
	c, l := x.conn, x.conn.loop
	for {
		endpoint := x.next()
		if endpoint == nil && err == nil {
			x.respond(503, mesh.ReasonNoEndpoint)
			return
		}
		if endpoint == nil {
			x.respond(503, mesh.ReasonConnectFailed)
			return
		}
		x.endpoint = endpoint
		c.endpoint.Store(endpoint)
		endpoint.Acquire()
		key := upstreamKey{endpoint.Address, c.source}
		if !fresh {
			if x.up = l.idleUpstream(key, x); x.up != nil {
				x.stage = forAnswer
				return
			}
		}
		if x.up, err = l.dialUpstream(key, x); err == nil {
			x.stage = forConnect
			l.dialing.add(c, l.now)
			return
		}
		if isLack(err) {
			x.respond(503, mesh.ReasonOverload)
			return
		}
		x.failed(err)
	}
}

// next returns the endpoint to try next; nil when all have been tried.
func (x *exchange) next() *balance.Endpoint {
	if x.only == nil {
		if group := x.decision.Target.Group; group != nil {
			return group.Pick(&x.tried)
		}
		return nil
	}
	if x.triedOnly {
		return nil
	}
	x.triedOnly = true
	return x.only
}

// failed counts a connect that failed.
func (x *exchange) failed(err error) {
	x.endpoint.Fail(time.Now(), err)
	x.conn.pair.ConnectFailed()
	x.leaveServer(cut)
}

// leaveServer lets go of the endpoint and of the connection to it, which the next request may reuse.
func (x *exchange) leaveServer(how leaving) {
	switch {
	case x.up == nil:
	case how == reuse:
		x.conn.loop.keep(x.up)
	default:
		x.up.close(how == inOrder)
	}
	if x.up != nil && x.conn.firstBroken == &x.up.side { // it has nothing to do with what follows
		x.conn.firstBroken = nil
	}
	x.up = nil
	if x.endpoint != nil {
		x.endpoint.Release()
		x.endpoint = nil
	}
}

// leaving is what becomes of a connection to an endpoint.
type leaving int

const (
	cut     leaving = iota // what it carried is not complete
	inOrder                // it is closed
	reuse                  // it waits for the next request
)

// connected sees how a connect has ended.
func (x *exchange) connected() {
	x.conn.leave()
	if err := x.up.broken; err != nil {
		x.notConnected(err)
		return
	}
	x.endpoint.Connect()
	x.stage = forAnswer
}

func (x *exchange) notConnected(err error) {
	err = fmt.Errorf("connect to %s: %w", x.up.key.address, err)
	x.failed(err)
	x.reach(err, false)
}
