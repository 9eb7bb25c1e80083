package proxy

import (
	"math/rand/v2"
	"strconv"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// delay has a request wait that its route delays on purpose.
func (x *exchange) delay() bool {
	f := x.decision.Route.Fault
	if f == nil {
		return false
	}
	wait := f.Delay(rand.Uint32())
	if wait == 0 {
		return false
	}
	x.stage = forTime
	x.until.wake = x.conn.loop.now.Add(wait)
	x.arm()
	return true
}

// abort answers a request that its route has fail on purpose.
func (x *exchange) abort() bool {
	f := x.decision.Route.Fault
	if f == nil {
		return false
	}
	a, ok := f.Abort(rand.Uint32())
	if !ok {
		return false
	}
	if a.HTTPStatus != 0 {
		x.decline(http1.Answer{Status: a.HTTPStatus, Body: string(mesh.ReasonFault) + "\n"}, mesh.ReasonFault)
		return true
	}
	x.decline(grpcAnswer(strconv.Itoa(a.GRPCStatus), mesh.ReasonFault), mesh.ReasonFault)
	return true
}
