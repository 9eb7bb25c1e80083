package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// results are what requests to an endpoint have come to, for a group with outlier detection.
type results struct {
	fives    atomic.Uint64 // failures in a row that count as a 5xx
	gateways atomic.Uint64 // of those that count as 502, 503 or 504
	locals   atomic.Uint64 // of connections, when those are counted apart

	requests  atomic.Uint64 // in this interval
	successes atomic.Uint64 // of those
}

// zero sets what is most often zero to zero; reading leaves the cache line shared.
func zero(n *atomic.Uint64) {
	if n.Load() != 0 {
		n.Store(0)
	}
}

// forget begins all rows afresh.
func (r *results) forget() {
	zero(&r.fives)
	zero(&r.gateways)
	zero(&r.locals)
}

// Status notes what the endpoint has answered a request with, or what was answered in its place because it had not answered
// in time. Without outlier detection nothing follows from it.
func (e *Endpoint) Status(code int, at time.Time) {
	if e.group.outlier == nil {
		return
	}
	e.answered(code, "", at)
}

// answered counts an answer. Failures of connections count as 503, and then why says which one.
func (e *Endpoint) answered(code int, why string, at time.Time) {
	o := e.group.outlier
	statistics := o.SuccessRate.Enforce > 0 || o.FailurePercentage.Enforce > 0
	if statistics {
		e.requests.Add(1)
	}
	if code < 500 {
		zero(&e.fives)
		zero(&e.gateways)
		if statistics {
			e.successes.Add(1)
			e.group.judgeInTime(at)
		}
		return
	}
	if isNth(&e.fives, o.Consecutive5xx) && enforced(o.Enforce5xx) {
		e.eject(at, failedInARow(o.Consecutive5xx, "requests fail", code, why))
	}
	if code >= 502 && code <= 504 {
		if isNth(&e.gateways, o.ConsecutiveGateway) && enforced(o.EnforceGateway) {
			e.eject(at, failedInARow(o.ConsecutiveGateway, "requests fail at the gateway", code, why))
		}
	} else {
		zero(&e.gateways)
	}
	if statistics {
		e.group.judgeInTime(at)
	}
}

// isNth counts one more failure, and says whether these are as many as may be, or a multiple of it.
func isNth(n *atomic.Uint64, most int) bool {
	row := n.Add(1)
	return most > 0 && row%uint64(most) == 0
}

func failedInARow(row int, what string, code int, why string) string {
	if why == "" {
		why = fmt.Sprintf("the answer %d", code)
	}
	return fmt.Sprintf("%d %s in a row, the last one by %s", row, what, why)
}

func enforced(percent int) bool { return percent > 0 && rand.IntN(100) < percent }

// local counts the failure of a connection.
func (e *Endpoint) local(at time.Time, why string) {
	o := e.group.outlier
	if !o.SplitLocal {
		e.answered(503, why, at)
		return
	}
	if isNth(&e.locals, o.ConsecutiveLocal) && enforced(o.EnforceLocal) {
		e.eject(at, failedInARow(o.ConsecutiveLocal, "connections fail", 0, why))
	}
}

// delivered notes that a connection has brought something.
func (e *Endpoint) delivered() {
	zero(&e.locals)
	if e.group.unread {
		e.answered(200, "", time.Now())
	}
}

// judgeInTime judges by the statistics when an interval is over. Of those who find it over one does it.
func (g *Group) judgeInTime(at time.Time) {
	due, now := g.standing.due.Load(), at.UnixNano()
	if now < due || !g.standing.due.CompareAndSwap(due, now+int64(g.outlier.Interval)) || due == 0 {
		return
	}
	if g.whole != nil {
		g = g.whole
	}
	g.judge(at)
}

// sample is what an endpoint has done in an interval.
type sample struct {
	endpoint *Endpoint
	requests uint64
	rate     float64 // of success, in percent
}

func (g *Group) judge(at time.Time) {
	var all []sample
	for _, e := range g.endpoints {
		requests, successes := e.requests.Swap(0), e.successes.Swap(0)
		if requests > 0 {
			all = append(all, sample{e, requests, 100 * min(float64(successes)/float64(requests), 1)})
		}
	}
	o := g.outlier
	rated := enough(all, o.SuccessRate)
	var mean, variance float64
	for _, s := range rated {
		mean += s.rate / float64(len(rated))
	}
	for _, s := range rated {
		variance += (s.rate - mean) * (s.rate - mean) / float64(len(rated))
	}
	least := mean - math.Sqrt(variance)*float64(o.SuccessFactor)/1000
	for _, s := range rated {
		if s.rate < least && enforced(o.SuccessRate.Enforce) {
			s.endpoint.eject(at, fmt.Sprintf("%.1f%% of its requests succeed, of all endpoints' %.1f%%", s.rate, mean))
		}
	}
	for _, s := range enough(all, o.FailurePercentage) {
		if 100-s.rate >= float64(o.FailureThreshold) && enforced(o.FailurePercentage.Enforce) {
			s.endpoint.eject(at, fmt.Sprintf("%.1f%% of its requests fail", 100-s.rate))
		}
	}
}

// enough returns those that have had enough requests, if those are enough.
func enough(all []sample, of mesh.Statistics) []sample {
	var some []sample
	for _, s := range all {
		if s.requests >= uint64(of.MinVolume) {
			some = append(some, s)
		}
	}
	if of.Enforce == 0 || len(some) < of.MinHosts {
		return nil
	}
	return some
}

// mayEject says whether one more endpoint of the group may be ejected: at most half of them, and never the last that is up; with
// outlier detection as many as that says, and one always.
func (g *Group) mayEject(ejected, up int) bool {
	if g.outlier == nil {
		return up > 1 && 2*(ejected+1) <= len(g.endpoints)
	}
	return ejected < max(len(g.endpoints)*g.outlier.MaxEjected/100, 1)
}

// successive returns how many ejections an ejection follows on. With outlier detection one is forgotten for each interval without.
func (g *Group) successive(h *health, at time.Time) int {
	switch {
	case g.outlier != nil:
		return max(h.ejections-int(at.Sub(h.until)/g.outlier.Interval), 0)
	case h.isRemembered(at):
		return h.ejections
	}
	return 0
}

// ejection returns how long the first ejection lasts, and any at most.
func (g *Group) ejection() (base, most time.Duration) {
	if g.outlier == nil {
		return ejectFor, ejectMost
	}
	return g.outlier.BaseEjection, max(g.outlier.MaxEjection, g.outlier.BaseEjection)
}
