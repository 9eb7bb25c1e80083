package route

import (
	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// Explanation is how a decision comes about. Requests that say the same get the same, but for what splitters draw.
type Explanation struct {
	Candidates []Candidate // the routes that were asked; the last one is taken
	Shares     []Share     // what the splitter makes of it; one without a splitter, none for a redirect or a response
}

// Candidate is a route that was asked.
type Candidate struct {
	Route *Route
	Why   string // not; empty for the one that is taken
}

// Share is one of the targets among which splitters draw.
type Share struct {
	Percent float64
	Asked   mesh.Target  // as written
	Splits  []mesh.Place // that have led to it, the outermost first
	Target  *Target      // as resolved
	Live    *Target      // the target, or who stands in for it now

	upTo uint64
}

// Explain tells how Decide decides a request.
func (t *Table) Explain(r *Request) Explanation {
	var e Explanation
	for _, route := range t.routes {
		condition := route.match.failing(r)
		if condition != none {
			e.Candidates = append(e.Candidates, Candidate{route, route.match.why(r, condition)})
			continue
		}
		e.Candidates = append(e.Candidates, Candidate{Route: route})
		e.Shares = route.Shares()
		break
	}
	return e
}

// ExplainConnection tells how DecideConnection decides: there is one route.
func (t *Table) ExplainConnection() Explanation { return t.Explain(&unread) }

// Drawn returns the index of the share that gets the request by a draw, as Decide decides by it; there must be shares.
func (e *Explanation) Drawn(draw uint32) int {
	for i, s := range e.Shares {
		if uint64(draw) < s.upTo {
			return i
		}
	}
	panic("route: the last share does not take every draw")
}

// Shares returns the targets among which the requests of the route are divided; none when it answers by itself.
func (r *Route) Shares() []Share {
	var all []Share
	before := uint64(0)
	for _, b := range r.branches {
		all = append(all, Share{100 * float64(b.upTo-before) / (1 << 32), b.origin.asked, b.origin.splits, b.target, b.target.Live(), b.upTo})
		before = b.upTo
	}
	return all
}

// Certain returns the endpoint that every request with that hash gets; false when more than the hash decides.
func (t *Target) Certain(h *Hash) (*balance.Endpoint, bool) {
	if !h.found || h.Cookie != nil || !t.Group.Hashes() {
		return nil, false
	}
	e := t.Group.PickHash(new(balance.Tried), h.value)
	return e, e != nil
}

// Routes returns the routes in the order in which they are asked. The caller must not change the slice.
func (t *Table) Routes() []*Route { return t.routes }
