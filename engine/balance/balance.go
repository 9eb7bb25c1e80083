// Package balance chooses one endpoint of a service for a connection.
//
// A choice takes no lock and allocates nothing, so that it costs the same on the busiest service.
package balance

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/meshd/meshd/engine/mesh"
)

// Group is the endpoints of one service with the policy that chooses among them.
//
// It is immutable but for its counters, and safe for concurrent use.
type Group struct {
	policy    mesh.Balancing
	endpoints []*Endpoint
	upTo      []uint64      // upTo[i] is the sum of the weights before and including endpoint i
	heaviest  uint64        // the largest weight
	turn      atomic.Uint64 // of round robin
}

// New returns a group of the endpoints, in their order.
//
// An unknown or empty policy is round robin. previous may be nil; otherwise an endpoint that keeps its address keeps
// its counters: both groups count in the same place, so connections of the old one are still seen when they end.
func New(policy mesh.Balancing, endpoints []mesh.Endpoint, previous *Group) *Group {
	g := &Group{
		policy:    policy,
		endpoints: make([]*Endpoint, 0, len(endpoints)),
		upTo:      make([]uint64, 0, len(endpoints)),
	}
	known := make(map[netip.AddrPort]*counters)
	if previous == nil {
		g.turn.Store(rand.Uint64N(1 << 32)) // hosts that start together shall not all begin at the same endpoint
	} else {
		g.turn.Store(previous.turn.Load())
		for _, e := range previous.endpoints {
			known[e.Address] = e.counters
		}
	}
	var sum uint64
	for i, e := range endpoints {
		c := known[e.Address]
		if c == nil {
			c = new(counters)
			known[e.Address] = c
		}
		e.Weight = max(e.Weight, 1)
		sum += uint64(e.Weight)
		g.heaviest = max(g.heaviest, uint64(e.Weight))
		g.upTo = append(g.upTo, sum)
		g.endpoints = append(g.endpoints, &Endpoint{Endpoint: e, index: i, counters: c})
	}
	return g
}

// Endpoints returns all endpoints of the group in their order. The caller must not change the slice.
func (g *Group) Endpoints() []*Endpoint { return g.endpoints }

// Pick returns an endpoint that is not in tried and adds it to tried; nil when none is left.
//
// tried belongs to one connection and one group; its zero value is empty.
func (g *Group) Pick(tried *Tried) *Endpoint {
	if tried.count == len(g.endpoints) {
		return nil
	}
	var i int
	switch g.policy {
	case mesh.LeastRequest:
		i = g.leastRequest(tried)
	case mesh.Random:
		i = g.random(tried, none)
	default:
		i = g.roundRobin(tried)
	}
	tried.add(i)
	return g.endpoints[i]
}

// roundRobin gives every endpoint its weight's share of turns, spread out as evenly as the weights allow.
//
// It is a static stride schedule: turn t belongs to generation t/n and endpoint t%n, and an endpoint sits out the
// generations in which its weight does not carry it over the next multiple of the heaviest weight. In as many
// generations as the heaviest weighs, each endpoint serves exactly as often as it weighs. The heaviest serves in all
// of them, so the loop ends within n steps unless turns are lost to tried endpoints or to concurrent callers.
func (g *Group) roundRobin(tried *Tried) int {
	n := uint64(len(g.endpoints))
	for range n {
		t := g.turn.Add(1)
		i := int(t % n)
		if tried.has(i) {
			continue
		}
		weight := uint64(g.endpoints[i].Weight)
		// The offset keeps endpoints of equal weight from sitting out the same generations.
		position := weight*(t/n%g.heaviest) + g.heaviest/2*uint64(i)%g.heaviest
		if position%g.heaviest+weight >= g.heaviest {
			return i
		}
	}
	return g.random(tried, none)
}

// leastRequest returns the less busy of two endpoints drawn by weight; of two that are equally busy the first drawn,
// so that an idle group is spread by weight.
func (g *Group) leastRequest(tried *Tried) int {
	i := g.random(tried, none)
	if tried.count+1 == len(g.endpoints) {
		return i
	}
	j := g.random(tried, i)
	a, b := g.endpoints[i], g.endpoints[j]
	if b.Active()*int64(a.Weight) < a.Active()*int64(b.Weight) {
		return j
	}
	return i
}

// none is the index of no endpoint.
const none = -1

// random draws by weight an endpoint that is neither tried nor except. One must be left.
func (g *Group) random(tried *Tried, except int) int {
	if tried.count > 0 {
		return g.randomLeft(tried, except)
	}
	total := g.upTo[len(g.upTo)-1]
	if except == none {
		return g.at(rand.Uint64N(total))
	}
	// Cut the excepted endpoint out of the line of weights and close the gap.
	weight := uint64(g.endpoints[except].Weight)
	before := g.upTo[except] - weight
	r := rand.Uint64N(total - weight)
	if r >= before {
		r += weight
	}
	return g.at(r)
}

// at returns the endpoint at position r of the line of weights.
func (g *Group) at(r uint64) int {
	i, _ := slices.BinarySearch(g.upTo, r+1)
	return i
}

// randomLeft is random for a connection that has failed before: it looks at every endpoint.
func (g *Group) randomLeft(tried *Tried, except int) int {
	var total uint64
	for i, e := range g.endpoints {
		if i != except && !tried.has(i) {
			total += uint64(e.Weight)
		}
	}
	r := rand.Uint64N(total)
	for i, e := range g.endpoints {
		if i == except || tried.has(i) {
			continue
		}
		if r < uint64(e.Weight) {
			return i
		}
		r -= uint64(e.Weight)
	}
	panic("balance: picked from a group that has no endpoint left")
}
