package balance

import (
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// Endpoint is an endpoint of a group with what is counted of it.
type Endpoint struct {
	mesh.Endpoint
	index int // in its group
	*counters
}

// counters are shared by the endpoints of one address in successive groups.
type counters struct {
	active    atomic.Int64
	connected atomic.Uint64
	failed    atomic.Uint64
	failing   atomic.Bool
	last      atomic.Pointer[Failure]
}

// Failure is a connection that an endpoint did not accept.
type Failure struct {
	Time time.Time
	Text string // the error of the connect
}

// Acquire counts a connection that is about to be made to the endpoint; Release must follow when it has ended.
func (e *Endpoint) Acquire() { e.active.Add(1) }

// Release takes back one Acquire.
func (e *Endpoint) Release() { e.active.Add(-1) }

// Active returns how many connections are made or open now.
func (e *Endpoint) Active() int64 { return e.active.Load() }

// Connect counts a connection that the endpoint accepted.
func (e *Endpoint) Connect() {
	e.connected.Add(1)
	if e.failing.Load() { // most often it is not, and reading leaves the cache line shared
		e.failing.Store(false)
	}
}

// Fail counts a connection that the endpoint did not accept, and remembers it as the last failure.
func (e *Endpoint) Fail(at time.Time, err error) {
	e.failed.Add(1)
	e.last.Store(&Failure{Time: at, Text: err.Error()})
	e.failing.Store(true) // after last, which whoever sees it looks at
}

// Connected returns how many connections the endpoint has accepted since it became known.
func (e *Endpoint) Connected() uint64 { return e.connected.Load() }

// Failed returns how many connections the endpoint has not accepted since it became known.
func (e *Endpoint) Failed() uint64 { return e.failed.Load() }

// Failing says whether the last connection that was tried failed.
func (e *Endpoint) Failing() bool { return e.failing.Load() }

// LastFailure returns the last connection that the endpoint did not accept; nil when there was none.
func (e *Endpoint) LastFailure() *Failure { return e.last.Load() }
