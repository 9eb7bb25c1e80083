package route

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// Retry says when a request is sent again.
type Retry struct {
	Attempts         int           // at most so many times again
	PerTryTimeout    time.Duration // up to the head of the response; 0: none of its own
	OnConnectFailure bool          // no connection could be made
	OnReset          bool          // the connection ended before the head of a response
	OnRefused        bool          // the endpoint says that it did nothing for the request
	statuses         [statusEnd / 64]uint64
	grpc             uint32 // a bit for each status of gRPC
}

// grpcStatuses are the statuses of gRPC that a retry may name.
var grpcStatuses = map[string]int{
	mesh.RetryCancelled: 1, mesh.RetryDeadlineExceeded: 4, mesh.RetryResourceExhausted: 8, mesh.RetryInternal: 13,
	mesh.RetryUnavailable: 14,
}

// OnGRPC says whether a response with that grpc-status, and nothing else, is no answer yet.
func (r *Retry) OnGRPC(status []byte) bool {
	n := 0
	for _, c := range status {
		if c < '0' || c > '9' || n > 9 {
			return false
		}
		n = 10*n + int(c-'0')
	}
	return len(status) > 0 && n < 32 && r.grpc&(1<<n) != 0
}

// statusEnd is behind the last status, and a multiple of 64.
const statusEnd = 640

// OnStatus says whether a response of that status is no answer yet.
func (r *Retry) OnStatus(status int) bool {
	return status >= 0 && status < statusEnd && r.statuses[status/64]&(1<<(status%64)) != 0
}

func newRetry(from *mesh.Retry) *Retry {
	r := &Retry{Attempts: from.Attempts, PerTryTimeout: from.PerTryTimeout}
	set := func(first, last int) {
		for status := max(first, 0); status <= min(last, statusEnd-1); status++ {
			r.statuses[status/64] |= 1 << (status % 64)
		}
	}
	for _, on := range from.On {
		switch on {
		case mesh.RetryConnectFailure:
			r.OnConnectFailure = true
		case mesh.RetryReset:
			r.OnReset = true
		case mesh.RetryGatewayError:
			set(502, 504)
		case mesh.Retry5xx:
			r.OnConnectFailure, r.OnReset, r.OnRefused = true, true, true
			set(500, 599)
		case mesh.Retry4xx:
			set(409, 409)
		case mesh.RetryRefused:
			r.OnRefused = true
		default:
			if status, ok := grpcStatuses[on]; ok {
				r.grpc |= 1 << status
			} else if status, err := strconv.Atoi(on); err == nil {
				set(status, status)
			}
		}
	}
	return r
}

// How long a retry waits at most: the first, and any.
const (
	backoffFirst = 25 * time.Millisecond
	backoffMost  = 250 * time.Millisecond
)

// Backoff returns how long the n-th retry waits, counted from 1: by the draw, which is a random number, up to twice as long
// as the one before, so that those that failed together do not come back together.
func Backoff(n int, draw uint32) time.Duration {
	most := backoffMost
	if n <= 4 { // 25, 50, 100, 200
		most = backoffFirst << (max(n, 1) - 1)
	}
	return time.Duration(uint64(most) * uint64(draw) >> 32)
}

// Of the requests under way to a target one in budgetShare may be a retry, and budgetLeast always.
const (
	budgetShare = 5
	budgetLeast = 3
)

// Budget bounds retries, so that a service which fails under its load does not get a multiple of it. Its zero value is
// ready, and it is safe for concurrent use.
type Budget struct {
	requests atomic.Int64
	retries  atomic.Int64
}

// Begin counts a request that is sent for the first time; End must follow when it is over, with all its retries.
func (b *Budget) Begin() { b.requests.Add(1) }

// End takes back one Begin.
func (b *Budget) End() { b.requests.Add(-1) }

// Retry says whether a request may be sent again; if so, EndRetry must follow when this try is over.
func (b *Budget) Retry() bool {
	if b.retries.Add(1) <= max(budgetLeast, b.requests.Load()/budgetShare) {
		return true
	}
	b.retries.Add(-1)
	return false
}

// EndRetry takes back one Retry that was allowed.
func (b *Budget) EndRetry() { b.retries.Add(-1) }
