package route

import (
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// below returns the bound below which the draws of a share of all requests are; all draws are below that of the whole.
func below(hundredths int) uint64 { return uint64(hundredths) << 32 / mesh.Hundred }

// Fault is what goes wrong on purpose with the requests of a route. Its methods take random numbers, evenly spread over all
// that there are, of which each needs one of its own. Of nil nothing goes wrong.
type Fault struct {
	delayed uint64 // the draws below it meet the delay
	delay   time.Duration
	aborted uint64 // the draws below it meet the abort
	abort   Abort
}

// Abort is the answer to a request that no service sees.
type Abort struct {
	HTTPStatus int // 0: the answer is GRPCStatus
	GRPCStatus int
}

// Delay returns how long a request waits before it is sent on; most often 0.
func (f *Fault) Delay(draw uint32) time.Duration {
	if f == nil || uint64(draw) >= f.delayed {
		return 0
	}
	return f.delay
}

// Abort returns what a request is answered with that is not sent on, after its delay; false for all others.
func (f *Fault) Abort(draw uint32) (Abort, bool) {
	if f == nil || uint64(draw) >= f.aborted {
		return Abort{}, false
	}
	return f.abort, true
}

func newFault(from *mesh.Fault) *Fault {
	if from == nil {
		return nil
	}
	f := &Fault{}
	if d := from.Delay; d != nil {
		f.delayed, f.delay = below(d.Share), d.Fixed
	}
	if a := from.Abort; a != nil {
		f.aborted, f.abort = below(a.Share), Abort{a.HTTPStatus, a.GRPCStatus}
	}
	return f
}

// Mirror is where copies of requests go.
type Mirror struct {
	Target *Target // use its Live
	copied uint64  // the draws below it are copied
}

// Takes says by a random number whether a request is copied; of nil none is.
func (m *Mirror) Takes(draw uint32) bool { return m != nil && uint64(draw) < m.copied }

func (c *Compiler) mirror(from *mesh.Mirror, port Port) *Mirror {
	if from == nil {
		return nil
	}
	return &Mirror{c.target(from.Target, port, false), below(from.Share)}
}
