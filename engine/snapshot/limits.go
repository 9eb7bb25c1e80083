package snapshot

import (
	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

// limit gives a service what counts and limits what is under way to it: that of the snapshot before, so that a reload lets
// nobody have more.
func (s *Service) limit(previous *Snapshot) {
	var old Service
	if previous != nil {
		if found, ok := previous.Named(s.Name); ok {
			old = *found
		}
	}
	if s.Load = old.Load; s.Load == nil {
		s.Load = new(balance.Load)
	}
	rates := make(map[mesh.Per]limit.Rate)
	for _, r := range s.Rates {
		rates[r.Per] = limit.Rate{PerSecond: r.PerSecond, Burst: r.Burst}
	}
	s.Limiter = limit.New(rates[mesh.PerService], rates[mesh.PerSource], old.Limiter)
}
