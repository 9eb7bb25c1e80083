package proxy

import (
	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

// bounds is what a service limits, of all that this host sends it.
type bounds struct {
	load                           *balance.Load
	limiter                        *limit.Limiter
	connections, pending, requests int64 // 0: no limit
}

// bounds returns the limits of the service that the request goes to.
func (x *exchange) bounds() bounds {
	if t := x.decision.Target; t != nil {
		return bounds{t.Load, t.Limiter, t.MaxConnections, t.MaxPending, t.MaxRequests}
	}
	s := x.port.Service
	return bounds{s.Load, s.Limiter, int64(s.MaxConnections), int64(s.MaxPending), int64(s.MaxRequests)}
}

// admit says whether the service may have one more request, and answers one that is too many.
func (x *exchange) admit() bool {
	b := x.bounds()
	if !x.admitClient() {
		return false
	}
	switch {
	case !b.limiter.Allow(x.conn.source, x.conn.loop.now):
		x.decline(x.answerWith(429, mesh.ReasonRateLimited), mesh.ReasonRateLimited)
		return false
	case b.connections > 0 && b.load.Connections() >= b.connections, // each request takes one
		b.requests > 0 && !b.load.BeginRequest(b.requests):
		x.decline(x.answerWith(503, mesh.ReasonOverload), mesh.ReasonOverload)
		return false
	}
	if b.requests > 0 {
		x.counts.requests = b.load
	}
	return true
}

// wait counts a request that is not sent yet, or not again; false when too many are already.
func (x *exchange) wait() bool {
	b := x.bounds()
	if b.pending == 0 || x.counts.pending != nil {
		return true
	}
	if !b.load.BeginPending(b.pending) {
		return false
	}
	x.counts.pending = b.load
	return true
}

// stopWaiting takes back what wait has counted.
func (x *exchange) stopWaiting() {
	if x.counts.pending != nil {
		x.counts.pending.EndPending()
		x.counts.pending = nil
	}
}

// over gives back all that a request has counted for, and has no time end it any more.
func (x *exchange) over() {
	x.stopWaiting()
	if x.counts.requests != nil {
		x.counts.requests.EndRequest()
	}
	if c := x.counts.client; c != nil {
		c.end()
	}
	if b := x.counts.budget; b != nil {
		x.endRetry()
		b.End()
	}
	x.counts, x.until = counts{}, until{}
	x.conn.disarm()
}

// decline answers in the place of a service that has not been asked. The client may go on with the next request.
func (x *exchange) decline(a http1.Answer, why mesh.Reason) {
	x.leaveServer(cut)
	x.empty(&x.toServer)
	x.over()
	x.keepsAlive = x.keepsAlive && x.uploaded && !x.conn.out.drains.Load()
	a.Close = !x.keepsAlive
	x.say(a)
	x.code, x.reason = a.Status, why
	x.stage, x.answering, x.downloaded = forAnswer, true, true
	x.goOnWatching()
}
