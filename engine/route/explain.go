package route

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
	Target  *Target // as resolved
	Live    *Target // the target, or who stands in for it now
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
		before := uint64(0)
		for _, b := range route.branches {
			e.Shares = append(e.Shares, Share{100 * float64(b.upTo-before) / (1 << 32), b.target, b.target.Live()})
			before = b.upTo
		}
		break
	}
	return e
}

// Routes returns the routes in the order in which they are asked. The caller must not change the slice.
func (t *Table) Routes() []*Route { return t.routes }
