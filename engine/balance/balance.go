// Package balance chooses one endpoint of a service for a connection, among those that are healthy.
//
// A choice takes no lock and allocates nothing, so that it costs the same on the busiest service. balance.go has the
// policies, wheel.go those that keep to an endpoint, choice.go what they choose from, health.go how endpoints stand, outlier.go
// what else ejects them.
package balance

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// Group is the endpoints of one service with the policy that chooses among them.
//
// It is immutable but for what is counted and known of its endpoints, and safe for concurrent use.
type Group struct {
	rules
	zones     []string // whose endpoints come after those of the callers' own, in that order
	endpoints []*Endpoint
	departed  map[netip.AddrPort]*counters // of addresses that the group had before; see depart
	turn      atomic.Uint64                // of round robin
	wheel     *wheel                       // of the policies that hash
	standing  *standing
	load      *Load
	whole     *Group // of which it is a part; nil: it is none
	current   atomic.Pointer[choice]
}

// rules are how a group and its parts choose and judge.
type rules struct {
	policy   mesh.Balancing
	balancer mesh.Balancer
	zone     string
	outlier  *mesh.OutlierDetection
	unread   bool
}

// Config is what a group is made of.
type Config struct {
	Policy    mesh.Balancing  // an unknown or empty one is round robin
	Balancer  mesh.Balancer   // what the policy is told
	Endpoints []mesh.Endpoint // in the order in which Endpoints returns them
	Zone      string          // of the callers, whose endpoints are preferred; empty: no preference
	Zones     []string        // of the endpoints that come next, in that order, before those of all other zones
	Load      *Load           // of the service; nil: what the group before had, or one of its own

	Outlier *mesh.OutlierDetection // nil: five connections in a row that fail eject an endpoint
	Unread  bool                   // nobody reads what endpoints answer, so Status is never called

	// Previous is the group of the same service in the snapshot before; nil when there is none. An endpoint that keeps
	// its address keeps its counters and its state: both groups share them, so connections of the old one are still seen
	// when they end. So does one whose address has been away, as that of a host name may be, while something held it.
	Previous *Group
}

// New returns a group.
func New(c Config) *Group {
	g := &Group{
		rules: rules{c.Policy, c.Balancer, c.Zone, c.Outlier, c.Unread},
		zones: c.Zones, endpoints: make([]*Endpoint, 0, len(c.Endpoints)),
	}
	known := make(map[netip.AddrPort]*counters)
	if c.Previous == nil {
		g.standing, g.load = new(standing), new(Load)
		g.turn.Store(rand.Uint64N(1 << 32)) // hosts that start together shall not all begin at the same endpoint
	} else {
		g.standing, g.load = c.Previous.standing, c.Previous.load
		g.turn.Store(c.Previous.turn.Load())
		maps.Copy(known, c.Previous.departed)
		for _, e := range c.Previous.endpoints {
			known[e.Address] = e.counters
		}
	}
	if c.Load != nil {
		g.load = c.Load
	}
	for i, e := range c.Endpoints {
		shared := known[e.Address]
		if shared == nil {
			shared = new(counters)
			known[e.Address] = shared
		}
		e.Weight = max(e.Weight, 1)
		g.endpoints = append(g.endpoints, &Endpoint{Endpoint: e, group: g, index: i, counters: shared})
	}
	if c.Previous != nil {
		g.depart(c.Previous, known)
	}
	g.wheel = newWheel(g, c.Previous)
	return g
}

// depart keeps what is known of the addresses that are no longer in the group: in the first group without such an address
// always, since a connection may just be on its way to it, and in later ones for as long as connections or an ejection hold
// it.
func (g *Group) depart(previous *Group, known map[netip.AddrPort]*counters) {
	for _, e := range g.endpoints {
		delete(known, e.Address)
	}
	g.standing.mu.Lock()
	defer g.standing.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(known, func(at netip.AddrPort, c *counters) bool {
		return previous.departed[at] == c && c.active.Load() == 0 && !c.health.isRemembered(now)
	})
	g.departed = known
}

// Endpoints returns all endpoints of the group in their order. The caller must not change the slice.
func (g *Group) Endpoints() []*Endpoint { return g.endpoints }

// Load returns what is under way to the service of which the group is.
func (g *Group) Load() *Load { return g.load }

// Pick returns an endpoint that is not in tried and adds it to tried; nil when none is left, or when the checks of all
// of them fail.
//
// The first one is chosen by the policy among the endpoints that are up, those of the zone before others. A connection
// that comes back gets the others by and by, the likely ones first and in the end also those that are not up.
//
// tried belongs to one connection and one group; its zero value is empty.
func (g *Group) Pick(tried *Tried) *Endpoint {
	c := g.choice()
	if len(c.first) == 0 || tried.count == len(g.endpoints) {
		return nil
	}
	var i int
	switch {
	case tried.count > 0:
		i = g.next(c, tried)
	case g.policy == mesh.LeastRequest:
		i = g.leastRequest(c)
	case g.policy == mesh.Random || g.policy.Hashes():
		i = c.first[c.draw(none)]
	default:
		i = g.roundRobin(c)
	}
	tried.add(i)
	return g.endpoints[i]
}

// roundRobin gives every endpoint its weight's share of turns, spread out as evenly as the weights allow.
//
// It is a static stride schedule: turn t belongs to generation t/n and endpoint t%n, and an endpoint sits out the
// generations in which its weight does not carry it over the next multiple of the heaviest weight. In as many
// generations as the heaviest weighs, each endpoint serves exactly as often as it weighs. The heaviest serves in all
// of them, so the loop ends within n steps unless turns are lost to concurrent callers.
func (g *Group) roundRobin(c *choice) int {
	n := uint64(len(c.first))
	for range n {
		t := g.turn.Add(1)
		p := t % n
		i := c.first[p]
		weight := uint64(g.endpoints[i].Weight)
		// The offset keeps endpoints of equal weight from sitting out the same generations.
		position := weight*(t/n%c.heaviest) + c.heaviest/2*p%c.heaviest
		if position%c.heaviest+weight >= c.heaviest {
			return i
		}
	}
	return c.first[c.draw(none)]
}

// leastRequest returns the least busy of two endpoints, or as many as the policy is told, drawn by weight.
func (g *Group) leastRequest(c *choice) int {
	p := c.draw(none)
	if len(c.first) == 1 {
		return c.first[p]
	}
	for range max(g.balancer.Choices, 2) - 1 {
		if q := c.draw(p); g.lessBusy(c.first[p], c.first[q]) != c.first[p] {
			p = q
		}
	}
	return c.first[p]
}

// lessBusy returns the less busy of two endpoints; of two that are equally busy the first, so that an idle group is
// spread by weight.
func (g *Group) lessBusy(i, j int) int {
	a, b := g.endpoints[i], g.endpoints[j]
	if b.Active()*int64(a.Weight) < a.Active()*int64(b.Weight) {
		return j
	}
	return i
}

// none is the index of no endpoint.
const none = -1

// next returns an endpoint for a connection that has failed before: by weight, one of the lowest rank that is left. It
// looks at every endpoint.
func (g *Group) next(c *choice, tried *Tried) int {
	best := g.best(c, tried)
	i := g.drawLeft(c, tried, best, none)
	if g.policy == mesh.LeastRequest {
		if j := g.drawLeft(c, tried, best, i); j != none {
			return g.lessBusy(i, j)
		}
	}
	return i
}

// best returns the lowest rank that is left.
func (g *Group) best(c *choice, tried *Tried) rank {
	best := unranked
	for i := range g.endpoints {
		if !tried.has(i) {
			best = min(best, c.rank[i])
		}
	}
	return best
}

// drawLeft draws by weight an endpoint of a rank that is neither tried nor except; none when there is none.
func (g *Group) drawLeft(c *choice, tried *Tried, of rank, except int) int {
	isLeft := func(i int) bool { return c.rank[i] == of && i != except && !tried.has(i) }
	var total uint64
	for i, e := range g.endpoints {
		if isLeft(i) {
			total += uint64(e.Weight)
		}
	}
	if total == 0 {
		return none
	}
	r := rand.Uint64N(total)
	for i, e := range g.endpoints {
		switch {
		case !isLeft(i):
		case r < uint64(e.Weight):
			return i
		default:
			r -= uint64(e.Weight)
		}
	}
	panic("balance: drew beyond the weights that are left")
}
