package proxy

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/route"
)

const (
	// heldMost is how many bytes of a body are held, so that they can be sent again. A request that has more is sent once.
	heldMost = 64 << 10
	// heldFreely is the same for a request that is sent again only if its endpoint says that it has not touched it.
	heldFreely = 8 << 10
)

// heldMost returns how many bytes of the body are held.
func (x *exchange) heldMost() int {
	if x.retry() == nil {
		return heldFreely
	}
	return heldMost
}

// errRefused is part of the error of a read from an endpoint that has said that it did nothing for the request.
var errRefused = errors.New("the endpoint has refused the request")

// retry returns when the request is sent again; nil: never.
func (x *exchange) retry() *route.Retry {
	if r := x.decision.Route; r != nil {
		return r.Retry
	}
	return nil
}

func (x *exchange) connectTimeout() time.Duration {
	if t := x.decision.Target; t != nil {
		return t.ConnectTimeout
	}
	return x.port.ConnectTimeout
}

// setOut begins to send a request that has been admitted.
func (x *exchange) setOut() {
	r := x.decision.Route
	if r == nil {
		x.try()
		return
	}
	if r.RequestTimeout > 0 {
		x.until.all = x.begun.Add(r.RequestTimeout)
	}
	x.until.idle = r.IdleTimeout
	x.passed()
	if r.Retry != nil {
		x.held = len(x.toServer.bytes)-x.head <= heldMost
		x.counts.budget = x.decision.Target.Budget
		x.counts.budget.Begin()
	}
	if !x.delay() && !x.abort() {
		x.try()
	}
}

// try sends the request, for the first time or again.
func (x *exchange) try() {
	x.attempts++
	x.triedAt = x.conn.loop.now
	x.passed()
	if r := x.retry(); r != nil && r.PerTryTimeout > 0 {
		x.until.try = x.conn.loop.now.Add(r.PerTryTimeout)
	}
	x.reach(nil, false)
	if x.uploaded {
		x.mirrorNow()
	}
}

// awake goes on with a request that has waited long enough.
func (x *exchange) awake() {
	if x.attempts == 0 {
		if !x.abort() {
			x.try()
		}
		return
	}
	if live := x.decision.Target.Live(); live != x.decision.Target {
		x.decision.Target, x.tried = live, balance.Tried{}
	}
	x.try()
}

// failTry follows from a try that has brought no answer: the next one, or else that answer.
func (x *exchange) failTry(code int, why mesh.Reason) {
	if !x.triesAgain(code, why) {
		x.respond(code, why)
	}
}

// triesAgain sends the request again if its route has it so after a try that has brought no answer.
func (x *exchange) triesAgain(code int, why mesh.Reason) bool {
	r := x.retry()
	return r != nil && (r.OnStatus(code) || failsFor(r, why)) && x.again(cut)
}

func failsFor(r *route.Retry, why mesh.Reason) bool {
	switch why {
	case mesh.ReasonConnectFailed:
		return r.OnConnectFailure
	case mesh.ReasonRefused:
		return r.OnRefused || r.OnReset
	case mesh.ReasonEndpointReset, mesh.ReasonBadAnswer, mesh.ReasonTimeout:
		return r.OnReset
	}
	return false
}

// dismiss says that an answer, whose head is the first n bytes of data, is none yet, since the request is sent again.
func (x *exchange) dismiss(data []byte, n int) bool {
	r, h := x.retry(), &x.conn.loop.head
	code := h.Status()
	if r == nil || code < 200 {
		return false
	}
	status, said := statusOf(data, h)
	if !r.OnStatus(code) && (!said || !r.OnGRPC(status)) {
		return false
	}
	if n, ok := parseStatus(status); ok && x.grpc && code == 200 {
		code = codeOf(n)
	}
	how := cut
	if x.uploaded && x.toServer.sent == len(x.toServer.bytes) && h.KeepAlive() && x.up.isQuiet() {
		// What is there is all that is waited for: an answer that nobody gets is not worth more.
		x.answer.Begin(h.Framing())
		if used, done, err := x.answer.Feed(data[n:]); err == nil && done && n+used == len(data) {
			how = reuse
		}
	}
	endpoint := x.endpoint
	if !x.again(how) {
		return false
	}
	endpoint.Deliver()
	endpoint.Status(code, x.conn.loop.now)
	return true
}

// again waits before the request is sent once more; false when it must not be.
func (x *exchange) again(how leaving) bool {
	r := x.retry()
	if x.answering || !x.held || x.attempts > r.Attempts || !x.takeRetry() {
		return false
	}
	if !x.wait() {
		x.endRetry()
		return false
	}
	x.conn.pair.Retry()
	x.rewind(how)
	x.stage = forTime
	x.until.try, x.until.wake = time.Time{}, x.conn.loop.now.Add(route.Backoff(x.attempts, rand.Uint32()))
	x.arm()
	return true
}

// takeRetry gives the place in the budget of the try before back and takes one for the next.
func (x *exchange) takeRetry() bool {
	x.endRetry()
	x.counts.again = x.counts.budget.Retry()
	return x.counts.again
}

func (x *exchange) endRetry() {
	if x.counts.again {
		x.counts.budget.EndRetry()
		x.counts.again = false
	}
}

// rewind lets go of the endpoint, with the request to be sent from its beginning.
func (x *exchange) rewind(how leaving) {
	x.leaveServer(how)
	x.toServer.sent, x.sent, x.heard = 0, 0, false
}

// isUntouched says whether it is certain, or as good as that, that the endpoint has not worked on a request whose connection
// has ended: it had closed it before, while it was idle, and nothing of the request was sent or nothing comes of sending it
// twice; or it says so.
func (x *exchange) isUntouched(err error) bool {
	switch {
	case x.repeated || x.heard:
		return false
	case errors.Is(err, errRefused):
		return x.held || x.sent == 0
	}
	return x.up.mayBeStale(err) && (x.mayRepeat || x.sent == 0)
}

// repeat sends a request again, once, on a new connection.
func (x *exchange) repeat() {
	x.conn.pair.Pool(observe.Repeated)
	x.rewind(cut)
	x.repeated, x.tried, x.triedOnly = true, balance.Tried{}, false
	x.reach(nil, true)
}

// passUp passes on a part of the body, and keeps it while the request may have to be sent again.
func (x *exchange) passUp(data []byte) {
	u := &x.up.side
	x.copyBody(data)
	if x.held && len(x.toServer.bytes)-x.head+len(data) > x.heldMost() {
		x.held = false
		x.empty(&x.toServer) // all of it has been sent
	}
	if !x.held {
		x.send(&x.toServer, u, data, x.sentUp)
		return
	}
	x.toServer.bytes = append(x.toServer.bytes, data...)
	x.flush(&x.toServer, u, x.sentUp)
}
