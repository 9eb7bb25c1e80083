package proxy

import (
	"fmt"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
)

// reach gets a connection to an endpoint, or answers that there is none. err is why the endpoint before did not accept.
func (x *exchange) reach(err error, fresh bool) {
	c, l := x.conn, x.conn.loop
	for {
		endpoint := x.next()
		if endpoint == nil && err == nil && x.attempts > 1 { // all have been tried: the one before rather than none
			x.tried, x.triedOnly = balance.Tried{}, false
			endpoint = x.next()
		}
		if endpoint == nil && err == nil {
			x.respond(503, mesh.ReasonNoEndpoint)
			return
		}
		if endpoint == nil {
			x.failTry(503, mesh.ReasonConnectFailed)
			return
		}
		x.endpoint, x.last = endpoint, endpoint
		c.endpoint.Store(endpoint)
		if k := c.carrier; k != nil {
			k.conn.endpoint.Store(endpoint)
		}
		endpoint.Acquire()
		key := upstreamKey{endpoint.Address, c.source}
		if !fresh || x.toHTTP2() { // there, no request gets a connection that has ended
			if x.up = l.atHand(key, x.toHTTP2(), x); x.up != nil {
				x.stage = forAnswer
				c.pair.Pool(observe.Reused)
				x.stopWaiting()
				x.arm()
				return
			}
		}
		if !x.wait() {
			x.leaveServer(cut)
			x.respond(503, mesh.ReasonOverload)
			return
		}
		if x.up, err = l.dialUpstream(key, x.toHTTP2(), x); err == nil {
			x.stage = forConnect
			if !x.up.follows {
				c.pair.Pool(observe.Dialled)
			}
			x.until.connect = l.now.Add(c.out.patience(x.connectTimeout()))
			x.arm()
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
		return x.decision.Target.Pick(&x.tried, &x.hash)
	}
	if x.triedOnly {
		return nil
	}
	x.triedOnly = true
	return x.only
}

// failed counts a connect that failed.
func (x *exchange) failed(err error) {
	if x.up == nil || !x.up.follows { // those who wait for the same connection count one failure
		x.endpoint.Fail(time.Now(), err)
		x.conn.pair.ConnectFailed()
	}
	x.leaveServer(cut)
}

// leaveServer lets go of the endpoint and of the connection to it, which the next request may reuse.
func (x *exchange) leaveServer(how leaving) {
	switch {
	case x.up == nil:
	case x.up.link == nil && how == reuse && (x.snapshot == x.conn.loop.seen || has(x.conn.loop.seen, x.up.key.address)):
		if !x.conn.loop.keep(x.up) {
			x.conn.pair.Pool(observe.PoolFull)
		}
	default:
		x.up.close(how != cut)
	}
	if x.up != nil && x.conn.firstBroken == &x.up.side { // it has nothing to do with what follows
		x.conn.firstBroken = nil
	}
	if x.up != nil && x.stage != forBytes {
		x.conn.upload.drop()
	}
	x.up = nil
	x.until.connect = time.Time{}
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
	x.until.connect = time.Time{}
	if err := x.up.broken; err != nil {
		x.notConnected(err)
		return
	}
	if !x.up.follows {
		x.endpoint.Connect()
	}
	x.stage = forAnswer
	x.stopWaiting()
	x.arm()
}

func (x *exchange) notConnected(err error) {
	err = fmt.Errorf("connect to %s: %w", x.up.key.address, err)
	x.failed(err)
	x.reach(err, false)
}
