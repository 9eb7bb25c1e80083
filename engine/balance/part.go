package balance

import "math/rand/v2"

// Part returns a group of those endpoints that keep selects, in the same order and with the same rules, but for the zones: those
// are as in Config. Both groups share all that is counted and known of an endpoint, and an endpoint is ejected by what it has
// failed in both.
func (g *Group) Part(keep func(*Endpoint) bool, zones []string) *Group {
	part := &Group{rules: g.rules, zones: zones, standing: g.standing, load: g.load, whole: g}
	part.turn.Store(rand.Uint64N(1 << 32))
	for _, e := range g.endpoints {
		if keep(e) {
			part.endpoints = append(part.endpoints, &Endpoint{
				Endpoint: e.Endpoint, group: part, index: len(part.endpoints), counters: e.counters,
			})
		}
	}
	part.wheel = newWheel(part, nil)
	return part
}
