package balance

// Candidate is an endpoint as the next choice sees it.
type Candidate struct {
	*Endpoint
	Health Health
	First  bool    // a connection may get it before any other was tried
	Share  float64 // of the first choices, by weight, in percent; 0 when it is not First
}

// Explanation is how a choice comes about.
type Explanation struct {
	Candidates []Candidate // all endpoints of the group in their order
	Panics     bool        // less than half of them are up, so that all are chosen from
}

// Explain tells what Pick chooses from.
func (g *Group) Explain() Explanation {
	c := g.choice()
	x := Explanation{Panics: len(c.first) > 0 && 2*c.usable < len(g.endpoints)}
	for _, e := range g.endpoints {
		x.Candidates = append(x.Candidates, Candidate{Endpoint: e, Health: e.Health()})
	}
	var before uint64
	for p, i := range c.first {
		x.Candidates[i].First = true
		x.Candidates[i].Share = 100 * float64(c.upTo[p]-before) / float64(c.upTo[len(c.upTo)-1])
		before = c.upTo[p]
	}
	return x
}

// Hashes says whether PickHash chooses by the hash.
func (g *Group) Hashes() bool { return g.wheel != nil }

// Whole returns the group of which it is a part; itself when it is none.
func (g *Group) Whole() *Group {
	if g.whole != nil {
		return g.whole
	}
	return g
}
