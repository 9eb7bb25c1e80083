package balance

import "sync/atomic"

// Load is what one host has under way to a service, at all of its ports and in all of its subsets. Its zero value is ready,
// and it is safe for concurrent use.
type Load struct {
	connections atomic.Int64
	requests    atomic.Int64
	pending     atomic.Int64
}

// Connections returns how many connections are made or open to endpoints of the service: what Acquire counts.
func (l *Load) Connections() int64 { return l.connections.Load() }

// Requests returns how many requests are under way, with those that are pending.
func (l *Load) Requests() int64 { return l.requests.Load() }

// Pending returns how many requests wait for a connection, or for their next try.
func (l *Load) Pending() int64 { return l.pending.Load() }

// BeginRequest counts a request, unless there are as many as the limit already, of which 0 is none; when it returns true,
// EndRequest must follow.
func (l *Load) BeginRequest(limit int64) bool { return begin(&l.requests, limit) }

// EndRequest takes back one BeginRequest.
func (l *Load) EndRequest() { l.requests.Add(-1) }

// BeginPending counts a request that is not sent yet, or not again; when it returns true, EndPending must follow as soon as it
// has a connection, or is given up.
func (l *Load) BeginPending(limit int64) bool { return begin(&l.pending, limit) }

// EndPending takes back one BeginPending.
func (l *Load) EndPending() { l.pending.Add(-1) }

// begin adds one to what is limited, and takes it back when that is too many. So a limit is never exceeded; at the limit one may be
// refused for whom there has just become room.
func begin(n *atomic.Int64, limit int64) bool {
	if n.Add(1) <= limit || limit == 0 {
		return true
	}
	n.Add(-1)
	return false
}
