package balance

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// rank orders the endpoints of a choice: a connection that has failed goes on to those of the lowest rank that are left. Those
// that are usable have the ranks from near on, by how far their zone is.
type rank uint32

const (
	near    rank = 0            // usable and in the zone of the callers, or usable when the zone does not matter
	ejected rank = 1<<16 + iota // was not a while ago; may be by now
	down                        // is not, by its check; tried rather than nothing
	unranked
)

// distance returns the rank of an endpoint that is usable: first come those of the callers' zone, then those of the further
// zones in their order, then all others.
func (g *Group) distance(e *Endpoint) rank {
	if g.zone != "" && e.Zone == g.zone {
		return near
	}
	if i := slices.Index(g.zones, e.Zone); i >= 0 {
		return near + 1 + rank(i)
	}
	if g.zone == "" && len(g.zones) == 0 {
		return near
	}
	return near + 1 + rank(len(g.zones))
}

// choice is what a group chooses from while no endpoint changes its state. It is immutable.
type choice struct {
	version  uint64
	until    time.Time // when an ejection ends; zero: none does
	rank     []rank    // of each endpoint
	usable   int       // endpoints that are up
	last     rank      // endpoints up to it are in first
	first    []int     // the endpoints of which a connection gets its first; empty: none
	upTo     []uint64  // upTo[p] is the sum of the weights before and including first[p]
	heaviest uint64    // the largest weight in first
}

// choice returns what to choose from now. It takes a lock only after a state has changed.
func (g *Group) choice() *choice {
	if c := g.current.Load(); g.isFresh(c) {
		return c
	}
	g.standing.mu.Lock()
	defer g.standing.mu.Unlock()
	c := g.current.Load()
	if !g.isFresh(c) {
		c = g.choose(time.Now())
		g.current.Store(c)
	}
	return c
}

func (g *Group) isFresh(c *choice) bool {
	return c != nil && c.version == g.standing.version.Load() && (c.until.IsZero() || time.Now().Before(c.until))
}

// choose works out a choice: the usable endpoints of the closest zone that has any.
//
// When less than half of the endpoints are usable it is all of them, usable or not, as Envoy does below its panic
// threshold: what is left would hardly carry the load of all, and so many rarely fail by themselves. When the checks
// of all endpoints fail there is no choice.
func (g *Group) choose(now time.Time) *choice {
	c := &choice{rank: make([]rank, len(g.endpoints))}
	closest, downs := unranked, 0
	for i, e := range g.endpoints {
		g.standing.settle(&e.health, now)
		switch e.health.current() {
		case Down:
			c.rank[i] = down
			downs++
		case Ejected:
			c.rank[i] = ejected
			if c.until.IsZero() || e.health.until.Before(c.until) {
				c.until = e.health.until
			}
		default:
			c.rank[i] = g.distance(e)
			closest = min(closest, c.rank[i])
			c.usable++
		}
	}
	c.version = g.standing.version.Load()
	c.last = closest
	switch {
	case downs == len(g.endpoints):
		return c
	case 2*c.usable < len(g.endpoints):
		c.last = down
	}
	c.first = make([]int, 0, len(g.endpoints))
	c.upTo = make([]uint64, 0, len(g.endpoints))
	var sum uint64
	for i, e := range g.endpoints {
		if c.rank[i] > c.last {
			continue
		}
		sum += uint64(e.Weight)
		c.heaviest = max(c.heaviest, uint64(e.Weight))
		c.first = append(c.first, i)
		c.upTo = append(c.upTo, sum)
	}
	return c
}

// draw returns, by weight, a position in first that is not except.
func (c *choice) draw(except int) int {
	total := c.upTo[len(c.upTo)-1]
	if except == none {
		return c.at(rand.Uint64N(total))
	}
	// Cut the excepted endpoint out of the line of weights and close the gap.
	var before uint64
	if except > 0 {
		before = c.upTo[except-1]
	}
	weight := c.upTo[except] - before
	r := rand.Uint64N(total - weight)
	if r >= before {
		r += weight
	}
	return c.at(r)
}

// at returns the position in first that covers r in the line of weights.
func (c *choice) at(r uint64) int {
	p, _ := slices.BinarySearch(c.upTo, r+1)
	return p
}

// HasUp says whether an endpoint is up. Who has somewhere else to go to goes there when none is.
func (g *Group) HasUp() bool { return g.choice().usable > 0 }

// Version returns a number that changes whenever the state of an endpoint has changed.
func (g *Group) Version() uint64 { return g.choice().version }

// Backends returns the addresses of the endpoints that are up; when none is, of those that are only ejected.
//
// It is for who connects without a second try, as the kernel does when meshd is gone: unlike Pick it never counts on
// endpoints that are known to be down.
func (g *Group) Backends() []netip.AddrPort {
	c := g.choice()
	for _, end := range []rank{ejected, down} {
		var all []netip.AddrPort
		for i, e := range g.endpoints {
			if c.rank[i] < end {
				all = append(all, e.Address)
			}
		}
		if len(all) > 0 {
			return all
		}
	}
	return nil
}
