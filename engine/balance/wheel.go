package balance

import (
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// Bounds of a ring whose configuration has none. Of n endpoints to one more, 1/(n+1) of the hashes move, give or take 4 % of that, as each
// has 512 points. Half of that error would take four times the memory, which are 1.2 MB for 50 endpoints.
const (
	defaultMinRing = 1024
	defaultMaxRing = 1 << 20
)

// tableSize is the number of entries of Maglev's table: a prime, and the one that the paper and Envoy have. Of 50 endpoints to 51, half a
// percent of it changes hands between those that stay; in a table ten times as large, of 2.6 MB, an eighth of a percent.
const tableSize = 65537

// wheel is what a hash leads to: a list of endpoints that is gone through from where the hash is. It is made of all endpoints
// of a group, so that who chose one that fails goes on to the next while nobody else moves. It is immutable.
type wheel struct {
	owners []uint32 // indexes of endpoints
	points []uint64 // of a ring: where each owner stands, in order; nil: the table of Maglev
}

// newWheel returns the wheel of a group, which is that of the group before when that had the same endpoints; nil when its
// policy does not hash.
func newWheel(g, previous *Group) *wheel {
	switch {
	case !g.policy.Hashes() || len(g.endpoints) == 0:
		return nil
	case previous != nil && previous.wheel != nil && g.turnsLike(previous):
		return previous.wheel
	case g.policy == mesh.Maglev:
		return g.table()
	}
	return g.ring()
}

func (g *Group) turnsLike(other *Group) bool {
	return g.policy == other.policy && g.balancer.MinRing == other.balancer.MinRing && g.balancer.MaxRing == other.balancer.MaxRing &&
		slices.EqualFunc(g.endpoints, other.endpoints, func(a, b *Endpoint) bool { return a.Address == b.Address && a.Weight == b.Weight })
}

// ring puts each endpoint on a ring many times, by its weight. How often does not depend on how many others there are, unless
// the ring would grow too large: so an endpoint that is added only takes from others, and nothing moves between those.
func (g *Group) ring() *wheel {
	least, most := g.balancer.MinRing, g.balancer.MaxRing
	if least == 0 {
		least = defaultMinRing
	}
	if most == 0 {
		most = defaultMaxRing
	}
	var heaviest, sum float64
	for _, e := range g.endpoints {
		heaviest = max(heaviest, float64(e.Weight))
		sum += float64(e.Weight)
	}
	// Of the heaviest there is one for each other entry of the smallest ring; of one endpoint alone no ring is too small.
	each := min(math.Ceil(float64(least)/2), float64(most)*heaviest/sum)
	type point struct {
		at    uint64
		owner uint32
	}
	var all []point
	for i, e := range g.endpoints {
		key := append([]byte(e.Address.String()), '_')
		for n := range int(max(each*float64(e.Weight)/heaviest, 1)) {
			all = append(all, point{xxhash.Sum64(strconv.AppendInt(key, int64(n), 10)), uint32(i)})
		}
	}
	slices.SortFunc(all, func(a, b point) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return int(a.owner) - int(b.owner)
	})
	w := &wheel{make([]uint32, len(all)), make([]uint64, len(all))}
	for i, p := range all {
		w.owners[i], w.points[i] = p.owner, p.at
	}
	return w
}

// table is the table of Google's Maglev: each endpoint has an order of its own in which it would like the entries, and in each
// round those whose turn it is by their weight take the next one that is free.
func (g *Group) table() *wheel {
	const unowned = math.MaxUint32
	w := &wheel{owners: slices.Repeat([]uint32{unowned}, tableSize)}
	next, skip := make([]uint64, len(g.endpoints)), make([]uint64, len(g.endpoints))
	var heaviest uint64
	for i, e := range g.endpoints {
		key := e.Address.String()
		next[i] = xxhash.Sum64String(key) % tableSize
		skip[i] = xxhash.Sum64String(key+"_skip")%(tableSize-1) + 1
		heaviest = max(heaviest, uint64(e.Weight))
	}
	owed := make([]uint64, len(g.endpoints))
	for free := tableSize; ; {
		for i, e := range g.endpoints {
			if owed[i] += uint64(e.Weight); owed[i] < heaviest {
				continue
			}
			owed[i] -= heaviest
			for w.owners[next[i]] != unowned {
				next[i] = (next[i] + skip[i]) % tableSize
			}
			w.owners[next[i]] = uint32(i)
			if free--; free == 0 {
				return w
			}
		}
	}
}

// start returns where a hash begins.
func (w *wheel) start(hash uint64) int {
	if w.points == nil {
		return int(hash % tableSize)
	}
	at := sort.Search(len(w.points), func(i int) bool { return w.points[i] >= hash })
	return at % len(w.points)
}

// PickHash is Pick for a policy that hashes: connections with the same hash get the same endpoint, and the next ones from there
// while that is not up or has been tried. With another policy it is Pick.
func (g *Group) PickHash(tried *Tried, hash uint64) *Endpoint {
	if g.wheel == nil {
		return g.Pick(tried)
	}
	c := g.choice()
	if len(c.first) == 0 || tried.count == len(g.endpoints) {
		return nil
	}
	last := c.last
	if tried.count > 0 {
		last = g.best(c, tried)
	}
	i := g.follow(c, tried, last, hash)
	if i == none { // the wheel has no place for so many endpoints
		i = g.next(c, tried)
	}
	tried.add(i)
	return g.endpoints[i]
}

// follow returns the first endpoint from a hash on that is left and has at most that rank; none when there is none.
func (g *Group) follow(c *choice, tried *Tried, last rank, hash uint64) int {
	at := g.wheel.start(hash)
	for range g.wheel.owners {
		if i := int(g.wheel.owners[at]); c.rank[i] <= last && !tried.has(i) {
			return i
		}
		if at++; at == len(g.wheel.owners) {
			at = 0
		}
	}
	return none
}
