package proxy

import "sync"

// shares counts the connections of each unit, so that one that opens and opens cannot take the place of all others.
type shares struct {
	mu   sync.Mutex
	held map[string]int
}

// take counts one more connection of a unit, if the unit holds no more than what is free.
func (s *shares) take(unit string, free int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[unit] > free {
		return false
	}
	if s.held == nil {
		s.held = map[string]int{}
	}
	s.held[unit]++
	return true
}

// give takes back one take.
func (s *shares) give(unit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[unit]--; s.held[unit] <= 0 {
		delete(s.held, unit)
	}
}
