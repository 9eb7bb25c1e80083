package balance

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// Endpoint is an endpoint of a group with what is counted of it and how it stands.
type Endpoint struct {
	mesh.Endpoint
	group *Group
	index int // in group
	*counters
}

// counters are shared by the endpoints of one address in successive groups.
type counters struct {
	active    atomic.Int64
	connected atomic.Uint64
	failed    atomic.Uint64
	failing   atomic.Bool   // the last connect failed
	refusals  atomic.Uint64 // connects in a row that failed
	resets    atomic.Uint64 // connections in a row that were reset before a byte came
	last      atomic.Pointer[Failure]
	results
	health health
}

// Failure is a connection that an endpoint did not accept.
type Failure struct {
	Time time.Time
	Text string // the error of the connect
}

// Acquire counts a connection that is about to be made to the endpoint; Release must follow when it has ended.
func (e *Endpoint) Acquire() {
	e.active.Add(1)
	e.group.load.connections.Add(1)
}

// Release takes back one Acquire.
func (e *Endpoint) Release() {
	e.active.Add(-1)
	e.group.load.connections.Add(-1)
}

// Active returns how many connections are made or open now.
func (e *Endpoint) Active() int64 { return e.active.Load() }

// Connect counts a connection that the endpoint accepted.
func (e *Endpoint) Connect() {
	e.connected.Add(1)
	// Most often they are cleared, and reading leaves the cache line shared.
	if e.failing.Load() {
		e.failing.Store(false)
	}
	zero(&e.refusals)
}

// Accept notes that the endpoint has accepted a check, so that it is not Failing. What its clients have met stays counted.
func (e *Endpoint) Accept() {
	if e.failing.Load() {
		e.failing.Store(false)
	}
}

// Fail counts a connection that the endpoint did not accept, and remembers it as the last failure. The fifth in a row
// ejects the endpoint, unless it was the fault of this host.
func (e *Endpoint) Fail(at time.Time, err error) {
	e.failed.Add(1)
	e.last.Store(&Failure{Time: at, Text: err.Error()})
	e.failing.Store(true) // after last, which whoever sees it looks at
	if OwnFault(err) {
		return
	}
	if e.group.outlier != nil {
		e.local(at, causeOf(err))
		return
	}
	if n := e.refusals.Add(1); n%ejectAfter == 0 {
		e.eject(at, "connections fail: "+causeOf(err))
	}
}

// causeOf returns an error without the address, which stands beside it anyway.
func causeOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}

// Deliver notes the end of a connection by which the endpoint has sent something.
func (e *Endpoint) Deliver() {
	zero(&e.resets)
	if e.group.outlier != nil {
		e.delivered()
	}
}

// Reset notes that the endpoint has reset a connection which it had accepted, and by which it had sent nothing. The fifth
// in a row ejects the endpoint.
//
// A reset after some bytes tells nothing of the endpoint: many programs end their connections so, like those that close
// before they have read everything.
func (e *Endpoint) Reset(at time.Time) {
	if e.group.outlier != nil {
		e.local(at, "a reset before a byte came")
		return
	}
	if n := e.resets.Add(1); n%ejectAfter == 0 {
		e.eject(at, "connections are reset before a byte comes")
	}
}

// Connected returns how many connections the endpoint has accepted since it became known.
func (e *Endpoint) Connected() uint64 { return e.connected.Load() }

// Failed returns how many connections the endpoint has not accepted since it became known.
func (e *Endpoint) Failed() uint64 { return e.failed.Load() }

// Failing says whether the last connection that was tried failed, and no check has passed since.
func (e *Endpoint) Failing() bool { return e.failing.Load() }

// LastFailure returns the last connection that the endpoint did not accept; nil when there was none.
func (e *Endpoint) LastFailure() *Failure { return e.last.Load() }

// OwnFault says whether a connect failed for want of something on this host: then it tells nothing of the endpoint.
func OwnFault(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(ownFaults, errno)
}

// ownFaults are the errors of connect() and socket() for want of ports, descriptors or memory.
var ownFaults = []syscall.Errno{
	syscall.EADDRNOTAVAIL, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
}

// Active returns how many connections are made or open to all endpoints of the group, and to those that it had before.
func (g *Group) Active() int64 {
	var n int64
	for _, e := range g.Endpoints() {
		n += e.Active()
	}
	for _, c := range g.departed {
		n += c.active.Load()
	}
	return n
}
